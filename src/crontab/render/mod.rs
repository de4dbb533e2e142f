//! The crontab as files for other runners. The file stays the one source: what is rendered says so in its first line,
//! and whoever changes it by hand is told by `--check`.

mod cron_d;
mod kubernetes;
mod systemd;
mod table;

pub use cron_d::cron_d;
pub use kubernetes::kubernetes;
pub use systemd::systemd;
pub use table::table;

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::Call;
use super::file::{Crontab, CrontabEntry};
use super::invocation::{Invocation, check_task_name};

/// How every rendered file begins.
pub const MARK: &str = "# Rendered from ";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its name, without a directory.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// What the files need beside the crontab.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the crontab is called in the first line of each file.
    pub source: String,
    /// The command that renders it anew.
    pub command: String,
    /// The zone to write down; none leaves it to the runner.
    pub zone: Option<String>,
    /// The files of credentials that each target needs, where the configuration is known.
    pub credentials: Option<Credentials>,
    /// The volume claim of Kubernetes that keeps token, records and metrics; without one they end with the pod.
    pub state_claim: Option<String>,
}

/// Names of files of credentials, by target; the unnamed one has none.
pub type Credentials = BTreeMap<Option<String>, Vec<String>>;

/// The credentials that a call needs. Without the configuration, a target is one that logs in with a password of its own.
fn credentials(call: &Call, options: &Options) -> Vec<String> {
    let Invocation { target, no_auth, .. } = &call.line.invocation;
    if *no_auth {
        return Vec::new();
    }
    let known = options.credentials.as_ref().and_then(|known| known.get(target));
    known.cloned().unwrap_or_else(|| {
        vec![target.as_ref().map_or_else(|| PASSWORD.to_owned(), |name| format!("{name}.{PASSWORD}"))]
    })
}

/// A line that has no counterpart in what is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrenderable {
    /// The line.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// The file of a password among the credentials.
const PASSWORD: &str = "iam-password";
/// Total budget of a call that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(330);

/// Settings that say where on the host something is kept.
const OF_THE_HOST: [&str; 3] = ["TOKEN_FILE", "QS_TOKEN__FILE", "QS_STATE__DIR"];

impl Unrenderable {
    fn new(entry: &CrontabEntry, why: impl Into<String>) -> Self {
        Self { line: entry.line, why: why.into() }
    }
}

/// The call of a line, if it is one that another runner can make: a command of its own, without a shell around it.
fn call_of(entry: &CrontabEntry) -> Result<&Call, Unrenderable> {
    let no = |why: &str| Err(Unrenderable::new(entry, why));
    let Some(call) = entry.call() else { return no("it is not a call of qs-api-call alone") };
    if !call.redirection.is_empty() {
        return no("its redirection needs a shell; name the log file as the call's last argument instead");
    }
    if let Err(expected) = check_task_name(&entry.task()) {
        return no(&format!("its task cannot be a name: {expected}"));
    }
    if entry.command.input.is_some() {
        return no("its standard input comes from cron; use --data");
    }
    if let Some(name) = call
        .settings(&entry.environment)
        .iter()
        .map(|(name, _)| *name)
        .find(|name| OF_THE_HOST.contains(name))
    {
        return no(&format!(
            "{name} is a place of the host, where a unit or a pod cannot write; use a target"
        ));
    }
    let output = call.line.invocation.output.as_deref();
    if output.is_some_and(|path| path.is_absolute() && !path.starts_with("/dev")) {
        return no("the file of its --output is a place of the host, where a unit or a pod cannot write");
    }
    Ok(call)
}

/// The whole time that a call may take: its wait and its budget.
fn longest(call: &Call) -> Duration {
    let invocation = &call.line.invocation;
    invocation.jitter.unwrap_or_default() + invocation.timeout.unwrap_or(DEFAULT_TIMEOUT)
}

/// The first lines of a file.
fn mark(options: &Options) -> String {
    format!("{MARK}{}; changes belong there:\n# {}", options.source, options.command)
}

/// The zone of a line: the one that a setting above it names, else the one to write down.
fn zone<'a>(entry: &'a CrontabEntry, options: &'a Options) -> Option<&'a str> {
    entry.zone.as_deref().or(options.zone.as_deref())
}

/// Fills `{{name}}` in a template, once: what is put in is not looked at again.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, (name, behind))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        text.push_str(before);
        text.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = behind;
    }
    text + rest
}

/// Each with a newline behind it.
fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

/// Names of files and objects: two lines may have one task, and a name has a longest length.
struct Names {
    taken: BTreeMap<String, usize>,
    longest: usize,
}

impl Names {
    fn new(longest: usize) -> Self {
        Self { taken: BTreeMap::new(), longest }
    }

    /// The name, with a number behind it if it was given before.
    fn unique(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        while self.taken.contains_key(&candidate) {
            let number = self.taken.entry(name.to_owned()).or_insert(1);
            *number += 1;
            let suffix = format!("-{number}");
            let head = &name[..name.floor_char_boundary(self.longest.saturating_sub(suffix.len()))];
            candidate = format!("{}{suffix}", head.trim_end_matches('-'));
        }
        self.taken.insert(candidate.clone(), 1);
        candidate
    }
}

/// Every line that can be rendered, or why the first one cannot.
fn each(crontab: &Crontab) -> Result<Vec<(&CrontabEntry, &Call)>, Unrenderable> {
    crontab.entries().map(|entry| Ok((entry, call_of(entry)?))).collect()
}

#[cfg(test)]
mod tests;
