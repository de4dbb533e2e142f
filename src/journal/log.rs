//! The log file of a task: one append a line, rotation under a lock, and the layer that turns events into lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::{Line, is_ours};
use super::rotation::{LOG_MODE, Rotation};
use crate::clock::{SharedClock, local_zone};
use crate::config::call::LogFormat;
use crate::files::{self, FileLock};

/// A log that several processes append to.
pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    begun: Option<Timestamp>,
    /// The first line that could not be appended.
    failure: Option<io::Error>,
}

impl LogFile {
    /// Opens the log, creating it and its directory.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        files::create_dir(files::parent(path), 0o750)?;
        let (file, begun) = append_to(path, &rotation)?;
        Ok(Self { path: path.to_owned(), rotation, file, begun, failure: None })
    }

    /// Appends one line in one write, rotating first when it is due. The lock keeps a line from being written to a
    /// file that another process is just moving away.
    pub fn append(&mut self, line: &str, now: Timestamp) -> io::Result<()> {
        let lock = FileLock::take(&self.lock_path())?;
        let length = self.follow_name()?;
        let due = self.rotation.is_due(length, self.begun, now, line.len() as u64);
        if due {
            Rotation::rotate(&self.path, now)?;
            (self.file, self.begun) = (append_to(&self.path, &self.rotation)?.0, Some(now));
        }
        // What a killed process began stays readable, on a line of its own.
        let line_break = if !due && files::ends_torn(&self.file, length)? { "\n" } else { "" };
        self.file.write_all(format!("{line_break}{line}").as_bytes())?;
        drop(lock);
        if due { self.rotation.tidy(&self.path) } else { Ok(()) }
    }

    fn lock_path(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        files::parent(&self.path).join(format!(".{name}.lock"))
    }

    /// Follows the name: another process, or logrotate, may have moved the file that is open. Returns its length.
    fn follow_name(&mut self) -> io::Result<u64> {
        let mine = self.file.metadata()?;
        let named = std::fs::metadata(&self.path);
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (mine.dev(), mine.ino())) {
            return Ok(mine.len());
        }
        (self.file, self.begun) = append_to(&self.path, &self.rotation)?;
        Ok(self.file.metadata()?.len())
    }
}

/// Opens a log, and tells when it was begun where its age counts.
fn append_to(path: &Path, rotation: &Rotation) -> io::Result<(File, Option<Timestamp>)> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(LOG_MODE).open(path)?;
    Ok((file, if rotation.age.is_zero() { None } else { begun_at(path) }))
}

/// When the log's first line was written, as the line itself says.
fn begun_at(path: &Path) -> Option<Timestamp> {
    let mut first = String::new();
    BufReader::new(File::open(path).ok()?).read_line(&mut first).ok()?;
    if let Some(text) = first.strip_prefix('[') {
        let (text, _) = text.split_once(']')?;
        let local = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
        return local.to_zoned(local_zone()).ok().map(|zoned| zoned.timestamp());
    }
    let line: Value = serde_json::from_str(&first).ok()?;
    line.get("ts")?.as_str()?.parse().ok()
}

/// The log of one run. Events inside its span become its lines; a clone is the same log.
#[derive(Clone)]
pub struct RunLog(Arc<Inner>);

struct Inner {
    file: Mutex<LogFile>,
    format: LogFormat,
    /// Fields of every line: task, run id.
    context: Vec<(String, Value)>,
    clock: SharedClock,
}

impl RunLog {
    /// A log in `file`, with `context` on every line.
    pub fn new(file: LogFile, format: LogFormat, context: Vec<(String, Value)>, clock: SharedClock) -> Self {
        Self(Arc::new(Inner { file: Mutex::new(file), format, context, clock }))
    }

    /// The span of the run, for the process's [`LogLayer`]: any number of runs may have theirs at once.
    pub fn span(&self) -> Span {
        // At the highest level, so that no filter of a program's own log takes it away.
        let span = tracing::error_span!("run");
        span.with_subscriber(|(id, dispatch)| {
            if let Some(layer) = dispatch.downcast_ref::<LogLayer>() {
                layer.logs().insert(id.into_u64(), self.clone());
            }
        });
        span
    }

    /// The first line that could not be written, if any: an event cannot return its error itself.
    pub fn failure(&self) -> Option<io::Error> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner).failure.take()
    }

    /// Appends an event: `event` first, then who it is about, then the rest.
    fn write(&self, mut line: Line) {
        let log = &*self.0;
        let (name, rest): (Vec<_>, Vec<_>) = line.fields.into_iter().partition(|(key, _)| key == "event");
        line.fields = name.into_iter().chain(log.context.iter().cloned()).chain(rest).collect();
        let at = log.clock.local();
        let mut file = log.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.append(&line.render(&at, log.format), at.timestamp()) {
            file.failure.get_or_insert(error);
        }
    }
}

