//! The shell of a server: its log, its runtime, its signals, and how it listens, serves and ends. It knows no program.

mod descriptors;
mod signals;

use std::net::SocketAddr;
use std::panic::PanicHookInfo;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;

use super::{private_logs, stop};
use crate::cli::output::{Failure, Output};
use crate::config::server::{Log, LogShape, Server};
use crate::domain::exit::Exit;
use crate::files;
use crate::http::serve::{Connections, Limits};
use crate::metrics::connections::ConnectionMetrics;
use crate::telemetry::{self, Telemetry, TelemetryError};
use signals::{Signals, at_once};

/// Connections that the kernel keeps until they are accepted. It lowers that to its own limit, `net.core.somaxconn`.
const BACKLOG: u32 = 65_535;

/// What the end of the grace is kept for: closing, recording and the last lines of the log.
const GOODBYE: Duration = Duration::from_secs(3);

/// Bytes of replies that the kernel takes for each connection, which it doubles. Left to itself it takes some MiB of what
/// nobody reads.
const SEND_BUFFER: u32 = 256 << 10;

/// Bytes of a reply that the kernel takes before the network has room for them. What it takes of a reply that nobody reads
/// is copied for nothing, and a thousand such connections had everybody else wait for a second.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 << 10;

/// What a program gets from its shell.
pub(super) struct Shell {
    /// Resolves when the server is to end.
    pub(super) ending: oneshot::Receiver<()>,
    /// How many lines the log has lost.
    pub(super) lost_lines: Arc<AtomicU64>,
}

/// Runs a program to its end, with its log. From here on a signal means an orderly stop, also while it starts; a second
/// one ends it at once.
///
/// # Errors
/// Why it could not start, what went wrong at its end, or the second signal.
pub(super) fn run<F: Future<Output = Result<(), Failure>>>(
    program: &'static str,
    log: &Log,
    output: Output,
    start: impl FnOnce(Shell) -> F,
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
    let telemetry_guard = telemetry::init(&telemetry).map_err(not_logged)?;
    private_logs::tighten(log.dir.as_deref(), program);
    std::panic::set_hook(Box::new(log_panic));
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen();
        let (order, ending) = oneshot::channel();
        let mut work = pin!(start(Shell { ending, lost_lines: Arc::clone(&telemetry_guard.lost) }));
        tokio::select! {
            ended = &mut work => return ended,
            _ = signals.next() => {}
        }
        // Work that does not wait for it is about to end by itself.
        let _ = order.send(());
        tokio::select! {
            ended = work => ended,
            second = signals.next() => Err(at_once(second)),
        }
    });
    // Whatever still runs on it is not waited for.
    runtime.shutdown_background();
    ended
}

fn not_logged(error: TelemetryError) -> Failure {
    let is_file = matches!(error, TelemetryError::File { .. });
    let failure = stop(Exit::CannotCreate, error);
    if is_file { failure.with_hint(private_logs::LOG_DIR) } else { failure }
}

/// A panic is a line of the log like others: what the standard library prints would wait for a reader of stderr. What
/// was formatted into its text may be anything, so that is left out.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let text = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    tracing::error!(place, text, "a defect of this program: please report it");
}

/// A runtime of as many threads as the machine has processors.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| stop(Exit::Internal, format!("cannot start the runtime: {error}")))
}

/// The limits of connections: as configured, and below what this process may open beside `stores` descriptors.
///
/// # Errors
/// More connections are asked for than there can be.
pub(super) fn limits(server: &Server, stores: u64) -> Result<Limits, Failure> {
    Ok(Limits {
        connections: descriptors::connections(server.max_connections, descriptors::raise(), stores)?,
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        write_timeout: server.write_timeout,
    })
}

/// Listens; answers where.
pub(super) fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listen = || {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that is started again need not wait for the connections of the one before.
        socket.set_reuseaddr(true)?;
        // Accepted connections inherit it: what a client does not read costs no more of the kernel's memory.
        socket.set_send_buffer_size(SEND_BUFFER)?;
        #[cfg(target_os = "linux")]
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
        socket.bind(addr)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    listen().map_err(|error: std::io::Error| stop(Exit::Io, format!("cannot listen on {addr}: {error}")))
}

/// The line that scripts wait for.
pub(super) fn announce(output: Output, addr: SocketAddr) -> Result<(), Failure> {
    tell(output, &format!("listening on http://{addr}"))?;
    tracing::info!(%addr, "listening");
    Ok(())
}

/// Writes a line on standard output. If nobody reads that, the server goes on, and its log says what is missing.
pub(super) fn tell(output: Output, line: &str) -> Result<(), Failure> {
    if !output.data_if_read(line)? {
        tracing::warn!("nobody reads standard output: a line that scripts wait for was not written");
    }
    Ok(())
}

/// How a server takes connections and ends.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The limits of its connections.
    pub limits: Limits,
    /// Where they are counted.
    pub metrics: ConnectionMetrics,
    /// How long what is under way may go on after the order to end.
    pub grace: Duration,
}

/// Serves on this listener until `shutdown`. Then requests may end within the grace, and with what they leave of it
/// `drain` ends the rest: before those that still wait are cut off, so that who waits for what it ends is told, and once
/// more after them. `what` names all of that in the log.
///
/// # Errors
/// Those of `drain`, or that the server ended by itself.
pub(super) async fn serve<D: Future<Output = Result<(), Failure>> + Send>(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    serving: Serving,
    what: &str,
    drain: impl Fn(Duration) -> D,
) -> Result<(), Failure> {
    let Serving { limits, metrics, grace } = serving;
    let connections = Arc::new(Connections::new(limits, metrics));
    let mut accepting = tokio::spawn(Arc::clone(&connections).accept(listener, router));
    let mut watching = tokio::spawn(Arc::clone(&connections).watch());
    // Neither ends but by a defect, and then nobody is served as promised.
    let defect = tokio::select! {
        () = shutdown => None,
        ended = &mut accepting => ended.err(),
        ended = &mut watching => ended.err(),
    };
    tracing::info!("stopping: {what} may end");
    let deadline = Instant::now() + grace;
    accepting.abort();
    if !accepting.is_finished() {
        // Its end closes the listener; that it was stopped is known.
        let _ = accepting.await;
    }
    // A supervisor may count the same grace, so what is left to do after it is part of it.
    let all_done = connections.drain(deadline - GOODBYE.min(grace / 10)).await;
    let left = deadline.saturating_duration_since(Instant::now());
    let drained = drain(if all_done { left } else { left / 2 }).await;
    let cut_off = connections.cut_off().await;
    watching.abort();
    if cut_off > 0 {
        tracing::warn!(requests = cut_off, "requests were cut off at the end of the grace");
    }
    drained?;
    drain(Duration::ZERO).await?;
    match defect {
        Some(defect) => Err(stop(Exit::Internal, format!("the server ended by itself: {defect}"))),
        None => Ok(()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_reads_is_not_copied_into_the_kernel() {
        let (listener, addr) = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let (client, accepted) =
            tokio::join!(tokio::net::TcpStream::connect(addr), async { listener.accept().await.unwrap().0 });
        client.unwrap();
        assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT);
    }
}
