//! The shell of a server: its log, its runtime, its signals, and how it listens, serves and ends. It knows no program.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;

use super::{private_logs, stop};
use crate::cli::output::{Failure, Output};
use crate::config::server::{Log, LogShape};
use crate::domain::exit::Exit;
use crate::files;
use crate::telemetry::{self, Telemetry};

/// Runs a program to its end, with its log. From here on a signal means an orderly stop, also while it starts.
///
/// # Errors
/// Why it could not start, or what went wrong at its end.
pub(super) fn run<F: Future<Output = Result<(), Failure>>>(
    program: &'static str,
    log: &Log,
    output: Output,
    start: impl FnOnce(Signals) -> F,
) -> Result<(), Failure> {
    files::only_for_owner();
    private_logs::make_dir(log.dir.as_deref())?;
    let telemetry = Telemetry {
        program,
        // The words of the setting are those of the filter.
        level: log.level.as_str().parse().unwrap_or(LevelFilter::INFO),
        json: log.format == LogShape::Json,
        color: output.colour,
        dir: log.dir.clone(),
    };
    let _guard = telemetry::init(&telemetry).map_err(|error| stop(Exit::CannotCreate, error))?;
    private_logs::tighten(log.dir.as_deref(), program);
    runtime()?.block_on(async { start(Signals::listen()?).await })
}

/// A runtime of as many threads as the machine has processors.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| stop(Exit::Internal, format!("cannot start the runtime: {error}")))
}

/// Listens; answers where.
pub(super) async fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot = |error| stop(Exit::Io, format!("cannot listen on {addr}: {error}"));
    let listener = TcpListener::bind(addr).await.map_err(cannot)?;
    let addr = listener.local_addr().map_err(cannot)?;
    Ok((listener, addr))
}

/// The line that scripts wait for.
pub(super) fn announce(output: Output, addr: SocketAddr) -> Result<(), Failure> {
    output.data(&format!("listening on http://{addr}"))?;
    tracing::info!(%addr, "listening");
    Ok(())
}

/// Serves on this listener until `shutdown`. Then requests may end within the grace, and with what they leave of it
/// `drain` ends the rest. `what` names all of that in the log.
///
/// # Errors
/// Those of `drain`, or that the server ended by itself.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
    what: &str,
    drain: impl AsyncFnOnce(Duration) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (order, ordered) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // An order to stop, or the end of whoever could give one: both mean stop.
        let _ = ordered.await;
    });
    let mut server = tokio::spawn(server.into_future());
    // A server that ends by itself leaves nobody to be served, so that is an end as well.
    let early = tokio::select! {
        () = shutdown => None,
        ended = &mut server => Some(ended),
    };
    tracing::info!("stopping: {what} may end");
    let deadline = Instant::now() + grace;
    // A server that has ended by itself needs no order.
    let _ = order.send(());
    let by_itself = early.is_some();
    let ended = match early {
        Some(ended) => Ok(ended),
        None => tokio::time::timeout_at(deadline, server).await,
    };
    match ended {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::error!(%error, "the server ended with an error"),
        Ok(Err(defect)) => tracing::error!(%defect, "a defect stopped the server"),
        Err(_) => tracing::warn!("requests were cut off at the end of the grace"),
    }
    drain(deadline.saturating_duration_since(Instant::now())).await?;
    if by_itself {
        return Err(stop(Exit::Internal, "the server ended by itself; the log says why"));
    }
    Ok(())
}

/// The signals that ask for an end.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let failed = |error| stop(Exit::Internal, format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    /// Waits for the first of them.
    pub(super) async fn any(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
