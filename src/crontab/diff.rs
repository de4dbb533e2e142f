//! What will run differently when one crontab takes the place of another.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::file::{Crontab, CrontabEntry};
use super::lint::{HIDDEN, secret_lines};
use crate::domain::word::words;

words! {
    /// What happens to a task.
    pub enum Kind: "kind" {
        /// Only the new file has it.
        Added = "added",
        /// Only the old file has it.
        Removed = "removed",
        /// It runs at other times, as another user, or otherwise.
        Changed = "changed",
        /// Nothing.
        Same = "same",
    }
}

/// One side of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The line.
    pub line: usize,
    /// When, as it is written.
    pub schedule: String,
    /// As whom.
    pub user: Option<String>,
    /// What.
    pub command: String,
    /// With which settings.
    pub settings: BTreeMap<String, String>,
    /// Whether a secret is in the line, so that the command is not shown.
    pub secret: bool,
    /// At which instants of the window.
    pub at: Vec<Timestamp>,
}

impl Side {
    /// The command, unless a secret is in it.
    pub fn shown(&self) -> &str {
        if self.secret { HIDDEN } else { &self.command }
    }
}

/// What happens to one line, or to a pair of lines with the same task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub kind: Kind,
    /// The task, or the command where there is none.
    pub task: String,
    /// The line in the old file.
    pub old: Option<Side>,
    /// The line in the new file.
    pub new: Option<Side>,
}

impl Difference {
    /// Runs of the window that only one of the files has: lost and gained.
    pub fn runs(&self) -> (usize, usize) {
        let at = |side: &Option<Side>| side.as_ref().map(|side| side.at.clone()).unwrap_or_default();
        let (old, new) = (at(&self.old), at(&self.new));
        let missing =
            |of: &[Timestamp], other: &[Timestamp]| of.iter().filter(|at| !other.contains(at)).count();
        (missing(&old, &new), missing(&new, &old))
    }

    /// What changes, in words: `schedule 0 * * * * → 5 * * * *`.
    pub fn changes(&self) -> Vec<String> {
        let (Some(old), Some(new)) = (&self.old, &self.new) else { return Vec::new() };
        let mut changes = Vec::new();
        if old.schedule != new.schedule {
            changes.push(format!("time {} → {}", old.schedule, new.schedule));
        }
        if old.user != new.user {
            let name = |user: &Option<String>| user.clone().unwrap_or_else(|| "-".to_owned());
            changes.push(format!("user {} → {}", name(&old.user), name(&new.user)));
        }
        if old.command != new.command {
            changes.push(format!("command {} → {}", old.shown(), new.shown()));
        }
        // Values may be secrets; their names are enough.
        let mut names: BTreeSet<&String> = old.settings.keys().chain(new.settings.keys()).collect();
        names.retain(|name| old.settings.get(*name) != new.settings.get(*name));
        changes.extend(names.into_iter().map(|name| format!("setting {name}")));
        changes
    }
}

/// Compares two files over the time from `from` (excluded) to `to` (included). Lines are paired by task, in order.
pub fn diff(old: &Crontab, new: &Crontab, from: Timestamp, to: Timestamp) -> Vec<Difference> {
    let (old_secret, new_secret) = (secret_lines(old), secret_lines(new));
    let side = |entry: &CrontabEntry, secret: &BTreeSet<usize>| Side {
        secret: secret.contains(&entry.line),
        line: entry.line,
        schedule: entry.schedule.to_string(),
        user: entry.user.clone(),
        command: entry.command.text.clone(),
        settings: entry.environment.iter().cloned().map(|setting| (setting.name, setting.value)).collect(),
        at: entry.schedule.after(from).map(|next| next.at).take_while(|at| *at <= to).collect(),
    };
    let key = |entry: &CrontabEntry, secret: &BTreeSet<usize>| match entry.call() {
        None if secret.contains(&entry.line) => format!("line {}", entry.line),
        None => entry.command.text.clone(),
        Some(_) => entry.task(),
    };
    let mut olds: Vec<(String, Side)> =
        old.entries().map(|entry| (key(entry, &old_secret), side(entry, &old_secret))).collect();
    let mut found = Vec::new();
    for entry in new.entries() {
        let (task, new) = (key(entry, &new_secret), side(entry, &new_secret));
        let with_the_same_entry =
            |(other, old): &(String, Side)| *other == task && Side { line: old.line, ..new.clone() } == *old;
        let at = olds
            .iter()
            .position(with_the_same_entry)
            .or_else(|| olds.iter().position(|(other, _)| *other == task));
        let old = at.map(|at| olds.remove(at).1);
        let kind = match &old {
            None => Kind::Added,
            Some(old) if Side { line: new.line, ..old.clone() } == new => Kind::Same,
            Some(_) => Kind::Changed,
        };
        found.push(Difference { kind, task, old, new: Some(new) });
    }
    let removed = |(task, old)| Difference { kind: Kind::Removed, task, old: Some(old), new: None };
    found.extend(olds.into_iter().map(removed));
    found
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::crontab::file::Format;

    fn crontab(text: &str) -> Crontab {
        Crontab::parse(text.as_bytes(), Format::system(TimeZone::UTC))
    }

    #[test]
    fn lines_are_paired_by_task_and_runs_are_counted() {
        let old = crontab(
            "A=1\n0 * * * * root /bin/qs-api-call /api/v1/a\n5 * * * * root /bin/qs-api-call /api/v1/b\n6 * * * * root /bin/x\n7 0 * * * root /bin/y\n",
        );
        let new = crontab(
            "A=2\n7 0 * * * root /bin/y\nA=1\n0 * * * * root /bin/qs-api-call /api/v1/a\n5,6 * * * * app /bin/qs-api-call /api/v1/b\n9 * * * * root /bin/qs-api-call /api/v1/c\n",
        );
        let from: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let found = diff(&old, &new, from, from + jiff::SignedDuration::from_hours(24));
        let row = |one: &Difference| (one.kind.as_str(), one.task.clone(), one.runs(), one.changes());
        let rows: Vec<_> = found.iter().map(row).collect();
        let expected = |kind, task: &str, runs, changes: &[&str]| {
            (kind, task.to_owned(), runs, changes.iter().map(ToString::to_string).collect())
        };
        assert_eq!(
            rows,
            [
                expected("changed", "/bin/y", (0, 0), &["setting A"]),
                expected("same", "a", (0, 0), &[]),
                expected("changed", "b", (0, 24), &["time 5 * * * * → 5,6 * * * *", "user root → app"]),
                expected("added", "c", (0, 24), &[]),
                expected("removed", "/bin/x", (24, 0), &[]),
            ]
        );
    }
}
