//! `crontab next`: when each line runs, and what the clocks do to it.

use comfy_table::{Table, presets};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::args::NextArgs;
use super::source;
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::crontab::file::CrontabEntry;
use crate::domain::cron::{CronExpr, Dst, Occurrence};
use crate::domain::schedule::Schedule;

/// Lists the next runs of every line, the earliest first.
pub(super) fn run(args: &NextArgs, output: Output, clock: &dyn Clock) -> Result<(), Failure> {
    let crontab = source::read_sound(&args.source.file, &args.source.reading, output)?;
    let from = args.from.unwrap_or_else(|| clock.now());
    let count = usize::try_from(args.n).unwrap_or(usize::MAX);
    let mut found: Vec<(Occurrence, &CrontabEntry)> = crontab
        .entries()
        .flat_map(|entry| entry.schedule.after(from).take(count).map(move |next| (next, entry)))
        .collect();
    found.sort_by_key(|(next, entry)| (next.at, entry.line));
    if args.json {
        let runs = found.iter().map(|(next, entry)| object(*next, entry));
        return output.json(&runs.collect::<Vec<Value>>().into());
    }
    let never: Vec<&CrontabEntry> =
        crontab.entries().filter(|entry| entry.schedule == Schedule::Reboot).collect();
    if found.is_empty() && never.is_empty() {
        return output.data("no line runs anything");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["when", "line", "task", "clocks"]);
    for (next, entry) in &found {
        table.add_row([local(*next, &entry.schedule), entry.line.to_string(), entry.task(), mark(next.dst)]);
    }
    for entry in never {
        table.add_row(["when the machine starts", &entry.line.to_string(), &entry.task(), ""]);
    }
    output.data(&table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
}

fn object(next: Occurrence, entry: &CrontabEntry) -> Value {
    let dst = match next.dst {
        Dst::Plain => Value::Null,
        Dst::AfterGap { wanted } => json!({"kind": "gap", "wanted": wanted.to_string()}),
        Dst::First => json!({"kind": "first"}),
        Dst::Second => json!({"kind": "second"}),
    };
    let local = next.at.to_zoned(zone(&entry.schedule)).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    json!({"at": next.at.to_string(), "local": local, "line": entry.line, "task": entry.task(), "dst": dst})
}

/// An occurrence on the wall clock of its line, with the offset that makes it one instant.
pub(super) fn local(next: Occurrence, schedule: &Schedule) -> String {
    let seconds = if schedule.expr().is_some_and(CronExpr::has_seconds) { ":%S" } else { "" };
    let at = next.at.to_zoned(zone(schedule));
    at.strftime(&format!("%a %Y-%m-%d %H:%M{seconds} %:z")).to_string()
}

/// The zone of a line.
fn zone(schedule: &Schedule) -> TimeZone {
    schedule.zone().cloned().unwrap_or(TimeZone::UTC)
}

/// What a change of the clocks does to an occurrence, in a few words.
pub(super) fn mark(dst: Dst) -> String {
    match dst {
        Dst::Plain => String::new(),
        Dst::AfterGap { wanted } => format!("{} does not exist that day", wanted.strftime("%H:%M")),
        Dst::First => "the first of two".to_owned(),
        Dst::Second => "the second of two".to_owned(),
    }
}
