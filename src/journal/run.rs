//! The journal of one run: the lines of its log and, made of one report, the last line, the record and the metrics.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{Span, error, info, warn};

use super::line::{truncate, truncate_escaped};
use super::log::{LogFile, RunLog};
use super::overlap::{self, Claim, Holder};
use super::record::{Records, RunEntry};
use super::rotation::Rotation;
use super::textfile;
use crate::clock::SharedClock;
use crate::config::call::LogFormat;
use crate::crontab::CallIdentity;
use crate::domain::duration::millis;
use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::domain::outcome::{CallReport, CallStatus, TokenSource};
use crate::domain::overlap::Overlap;
use crate::files;

/// Longest message in a record, in bytes.
const LONGEST_MESSAGE: usize = 1000;

/// How long a run that was stopped by a signal waits for a lock: it must be gone within a second.
const LAST_LOCK_WAIT: Duration = Duration::from_millis(100);

/// Which run it is.
#[derive(Clone, Debug)]
pub struct ExecutionInfo {
    /// The task.
    pub task: String,
    /// The run.
    pub run_id: ExecutionId,
    /// What is called.
    pub endpoint: String,
    /// The target that is called, if it is not the unnamed one.
    pub target: Option<String>,
    /// Which line it is of.
    pub identity: CallIdentity,
    /// Whether a person makes it, not a schedule: it is recorded apart, and the metrics are not of it.
    pub manual: bool,
    /// When it began.
    pub started_at: Timestamp,
}

/// Where and how runs are written down.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// The log.
    pub log_path: PathBuf,
    /// When it is rotated.
    pub rotation: Rotation,
    /// Shape of its lines.
    pub format: LogFormat,
    /// Most bytes of a reply in a line, as they are written there.
    pub body_limit: u64,
    /// Default directories of state and log, which are made with all that is above them; of a directory that is set the
    /// one above it must be there.
    pub default_dirs: Vec<PathBuf>,
    /// Directory of the run records.
    pub records_dir: PathBuf,
    /// Runs kept of each task.
    pub history: u64,
    /// Directory of the metrics textfiles.
    pub metrics_dir: PathBuf,
    /// Directory of the overlap locks.
    pub locks_dir: PathBuf,
    /// How long the locks of log and record are waited for, before the call and after it.
    pub lock_wait: Duration,
}

impl JournalSettings {
    /// Makes the default directories and the state directory.
    ///
    /// # Errors
    /// The place that cannot be created.
    pub fn make_dirs(&self) -> Result<(), CannotCreate> {
        for dir in &self.default_dirs {
            files::create_dir(files::parent(dir), 0o711).map_err(CannotCreate::at(dir))?;
        }
        // Others may enter it, since the metrics in it are for everybody, and list nothing.
        let state = files::parent(&self.records_dir);
        files::create_exact_dir(state, 0o711).map_err(CannotCreate::at(state))
    }
}

/// A place that cannot be created: a call that could not be recorded is not made.
#[derive(Debug, thiserror::Error)]
#[error("cannot be created, locked or written: {}: {source}", path.display())]
pub struct CannotCreate {
    /// Which place.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl CannotCreate {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self { path, source }
    }
}

/// The journal of one run.
#[derive(Clone)]
pub struct Journal {
    /// Which run it is.
    pub execution: ExecutionInfo,
    settings: JournalSettings,
    log: RunLog,
    records: Records,
    clock: SharedClock,
}

/// The last event of a run, at a level that is known when it is compiled.
macro_rules! finished {
    ($level:ident, $report:expr, $limit:expr, $message:expr) => {{
        let (report, outcome) = ($report, $report.outcome);
        let http_status = report.http_status.map(u64::from);
        let token_source = report.token_source.map(TokenSource::as_str);
        let response = report.body.as_deref().map(|body| truncate_escaped(body, $limit));
        $level!(
            event = "finished",
            status = outcome.status().as_str(),
            exit = u64::from(outcome.exit().code()),
            exit_name = outcome.exit().as_str(),
            http_status,
            code = report.code.as_deref(),
            attempts = report.attempts,
            duration_ms = millis(report.duration),
            token_source,
            response,
            "{}",
            $message
        )
    }};
}

impl Journal {
    /// Opens log, records and locks, creating what is missing.
    ///
    /// # Errors
    /// The place that cannot be created.
    pub fn open(
        execution: ExecutionInfo,
        settings: JournalSettings,
        clock: SharedClock,
    ) -> Result<Self, CannotCreate> {
        settings.make_dirs()?;
        let (log, records, locks) = (&settings.log_path, &settings.records_dir, &settings.locks_dir);
        let (metrics, lock_wait) = (&settings.metrics_dir, settings.lock_wait);
        files::create_exact_dir(metrics, 0o755).map_err(CannotCreate::at(metrics))?;
        let file = LogFile::open_within(log, settings.rotation, lock_wait).map_err(CannotCreate::at(log))?;
        let records = Records::open(records, settings.history).map_err(CannotCreate::at(records))?;
        files::create_last_dir(locks, 0o700).map_err(CannotCreate::at(locks))?;
        let dirs = [locks.clone(), metrics.clone()];
        for path in dirs.into_iter().chain(records.places(&execution.task, execution.manual)) {
            files::check_writable(&path).map_err(CannotCreate::at(&path))?;
        }
        let context = vec![
            ("task".to_owned(), execution.task.as_str().into()),
            ("run_id".to_owned(), execution.run_id.to_string().into()),
        ];
        let log = RunLog::new(file, settings.format, context, clock.clone());
        Ok(Self { execution, settings, log, records, clock })
    }

