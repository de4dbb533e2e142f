//! `status --crontab`: what should have run, beside what did. A record alone cannot tell that a schedule is dead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::args::StatusArgs;
use super::crontab::source;
use super::status::unreadable;
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::crontab::call::{Call, Reading};
use crate::crontab::file::CrontabEntry;
use crate::deploy::host::Host;
use crate::domain::exit::Exit;
use crate::domain::word::words;
use crate::journal::record::{Records, TaskRecord};
use crate::native_call::settings::Settings;

/// What a call may take beyond its jitter and its budget until its record is written.
const SPARE: Duration = Duration::from_secs(60);

words! {
    /// How a task stands.
    pub(super) enum Standing: "standing" {
        /// It ran when it should, and did not fail.
        Ok = "ok",
        /// It never ran, and need not have yet since its crontab came.
        NotDue = "not_due_yet",
        /// It never ran by its schedule, though it should have.
        NeverRan = "never_ran",
        /// It ran, but not at the last time at which it should have.
        Overdue = "overdue",
        /// It ran, and failed, and has not succeeded since.
        Failed = "failed",
        /// Its records are another user's.
        OtherUser = "other_user",
        /// It ran, and is in none of the crontabs.
        Unlisted = "in_no_crontab",
    }
}

impl Standing {
    /// Whether somebody must do something about it.
    fn is_wrong(self) -> bool {
        matches!(self, Self::NeverRan | Self::Overdue | Self::Failed)
    }
}

/// A task of the crontabs: its lines together.
#[derive(Clone, Debug, Default)]
struct Task {
    /// `FILE, line N` of each line.
    places: Vec<String>,
    /// The last start of which a record must be there by now.
    due: Option<Timestamp>,
    /// The next start.
    next: Option<Timestamp>,
}

/// Which task: names are of a state directory, and that is of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    dir: PathBuf,
    /// The user whose records they are, when those are not to be seen from here.
    other_user: Option<String>,
}

/// One row.
struct Row {
    key: Key,
    task: Task,
    standing: Standing,
    record: Option<TaskRecord>,
    by_hand: bool,
}

/// Compares the crontabs with the records; a task that needs somebody ends with 1.
pub(super) fn run(
    args: &StatusArgs,
    settings: &Settings,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let rows = rows(args, settings, output, clock.now())?;
    if args.json {
        output.json(&rows.iter().map(object).collect::<Vec<_>>().into())?;
    } else if rows.is_empty() {
        output.data("no calls in the crontab, and no runs in the records")?;
    } else {
        output.table(
            &["task", "standing", "last run", "status", "was due", "next", "line"],
            rows.iter().map(|row| cells(row, clock)),
        )?;
    }
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.standing.is_wrong())
        .map(|row| format!("{} {}", row.key.name, row.standing.as_str().replace('_', " ")))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} tasks need attention: {}", wrong.len(), rows.len(), wrong.join(", "));
    Err(Failure::new(Exit::Failed, message))
}

fn rows(args: &StatusArgs, settings: &Settings, output: Output, now: Timestamp) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let tasks = tasks(args, settings, output, now)?;
    let failure = |error: std::io::Error| unreadable(settings, &error);
    let own = records(&settings.state_dir, settings);
    for name in own.tasks().map_err(failure)? {
        let key = Key { name, dir: settings.state_dir.clone(), other_user: None };
        let record = if tasks.contains_key(&key) { None } else { own.read(&key.name).map_err(failure)? };
        if record.is_some() {
            let (task, standing) = (Task::default(), Standing::Unlisted);
            rows.push(Row { key, task, standing, record, by_hand: false });
        }
    }
    for (key, task) in tasks {
        if key.other_user.is_some() {
            rows.push(Row { key, task, standing: Standing::OtherUser, record: None, by_hand: false });
            continue;
        }
        let records = records(&key.dir, settings);
        let record = records.read(&key.name).map_err(failure)?;
        let by_hand = records.read_manual(&key.name).map_err(failure)?.is_some();
        rows.push(Row { standing: standing(&task, record.as_ref()), key, task, record, by_hand });
    }
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}

/// How a task stands that has this record.
fn standing(task: &Task, record: Option<&TaskRecord>) -> Standing {
    match record {
        None if task.due.is_some() => Standing::NeverRan,
        None => Standing::NotDue,
        Some(record) if task.due.is_some_and(|due| record.last.started_at < due) => Standing::Overdue,
        Some(record) if record.consecutive_failures > 0 => Standing::Failed,
        Some(_) => Standing::Ok,
    }
}

