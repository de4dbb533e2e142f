//! The run record: every run of a task as one line of its history, with the sum of the runs up to it. One append a run
//! thus keeps both, and no process can be killed between the two.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::{End, last_lines};
use crate::crontab::CallIdentity;
use crate::domain::outcome::{CallStatus, TokenSource};
use crate::files::{self, Durability, FileLock, PRIVATE};

/// What the name of a history ends with.
const HISTORY: &str = ".history.jsonl";
/// The same of the runs by hand, which are a history of their own: neither do they make a task, nor do they hide that
/// its schedule is dead.
const BY_HAND: &str = ".manual.jsonl";

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// The task.
    pub task: String,
    /// The run.
    pub run_id: String,
    /// What was called.
    pub endpoint: String,
    /// The target that was called, if it is not the unnamed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Which line it was of; not known when an earlier version wrote it.
    #[serde(flatten, default)]
    pub identity: CallIdentity,
    /// Whether a person made it, not a schedule.
    #[serde(default)]
    pub manual: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, without jitter, in milliseconds.
    pub duration_ms: u64,
    /// What it counts as.
    pub status: CallStatus,
    /// Name of the exit code.
    pub exit_name: String,
    /// Exit code.
    pub exit_code: u8,
    /// HTTP status, when there was a response.
    pub http_status: Option<u16>,
    /// Envelope code, when there was one.
    pub code: Option<String>,
    /// What happened.
    pub message: String,
    /// Requests to the endpoint.
    pub attempts: u32,
    /// Where the token came from.
    pub token_source: Option<TokenSource>,
}

/// The sum of a task's runs since its record began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The last run.
    #[serde(flatten)]
    pub last: RunEntry,
    /// Runs by status.
    pub totals: Totals,
    /// Runs that failed or are unknown since the last one that did not; skipped runs do not count.
    pub consecutive_failures: u64,
    /// When a run last succeeded or was accepted.
    pub last_success_at: Option<Timestamp>,
    /// Lines in the history after this one, to know when it is worth trimming.
    pub history_lines: u64,
}

/// Runs by status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Done.
    pub success: u64,
    /// Taken on by the server.
    pub accepted: u64,
    /// Not made, because the previous run was still going.
    pub skipped: u64,
    /// Not done.
    pub failed: u64,
    /// Nobody knows.
    pub unknown: u64,
}

impl Totals {
    /// How many runs count as `status`.
    pub fn of_mut(&mut self, status: CallStatus) -> &mut u64 {
        match status {
            CallStatus::Success => &mut self.success,
            CallStatus::Accepted => &mut self.accepted,
            CallStatus::Skipped => &mut self.skipped,
            CallStatus::Failed => &mut self.failed,
            CallStatus::Unknown => &mut self.unknown,
        }
    }

    /// Share of the runs that were made and succeeded or were accepted, in percent; `None` before the first.
    pub fn success_rate(&self) -> Option<f64> {
        let good = self.success + self.accepted;
        let made = good + self.failed + self.unknown;
        #[expect(clippy::cast_precision_loss, reason = "a share does not need 53 bits")]
        (made > 0).then(|| good as f64 * 100.0 / made as f64)
    }
}

impl TaskRecord {
    fn after(previous: Option<TaskRecord>, entry: &RunEntry) -> Self {
        let mut record = previous.unwrap_or_else(|| Self {
            last: entry.clone(),
            totals: Totals::default(),
            consecutive_failures: 0,
            last_success_at: None,
            history_lines: 0,
        });
        *record.totals.of_mut(entry.status) += 1;
        match entry.status {
            CallStatus::Success | CallStatus::Accepted => {
                record.consecutive_failures = 0;
                record.last_success_at = Some(entry.started_at);
            }
            CallStatus::Skipped => {}
            CallStatus::Failed | CallStatus::Unknown => record.consecutive_failures += 1,
        }
        record.last = entry.clone();
        record.history_lines += 1;
        record
    }
}

/// A run that has been added.
#[derive(Debug)]
pub struct Added {
    /// The sum with this run.
    pub record: TaskRecord,
    /// The run before it, if that was one of another line: two lines share the name, and their history is neither's.
    pub other_line: Option<RunEntry>,
    /// No other run of the task is added before it is dropped.
    pub lock: FileLock,
}

