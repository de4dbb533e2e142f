//! The run record: every run of a task as one line of its history, with the sum of the runs up to it. One append a run
//! thus keeps both, and no process can be killed between the two.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::{End, last_lines};
use crate::domain::outcome::{CallStatus, TokenSource};
use crate::files::{self, Durability, FileLock, PRIVATE};

/// What the name of a history ends with.
const HISTORY: &str = ".history.jsonl";

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// The task.
    pub task: String,
    /// The run.
    pub run_id: String,
    /// What was called.
    pub endpoint: String,
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

/// The records in a directory: `<task>.history.jsonl`.
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
        files::create_dir(&records.dir, 0o750)?;
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
    pub fn places(&self, task: &str) -> [PathBuf; 3] {
        [self.dir.clone(), self.dir.join(format!(".{task}.lock")), self.history_path(task)]
    }

    /// Adds a run, in one append. What a killed process left of its own line is removed: that run was never recorded.
    /// Returns the sum with this run; no other run of the task is added before the lock is dropped.
    pub fn add(&self, entry: &RunEntry) -> io::Result<(TaskRecord, FileLock)> {
        let lock = FileLock::take_within(&self.dir.join(format!(".{}.lock", entry.task)), self.lock_wait)?;
        let path = self.history_path(&entry.task);
        let mut file = files::open_or_create(OpenOptions::new().read(true).append(true), &path, PRIVATE)?;
        let last = End::of(&file)?;
        if last.torn {
            file.set_len(last.whole)?;
        }
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
        Ok((record, lock))
    }

    /// The sum of a task; `None` before its first run.
    pub fn read(&self, task: &str) -> io::Result<Option<TaskRecord>> {
        let Some(file) = files::if_there(File::open(self.history_path(task)))? else { return Ok(None) };
        Ok(End::of(&file)?.last)
    }

    /// Every task with a record, in order of name.
    pub fn tasks(&self) -> io::Result<Vec<String>> {
        let mut tasks = Vec::new();
        for entry in files::if_there(std::fs::read_dir(&self.dir))?.into_iter().flatten() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(task) = name.strip_suffix(HISTORY).filter(|task| !task.starts_with('.')) {
                tasks.push(task.to_owned());
            }
        }
        tasks.sort();
        Ok(tasks)
    }

    /// The last `n` runs of a task, oldest first. Lines that cannot be read are left out and counted.
    pub fn history(&self, task: &str, n: usize) -> io::Result<(Vec<RunEntry>, usize)> {
        let text = files::if_there(std::fs::read(self.history_path(task)))?.unwrap_or_default();
        Ok(last_lines(&text, n))
    }

    /// Keeps the last lines of a history.
    fn trim(&self, history: &Path) -> io::Result<()> {
        let text = std::fs::read(history)?;
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX);
        let last = &lines[lines.len().saturating_sub(keep)..];
        files::replace(history, &last.concat(), PRIVATE, Durability::Rename)
    }

    fn history_path(&self, task: &str) -> PathBuf {
        self.dir.join(format!("{task}{HISTORY}"))
    }
}

#[cfg(test)]
pub(super) fn sample(task: &str, second: i64, status: CallStatus) -> RunEntry {
    RunEntry {
        task: task.to_owned(),
        run_id: format!("run-{second}"),
        endpoint: "/api/v1/x".to_owned(),
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
        let record = records.add(&sample("a", 9, Accepted)).unwrap().0;
        assert_eq!((record.consecutive_failures, record.totals.accepted), (0, 1));
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
        assert_eq!(records.add(&sample("a", 2, Success)).unwrap().0.totals.success, 2);
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
        assert_eq!(records.add(&sample("a", 9, Success)).unwrap().0.totals.success, 1);
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
        let record = records.add(&sample("a", 3, Failed)).unwrap().0;
        assert_eq!((record.totals.success, record.consecutive_failures), (1, 2));
        assert_eq!(record.last_success_at, Some(Timestamp::from_second(1).unwrap()));
        let (runs, broken) = records.history("a", 9).unwrap();
        assert_eq!((runs.len(), broken), (3, 1));
    }

    #[test]
    fn a_record_whose_lock_is_held_is_given_up_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap().waiting(Duration::from_millis(5));
        let (_, held) = records.add(&sample("a", 1, Success)).unwrap();
        assert_eq!(records.add(&sample("a", 2, Success)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        records.add(&sample("b", 2, Success)).unwrap();
        drop(held);
        records.add(&sample("a", 3, Success)).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_records() {
        let records = Records::at("/nonexistent/records", 5);
        assert!(records.tasks().unwrap().is_empty());
        assert!(records.read("a").unwrap().is_none());
        assert!(records.history("a", 5).unwrap().0.is_empty());
    }
}