/// Every task of the crontabs.
fn tasks(
    args: &StatusArgs,
    settings: &Settings,
    output: Output,
    now: Timestamp,
) -> Result<BTreeMap<Key, Task>, Failure> {
    let mut tasks: BTreeMap<Key, Task> = BTreeMap::new();
    let own_name = Host::machine()
        .own_name()
        .map_err(|error| Failure::new(Exit::Io, format!("the list of users: {error}")))?;
    for path in &args.crontab {
        let crontab = source::read_sound(path, &args.reading, output)?;
        let since = came(path, now);
        for entry in crontab.entries() {
            let place = format!("{}, line {}", source::shown(path), entry.line);
            let call = match &entry.reading {
                Reading::Call(call) => call,
                Reading::Wrong { .. } | Reading::Unclear(_) => {
                    output.note(&format!(
                        "{}: {place}: a call that cannot be read; see {} crontab check",
                        output.program, output.program
                    ));
                    continue;
                }
                Reading::Command { .. } | Reading::Other => continue,
            };
            let dir = named_dir(entry, call);
            let is_default = dir.is_none() && settings.config().state.dir.is_none();
            let other = entry.user.clone().filter(|user| is_default && Some(user) != own_name.as_ref());
            let dir = dir.unwrap_or_else(|| settings.state_dir.clone());
            let task = tasks.entry(Key { name: entry.task(), dir, other_user: other }).or_default();
            task.places.push(place);
            task.due = task.due.max(due(entry, longest(call, settings), since, now));
            let next = entry.schedule.next_after(now).map(|next| next.at);
            task.next = [task.next, next].into_iter().flatten().min();
        }
    }
    Ok(tasks)
}

/// The last start of a line that must be recorded by now, if its file was there at that time.
fn due(entry: &CrontabEntry, longest: Duration, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let until = now.checked_sub(SignedDuration::try_from(longest).ok()?).ok()?;
    entry.schedule.last_until(until).map(|last| last.at).filter(|at| *at > since)
}

/// How long a run may take until it is recorded.
fn longest(call: &Call, settings: &Settings) -> Duration {
    let (invocation, policy) = (&call.line.invocation, &settings.config().call);
    invocation.jitter.unwrap_or(policy.jitter) + invocation.timeout.unwrap_or(policy.timeout) + SPARE
}

/// The state directory that a line itself names.
fn named_dir(entry: &CrontabEntry, call: &Call) -> Option<PathBuf> {
    let before =
        call.assignments.iter().rfind(|(name, _)| name == STATE_DIR).map(|(_, value)| value.as_str());
    let set = before.or_else(|| entry.setting(STATE_DIR)).map(PathBuf::from);
    call.line.common.state_dir.clone().or(set)
}

/// The setting that names the state directory.
const STATE_DIR: &str = "QS_STATE__DIR";

/// When a crontab came to be as it is: what it says counts from then on. Standard input tells nothing, so it was always
/// there; a time that is still to come is now.
fn came(path: &Path, now: Timestamp) -> Timestamp {
    let modified = std::fs::metadata(path).and_then(|file| file.modified()).ok();
    modified.and_then(|at| Timestamp::try_from(at).ok()).map_or(Timestamp::MIN, |at| at.min(now))
}

fn records(dir: &Path, settings: &Settings) -> Records {
    Records::at(Settings::records_in(dir), settings.config().state.history.into())
}

fn cells(row: &Row, clock: &dyn Clock) -> [String; 7] {
    let zone = clock.local().time_zone().clone();
    let show = |at: Option<Timestamp>| {
        at.map_or_else(
            || "-".to_owned(),
            |at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        )
    };
    let last = row.record.as_ref().map(|record| &record.last);
    let mut standing = row.standing.as_str().replace('_', " ");
    if let Some(user) = &row.key.other_user {
        standing = format!("ask as {user}");
    } else if row.record.is_none() && row.by_hand {
        standing += ", but by hand";
    }
    [
        row.key.name.clone(),
        standing,
        show(last.map(|last| last.started_at)),
        last.map_or_else(|| "-".to_owned(), |last| last.status.to_string()),
        show(row.task.due),
        show(row.task.next),
        if row.task.places.is_empty() { "-".to_owned() } else { row.task.places.join("; ") },
    ]
}

fn object(row: &Row) -> Value {
    json!({
        "task": row.key.name,
        "standing": row.standing,
        "wrong": row.standing.is_wrong(),
        "lines": row.task.places,
        "due": row.task.due,
        "next": row.task.next,
        "user": row.key.other_user,
        "last": row.record.as_ref().map(|record| &record.last),
        "last_success_at": row.record.as_ref().and_then(|record| record.last_success_at),
        "consecutive_failures": row.record.as_ref().map(|record| record.consecutive_failures),
        "by_hand": row.by_hand,
    })
}
