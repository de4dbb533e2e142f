//! Starts that meet, and times that a change of the clocks moves.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Facts;
use crate::crontab::file::{Crontab, Entry};
use crate::crontab::problem::{Problem, Rule};
use crate::domain::cron::Dst;
use crate::domain::schedule::Schedule;

/// How far ahead starts are compared.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How many changes of the clocks are looked at: a year's, and one more.
const CHANGES: usize = 3;

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    same_minute(crontab, facts.from, problems);
    for entry in crontab.entries() {
        clock_changes(entry, facts.from, problems);
    }
}

/// Calls that start in the same minute, each set of lines once, at its last line.
fn same_minute(crontab: &Crontab, from: Timestamp, problems: &mut Vec<Problem>) {
    let end = from.saturating_add(DAY).unwrap_or(from);
    let mut starts: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    // A call that waits a random time does not start with the others.
    let calls = crontab.entries().filter(|entry| {
        entry.call().is_some_and(|call| call.line.invocation.jitter.is_none_or(|jitter| jitter.is_zero()))
    });
    for entry in calls {
        for next in entry.schedule.after(from).take_while(|next| next.at <= end) {
            let lines = starts.entry(next.at.as_second().div_euclid(60)).or_default();
            if lines.last() != Some(&entry.line) {
                lines.push(entry.line);
            }
        }
    }
    let mut meetings: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for lines in starts.into_values().filter(|lines| lines.len() > 1) {
        *meetings.entry(lines).or_default() += 1;
    }
    for (lines, times) in meetings {
        let (last, others) = lines.split_last().map(|(last, others)| (*last, others)).unwrap_or_default();
        let others: Vec<String> = others.iter().map(usize::to_string).collect();
        let with = if others.len() == 1 { "line" } else { "lines" };
        let found =
            format!("a start in the same minute as {with} {}, {times} times in 24 hours", others.join(", "));
        let fix = "move it by some minutes, or give it --jitter 30s";
        problems.push(Problem::new(Rule::SameMinute, last, found).fix(fix));
    }
}

fn clock_changes(entry: &Entry, from: Timestamp, problems: &mut Vec<Problem>) {
    let Schedule::Cron { zone, expr } = &entry.schedule else { return };
    if expr.follows_clock() {
        return;
    }
    for change in zone.following(from).take(CHANGES) {
        let (Ok(before), Ok(behind)) =
            (change.timestamp().checked_sub(DAY), change.timestamp().checked_add(DAY))
        else {
            return;
        };
        let moved = entry
            .schedule
            .after(before)
            .take_while(|next| next.at < behind)
            .find(|next| next.dst != Dst::Plain);
        let Some(moved) = moved else { continue };
        let at = moved.at.to_zoned(zone.clone());
        let found = match moved.dst {
            Dst::AfterGap { wanted } => format!(
                "{} does not exist on {}, when the clocks go forward: it runs at {}",
                wanted.strftime("%H:%M"),
                wanted.date(),
                at.strftime("%H:%M")
            ),
            _ => format!(
                "{} comes twice on {}, when the clocks go back: it runs at the first",
                at.strftime("%H:%M"),
                at.date()
            ),
        };
        problems.push(Problem::new(Rule::ClockChange, entry.line, found).at(entry.time_columns.clone()));
    }
}
