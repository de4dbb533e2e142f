//! Puts `qs-apiserver` together and runs it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;

use super::identity::Callers;
use super::stop;
use super::stores::{self, Stores};
use crate::business::due_tasks::DueTasks;
use crate::business::housekeeper::{Cleaned, Housekeeper, Retention};
use crate::business::organisations::Organisations;
use crate::business::plan::Plans;
use crate::business::readiness::Readiness;
use crate::business::statistics::Statistics;
use crate::business::sync_run::SyncRuns;
use crate::cli::output::{Failure, Output};
use crate::clock::periodic::drive;
use crate::clock::{SharedClock, SystemClock};
use crate::config::apiserver::{ApiserverConfig, LogLevel, LogShape};
use crate::domain::entry::EntryBase;
use crate::domain::exit::Exit;
use crate::http::business::{self as routes, Api};
use crate::http::edge::{Edge, RateLimiter};
use crate::metrics::sync::SyncMetrics;
use crate::metrics::{self, Metrics};
use crate::secret::Secret;
use crate::telemetry::{self, Telemetry};

/// How often the house is kept at least.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Why it could not start, or what went wrong at its end.
pub fn run(config: &ApiserverConfig, output: Output) -> Result<(), Failure> {
    let telemetry = Telemetry {
        program: "qs-apiserver",
        level: level(config.log.level),
        json: config.log.format == LogShape::Json,
        color: output.colour,
        dir: config.log.dir.clone(),
    };
    let _guard = telemetry::init(&telemetry).map_err(|error| stop(Exit::CannotCreate, error))?;
    runtime()?.block_on(start(config, output))
}

/// Takes the schema changes that are missing; with `check`, only says how many there are, and fails if there are any.
///
/// # Errors
/// When the database cannot be opened or changed.
pub fn migrate(config: &ApiserverConfig, check: bool, output: Output) -> Result<(), Failure> {
    let pending = runtime()?.block_on(stores::migrate(config, check))?;
    match (pending, check) {
        (0, _) => output.data("the schema is current"),
        (steps, true) => Err(stop(Exit::Failed, format!("the database lacks {steps} schema changes"))),
        (steps, false) => output.data(&format!("{steps} schema changes were made; the schema is current")),
    }
}

/// Prints the OpenAPI document.
///
/// # Errors
/// When nobody reads it.
pub fn openapi(output: Output) -> Result<(), Failure> {
    output.json(&routes::document())
}

/// Serves on this listener until `shutdown`, then gives requests and syncs the grace to end.
///
/// # Errors
/// When a sync that was cut off could not be recorded, or the server ended by itself.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    runs: Arc<SyncRuns>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> Result<(), Failure> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // An order to stop, or the end of whoever could give one: both mean stop.
        let _ = stopped.await;
    });
    let mut server = tokio::spawn(server.into_future());
    // A server that ends by itself leaves nobody to be served, so that is an end as well.
    let early = tokio::select! {
        () = shutdown => None,
        ended = &mut server => Some(ended),
    };
    tracing::info!("stopping: requests and syncs may end");
    let deadline = Instant::now() + grace;
    // A server that has ended by itself needs no order.
    let _ = stop.send(());
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
    let cut = runs.drain(deadline.saturating_duration_since(Instant::now())).await;
    tracing::info!(syncs_cut_off = cut.map_err(|error| super::stop(Exit::Io, error))?, "stopped");
    if by_itself {
        return Err(super::stop(Exit::Internal, "the server ended by itself; the log says why"));
    }
    Ok(())
}

async fn start(config: &ApiserverConfig, output: Output) -> Result<(), Failure> {
    // From here on a signal means an orderly stop, also while starting.
    let shutdown = Signals::listen()?;
    let clock: SharedClock = Arc::new(SystemClock);
    let mut callers = Callers::new(config, &clock)?;
    let generated = callers.generated.take();
    let stores = stores::open(config).await?;
    let listener = TcpListener::bind(config.server.addr).await;
    let cannot = |error| stop(Exit::Io, format!("cannot listen on {}: {error}", config.server.addr));
    let listener = listener.map_err(cannot)?;
    let addr = listener.local_addr().map_err(cannot)?;
    let (api, runs) = compose(config, &clock, &stores, callers, addr);
    let housekeeper = housekeeper(config, &stores, &runs);
    announce(output, &config.dev_iam.username, generated.as_ref(), addr)?;
    tracing::info!(%addr, "listening");
    // A lease that has run out is noticed one lease later at most: the record of a killed server's sync does not say
    // for long that it is running.
    let every = HOUSEKEEPING.min(config.sync.lease);
    let housekeeping = tokio::spawn(drive(housekeeper, clock, every, log_housekeeping));
    let ended =
        serve(listener, routes::router(api), runs, shutdown.any(), config.server.shutdown_grace).await;
    housekeeping.abort();
    stores.db.close().await;
    ended
}

