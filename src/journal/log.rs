//! The log file of a task: one append a line, rotation under a lock, and the layer that turns events into lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Span, Subscriber, info};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::Line;
use super::rotation::{Rotation, Trouble};
use super::sink::{LogPlace, Sink, write_to_stream};
use crate::clock::{SharedClock, local_zone};
use crate::config::call::LogFormat;
use crate::files;

pub use super::events::Events;

/// How long a line that an event writes waits for the lock: nothing else goes on meanwhile, and it can be written later.
const LINE_WAIT: Duration = Duration::from_millis(50);
/// Most bytes that are looked at for the first line's time.
const LONGEST_FIRST_LINE: u64 = 64 * 1024;

/// A log that several processes append to.
pub struct LogFile {
    sink: Sink,
    rotation: Rotation,
    begun: Option<Timestamp>,
    /// Lines that were not written because another process held the lock.
    pending: String,
    /// How long the last lines wait for the lock.
    lock_wait: Duration,
    /// The first line that could not be appended.
    failure: Option<io::Error>,
}

impl LogFile {
    /// Opens the log, creating it and the last directory of its path, and finds out whether its lock is to be had. A
    /// link is followed: the log, what is rotated and the lock are where it leads.
    ///
    /// # Errors
    /// The system's, and `TimedOut` for a lock that another process keeps.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        Self::open_within(path, rotation, files::LOCK_WAIT)
    }

    /// The same, waiting no longer than this for whoever has the lock; so do the last lines.
    ///
    /// # Errors
    /// As [`LogFile::open`].
    pub fn open_within(path: &Path, rotation: Rotation, lock_wait: Duration) -> io::Result<Self> {
        let sink = Sink::open(path, lock_wait)?;
        let begun = match &sink {
            Sink::File(place) => begun(place, &rotation),
            Sink::Stream(_) => None,
        };
        Ok(Self { sink, rotation, begun, pending: String::new(), lock_wait, failure: None })
    }

    /// Makes sure of room for the lines of a call. False where that cannot be known without writing one.
    ///
    /// # Errors
    /// There is none.
    pub fn has_room(&self) -> io::Result<bool> {
        self.sink.has_room()
    }

    /// Appends one line in one write, rotating first when it is due. A line that would have to wait for the lock is
    /// written with a later one.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&mut self, line: &str, now: Timestamp) -> io::Result<Option<Trouble>> {
        self.pending.push_str(line);
        match self.write_pending(LINE_WAIT, now) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && !self.pending.is_empty() => Ok(None),
            written => written,
        }
    }

    /// Writes the lines that wait. A file is locked for that, so that no line is written to one that another process is
    /// just moving away.
    fn write_pending(&mut self, lock_wait: Duration, now: Timestamp) -> io::Result<Option<Trouble>> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let place = match &mut self.sink {
            Sink::Stream(stream) => {
                return write_to_stream(stream, &mut self.pending, lock_wait).map(|()| None);
            }
            Sink::File(place) => place,
        };
        place.lock(lock_wait)?;
        let written = write(place, &std::mem::take(&mut self.pending), now, &self.rotation, &mut self.begun);
        place.unlock()?;
        match written? {
            None => Ok(None),
            Some(Ok(())) => Ok(self.rotation.tidy(place.path()).err().map(Trouble::NotTidied)),
            Some(Err(error)) => {
                // It is tried and told once a run.
                self.rotation = Rotation { size: 0, age: Duration::ZERO, ..self.rotation };
                Ok(Some(Trouble::NotRotated(error)))
            }
        }
    }
}

/// Writes lines to the log that has the name, as the holder of its lock. Returns what rotating it came to, if that was
/// due; the lines are written either way.
fn write(
    place: &mut LogPlace,
    lines: &str,
    now: Timestamp,
    rotation: &Rotation,
    since: &mut Option<Timestamp>,
) -> io::Result<Option<io::Result<()>>> {
    if place.follow_name()? {
        *since = begun(place, rotation);
    }
    let mut rotated = None;
    if rotation.is_due(place.length()?, *since, now, lines.len() as u64) {
        let result = place.rotate(now);
        if result.is_ok() {
            *since = Some(now);
        }
        rotated = Some(result);
    }
    place.append(lines)?;
    Ok(rotated)
}

/// When a log was begun, where its age counts.
fn begun(place: &LogPlace, rotation: &Rotation) -> Option<Timestamp> {
    if rotation.age.is_zero() { None } else { begun_at(place.path()) }
}

