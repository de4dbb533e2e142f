//! Starts that meet, and times that a change of the clocks moves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Facts;
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::crontab::problem::{Problem, Rule, report};
use crate::domain::cron::Dst;
use crate::domain::schedule::Schedule;

/// How far ahead starts are compared.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How many lines of a meeting are named.
const SHOWN: usize = 3;
/// How many changes of the clocks are looked at: a year's, and one more.
const CHANGES: usize = 3;

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    same_minute(crontab, facts.from, problems);
    for entry in crontab.entries() {
        clock_changes(entry, facts.from, problems);
    }
}

/// Calls that start in the same minute. Lines of one schedule are looked at once, and each set of lines that meet is told
/// once, at its last line.
fn same_minute(crontab: &Crontab, from: Timestamp, problems: &mut Vec<Problem>) {
    let end = from.saturating_add(DAY).unwrap_or(from);
    // A call that waits a random time does not start with the others.
    let calls = crontab.entries().filter(|entry| {
        entry.call().is_some_and(|call| call.line.invocation.jitter.is_none_or(|jitter| jitter.is_zero()))
    });
    let mut lines_of = BTreeMap::new();
    for entry in calls {
        let key = (entry.schedule.to_string(), entry.zone.as_deref());
        lines_of.entry(key).or_insert((entry, Vec::new())).1.push(entry.line);
    }
    let schedules: Vec<(&CrontabEntry, Vec<usize>)> = lines_of.into_values().collect();
    let mut starts: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
    for (index, (entry, _)) in schedules.iter().enumerate() {
        for next in entry.schedule.after(from).take_while(|next| next.at <= end) {
            starts.entry(next.at.as_second().div_euclid(60)).or_default().insert(index);
        }
    }
    let mut meetings: BTreeMap<BTreeSet<usize>, usize> = BTreeMap::new();
    for met in starts.into_values() {
        *meetings.entry(met).or_default() += 1;
    }
    // A line may meet others at many minutes; the most frequent meeting is enough.
    let mut last_lines: BTreeMap<usize, (usize, Vec<usize>)> = BTreeMap::new();
    for (met, times) in meetings {
        let mut lines: Vec<usize> =
            met.iter().flat_map(|index| schedules[*index].1.iter().copied()).collect();
        lines.sort_unstable();
        let Some(last) = lines.pop().filter(|_| !lines.is_empty()) else { continue };
        if last_lines.get(&last).is_none_or(|(known, _)| *known < times) {
            last_lines.insert(last, (times, lines));
        }
    }
    for (last, (times, others)) in last_lines {
        let shown: Vec<String> = others.iter().take(SHOWN).map(usize::to_string).collect();
        let more = others.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let with = if others.len() == 1 { "line" } else { "lines" };
        let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
        let found =
            format!("a start in the same minute as {with} {}{more}, {times} in 24 hours", shown.join(", "));
        let fix = "move it by some minutes, or give it --jitter 30s";
        report(problems, Rule::SameMinute, last, found).fix(fix);
    }
}

fn clock_changes(entry: &CrontabEntry, from: Timestamp, problems: &mut Vec<Problem>) {
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
        let mut near = entry.schedule.after(before).take_while(|next| next.at < behind);
        let Some(moved) = near.find(|next| next.dst != Dst::Plain) else { continue };
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
        report(problems, Rule::ClockChange, entry.line, found).at(entry.time_columns.clone());
    }
}
