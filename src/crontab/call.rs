//! Whether the command of an entry is a call, and if so, which.

use clap::Parser;
use clap::error::ErrorKind;

use super::call_line::{COMMANDS, CallLine};
use super::environment::Setting;
use super::shell::{assignment, base_name, expands, split};
use super::usage::sentence;

/// The program, and the names that the scripts had.
const PROGRAMS: [&str; 2] = ["qs-api-call", "qs-api-call.sh"];

/// Settings of cron itself, which mean nothing elsewhere.
const CRONS_OWN: [&str; 7] = ["SHELL", "PATH", "MAILTO", "MAILFROM", "HOME", "LOGNAME", "CRON_TZ"];

/// A command that is one call and nothing else.
#[derive(Clone, Debug)]
pub struct Call {
    /// The program as it is named.
    pub program: String,
    /// What stands before it: `NAME=value`, for this call alone.
    pub assignments: Vec<(String, String)>,
    /// Its arguments, as words.
    pub arguments: Vec<String>,
    /// What they mean.
    pub line: CallLine,
    /// What the shell does with its output, as written (`>> file 2>&1`); empty when nothing.
    pub redirection: String,
}

impl Call {
    /// The settings above the line and in front of the call, without cron's own; the last one of a name counts.
    pub fn settings<'a>(&'a self, above: &'a [Setting]) -> Vec<(&'a str, &'a str)> {
        let above = above.iter().map(|setting| (setting.name.as_str(), setting.value.as_str()));
        let before = self.assignments.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut kept: Vec<(&str, &str)> = Vec::new();
        for (name, value) in above.filter(|(name, _)| !CRONS_OWN.contains(name)).chain(before) {
            kept.retain(|(other, _)| *other != name);
            kept.push((name, value));
        }
        kept
    }
}

/// What a command is.
#[derive(Clone, Debug)]
pub enum Reading {
    /// One call.
    Call(Box<Call>),
    /// A command of the program that is not a call (`qs-api-call token refresh`).
    Command {
        /// The program as it is named.
        program: String,
    },
    /// It names the program, but the shell decides what its arguments are.
    Unclear(&'static str),
    /// A call with wrong arguments.
    Wrong {
        /// What the program would say, without its usage.
        reason: String,
    },
    /// Something else.
    Other,
}

/// Reads the text that the shell gets.
pub fn read(shell: &str) -> Reading {
    let (command, redirection, rest) = split(shell);
    let names_program = shell.split(|c: char| c.is_whitespace() || ";|&()`'\"=".contains(c)).any(is_program);
    let other = |why| if names_program { Reading::Unclear(why) } else { Reading::Other };
    let Some(words) = shlex::split(command) else { return other("a quote is not closed") };
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let assignments: Vec<_> = words.iter().map_while(|word| assignment(word).map(owned)).collect();
    let Some((program, arguments)) =
        words[assignments.len()..].split_first().filter(|(program, _)| is_program(program))
    else {
        return other("it is part of a larger shell command");
    };
    if !rest.is_empty() {
        return Reading::Unclear("it is part of a larger shell command");
    }
    if let Some(why) = expands(command) {
        return Reading::Unclear(why);
    }
    if is_command(arguments) {
        return Reading::Command { program: program.clone() };
    }
    let line = std::iter::once("qs-api-call").chain(arguments.iter().map(String::as_str));
    match CallLine::try_parse_from(line) {
        Ok(line) if line.invocation.endpoint.is_none() => {
            Reading::Wrong { reason: "no endpoint is given".to_owned() }
        }
        Ok(line) => Reading::Call(Box::new(Call {
            program: program.clone(),
            assignments,
            arguments: arguments.to_vec(),
            line,
            redirection: redirection.trim().to_owned(),
        })),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Reading::Command { program: program.clone() }
        }
        Err(error) => Reading::Wrong { reason: reason(&error) },
    }
}

/// What is wrong, with the word that was probably meant.
fn reason(error: &clap::Error) -> String {
    match sentence(error) {
        (said, Some(near)) => format!("{said}; did you mean {near}?"),
        (said, None) => said,
    }
}

/// An endpoint begins with a slash, so a word that is also a command is one only where no word does, or in front.
fn is_command(arguments: &[String]) -> bool {
    let known = |word: &String| COMMANDS.contains(&word.as_str());
    let names_endpoint = arguments.iter().any(|word| word.starts_with('/'));
    arguments.first().is_some_and(known) || (!names_endpoint && arguments.iter().any(known))
}

fn is_program(word: &str) -> bool {
    PROGRAMS.contains(&base_name(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(shell: &str) -> Box<Call> {
        match read(shell) {
            Reading::Call(call) => call,
            other => panic!("{shell}: {other:?}"),
        }
    }

    #[test]
    fn a_call_is_read_by_the_struct_that_runs_it() {
        let plain = call("/usr/local/bin/qs-api-call --idempotent --timeout 2m /api/v1/a /var/log/a.log");
        assert_eq!(plain.program, "/usr/local/bin/qs-api-call");
        assert!(plain.line.invocation.idempotent);
        assert_eq!(plain.line.invocation.task_name(), "a");
        let quoted = call("A=1 B='2 3' qs-api-call.sh -d '{\"a\": 1}' /x >> /tmp/log 2>&1");
        assert_eq!(
            quoted.assignments,
            [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2 3".to_owned())]
        );
        assert_eq!(quoted.line.invocation.data.as_deref(), Some("{\"a\": 1}"));
        assert_eq!(quoted.redirection, ">> /tmp/log 2>&1");
        assert_eq!(call("qs-api-call /x # why").redirection, "");
    }

    #[test]
    fn what_the_shell_decides_is_not_guessed() {
        for shell in [
            "cd /tmp && qs-api-call /x",
            "qs-api-call /x; true",
            "qs-api-call /x | tee log",
            "qs-api-call /x/$(date +%F)",
            "qs-api-call \"$ENDPOINT\"",
            "qs-api-call /x /tmp/*.log",
            "flock -n /tmp/l qs-api-call /x",
            "bash -c 'qs-api-call /x'",
            "qs-api-call '/x",
        ] {
            assert!(matches!(read(shell), Reading::Unclear(_)), "{shell}: {:?}", read(shell));
        }
        for shell in ["true", "/usr/bin/backup --all", "my-qs-api-call /x", ""] {
            assert!(matches!(read(shell), Reading::Other), "{shell}");
        }
        for shell in ["qs-api-call token refresh", "qs-api-call check /x", "qs-api-call --version"] {
            assert!(matches!(read(shell), Reading::Command { .. }), "{shell}");
        }
    }

    #[test]
    fn wrong_arguments_are_told_in_one_sentence() {
        for (shell, expected) in [
            ("qs-api-call --retry 3 /x", "unexpected argument '--retry' found"),
            ("qs-api-call --timeout soon /x", "invalid value 'soon' for '--timeout <DURATION>'"),
            ("qs-api-call", "no endpoint"),
            ("qs-api-call /a /b /c", "unexpected argument '/c' found"),
        ] {
            match read(shell) {
                Reading::Wrong { reason } => {
                    assert!(reason.starts_with(expected) && !reason.contains('\n'), "{reason}");
                }
                other => panic!("{shell}: {other:?}"),
            }
        }
    }
}
