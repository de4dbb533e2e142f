//! `status` and `history`: what the runs left behind.

use serde_json::{Value, json};

use super::args::{HistoryArgs, StatusArgs};
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::domain::duration;
use crate::domain::exit::Exit;
use crate::domain::nearest::nearest;
use crate::journal::record::{Records, RunEntry, TaskRecord};
use crate::native_call::settings::Settings;

/// A task with what its runs came to: by schedule, and by hand.
struct Row {
    task: String,
    scheduled: Option<TaskRecord>,
    by_hand: Option<RunEntry>,
}

/// One row per task; those that only ever ran by hand stand apart.
pub(super) fn status(
    args: &StatusArgs,
    settings: &Settings,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let found = rows(settings, output)?;
    if args.json {
        return output.json(&found.iter().map(row_json).collect());
    }
    if found.is_empty() {
        return output.data(&format!("no runs are recorded in {}", settings.records_dir().display()));
    }
    let last_by_hand =
        |row: &Row| row.by_hand.as_ref().map_or_else(|| "-".to_owned(), |run| local(run, clock));
    let mut header = vec![
        "task",
        "last run",
        "status",
        "exit",
        "duration",
        "success rate",
        "failures in a row",
        "by hand",
    ];
    let of_target = |row: &Row| row.scheduled.as_ref().and_then(|record| record.last.target.clone());
    let has_targets = found.iter().any(|row| of_target(row).is_some());
    if has_targets {
        header.push("target");
    }
    let scheduled: Vec<Vec<String>> = found
        .iter()
        .filter_map(|row| {
            let record = row.scheduled.as_ref()?;
            let last = &record.last;
            let mut cells = vec![
                row.task.clone(),
                local(last, clock),
                last.status.to_string(),
                format!("{} {}", last.exit_code, last.exit_name),
                duration::show(std::time::Duration::from_millis(last.duration_ms)),
                record.totals.success_rate().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1} %")),
                record.consecutive_failures.to_string(),
                last_by_hand(row),
            ];
            if has_targets {
                cells.push(of_target(row).unwrap_or_else(|| "-".to_owned()));
            }
            Some(cells)
        })
        .collect();
    if !scheduled.is_empty() {
        output.table(&header, scheduled)?;
    }
    let apart: Vec<&Row> = found.iter().filter(|row| row.scheduled.is_none()).collect();
    if apart.is_empty() {
        return Ok(());
    }
    let gap = if apart.len() == found.len() { "" } else { "\n" };
    output.data(&format!(
        "{gap}By hand alone, which makes no task; `{} forget NAME` removes one:",
        output.program
    ))?;
    output.table(&[], apart.into_iter().map(|row| [row.task.clone(), last_by_hand(row)]))
}

fn rows(settings: &Settings, output: Output) -> Result<Vec<Row>, Failure> {
    let records = records(settings);
    let failure = |error: std::io::Error| unreadable(settings, &error);
    let mut found = Vec::new();
    for task in records.tasks().map_err(failure)? {
        let scheduled = records.read(&task).map_err(failure)?;
        let by_hand = records.read_manual(&task).map_err(failure)?.map(|record| record.last);
        if scheduled.is_none() && by_hand.is_none() {
            output.note(&format!(
                "{}: the record of {task} cannot be read; it begins anew with the next run",
                output.program
            ));
            continue;
        }
        found.push(Row { task, scheduled, by_hand });
    }
    Ok(found)
}

/// What to say of a name that no task has.
pub(super) fn unknown_task(name: &str, known: &[String]) -> Failure {
    let failure = Failure::new(Exit::NoInput, format!("no runs of a task {name:?} are recorded"));
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => failure.with_hint(format!("did you mean {near}?")),
        None => failure.with_hint("`qs-api-call status` lists the tasks"),
    }
}

/// The last runs of one task or of all.
pub(super) fn history(
    args: &HistoryArgs,
    settings: &Settings,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let records = records(settings);
    let known = records.tasks().map_err(|error| unreadable(settings, &error))?;
    let tasks = match &args.name {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => return Err(unknown_task(name, &known)),
    };
    let (mut runs, mut broken) = (Vec::new(), 0);
    for task in &tasks {
        let (entries, unread) =
            records.history(task, args.n).map_err(|error| unreadable(settings, &error))?;
        runs.extend(entries);
        broken += unread;
    }
    runs.sort_by(|a, b| (a.started_at, &a.run_id).cmp(&(b.started_at, &b.run_id)));
    if broken > 0 {
        output.note(&format!(
            "{}: {broken} lines of the history cannot be read and are left out",
            output.program
        ));
    }
    if args.json {
        return output.json(
            &serde_json::to_value(&runs).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?,
        );
    }
    let header = ["began", "task", "by", "status", "exit", "http", "code", "attempts", "duration", "message"];
    let rows = runs.iter().map(|run| {
        [
            local(run, clock),
            run.task.clone(),
            if run.manual { "hand" } else { "schedule" }.to_owned(),
            run.status.to_string(),
            format!("{} {}", run.exit_code, run.exit_name),
            run.http_status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            run.code.clone().unwrap_or_else(|| "-".to_owned()),
            run.attempts.to_string(),
            duration::show(std::time::Duration::from_millis(run.duration_ms)),
            printable(crate::journal::line::truncate(&run.message, 100)),
        ]
    });
    output.table(&header, rows)
}

/// A server's words without what would move a terminal's cursor, or make a row of their own.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

pub(super) fn records(settings: &Settings) -> Records {
    Records::at(settings.records_dir(), settings.config().state.history.into())
}

fn row_json(row: &Row) -> Value {
    let record = row.scheduled.as_ref();
    json!({
        "task": row.task,
        "last": record.map(|record| &record.last),
        "totals": record.map(|record| &record.totals),
        "success_rate": record.and_then(|record| record.totals.success_rate()),
        "consecutive_failures": record.map(|record| record.consecutive_failures),
        "last_success_at": record.and_then(|record| record.last_success_at),
        "manual": row.by_hand,
    })
}

pub(super) fn local(run: &RunEntry, clock: &dyn Clock) -> String {
    let zone = clock.local().time_zone().clone();
    run.started_at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub(super) fn unreadable(settings: &Settings, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("{}: {error}", settings.records_dir().display()))
}