    /// Makes sure that the lines of the run can be written. To be called in the run's span, before anything is sent.
    ///
    /// # Errors
    /// The log, when they cannot.
    pub fn begin(&self) -> Result<(), CannotCreate> {
        self.log.begin().map_err(CannotCreate::at(&self.settings.log_path))
    }

    /// The span whose events are the lines of this run's log.
    pub fn span(&self) -> Span {
        self.log.span()
    }

    /// Asks for the lock of the task; `deadline` bounds the wait of [`Overlap::Sequential`].
    ///
    /// # Errors
    /// The system's.
    pub async fn claim(&self, policy: Overlap, deadline: Instant) -> io::Result<Claim> {
        let holder = Holder {
            run_id: self.execution.run_id.to_string(),
            pid: std::process::id(),
            since: self.clock.now(),
            identity: self.execution.identity.clone(),
        };
        overlap::claim(&self.settings.locks_dir, &self.execution.task, policy, &holder, deadline).await
    }

    /// Writes the last line of the log, the run record and the metrics. To be called in the run's span. Returns the run as
    /// its record has it, and what could not be written.
    pub fn leave_behind(&self, report: &CallReport) -> (RunEntry, Vec<String>) {
        let is_stopped = report.outcome.exit().code() > 128;
        let lock_wait = if is_stopped { LAST_LOCK_WAIT } else { self.settings.lock_wait };
        self.log.hurry(lock_wait);
        self.log_end(report);
        let entry = self.entry(report);
        let recorded = self.record(&entry, lock_wait);
        if let Err(reason) = &recorded {
            warn!(event = "not_recorded", reason, "The run could not be recorded");
        }
        let unlogged =
            self.log.failure().map(|error| format!("log {}: {error}", self.settings.log_path.display()));
        (entry, recorded.err().into_iter().chain(unlogged).collect())
    }

    fn log_end(&self, report: &CallReport) {
        let limit = usize::try_from(self.settings.body_limit).unwrap_or(usize::MAX);
        let message = &report.message;
        let message = match report.outcome.status() {
            CallStatus::Success => format!("API call successful ({message})"),
            CallStatus::Accepted => format!("API call accepted, not done yet ({message})"),
            CallStatus::Skipped => format!("API call skipped: {message}"),
            CallStatus::Failed | CallStatus::Unknown => format!("API call failed: {message}"),
        };
        if report.outcome.exit() == Exit::Ok {
            finished!(info, report, limit, message);
        } else {
            finished!(error, report, limit, message);
        }
    }

    fn entry(&self, report: &CallReport) -> RunEntry {
        let exit = report.outcome.exit();
        RunEntry {
            task: self.execution.task.clone(),
            run_id: self.execution.run_id.to_string(),
            endpoint: self.execution.endpoint.clone(),
            target: self.execution.target.clone(),
            identity: self.execution.identity.clone(),
            manual: self.execution.manual,
            started_at: self.execution.started_at,
            duration_ms: millis(report.duration),
            status: report.outcome.status(),
            exit_name: exit.as_str().to_owned(),
            exit_code: exit.code(),
            http_status: report.http_status,
            code: report.code.clone(),
            message: truncate(&report.message, LONGEST_MESSAGE).to_owned(),
            attempts: report.attempts,
            token_source: report.token_source,
        }
    }

    /// The record, then the metrics under its lock: the last run's are the last to be written. They are of the scheduled
    /// runs alone, so that nothing done by hand hides that a schedule is dead.
    fn record(&self, entry: &RunEntry, lock_wait: Duration) -> Result<(), String> {
        let (records, metrics) = (&self.settings.records_dir, &self.settings.metrics_dir);
        let added = self.records.clone().waiting(lock_wait).add(entry);
        let added = added.map_err(|error| format!("run record in {}: {error}", records.display()))?;
        if let Some(other) = &added.other_line {
            let (task, call, mine) = (&entry.task, &other.identity.call, &entry.identity.call);
            warn!(
                event = "another_line",
                "The last run of the task {task} was another call, {call}, and this one is {mine}: their history and metrics are neither's; if they are two lines, give one a name of its own with --task"
            );
        }
        if entry.manual {
            return Ok(());
        }
        textfile::write(metrics, &added.record)
            .map_err(|error| format!("metrics in {}: {error}", metrics.display()))
    }
}
