//! A task belongs to one line of one scheduler: two of them call twice, and each thinks that it is alone.

use super::Facts;
use crate::crontab::file::Crontab;
use crate::crontab::problem::{Problem, Rule, report};

/// A task that another crontab has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The task's name.
    pub task: String,
    /// Where it is: `/etc/cron.d/other, line 3`.
    pub place: String,
}

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let calls: Vec<(usize, String)> = crontab
        .entries()
        .filter(|entry| entry.call().is_some())
        .map(|entry| (entry.line, entry.task()))
        .collect();
    for (index, (line, task)) in calls.iter().enumerate() {
        if let Some(owner) = facts.others.iter().find(|owner| owner.task == *task) {
            let found = format!("the task {task}, which {} has too: both would call it", owner.place);
            report(problems, Rule::TwoOwners, *line, found).fix("remove one of the two");
        }
        if let Some((first, _)) = calls[..index].iter().find(|(_, other)| other == task) {
            let found = format!(
                "the task {task}, which line {first} has too: they share its lock, records and metrics"
            );
            let fix = format!("--task {task}-2, if they are two tasks");
            report(problems, Rule::SameTask, *line, found).fix(fix);
        }
    }
}
