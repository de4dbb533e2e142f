//! `status` and `history`: what the runs left behind.

use serde_json::{Value, json};

use super::args::HistoryArgs;
use super::settings::Settings;
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::domain::duration;
use crate::domain::exit::Exit;
use crate::journal::record::{Records, RunEntry, TaskRecord};

/// One row per task.
pub(super) fn status(
    as_json: bool,
    settings: &Settings,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let records = records(settings);
    let mut found = Vec::new();
    for task in records.tasks().map_err(|error| unreadable(settings, &error))? {
        match records.read(&task).map_err(|error| unreadable(settings, &error))? {
            Some(record) => found.push(record),
            None => output.note(&format!(
                "{}: the record of {task} cannot be read; it begins anew with the next run",
                output.program
            )),
        }
    }
    if as_json {
        return output.json(&found.iter().map(row_json).collect());
    }
    if found.is_empty() {
        return output.data(&format!("no runs are recorded in {}", settings.records_dir().display()));
    }
    let mut header =
        vec!["task", "last run", "status", "exit", "duration", "success rate", "failures in a row"];
    let has_targets = found.iter().any(|record| record.last.target.is_some());
    if has_targets {
        header.push("target");
    }
    let rows = found.iter().map(|record| {
        let last = &record.last;
        let mut row = vec![
            last.task.clone(),
            local(last, clock),
            last.status.to_string(),
            format!("{} {}", last.exit_code, last.exit_name),
            duration::show(std::time::Duration::from_millis(last.duration_ms)),
            record.totals.success_rate().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1} %")),
            record.consecutive_failures.to_string(),
        ];
        if has_targets {
            row.push(last.target.clone().unwrap_or_else(|| "-".to_owned()));
        }
        row
    });
    output.table(&header, rows)
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
        Some(name) => {
            let failure = Failure::new(Exit::NoInput, format!("no runs of a task {name:?} are recorded"));
            return Err(match crate::domain::nearest::nearest(name, known.iter().map(String::as_str)) {
                Some(near) => failure.with_hint(format!("did you mean {near}?")),
                None => failure.with_hint("`qs-api-call status` lists the tasks"),
            });
        }
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
    let header = ["began", "task", "status", "exit", "http", "code", "attempts", "duration", "message"];
    let rows = runs.iter().map(|run| {
        [
            local(run, clock),
            run.task.clone(),
            run.status.to_string(),
            format!("{} {}", run.exit_code, run.exit_name),
            run.http_status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            run.code.clone().unwrap_or_else(|| "-".to_owned()),
            run.attempts.to_string(),
            duration::show(std::time::Duration::from_millis(run.duration_ms)),
            crate::journal::line::truncate(&run.message, 100).to_owned(),
        ]
    });
    output.table(&header, rows)
}

fn records(settings: &Settings) -> Records {
    Records::at(settings.records_dir(), settings.config().state.history.into())
}

fn row_json(record: &TaskRecord) -> Value {
    json!({
        "task": record.last.task,
        "last": record.last,
        "totals": record.totals,
        "success_rate": record.totals.success_rate(),
        "consecutive_failures": record.consecutive_failures,
        "last_success_at": record.last_success_at,
    })
}

fn local(run: &RunEntry, clock: &dyn Clock) -> String {
    let zone = clock.local().time_zone().clone();
    run.started_at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn unreadable(settings: &Settings, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("{}: {error}", settings.records_dir().display()))
}