/// When the log's first line was written, as the line itself says.
fn begun_at(path: &Path) -> Option<Timestamp> {
    let mut first = Vec::new();
    BufReader::new(File::open(path).ok()?.take(LONGEST_FIRST_LINE)).read_until(b'\n', &mut first).ok()?;
    let first = String::from_utf8_lossy(&first);
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

    /// The first line that could not be written, if any: an event cannot return its error itself. Lines that wait for
    /// the lock are written now or never.
    pub fn failure(&self) -> Option<io::Error> {
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let lock_wait = file.lock_wait;
        let written = file.write_pending(lock_wait, self.0.clock.now());
        self.note(&mut file, written);
        file.failure.take()
    }

    /// The last lines wait no longer than this for the lock.
    pub fn hurry(&self, lock_wait: Duration) {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner).lock_wait = lock_wait;
    }

    /// Appends an event.
    fn write(&self, line: Line) {
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.append(&mut file, line);
        self.note(&mut file, written);
    }

    /// Notes what writing came to: what failed beside the line is a line of its own.
    fn note(&self, file: &mut LogFile, written: io::Result<Option<Trouble>>) {
        let written = written.and_then(|trouble| {
            let Some(trouble) = trouble else { return Ok(None) };
            let event = ("event".to_owned(), trouble.event().into());
            let warning = Line { level: Level::WARN, message: trouble.to_string(), fields: vec![event] };
            self.append(file, warning)
        });
        if let Err(error) = written {
            file.failure.get_or_insert(error);
        }
    }

    /// Appends a line: `event` first, then who it is about, then the rest.
    fn append(&self, file: &mut LogFile, mut line: Line) -> io::Result<Option<Trouble>> {
        let log = &*self.0;
        let (name, rest): (Vec<_>, Vec<_>) = line.fields.into_iter().partition(|(key, _)| key == "event");
        line.fields = name.into_iter().chain(log.context.iter().cloned()).chain(rest).collect();
        let at = log.clock.local();
        file.append(&line.render(&at, log.format), at.timestamp())
    }
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
    use crate::files::FileLock;
    use std::os::unix::fs::MetadataExt;
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

    /// The events of one run in `file`, and what could not be written.
    fn run(file: LogFile, events: impl FnOnce()) -> Option<io::Error> {
        let log = RunLog::new(file, LogFormat::Text, Vec::new(), Simulated::new(now()));
        tracing::subscriber::with_default(Events::default().with(LogLayer::default()), || {
            log.span().in_scope(events);
        });
        log.failure()
    }

    #[test]
    fn lines_wait_for_a_held_lock_and_keep_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let file = LogFile::open(&path, NEVER).unwrap();
        let mut held = None;
        let failure = run(file, || {
            tracing::info!("first");
            held = Some(FileLock::take(&dir.path().join(".a.log.lock")).unwrap());
            tracing::info!("second");
            assert!(!std::fs::read_to_string(&path).unwrap().contains("second"));
            held = None;
            tracing::info!("third");
        });
        assert!(failure.is_none());
        let log = std::fs::read_to_string(&path).unwrap();
        let words: Vec<&str> = log.lines().filter_map(|line| line.split("] ").nth(1)).collect();
        assert_eq!(words, ["first", "second", "third"]);
    }

    #[test]
    fn a_lock_that_stays_held_is_found_before_the_call_or_told_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let wait = Duration::from_millis(5);
        let file = LogFile::open_within(&path, NEVER, wait).unwrap();
        let held = FileLock::take(&dir.path().join(".a.log.lock")).unwrap();
        assert_eq!(LogFile::open_within(&path, NEVER, wait).err().unwrap().kind(), io::ErrorKind::TimedOut);
        assert_eq!(run(file, || tracing::info!("lost")).unwrap().kind(), io::ErrorKind::TimedOut);
        drop(held);
    }

    #[test]
    fn a_log_behind_a_link_is_rotated_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (link, data) = (dir.path().join("a.log"), dir.path().join("data"));
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink("data/real.log", &link).unwrap();
        let always = Rotation { size: 1, ..NEVER };
        for line in ["first\n", "second\n"] {
            LogFile::open(&link, always).unwrap().append(line, now()).unwrap();
        }
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "second\n");
        assert_eq!(super::super::rotation::rotated_files(&data.join("real.log")).unwrap().len(), 1);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "a link and where it leads");
    }

    #[test]
    fn a_rotated_log_and_its_lock_keep_owner_group_and_mode() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, "first\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
        // Where this is not permitted, all is this user's.
        drop(chown(&path, Some(65_534), Some(4)));
        let kind = |name: &str| {
            let found = std::fs::metadata(dir.path().join(name)).unwrap();
            (found.uid(), found.gid(), found.mode())
        };
        let first = kind("a.log");
        let always = Rotation { size: 1, compress: true, ..NEVER };
        LogFile::open(&path, always).unwrap().append("second\n", now()).unwrap();
        for name in ["a.log", ".a.log.lock", "a.log-20261120T230000Z.gz"] {
            assert_eq!(kind(name), first, "{name}");
        }
    }

    #[test]
    fn rotated_logs_that_cannot_be_compressed_stay_and_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, "first\n").unwrap();
        // A directory stands where the part is written.
        let obstacle = dir.path().join("a.log-20261120T230000Z.gz.partial");
        std::fs::create_dir(&obstacle).unwrap();
        let file = LogFile::open(&path, Rotation { size: 1, compress: true, ..NEVER }).unwrap();
        assert!(run(file, || tracing::info!("second")).is_none(), "every line was written");
        let rotated = super::super::rotation::rotated_files(&path).unwrap();
        let all: Vec<String> = rotated.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(all[0], "first\n");
        let log = all.concat() + &std::fs::read_to_string(&path).unwrap();
        assert!(log.contains("second") && log.contains("WARN: Rotated logs cannot be"), "{log}");
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
    fn a_lock_file_that_was_removed_keeps_nobody_away() {
        let dir = tempfile::tempdir().unwrap();
        let (path, lock) = (dir.path().join("a.log"), dir.path().join(".a.log.lock"));
        let mut log = LogFile::open(&path, NEVER).unwrap();
        std::fs::remove_file(&lock).unwrap();
        let held = FileLock::take(&lock).unwrap();
        log.append("waiting\n", now()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "others lock its successor");
        drop(held);
        log.append("written\n", now()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "waiting\nwritten\n");
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
        let Sink::File(place) = &mut log.sink else { panic!("a regular file") };
        place.lose_lock_file(io::ErrorKind::PermissionDenied.into());
        assert!(log.append("one\n", now()).unwrap().is_none());
        assert!(matches!(log.append("two\n", now()).unwrap(), Some(Trouble::NotRotated(_))));
        assert!(log.append("three\n", now()).unwrap().is_none(), "it is told once");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n", "nothing is rotated");
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
