//! Lines that call the old scripts or `curl` become calls. What cannot be turned without changing what it does is left
//! as it is, with the reason.

mod curl;

use self::curl::curl;
use super::file::{Crontab, Entry, Line};
use super::lint::secret_setting;
use super::shell::split;

/// The program that the lines will name.
const PROGRAM: &str = "/usr/local/bin/qs-api-call";
/// The scripts that made calls, and those that only fetched a token.
const CALLS: [&str; 2] = ["qs-api-call.sh", "api-call.sh"];
const REFRESHES: [&str; 2] = ["qs-refresh-token.sh", "refresh-token.sh"];

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The line, from 1.
    pub line: usize,
    /// Whether it was changed; otherwise it was left although it is a call.
    pub changed: bool,
    /// What was done, or why nothing was.
    pub what: String,
}

/// The new file, and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text.
    pub text: String,
    /// Every change, and every call that was left.
    pub changes: Vec<Change>,
    /// Servers that the lines named, for `api.base_url`.
    pub servers: Vec<String>,
}

/// Turns the lines of a crontab.
pub fn import(crontab: &Crontab) -> Imported {
    let mut imported = Imported { text: String::new(), changes: Vec::new(), servers: Vec::new() };
    for (index, (line, text)) in crontab.lines.iter().zip(&crontab.texts).enumerate() {
        let text = text.trim_end_matches('\r');
        let turned = match line {
            Line::Setting(setting) if secret_setting(&setting.name, &setting.value) => Turned::Gone(format!(
                "{} was here; its value belongs into a file of mode 0600 that the configuration names",
                setting.name
            )),
            Line::Entry(entry) => entry_of(entry, &mut imported.servers),
            _ => Turned::Same,
        };
        let mut note = |changed, what| imported.changes.push(Change { line: index + 1, changed, what });
        let text = match turned {
            Turned::Same => text.to_owned(),
            Turned::Left(why) => {
                note(false, why);
                text.to_owned()
            }
            Turned::Gone(what) => {
                note(true, what.clone());
                format!("# {what}")
            }
            Turned::Command(command, what) => {
                note(true, what);
                let at = match line {
                    Line::Entry(entry) => {
                        text.char_indices().nth(entry.command_column - 1).map_or(text.len(), |(at, _)| at)
                    }
                    _ => text.len(),
                };
                format!("{}{}", &text[..at], command.replace('%', "\\%"))
            }
        };
        imported.text = format!("{}{text}\n", imported.text);
    }
    imported
}

enum Turned {
    Same,
    Left(String),
    Gone(String),
    Command(String, String),
}

fn entry_of(entry: &Entry, servers: &mut Vec<String>) -> Turned {
    let (command, redirection, rest) = split(&entry.command.shell);
    let Some(words) = shlex::split(command) else { return Turned::Same };
    let names = |names: &[&str]| {
        let name = |word: &String| word.rsplit('/').next().unwrap_or(word).to_owned();
        words.iter().any(|word| names.contains(&name(word).as_str()))
    };
    let program = words.first().map(|word| word.rsplit('/').next().unwrap_or(word)).unwrap_or_default();
    let old = names(&CALLS) || names(&REFRESHES) || names(&["curl", "wget"]);
    if !old {
        return Turned::Same;
    }
    if !rest.is_empty() || entry.command.input.is_some() {
        return Turned::Left("it is part of a larger shell command; turn it by hand".to_owned());
    }
    if REFRESHES.contains(&program) {
        return Turned::Gone(format!("{command}: a call fetches its token by itself").trim().to_owned());
    }
    if CALLS.contains(&program) {
        let arguments =
            command.trim_start().split_once([' ', '\t']).map(|(_, rest)| rest.trim()).unwrap_or_default();
        let redirection = redirection.trim();
        let command = [PROGRAM, arguments, redirection].join(" ");
        return Turned::Command(command.trim_end().to_owned(), format!("{program} became qs-api-call"));
    }
    if program != "curl" {
        return Turned::Left(format!("{program} is not turned; qs-api-call --help tells the options"));
    }
    match curl(&words[1..], redirection.trim()) {
        Ok((command, server)) => {
            if !servers.contains(&server) {
                servers.push(server.clone());
            }
            Turned::Command(command, format!("curl became qs-api-call; api.base_url must be {server}"))
        }
        Err(why) => Turned::Left(why),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::crontab::file::Format;
    use crate::domain::cron::Dialect;

    fn imported(text: &str) -> Imported {
        let format =
            Format { dialect: Dialect::Cron, user_column: true, zone: TimeZone::UTC, fixed_zone: true };
        import(&Crontab::parse(text.as_bytes(), format))
    }

    #[test]
    fn scripts_and_curl_become_calls() {
        for (before, after) in [
            (
                "0 * * * * root /usr/local/bin/qs-api-call.sh /api/v1/a /var/log/a.log",
                "0 * * * * root /usr/local/bin/qs-api-call /api/v1/a /var/log/a.log",
            ),
            (
                "@daily  root curl -sS -X POST -H \"Authorization: Bearer $(cat /etc/token)\" -H 'Content-Type: application/json' -d '{\"a\": 1}' --max-time 60 --retry 3 https://api.example.com/api/v1/a?b=c >> /var/log/a.log 2>&1",
                "@daily  root /usr/local/bin/qs-api-call --data '{\"a\": 1}' --timeout 60s --retries 3 '/api/v1/a?b=c' /var/log/a.log",
            ),
            (
                "0 0 * * * root curl http://h:8080 >/dev/null 2>&1",
                "0 0 * * * root /usr/local/bin/qs-api-call -X GET /",
            ),
            (
                "0 0 * * * root curl -XPUT -m5 http://h/a\\%20b",
                "0 0 * * * root /usr/local/bin/qs-api-call -X PUT --timeout 5s '/a\\%20b'",
            ),
        ] {
            let found = imported(&format!("{before}\r\n"));
            assert_eq!(found.text, format!("{after}\n"), "{:?}", found.changes);
            assert!(found.changes[0].changed);
        }
    }

    #[test]
    fn secrets_and_token_scripts_go() {
        let found = imported("IAM_PASSWORD=hunter22\n*/30 * * * * root /usr/local/bin/qs-refresh-token.sh\n");
        assert!(!found.text.contains("hunter22"), "{}", found.text);
        assert!(found.text.lines().all(|line| line.starts_with("# ")), "{}", found.text);
        assert!(found.changes.iter().all(|change| !change.what.contains("hunter22")));
    }

    #[test]
    fn what_cannot_be_turned_is_left_with_the_reason() {
        for (command, why) in [
            ("curl -k https://h/a", "certificate"),
            ("curl -u a:b https://h/a", "password"),
            ("curl https://a:b@h/a", "password"),
            ("curl https://h/$(date)", "shell"),
            ("curl https://h/a | tee x", "larger"),
            ("curl --form x=y https://h/a", "--form"),
            ("wget https://h/a", "wget"),
            ("curl https://h/a > a.log", "redirection"),
        ] {
            let line = format!("0 0 * * * root {command}\n");
            let found = imported(&line);
            assert_eq!(found.text, line);
            assert!(
                !found.changes[0].changed && found.changes[0].what.contains(why),
                "{command}: {:?}",
                found.changes
            );
        }
        assert_eq!(imported("0 0 * * * root /bin/backup\n").changes, []);
    }
}
