//! Commands: their length, and the characters that cron takes for its own.

use super::MAX_COMMAND;
use super::reader::{Reader, columns};
use crate::crontab::call::{self, Reading};
use crate::crontab::command::Command;
use crate::crontab::problem::{Problem, Rule, Severity};

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
            let problem = Problem::new(Rule::LongCommand, number, format!("a command of {length} bytes"));
            self.problem(
                problem.expected(format!("at most {MAX_COMMAND}")).fix("put it into a script and call that"),
            );
            return None;
        }
        self.percent(number, text, at, &command);
        self.backslashes(number, text, at);
        Some(command)
    }

    /// Whether a `%` is meant to feed the command is seen by what stands around it; a call takes `--data`.
    pub(super) fn percent(&mut self, number: usize, text: &str, at: usize, command: &Command) {
        let (Some(percent), Some(input)) = (command.percent, &command.input) else { return };
        let (before, behind) = (&text[at..at + percent], &text[at + percent + 1..]);
        let date = before.ends_with('+');
        let words = shlex::split(before);
        let in_argument = words.as_ref().is_some_and(|words| words.len() > 1);
        let escape =
            in_argument && behind.len() >= 2 && behind.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        // `%Y` and its like in an argument are a date.
        let date = date
            || (in_argument
                && !before.ends_with([' ', '\t'])
                && behind.starts_with(|c| STRFTIME.contains(c)));
        let torn = words.is_none_or(|words| words.is_empty());
        let call = !matches!(call::read(&command.shell), Reading::Other);
        let severity = if date || escape || torn || call { Severity::Error } else { Severity::Warning };
        let found = format!("an unescaped '%', at which cron ends the command and feeds it {input:?}");
        let problem = Problem { severity, ..Problem::new(Rule::Percent, number, found) };
        let problem = problem.at(columns(text, at + percent, at + percent + 1)).expected("\\%");
        self.problem(problem.fix(text[at..].replace("\\%", "%").replace('%', "\\%")));
    }

    pub(super) fn backslashes(&mut self, number: usize, text: &str, at: usize) {
        let command = &text[at..];
        let last = command.len() - command.trim_end_matches('\\').len();
        let found = if last % 2 == 1 {
            "a backslash at the end: for cron the next line is another one, and the command ends here"
        } else if command.contains("\\\\") {
            "two backslashes, of which cron gives the shell one"
        } else {
            return;
        };
        let start =
            if last % 2 == 1 { text.len() - 1 } else { at + command.find("\\\\").unwrap_or_default() };
        let problem =
            Problem::new(Rule::Backslash, number, found).at(columns(text, start, text.len().min(start + 2)));
        self.problem(problem.fix("put the command into a script and call that"));
    }
}
