//! Lines that wait for whoever takes the log: a pipe that somebody reads, a disk. Whoever logs never waits for them. What
//! cannot be kept is dropped, counted, and told in the log itself, at its place, as soon as the log flows again.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait; as many again are being written.
const ROOM: usize = 1 << 20;

/// The pause of a stream that somebody has made refuse instead of wait.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes the line that tells how many are missing.
pub(super) type Notice = Box<dyn Fn(u64) -> Vec<u8> + Send>;

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// How many were dropped behind `lines`.
    dropped: u64,
    closed: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: Arc<AtomicU64>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }
}

/// The waiting lines of one log.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

impl Queue {
    /// Begins to write what comes into `sink`, from a thread of its own. `lost` counts what is dropped.
    ///
    /// # Errors
    /// There is no thread.
    pub(super) fn into(
        sink: impl Write + Send + 'static,
        lost: Arc<AtomicU64>,
        notice: Notice,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { lost, ..Shared::default() });
        let mut writer = Writer { shared: Arc::clone(&shared), sink, notice, untold: 0, torn: false };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(Self(shared))
    }

    /// Takes no more lines, and waits until those that wait are written, but not longer than this.
    pub(super) fn close(&self, deadline: Instant) {
        let mut waiting = self.0.waiting();
        waiting.closed = true;
        self.0.changed.notify_all();
        while !waiting.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            waiting = self.0.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One write is one line.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.waiting();
        if waiting.dropped > 0 || waiting.closed || waiting.lines.len() + line.len() > ROOM {
            waiting.dropped += 1;
            drop(waiting);
            self.0.lost(1);
        } else {
            let was_empty = waiting.lines.is_empty();
            waiting.lines.extend_from_slice(line);
            drop(waiting);
            if was_empty {
                self.0.changed.notify_all();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'writer> MakeWriter<'writer> for Queue {
    type Writer = &'writer Queue;

    fn make_writer(&'writer self) -> Self::Writer {
        self
    }
}

/// The thread that writes.
struct Writer<W> {
    shared: Arc<Shared>,
    sink: W,
    notice: Notice,
    /// Lines that could not be written, of which the log does not tell yet.
    untold: u64,
    /// The last line was written in part.
    torn: bool,
}

impl<W: Write> Writer<W> {
    fn run(&mut self) {
        let mut lines = Vec::new();
        while let Some(dropped) = self.next(&mut lines) {
            if self.untold > 0 && self.tell(self.untold) {
                self.untold = 0;
            }
            self.put(&lines);
            if dropped > 0 && !(self.untold == 0 && self.tell(dropped)) {
                self.untold += dropped;
            }
            lines.clear();
        }
        self.shared.waiting().ended = true;
        self.shared.changed.notify_all();
    }

    /// Waits for lines; answers how many were dropped behind them. `None`: there will be no more.
    fn next(&self, lines: &mut Vec<u8>) -> Option<u64> {
        let mut waiting = self.shared.waiting();
        loop {
            if !waiting.lines.is_empty() || waiting.dropped > 0 {
                std::mem::swap(lines, &mut waiting.lines);
                return Some(std::mem::take(&mut waiting.dropped));
            }
            if waiting.closed {
                return None;
            }
            waiting = self.shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells in the log that so many lines are missing here.
    fn tell(&mut self, missing: u64) -> bool {
        let line = (self.notice)(missing);
        self.write(&line) == 0
    }

    fn put(&mut self, lines: &[u8]) {
        let unwritten = self.write(lines);
        self.shared.lost(unwritten);
        self.untold += unwritten;
    }

    /// Writes; answers how many lines were not, because the system refuses them.
    fn write(&mut self, lines: &[u8]) -> u64 {
        let mut rest = lines;
        if self.torn && !rest.is_empty() && matches!(self.sink.write(b"\n"), Ok(1)) {
            self.torn = false;
        }
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(0) => break,
                Ok(written) => {
                    self.torn = rest.get(written.saturating_sub(1)) != Some(&b'\n');
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(PAUSE),
                Err(_) => break,
            }
        }
        rest.split_inclusive(|byte| *byte == b'\n').count() as u64
    }
}

/// Standard error by a descriptor of its own: the library's is locked by whoever writes, for as long as nobody reads.
///
/// # Errors
/// There is no descriptor left.
pub(super) fn stderr() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stderr().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes a write when the test says so, and answers as it says.
    struct Gate {
        then: Receiver<io::Result<()>>,
        entered: Sender<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.entered.send(()).unwrap();
            // A test that says no more lets everything through.
            self.then.recv().unwrap_or(Ok(()))?;
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Log {
        queue: Queue,
        gate: Sender<io::Result<()>>,
        entered: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
        lost: Arc<AtomicU64>,
    }

    fn log() -> Log {
        let ((gate, then), (enter, entered)) = (channel(), channel());
        let (written, lost) = (Arc::default(), Arc::default());
        let sink = Gate { then, entered: enter, written: Arc::clone(&written) };
        let notice: Notice = Box::new(|missing| format!("{missing} missing\n").into_bytes());
        let queue = Queue::into(sink, Arc::clone(&lost), notice).unwrap();
        Log { queue, gate, entered, written, lost }
    }

    impl Log {
        fn line(&self, text: &str) {
            (&self.queue).write_all(format!("{text}\n").as_bytes()).unwrap();
        }

        /// What was written, once everything is.
        fn end(self) -> String {
            drop(self.gate);
            self.queue.close(Instant::now() + Duration::from_secs(30));
            let written = self.written.lock().unwrap().clone();
            String::from_utf8(written).unwrap()
        }
    }

    #[test]
    fn a_sink_that_takes_nothing_holds_nobody_up_and_the_gap_is_told_at_its_place() {
        let log = log();
        log.line("first");
        log.entered.recv().unwrap();
        let quarter = "x".repeat(ROOM / 4);
        for _ in 0..6 {
            log.line(&quarter);
        }
        // Although it would fit, it comes after those that are missing.
        log.line("short");
        assert_eq!(log.lost.load(Ordering::Relaxed), 4);
        let written = log.end();
        let lines: Vec<&str> = written.lines().map(|line| line.get(..9).unwrap_or(line)).collect();
        assert_eq!(lines, ["first", "xxxxxxxxx", "xxxxxxxxx", "xxxxxxxxx", "4 missing"]);
    }

    #[test]
    fn what_the_system_refuses_is_told_when_it_takes_lines_again() {
        let log = log();
        log.gate.send(Err(ErrorKind::StorageFull.into())).unwrap();
        log.line("refused");
        log.entered.recv().unwrap();
        until(|| log.lost.load(Ordering::Relaxed) == 1);
        log.line("taken");
        assert_eq!(log.end(), "1 missing\ntaken\n");
    }

    #[test]
    fn a_log_that_nobody_takes_does_not_hold_the_end_up() {
        let log = log();
        log.line("never");
        log.entered.recv().unwrap();
        let begin = Instant::now();
        log.queue.close(begin + Duration::from_millis(50));
        assert!(begin.elapsed() < Duration::from_secs(10));
        log.line("too late");
        assert_eq!(log.lost.load(Ordering::Relaxed), 1);
    }

    fn until(is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