/// The lines that scripts wait for.
fn announce(
    output: Output,
    username: &str,
    generated: Option<&Secret>,
    addr: SocketAddr,
) -> Result<(), Failure> {
    if let Some(password) = generated {
        output.data(&format!("dev-iam username={username} password={}", password.expose()))?;
    }
    output.data(&format!("listening on http://{addr}"))
}

/// Services and the state of the routes.
fn compose(
    config: &ApiserverConfig,
    clock: &SharedClock,
    stores: &Stores,
    callers: Callers,
    addr: SocketAddr,
) -> (Api, Arc<SyncRuns>) {
    let (store, counters) = (Arc::clone(&stores.store), Arc::clone(&stores.counters));
    let mut registry = metrics::registry();
    let syncs = SyncMetrics::new(&mut registry);
    let runs = Arc::new(SyncRuns::new(
        Arc::clone(&store),
        Organisations::new(Arc::clone(&store), Arc::clone(&counters)),
        Arc::clone(clock),
        config.sync.lease,
        Box::new(move |run| syncs.ended(run)),
    ));
    let statistics = Statistics::new(
        Arc::clone(&store),
        Arc::clone(&counters),
        Arc::clone(&runs),
        Arc::clone(clock),
        business_zone(config),
    );
    let due_tasks = DueTasks::new(
        Arc::clone(&store),
        Arc::clone(&runs),
        Arc::clone(clock),
        entry_base(config, addr),
        config.plan.entry_ttl,
    );
    let edge = Edge {
        verifier: callers.verifier,
        limiter: RateLimiter::new(config.rate_limit.per_second, config.rate_limit.burst),
        metrics: Metrics::new(registry),
        readiness: Box::new(Readiness::new(Arc::clone(&store), counters)),
        open: config.server.addr.ip().is_loopback(),
        request_timeout: config.server.request_timeout,
        max_body: usize::try_from(config.server.max_body.0).unwrap_or(usize::MAX),
    };
    let api = Api {
        statistics: Arc::new(statistics),
        plans: Arc::new(Plans::new(store, Arc::clone(clock), business_zone(config))),
        due_tasks: Arc::new(due_tasks),
        runs: Arc::clone(&runs),
        dev_iam: callers.dev_iam,
        edge: Arc::new(edge),
    };
    (api, runs)
}

/// Where testees go: as configured; with the development IAM, to this server.
fn entry_base(config: &ApiserverConfig, addr: SocketAddr) -> Option<EntryBase> {
    let here = config.dev_iam.enabled.then(|| format!("http://{addr}/entry"));
    // What is configured was checked at the start, and the address of a listener makes a URL.
    EntryBase::new(&config.plan.entry_base_url.clone().or(here)?).ok()
}

/// The zone whose days are counted.
pub(super) fn business_zone(config: &ApiserverConfig) -> TimeZone {
    config.server.timezone.clone().map_or_else(TimeZone::system, |zone| zone.0)
}

fn housekeeper(config: &ApiserverConfig, stores: &Stores, runs: &Arc<SyncRuns>) -> Housekeeper {
    let retention = Retention { records: config.sync.keep_records, events: config.sync.remember_events };
    let (store, counters) = (Arc::clone(&stores.store), Arc::clone(&stores.counters));
    Housekeeper::new(store, counters, Arc::clone(runs), retention)
}

fn log_housekeeping(outcome: Result<Cleaned, String>) {
    match outcome {
        Ok(cleaned) if cleaned.abandoned > 0 => {
            tracing::warn!(syncs = cleaned.abandoned, "syncs that nobody carries on are recorded as failed");
        }
        Ok(cleaned) => tracing::debug!(kept = ?cleaned, "the house is kept"),
        Err(error) => tracing::error!(error, "the house could not be kept"),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| stop(Exit::Internal, format!("cannot start the runtime: {error}")))
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// The signals that ask for an end.
struct Signals {
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

    async fn any(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