/// What the layers of a command line stand on: this project's events, and spans that are only numbered. A registry would
/// do, and begins with a table for the spans of 4096 threads.
#[derive(Default)]
pub struct Events(AtomicU64);

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1 + self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Turns this project's events into lines of the log of the run whose span they are in.
#[derive(Default)]
pub struct LogLayer(Mutex<BTreeMap<u64, RunLog>>);

impl LogLayer {
    /// The log of each span that has one.
    fn logs(&self) -> MutexGuard<'_, BTreeMap<u64, RunLog>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// The logs of the spans that this thread is in, the innermost last: what is current is a matter of the thread.
    static ENTERED: RefCell<Vec<RunLog>> = const { RefCell::new(Vec::new()) };
}

impl<S: Subscriber> Layer<S> for LogLayer {
    /// A span inside a run's belongs to that run.
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if let Some(log) = ENTERED.with_borrow(|entered| entered.last().cloned()) {
            self.logs().insert(id.into_u64(), log);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if let Some(log) = self.logs().get(&id.into_u64()).cloned() {
            ENTERED.with_borrow_mut(|entered| entered.push(log));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if self.logs().contains_key(&id.into_u64()) {
            ENTERED.with_borrow_mut(Vec::pop);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.logs().remove(&id.into_u64());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(line) = Line::of(event, Level::INFO)
            && let Some(log) = ENTERED.with_borrow(|entered| entered.last().cloned())
        {
            log.write(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Simulated;
    use std::time::Duration;
    use tracing_subscriber::prelude::*;

    const NEVER: Rotation = Rotation { size: 0, age: Duration::ZERO, keep: 3, compress: false };

    fn now() -> Timestamp {
        "2026-11-20T23:00:00Z".parse().unwrap()
    }

    #[test]
    fn events_become_lines_with_context_and_foreign_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/a.log");
        let context = vec![("task".to_owned(), "sync-daily".into())];
        let file = LogFile::open(&path, NEVER).unwrap();
        let log = RunLog::new(file, LogFormat::Text, context, Simulated::new(now()));
        tracing::subscriber::with_default(Events::default().with(LogLayer::default()), || {
            tracing::info!("of no run");
            log.span().in_scope(|| {
                tracing::info!(event = "calling", attempt = 1_u32, "Calling API: {}", "http://x");
                tracing::debug!("not for the log");
                tracing::info!(target: "hyper", "foreign");
                tracing::info_span!("within").in_scope(|| tracing::warn!("deeper"));
            });
        });
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "[2026-11-20 23:00:00] Calling API: http://x event=calling task=sync-daily attempt=1\n\
             [2026-11-20 23:00:00] WARN: deeper task=sync-daily\n"
        );
        assert!(log.failure().is_none());
    }

    #[test]
    fn a_line_that_cannot_be_written_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/a.log");
        let file = LogFile::open(&path, NEVER).unwrap();
        let log = RunLog::new(file, LogFormat::Text, Vec::new(), Simulated::new(now()));
        std::fs::remove_dir_all(dir.path().join("logs")).unwrap();
        tracing::subscriber::with_default(Events::default().with(LogLayer::default()), || {
            log.span().in_scope(|| tracing::info!("lost"));
        });
        assert_eq!(log.failure().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_log_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut log = LogFile::open(&path, NEVER).unwrap();
        log.append("first\n", now()).unwrap();
        std::fs::rename(&path, dir.path().join("a.log.1")).unwrap();
        log.append("second\n", now()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second\n");
    }

    #[test]
    fn a_torn_line_does_not_swallow_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, "[2026-11-20 22:00:00] torn").unwrap();
        LogFile::open(&path, NEVER).unwrap().append("whole\n", now()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[2026-11-20 22:00:00] torn\nwhole\n");
    }

    #[test]
    fn age_counts_from_the_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let hourly = Rotation { age: Duration::from_secs(3600), ..NEVER };
        for first in ["{\"ts\":\"2026-11-20T21:00:00.000+00:00\"}\n", "no time at all\n"] {
            std::fs::write(&path, first).unwrap();
            LogFile::open(&path, hourly).unwrap().append("next\n", now()).unwrap();
        }
        assert_eq!(super::super::rotation::rotated_files(&path).unwrap().len(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no time at all\nnext\n");
    }
}
