//! L1 · The log of a server: stderr, and a file a day when a directory is given. Never a token, password or body.
//!
//! Whoever logs never waits: neither for a reader of stderr nor for a disk (`queue`).

mod daily;
mod queue;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::Subscriber;
use tracing_appender::rolling::InitError;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use daily::Daily;
use queue::{Notice, Queue};

/// How long the end of the process may wait for the last lines to be taken.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What the log of a server looks like and where it goes.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// The program: the name of its files.
    pub program: &'static str,
    /// The least important level that is written.
    pub level: LevelFilter,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Colours on a terminal; the caller has looked at `NO_COLOR`.
    pub color: bool,
    /// Directory of the daily files.
    pub dir: Option<PathBuf>,
}

/// The log could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The daily file cannot be written.
    #[error("log.dir: cannot write a log file in {}: {source}", dir.display())]
    File {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        source: InitError,
    },
    /// There is no descriptor or thread for it.
    #[error("cannot start the log: {0}")]
    Start(#[source] io::Error),
    /// The process has a log already.
    #[error("the log is set up already")]
    Twice(#[source] TryInitError),
}

/// Keeps the log alive; dropping it writes what still waits, as long as somebody takes it.
#[derive(Debug)]
pub struct TelemetryGuard {
    queues: Vec<Queue>,
    /// How many lines were dropped.
    pub lost: Arc<AtomicU64>,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_LINES;
        for queue in &self.queues {
            queue.close(deadline);
        }
    }
}

/// Starts the log of this process.
///
/// # Errors
/// When the daily file cannot be written, or the process has a log already.
pub fn init(telemetry: &Telemetry) -> Result<TelemetryGuard, TelemetryError> {
    let lost = Arc::default();
    let file = daily(telemetry, &lost)?;
    let stderr =
        queue::stderr().and_then(|stderr| Queue::into(stderr, Arc::clone(&lost), notice(telemetry.json)));
    let stderr = stderr.map_err(TelemetryError::Start)?;
    let queues = file.iter().chain([&stderr]).cloned().collect();
    let color = telemetry.color && std::io::stderr().is_terminal();
    // Libraries speak at their own levels: the database driver writes every statement at debug.
    let filter = Targets::new()
        .with_default(telemetry.level.min(LevelFilter::INFO))
        .with_target("qs_scheduler", telemetry.level);
    tracing_subscriber::registry()
        .with(filter)
        .with(layer(telemetry.json, color, stderr))
        .with(file.map(|file| layer(telemetry.json, false, file)))
        .try_init()
        .map_err(TelemetryError::Twice)?;
    Ok(TelemetryGuard { queues, lost })
}

fn layer<S, W>(json: bool, color: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(color).with_target(false);
    if json { layer.json().flatten_event(true).boxed() } else { layer.boxed() }
}

/// The line that says how many are missing, in the shape of the others and whatever level is written.
fn notice(json: bool) -> Notice {
    Box::new(move |missing| {
        let line = Line::default();
        let written = line.clone();
        let subscriber = tracing_subscriber::registry().with(layer(json, false, move || line.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(
                lines = missing,
                "lines of the log were dropped here: nobody took them, or they could not be written"
            );
        });
        std::mem::take(&mut *written.0.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

/// A line that is being put together.
#[derive(Clone, Debug, Default)]
struct Line(Arc<Mutex<Vec<u8>>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn daily(telemetry: &Telemetry, lost: &Arc<AtomicU64>) -> Result<Option<Queue>, TelemetryError> {
    let Some(dir) = &telemetry.dir else { return Ok(None) };
    let file = Daily::open(dir, telemetry.program)
        .map_err(|source| TelemetryError::File { dir: dir.clone(), source })?;
    Queue::into(file, Arc::clone(lost), notice(telemetry.json)).map(Some).map_err(TelemetryError::Start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_about_missing_ones_has_the_shape_of_the_others() {
        let json = String::from_utf8(notice(true)(12)).unwrap();
        assert!(json.contains(r#""lines":12"#) && json.starts_with('{') && json.ends_with("}\n"), "{json}");
        let text = String::from_utf8(notice(false)(12)).unwrap();
        assert!(text.contains(" WARN ") && text.ends_with(" lines=12\n"), "{text}");
    }

    #[test]
    fn a_daily_file_is_written_and_flushed_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let telemetry = Telemetry {
            program: "qs-test",
            level: LevelFilter::INFO,
            json: true,
            color: false,
            dir: Some(dir.path().to_owned()),
        };
        let file = daily(&telemetry, &Arc::default()).unwrap().unwrap();
        let guard = TelemetryGuard { queues: vec![file.clone()], lost: Arc::default() };
        let subscriber = tracing_subscriber::registry().with(layer(telemetry.json, false, file));
        tracing::subscriber::with_default(subscriber, || tracing::info!(attempt = 2, "hello"));
        drop(guard);
        let written = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
        let line = std::fs::read_to_string(written.path()).unwrap();
        assert!(line.contains("\"message\":\"hello\"") && line.contains("\"attempt\":2"), "{line}");
        assert!(written.file_name().to_string_lossy().starts_with("qs-test."));
    }
}
