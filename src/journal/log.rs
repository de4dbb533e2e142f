//! The log file of a task: one append a line, rotation under a lock, and the layer that turns events into lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Span, Subscriber, info};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::{Line, is_ours};
use super::rotation::Rotation;
use super::sink::{Sink, append_to};
use crate::clock::{SharedClock, local_zone};
use crate::config::call::LogFormat;
use crate::files;

/// A log that several processes append to.
pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    sink: Sink,
    begun: Option<Timestamp>,
    /// The first line that could not be appended.
    failure: Option<io::Error>,
}

impl LogFile {
    /// Opens the log, creating it and the last directory of its path, and makes sure that it can be locked.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let sink = Sink::open(path)?;
        let begun = match sink {
            Sink::File { .. } => begun(path, &rotation),
            Sink::Stream(_) => None,
        };
        Ok(Self { path: path.to_owned(), rotation, sink, begun, failure: None })
    }

    /// Makes sure of room for the lines of a call. False where that cannot be known without writing one.
    ///
    /// # Errors
    /// There is none.
    pub fn has_room(&self) -> io::Result<bool> {
        self.sink.has_room()
    }

    /// Appends one line in one write. A file is locked for that, so that a line is not written to one that another
    /// process is just moving away, and rotated first when it is due.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&mut self, line: &str, now: Timestamp) -> io::Result<()> {
        let (file, lock, rotates) = match &mut self.sink {
            Sink::Stream(stream) => return stream.write_all(line.as_bytes()),
            Sink::File { file, lock, rotates } => (file, lock, *rotates),
        };
        lock.lock()?;
        let written = write(file, line, now, &mut self.begun, &self.path, &self.rotation, rotates);
        lock.unlock()?;
        if written? { self.rotation.tidy(&self.path) } else { Ok(()) }
    }
}

/// Writes a line to the log that has the name, as the holder of its lock. Returns whether it was rotated for that.
fn write(
    file: &mut File,
    line: &str,
    now: Timestamp,
    since: &mut Option<Timestamp>,
    path: &Path,
    rotation: &Rotation,
    rotates: bool,
) -> io::Result<bool> {
    if !is_named(file, path)? {
        (*file, *since) = (append_to(path)?, begun(path, rotation));
    }
    let length = file.metadata()?.len();
    let due = rotates && rotation.is_due(length, *since, now, line.len() as u64);
    if due {
        Rotation::rotate(path, now)?;
        (*file, *since) = (append_to(path)?, Some(now));
    }
    // What a killed process began stays readable, on a line of its own.
    let line_break = if !due && files::ends_torn(file, length)? { "\n" } else { "" };
    file.write_all(format!("{line_break}{line}").as_bytes())?;
    Ok(due)
}

/// Whether the open file is the one of that name: another process, or logrotate, may have moved it.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let mine = file.metadata()?;
    let named = std::fs::metadata(path);
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (mine.dev(), mine.ino())))
}

/// When a log was begun, where its age counts.
fn begun(path: &Path, rotation: &Rotation) -> Option<Timestamp> {
    if rotation.age.is_zero() { None } else { begun_at(path) }
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

    /// Makes sure that the lines of a call can be written, by writing one where nothing else tells.
    ///
    /// # Errors
    /// They cannot.
    pub fn begin(&self) -> io::Result<()> {
        let has_room = self.0.file.lock().unwrap_or_else(PoisonError::into_inner).has_room()?;
        if !has_room {
            info!(event = "started", "The call begins");
        }
        self.failure().map_or(Ok(()), Err)
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
        let path = dir.path().join("deep/a.log");
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
    fn a_mistyped_path_makes_no_tree() {
        let dir = tempfile::tempdir().unwrap();
        let error = LogFile::open(&dir.path().join("mis/typed/a.log"), NEVER).err().unwrap().to_string();
        assert!(error.contains("there is no directory") && error.ends_with("/mis"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let error = LogFile::open(dir.path(), NEVER).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_stream_gets_its_lines_and_no_file_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let error = LogFile::open(&path, NEVER).err().unwrap().to_string();
        assert_eq!(error, "a pipe that nobody reads");
        let reading = path.clone();
        let reader = std::thread::spawn(move || std::fs::read_to_string(reading).unwrap());
        // The reader is there when its side is open, which nothing but an attempt tells.
        let mut log = std::iter::repeat_with(|| LogFile::open(&path, NEVER)).find_map(Result::ok).unwrap();
        assert!(!log.has_room().unwrap());
        log.append("one\n", now()).unwrap();
        log.append("two\n", now()).unwrap();
        drop(log);
        assert_eq!(reader.join().unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_log_without_a_place_for_its_lock_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let each = Rotation { size: 1, ..NEVER };
        let mut log = LogFile::open(&path, each).unwrap();
        let Sink::File { file, lock, rotates } = &mut log.sink else { panic!("a regular file") };
        (*lock, *rotates) = (file.try_clone().unwrap(), false);
        log.append("one\n", now()).unwrap();
        log.append("two\n", now()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n", "nothing is rotated");
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