/// The records in a directory: `<task>.history.jsonl`, and `<task>.manual.jsonl` for the runs by hand.
#[derive(Clone, Debug)]
pub struct Records {
    dir: PathBuf,
    keep: u64,
    lock_wait: Duration,
}

impl Records {
    /// The records in `dir`, which is created when missing; `keep` runs of each task are kept.
    pub fn open(dir: impl Into<PathBuf>, keep: u64) -> io::Result<Self> {
        let records = Self::at(dir, keep);
        files::create_last_dir(&records.dir, 0o700)?;
        Ok(records)
    }

    /// The records in `dir`, to be read; a directory that is not there has none.
    pub fn at(dir: impl Into<PathBuf>, keep: u64) -> Self {
        Self { dir: dir.into(), keep: keep.max(1), lock_wait: files::LOCK_WAIT }
    }

    /// The same, but waiting no longer than this for whoever has a lock.
    #[must_use]
    pub fn waiting(self, lock_wait: Duration) -> Self {
        Self { lock_wait, ..self }
    }

    /// What must be writable for a run of this task to be added.
    pub fn places(&self, task: &str, manual: bool) -> [PathBuf; 3] {
        [self.dir.clone(), self.lock_path(task), self.path(task, manual)]
    }

    /// Adds a run, in one append. What a killed process left of its own line is removed: that run was never recorded.
    pub fn add(&self, entry: &RunEntry) -> io::Result<Added> {
        let lock = FileLock::take_within(&self.lock_path(&entry.task), self.lock_wait)?;
        let path = self.path(&entry.task, entry.manual);
        let mut file = files::open_or_create(OpenOptions::new().read(true).append(true), &path, PRIVATE)?;
        let last = End::<TaskRecord>::of(&file)?;
        if last.torn {
            file.set_len(last.whole)?;
        }
        let other_line = last.last.as_ref().map(|record| &record.last);
        let other_line = other_line.filter(|run| run.identity.differs(&entry.identity)).cloned();
        let mut record = TaskRecord::after(last.last, entry);
        let is_long = record.history_lines >= self.keep.saturating_mul(2);
        if is_long {
            record.history_lines = self.keep;
        }
        let mut line = serde_json::to_vec(&record).map_err(io::Error::other)?;
        line.push(b'\n');
        file.write_all(&line)?;
        if is_long {
            self.trim(&path)?;
        }
        Ok(Added { record, other_line, lock })
    }

    /// The sum of a task's scheduled runs; `None` before the first.
    pub fn read(&self, task: &str) -> io::Result<Option<TaskRecord>> {
        self.sum(task, false)
    }

    /// The sum of a task's runs by hand; `None` before the first.
    pub fn read_manual(&self, task: &str) -> io::Result<Option<TaskRecord>> {
        self.sum(task, true)
    }

    fn sum(&self, task: &str, manual: bool) -> io::Result<Option<TaskRecord>> {
        let Some(file) = files::if_there(File::open(self.path(task, manual)))? else { return Ok(None) };
        Ok(End::of(&file)?.last)
    }

    /// Every task with a run, scheduled or by hand, in order of name.
    pub fn tasks(&self) -> io::Result<Vec<String>> {
        let mut tasks = BTreeSet::new();
        for entry in files::if_there(std::fs::read_dir(&self.dir))?.into_iter().flatten() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let task = name.strip_suffix(HISTORY).or_else(|| name.strip_suffix(BY_HAND));
            tasks.extend(task.filter(|task| !task.starts_with('.')).map(str::to_owned));
        }
        Ok(tasks.into_iter().collect())
    }

    /// Removes everything about a task. Whoever adds a run meanwhile waits, and then begins a new record.
    pub fn forget(&self, task: &str) -> io::Result<()> {
        if !self.dir.is_dir() {
            return Ok(());
        }
        let _lock = FileLock::take(&self.lock_path(task))?;
        files::remove(&self.path(task, false))?;
        files::remove(&self.path(task, true))?;
        files::remove(&self.lock_path(task)).map(drop)
    }

    /// The last `n` runs of a task, by schedule or by hand, oldest first. Lines that cannot be read are left out and
    /// counted.
    pub fn history(&self, task: &str, n: usize) -> io::Result<(Vec<RunEntry>, usize)> {
        let (mut entries, mut broken) = (Vec::new(), 0);
        for manual in [false, true] {
            let text = files::if_there(std::fs::read(self.path(task, manual)))?.unwrap_or_default();
            let (read, unread) = last_lines::<RunEntry>(&text, n);
            entries.extend(read);
            broken += unread;
        }
        entries.sort_by_key(|run| run.started_at);
        Ok((entries.split_off(entries.len().saturating_sub(n)), broken))
    }

    /// Keeps the last lines of a history.
    fn trim(&self, history: &Path) -> io::Result<()> {
        let text = std::fs::read(history)?;
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX);
        let last = &lines[lines.len().saturating_sub(keep)..];
        files::replace(history, &last.concat(), PRIVATE, Durability::Rename)
    }

    fn path(&self, task: &str, manual: bool) -> PathBuf {
        self.dir.join(format!("{task}{}", if manual { BY_HAND } else { HISTORY }))
    }

    fn lock_path(&self, task: &str) -> PathBuf {
        self.dir.join(format!(".{task}.lock"))
    }
}

