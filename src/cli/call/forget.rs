//! `forget`: takes away what the runs of a task left behind, when the task is no more.

use std::collections::BTreeSet;

use super::args::ForgetArgs;
use super::crontab::source;
use super::status::{records, unknown_task, unreadable};
use crate::cli::output::{Failure, Output};
use crate::crontab::file::CrontabEntry;
use crate::domain::exit::Exit;
use crate::files::{self, FileLock};
use crate::journal::overlap;
use crate::journal::textfile;
use crate::native_call::settings::Settings;

/// Removes records, locks and metrics; a task of which a run is under way stays.
pub(super) fn run(args: &ForgetArgs, settings: &Settings, output: Output) -> Result<(), Failure> {
    let known = records(settings).tasks().map_err(|error| unreadable(settings, &error))?;
    if let Some(unknown) = args.names.iter().find(|name| !known.contains(name)) {
        return Err(unknown_task(unknown, &known));
    }
    let mut tasks: BTreeSet<String> = args.names.iter().cloned().collect();
    if !args.not_in.is_empty() {
        let listed = listed(args, output)?;
        tasks.extend(known.into_iter().filter(|task| !listed.contains(task)));
    }
    let (mut gone, mut trouble) = (Vec::new(), Vec::new());
    for task in tasks {
        match forget(&task, settings) {
            Ok(()) => gone.push(task),
            Err(failure) => trouble.push(failure),
        }
    }
    if args.json {
        output.json(&gone.into())?;
    } else if !gone.is_empty() {
        output.data(&gone.iter().map(|task| format!("forgot {task}")).collect::<Vec<_>>().join("\n"))?;
    } else if trouble.is_empty() {
        output.data("nothing to forget")?;
    }
    let more = trouble.len().saturating_sub(1);
    let Some(mut first) = trouble.into_iter().next() else { return Ok(()) };
    if more > 0 {
        first.message = format!("{} (and {more} more)", first.message);
    }
    Err(first)
}

/// The tasks of every crontab that is given.
fn listed(args: &ForgetArgs, output: Output) -> Result<BTreeSet<String>, Failure> {
    let mut listed = BTreeSet::new();
    for path in &args.not_in {
        listed.extend(source::read_sound(path, &args.reading, output)?.entries().map(CrontabEntry::task));
    }
    Ok(listed)
}

fn forget(task: &str, settings: &Settings) -> Result<(), Failure> {
    let failure = |error: std::io::Error| Failure::new(Exit::Io, format!("{task}: {error}"));
    let path = overlap::path(&settings.locks_dir(), task);
    let lock = if settings.locks_dir().is_dir() {
        let lock = FileLock::try_take(&path).map_err(failure)?;
        Some(lock.ok_or_else(|| {
            Failure::new(Exit::TryLater, format!("{task}: a run of it is under way; nothing was removed"))
        })?)
    } else {
        None
    };
    textfile::forget(&settings.metrics_dir(), task).map_err(failure)?;
    records(settings).forget(task).map_err(failure)?;
    files::remove(&path).map_err(failure)?;
    drop(lock);
    Ok(())
}
