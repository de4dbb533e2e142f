//! Commands: their length, and the characters that cron takes for its own.

use super::MAX_COMMAND;
use super::reader::{Reader, columns};
use crate::crontab::call::{self, Reading};
use crate::crontab::command::Command;
use crate::crontab::problem::{Rule, Severity};

/// Letters with which strftime(3) goes on behind `%`.
const STRFTIME: &str = "aAbBcCdDeFgGhHIjmMnpPrRsStTuUVwWxXyYzZ";

impl Reader {
    pub(super) fn command(&mut self, number: usize, text: &str, at: usize) -> Option<Command> {
        let command = Command::new(&text[at..]);
        // Behind a user cron skips one blank; further ones are part of the command.
        let before = &text[..at];
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        let length =
            text.len() - at + if self.crontab.format.user_column { blanks.saturating_sub(1) } else { 0 };
        if length > MAX_COMMAND {
            self.report(Rule::LongCommand, number, format!("a command of {length} bytes"))
                .expected(format!("at most {MAX_COMMAND}"))
                .fix("put it into a script and call that");
            return None;
        }
        self.percent(number, text, at, &command);
        self.backslashes(number, text, at);
        Some(command)
    }

    /// Whether a `%` is meant to feed the command is seen by what stands around it; a call takes `--data`.
    fn percent(&mut self, number: usize, text: &str, at: usize, command: &Command) {
        let (Some(percent), Some(input)) = (command.percent, &command.input) else { return };
        let (before, behind) = (&text[at..at + percent], &text[at + percent + 1..]);
        let words = shlex::split(before).unwrap_or_default();
        let in_argument = words.len() > 1;
        let escape = behind.len() >= 2 && behind.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        // `%Y` and its like in an argument are a date.
        let date = !before.ends_with([' ', '\t']) && behind.starts_with(|c| STRFTIME.contains(c));
        let is_error = before.ends_with('+')
            || (in_argument && (escape || date))
            || words.is_empty()
            || !matches!(call::read(&command.shell), Reading::Other);
        let found = format!("an unescaped '%', at which cron ends the command and feeds it {input:?}");
        let problem = self.report(Rule::Percent, number, found);
        problem.severity = if is_error { Severity::Error } else { Severity::Warning };
        problem.at(columns(text, at + percent, at + percent + 1)).expected("\\%");
        problem.fix(text[at..].replace("\\%", "%").replace('%', "\\%"));
    }

    fn backslashes(&mut self, number: usize, text: &str, at: usize) {
        let command = &text[at..];
        let last = command.len() - command.trim_end_matches('\\').len();
        let (start, found) = if last % 2 == 1 {
            let found =
                "a backslash at the end: for cron the next line is another one, and the command ends here";
            (text.len() - 1, found)
        } else if let Some(double) = command.find("\\\\") {
            (at + double, "two backslashes, of which cron gives the shell one")
        } else {
            return;
        };
        self.report(Rule::Backslash, number, found)
            .at(columns(text, start, text.len().min(start + 2)))
            .fix("put the command into a script and call that");
    }
}
