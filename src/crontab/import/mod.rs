//! Lines that call the old scripts or `curl` become calls. What cannot be turned without changing what it does is left
//! as it is, with the reason.

mod curl;
mod line;
mod words;

#[cfg(test)]
mod tests;

use serde::Serialize;

use self::line::{Turned, turn};
use super::file::{Crontab, Line};
use super::lint::secret_setting;
use super::problem::Rule;

/// The program that the lines will name.
const PROGRAM: &str = "/usr/local/bin/qs-api-call";

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The line, from 1.
    pub line: usize,
    /// Whether it was changed; otherwise it was left although it is a call.
    pub changed: bool,
    /// What was done, or why nothing was.
    pub what: String,
}

/// The new file, and what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The text.
    pub text: String,
    /// Every change, and every call that was left.
    pub changes: Vec<Change>,
    /// Servers that the lines named, for `api.base_url`.
    pub servers: Vec<String>,
}

/// What was made of something, or why it is left.
type Verdict<T> = Result<T, String>;

/// Turns the lines of a crontab.
pub fn import(crontab: &Crontab) -> Imported {
    let mut imported = Imported::default();
    let utf8 = crontab.problems.iter().all(|problem| problem.rule != Rule::NotUtf8);
    for (index, (line, text)) in crontab.lines.iter().zip(&crontab.texts).enumerate() {
        let text = text.trim_end_matches('\r');
        let turned = match line {
            _ if !utf8 && text.contains(char::REPLACEMENT_CHARACTER) => {
                Err("it is not UTF-8, and what is not is lost here; save the file as UTF-8".to_owned())
            }
            Line::Setting(setting) if secret_setting(&setting.name, &setting.value) => {
                let place = "its value belongs into a file of mode 0600 that the configuration names";
                Ok(Turned::Gone(format!("{} was here; {place}", setting.name)))
            }
            Line::Entry(entry) => turn(entry),
            _ => Ok(Turned::Kept),
        };
        let mut note = |changed, what| imported.changes.push(Change { line: index + 1, changed, what });
        match turned {
            Ok(Turned::Kept) => imported.text += text,
            Err(why) => {
                note(false, why);
                imported.text += text;
            }
            Ok(Turned::Gone(what)) => {
                imported.text += "# ";
                imported.text += &what;
                note(true, what);
            }
            Ok(Turned::Call { command, what, server }) => {
                note(true, what);
                let at = line.command_at(text).unwrap_or(text.len());
                imported.text += &text[..at];
                imported.text += &command;
                imported.servers.extend(server.filter(|server| !imported.servers.contains(server)));
            }
        }
        imported.text.push('\n');
    }
    imported
}
