//! L1 · The log of a server: stderr, and a file a day when a directory is given. Never a token, password or body.

use std::io::IsTerminal;
use std::path::PathBuf;

use thiserror::Error;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Lines that may wait for a slow disk before new ones are dropped: small, so that memory stays flat.
const QUEUE: usize = 4_096;

/// Daily files that are kept.
const FILES_KEPT: usize = 30;

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
    #[error("cannot write a log file in {}: {source}", dir.display())]
    File {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        source: InitError,
    },
    /// The process has a log already.
    #[error("the log is set up already")]
    Twice(#[source] TryInitError),
}

/// Keeps the log alive; dropping it writes what still waits.
#[derive(Debug)]
pub struct TelemetryGuard(#[expect(dead_code, reason = "held for its drop")] Option<WorkerGuard>);

/// Starts the log of this process.
///
/// # Errors
/// When the daily file cannot be written, or the process has a log already.
pub fn init(telemetry: &Telemetry) -> Result<TelemetryGuard, TelemetryError> {
    let (file, guard) = daily(telemetry)?.unzip();
    let color = telemetry.color && std::io::stderr().is_terminal();
    // Libraries speak at their own levels: the database driver writes every statement at debug.
    let filter = Targets::new()
        .with_default(telemetry.level.min(LevelFilter::INFO))
        .with_target("qs_scheduler", telemetry.level);
    tracing_subscriber::registry()
        .with(filter)
        .with(layer(telemetry.json, color, std::io::stderr))
        .with(file.map(|file| layer(telemetry.json, false, file)))
        .try_init()
        .map_err(TelemetryError::Twice)?;
    Ok(TelemetryGuard(guard))
}

fn layer<S, W>(json: bool, color: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(color).with_target(false);
    if json { layer.json().flatten_event(true).boxed() } else { layer.boxed() }
}

fn daily(telemetry: &Telemetry) -> Result<Option<(NonBlocking, WorkerGuard)>, TelemetryError> {
    let Some(dir) = &telemetry.dir else { return Ok(None) };
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(telemetry.program)
        .filename_suffix("log")
        .max_log_files(FILES_KEPT)
        .build(dir)
        .map_err(|source| TelemetryError::File { dir: dir.clone(), source })?;
    Ok(Some(NonBlockingBuilder::default().buffered_lines_limit(QUEUE).finish(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (file, guard) = daily(&telemetry).unwrap().unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(telemetry.json, false, file));
        tracing::subscriber::with_default(subscriber, || tracing::info!(attempt = 2, "hello"));
        drop(guard);
        let written = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
        let line = std::fs::read_to_string(written.path()).unwrap();
        assert!(line.contains("\"message\":\"hello\"") && line.contains("\"attempt\":2"), "{line}");
        assert!(written.file_name().to_string_lossy().starts_with("qs-test."));
    }
}
