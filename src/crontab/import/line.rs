//! One line: whether it calls a script or `curl`, and what becomes of it.

use super::curl::curl;
use super::words::words;
use super::{PROGRAM, Verdict};
use crate::crontab::command::Command;
use crate::crontab::file::{CrontabEntry, MAX_COMMAND};
use crate::crontab::shell::{assignment, base_name, split};

/// The scripts that made calls, and those that only fetched a token.
const CALLS: [&str; 2] = ["qs-api-call.sh", "api-call.sh"];
const REFRESHES: [&str; 2] = ["qs-refresh-token.sh", "refresh-token.sh"];

/// What becomes of a line.
pub(super) enum Turned {
    /// It stays: it is no call.
    Kept,
    /// It is not needed any more, and why.
    Gone(String),
    /// It becomes a call.
    Call {
        /// The command as cron reads it.
        command: String,
        /// What was done.
        what: String,
        /// The server that was named.
        server: Option<String>,
    },
}

/// Turns a line, or says why it is left.
pub(super) fn turn(entry: &CrontabEntry) -> Verdict<Turned> {
    let (command, redirection, rest) = split(&entry.command.shell);
    let redirection = redirection.trim();
    let split_words = shlex::split(command);
    // Where a quote is not closed, the words are looked at as they stand.
    let texts =
        split_words.clone().unwrap_or_else(|| command.split_whitespace().map(str::to_owned).collect());
    let names = |names: &[&str]| texts.iter().any(|word| names.contains(&base_name(word)));
    if !(names(&CALLS) || names(&REFRESHES) || names(&["curl", "wget"])) {
        return Ok(Turned::Kept);
    }
    if entry.command.input.is_some() {
        return Err("cron ends its command at the first % without a backslash; write \\% where a percent sign is meant, for example in -w".to_owned());
    }
    let texts = split_words.ok_or("its quotes are not understood; turn it by hand")?;
    if !rest.is_empty() {
        return Err("it is part of a larger shell command; turn it by hand".to_owned());
    }
    // Neither a setting nor an argument is told: each may be a secret.
    let assigned = texts.iter().take_while(|word| assignment(word).is_some()).count();
    let program = texts.get(assigned).map(|word| base_name(word)).unwrap_or_default();
    if assigned > 0 {
        return Err(format!("a setting stands before {program}; it belongs into the configuration"));
    }
    if REFRESHES.contains(&program) {
        return Ok(Turned::Gone(format!("{program} was here: a call fetches its token by itself")));
    }
    let words = words(command, &texts).ok_or("its quotes are not understood; turn it by hand")?;
    if program == "curl" {
        let (shell, server) = curl(&words[1..], redirection)?;
        let what = format!("curl became qs-api-call; api.base_url must be {server}");
        return Ok(Turned::Call { command: for_cron(&shell)?, what, server: Some(server) });
    }
    if !CALLS.contains(&program) {
        return Err(format!("{program} is not turned; qs-api-call --help tells the options"));
    }
    // The shell reads the arguments as before, so they are kept as they are written.
    let mut shell = vec![PROGRAM];
    shell.extend(words[1..].iter().map(|word| word.raw));
    shell.extend(Some(redirection).filter(|redirection| !redirection.is_empty()));
    let what = format!("{program} became qs-api-call");
    Ok(Turned::Call { command: for_cron(&shell.join(" "))?, what, server: None })
}

/// The text of which cron makes this text for the shell. A backslash before a percent sign or a backslash is taken
/// away by cron, so it is doubled, and one that ends the text as well.
pub(super) fn for_cron(shell: &str) -> Verdict<String> {
    let mut text = String::with_capacity(shell.len());
    let mut chars = shell.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' || (c == '\\' && matches!(chars.peek(), None | Some('\\' | '%'))) {
            text.push('\\');
        }
        text.push(c);
    }
    let command = Command::new(&text);
    if command.shell != shell || command.input.is_some() || text.contains(['\n', '\r']) {
        return Err("cron cannot be given its characters".to_owned());
    }
    if text.len() > MAX_COMMAND {
        return Err(format!("it would be longer than the {MAX_COMMAND} bytes that cron takes"));
    }
    Ok(text)
}