#[cfg(test)]
pub(super) fn sample(task: &str, second: i64, status: CallStatus) -> RunEntry {
    RunEntry {
        task: task.to_owned(),
        run_id: format!("run-{second}"),
        endpoint: "/api/v1/x".to_owned(),
        target: None,
        identity: CallIdentity::default(),
        manual: false,
        started_at: Timestamp::from_second(second).unwrap(),
        duration_ms: 12,
        status,
        exit_name: "ok".to_owned(),
        exit_code: 0,
        http_status: Some(200),
        code: Some("0".to_owned()),
        message: "HTTP 200".to_owned(),
        attempts: 1,
        token_source: Some(TokenSource::File),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallStatus::{Accepted, Failed, Skipped, Success, Unknown};

    #[test]
    fn a_record_is_the_sum_of_the_runs() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path().join("r"), 10).unwrap();
        assert_eq!(records.tasks().unwrap(), Vec::<String>::new());
        for (second, status) in [Success, Failed, Unknown, Skipped, Failed].into_iter().enumerate() {
            records.add(&sample("a", i64::try_from(second).unwrap(), status)).unwrap();
        }
        let record = records.read("a").unwrap().unwrap();
        assert_eq!(record.consecutive_failures, 3, "a skipped run neither breaks nor feeds the row");
        assert_eq!(record.last_success_at, Some(Timestamp::UNIX_EPOCH));
        assert_eq!(record.totals.success_rate(), Some(25.0));
        assert_eq!(record.last.run_id, "run-4");
        let record = records.add(&sample("a", 9, Accepted)).unwrap().record;
        assert_eq!((record.consecutive_failures, record.totals.accepted), (0, 1));
        assert_eq!(record.last_success_at, Some(Timestamp::from_second(9).unwrap()));
        assert_eq!(records.tasks().unwrap(), ["a"]);
        assert_eq!(Totals::default().success_rate(), None);
    }

    #[test]
    fn the_history_is_bounded_and_keeps_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap();
        for second in 0..23 {
            records.add(&sample("a", second, Success)).unwrap();
            let (history, broken) = records.history("a", 100).unwrap();
            assert_eq!(history.last().unwrap().run_id, format!("run-{second}"));
            assert!(history.len() <= 10 && broken == 0);
        }
        let (history, _) = records.history("a", 3).unwrap();
        assert_eq!(
            history.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(),
            ["run-20", "run-21", "run-22"]
        );
        assert_eq!(records.read("a").unwrap().unwrap().totals.success, 23, "trimming forgets no sum");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "a history and a lock");
    }

    #[test]
    fn a_torn_line_is_removed_and_no_earlier_one_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap();
        records.add(&sample("a", 1, Success)).unwrap();
        let history = dir.path().join("a.history.jsonl");
        let whole = std::fs::read_to_string(&history).unwrap();
        std::fs::write(&history, format!("{whole}{}", &whole[..40])).unwrap();
        assert_eq!(records.read("a").unwrap().unwrap().totals.success, 1);
        assert_eq!(records.add(&sample("a", 2, Success)).unwrap().record.totals.success, 2);
        let (runs, broken) = records.history("a", 9).unwrap();
        assert_eq!((runs.len(), broken), (2, 0));
    }

    #[test]
    fn a_line_longer_than_a_block_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap();
        for second in 1..4 {
            let long = RunEntry { message: "\u{1}".repeat(9000), ..sample("a", second, Failed) };
            records.add(&long).unwrap();
            assert_eq!(records.read("a").unwrap().unwrap().last, long);
        }
        assert_eq!(records.read("a").unwrap().unwrap().consecutive_failures, 3);
        std::fs::write(dir.path().join("a.history.jsonl"), "torn").unwrap();
        assert_eq!(records.read("a").unwrap(), None);
        assert_eq!(records.add(&sample("a", 9, Success)).unwrap().record.totals.success, 1);
        assert_eq!(records.history("a", 9).unwrap().0.len(), 1);
    }

    #[test]
    fn a_damaged_last_line_begins_nothing_anew() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap();
        records.add(&sample("a", 1, Success)).unwrap();
        records.add(&sample("a", 2, Failed)).unwrap();
        let history = dir.path().join("a.history.jsonl");
        let whole = std::fs::read(&history).unwrap();
        std::fs::write(&history, [&whole[..], b"{\"task\": \"\xff\0\0\n", b"\n"].concat()).unwrap();
        assert_eq!(records.read("a").unwrap().unwrap().consecutive_failures, 1);
        let record = records.add(&sample("a", 3, Failed)).unwrap().record;
        assert_eq!((record.totals.success, record.consecutive_failures), (1, 2));
        assert_eq!(record.last_success_at, Some(Timestamp::from_second(1).unwrap()));
        let (runs, broken) = records.history("a", 9).unwrap();
        assert_eq!((runs.len(), broken), (3, 1));
    }

    #[test]
    fn a_record_whose_lock_is_held_is_given_up_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap().waiting(Duration::from_millis(5));
        let held = records.add(&sample("a", 1, Success)).unwrap().lock;
        assert_eq!(records.add(&sample("a", 2, Success)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        records.add(&sample("b", 2, Success)).unwrap();
        drop(held);
        records.add(&sample("a", 3, Success)).unwrap();
    }

    #[test]
    fn runs_by_hand_are_a_history_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap();
        records.add(&sample("a", 1, Failed)).unwrap();
        let before = records.read("a").unwrap();
        for (task, second) in [("a", 2), ("b", 3)] {
            records.add(&RunEntry { manual: true, ..sample(task, second, Success) }).unwrap();
        }
        records.add(&sample("a", 4, Failed)).unwrap();
        assert_eq!(before.unwrap().last_success_at, None);
        let record = records.read("a").unwrap().unwrap();
        assert_eq!(
            (record.consecutive_failures, record.totals.success, record.last_success_at),
            (2, 0, None)
        );
        assert_eq!(records.read_manual("a").unwrap().unwrap().totals.success, 1);
        assert_eq!(records.read("b").unwrap(), None);
        assert_eq!(records.tasks().unwrap(), ["a", "b"]);
        let by_hand: Vec<bool> = records.history("a", 2).unwrap().0.iter().map(|run| run.manual).collect();
        assert_eq!(by_hand, [true, false]);
        records.forget("a").unwrap();
        assert_eq!(records.tasks().unwrap(), ["b"]);
        let left = std::fs::read_dir(dir.path()).unwrap();
        assert!(left.flatten().all(|file| !file.file_name().to_string_lossy().contains("a.h")));
    }

    #[test]
    fn a_run_of_another_line_under_the_same_name_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap();
        let of = |second, digest: &str| {
            let identity = CallIdentity { digest: digest.to_owned(), call: format!("POST {digest}") };
            let run = RunEntry { identity, ..sample("a", second, Success) };
            records.add(&run).unwrap().other_line.map(|run| run.identity.call)
        };
        assert_eq!(of(1, ""), None, "an earlier version wrote no identity");
        assert_eq!(of(2, "one"), None);
        assert_eq!(of(3, "one"), None);
        assert_eq!(of(4, "two"), Some("POST one".to_owned()));
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_records() {
        let records = Records::at("/nonexistent/records", 5);
        assert!(records.tasks().unwrap().is_empty());
        assert!(records.read("a").unwrap().is_none());
        assert!(records.history("a", 5).unwrap().0.is_empty());
    }
}
