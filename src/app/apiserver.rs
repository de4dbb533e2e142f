//! Puts `qs-apiserver` together and runs it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::identity::Callers;
use super::secrets::Secrets;
pub use super::server::Serving;
use super::server::{self, Shell};
use super::stop;
use super::stores::{self, Stores};
use crate::business::due_tasks::DueTasks;
use crate::business::housekeeper::{Cleaned, Housekeeper, Retention};
use crate::business::organisations::Organisations;
use crate::business::plan::Plans;
use crate::business::readiness::StoreReadiness;
use crate::business::statistics::Statistics;
use crate::business::sync_run::SyncRuns;
use crate::cli::apiserver::PROGRAM;
use crate::cli::output::{Failure, Output};
use crate::cli::server::migrated;
use crate::clock::periodic::drive;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Env;
use crate::config::apiserver::ApiserverConfig;
use crate::config::auth::RateLimit;
use crate::domain::entry::EntryBase;
use crate::domain::exit::Exit;
use crate::files;
use crate::http::business::{self as routes, Api};
use crate::http::edge::{BodyRoom, Edge, RateLimiter};
use crate::metrics::sync::SyncMetrics;
use crate::metrics::{self, Metrics};

/// How long the last events may take to be written, after the requests that brought them were cut off.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// Housekeeping is done at least this often.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Serves until SIGTERM, SIGINT or SIGHUP.
///
/// # Errors
/// Why it could not start, or what went wrong at its end.
pub fn run(config: &ApiserverConfig, env: &Env, output: Output) -> Result<(), Failure> {
    server::run(PROGRAM, &config.log, output, |shell| start(config, env, output, shell))
}

/// Takes the schema changes that are missing; with `check`, only says how many there are, and fails if there are any.
///
/// # Errors
/// When the database cannot be opened or changed.
pub fn migrate(config: &ApiserverConfig, check: bool, env: &Env, output: Output) -> Result<(), Failure> {
    files::only_for_owner();
    let (secrets, runtime) = (Secrets::new(env), server::runtime()?);
    let missing = if check {
        runtime.block_on(stores::check(config, &secrets))?
    } else {
        runtime.block_on(stores::migrate(config, &secrets))?
    };
    migrated(missing, check, output)
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
    serving: Serving,
) -> Result<(), Failure> {
    let cut_off = Arc::<AtomicUsize>::default();
    let drain = |left| {
        let (runs, cut_off) = (Arc::clone(&runs), Arc::clone(&cut_off));
        async move {
            let cut = runs.drain(left).await.map_err(|error| stop(Exit::Io, error))?;
            cut_off.fetch_add(cut, Ordering::Relaxed);
            Ok(())
        }
    };
    server::serve(listener, router, shutdown, serving, "requests and syncs", drain).await?;
    tracing::info!(syncs_cut_off = cut_off.load(Ordering::Relaxed), "stopped");
    Ok(())
}

async fn start(config: &ApiserverConfig, env: &Env, output: Output, shell: Shell) -> Result<(), Failure> {
    let limits = server::limits(&config.server, stores::descriptors(&config.database))?;
    let (clock, secrets): (SharedClock, _) = (Arc::new(SystemClock), Secrets::new(env));
    let mut callers = Callers::new(config, &secrets, &clock)?;
    let generated = callers.generated.take();
    let stores = Box::pin(stores::open(config, &secrets)).await?;
    let (listener, addr) = server::listen(config.server.addr)?;
    let api = compose(config, &clock, &stores, callers, addr, shell.lost_lines);
    let (runs, counters) = (Arc::clone(&api.runs), Arc::clone(&stores.counters));
    let retention = Retention { records: config.sync.keep_records, events: config.sync.remember_events };
    let housekeeper = Housekeeper::new(Arc::clone(&stores.store), counters, Arc::clone(&runs), retention);
    // The lines that scripts wait for.
    if let Some(password) = generated {
        let username = &config.dev_iam.username;
        server::tell(output, &format!("dev-iam username={username} password={}", password.expose()))?;
    }
    server::announce(output, addr)?;
    // A lease that has run out is noticed one lease later at most: the record of a killed server's sync does not say
    // for long that it is running.
    let every = HOUSEKEEPING.min(config.sync.lease);
    let housekeeping = tokio::spawn(drive(housekeeper, clock, every, log_housekeeping));
    let serving = Serving {
        limits,
        metrics: api.edge.metrics.connections.clone(),
        grace: config.server.shutdown_grace,
    };
    // An order to end, or the end of whoever could give one.
    let ending = async { drop(shell.ending.await) };
    let ended = serve(listener, routes::router(api), runs, ending, serving).await;
    housekeeping.abort();
    // Events of requests that were cut off may still wait for their turn: what was accepted is counted.
    if timeout(LAST_EVENTS, stores.counters.settle()).await.is_err() {
        tracing::warn!("events of requests that were cut off are not counted: the database took too long");
    }
    stores.db.close().await;
    ended
}

/// Services and the state of the routes.
fn compose(
    config: &ApiserverConfig,
    clock: &SharedClock,
    stores: &Stores,
    callers: Callers,
    addr: SocketAddr,
    lost_lines: Arc<AtomicU64>,
) -> Api {
    let (store, counters) = (Arc::clone(&stores.store), Arc::clone(&stores.counters));
    let mut registry = metrics::registry();
    metrics::log::register(&mut registry, lost_lines);
    let syncs = SyncMetrics::new(&mut registry);
    let runs = SyncRuns::new(
        Arc::clone(&store),
        Organisations::new(Arc::clone(&store), Arc::clone(&counters)),
        Arc::clone(clock),
        config.sync.lease,
        Box::new(move |run| syncs.ended(run)),
    );
    let runs = Arc::new(runs.concurrent(config.sync.concurrent));
    let statistics = Statistics::new(
        Arc::clone(&store),
        Arc::clone(&counters),
        Arc::clone(&runs),
        Arc::clone(clock),
        config.server.business_zone(),
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
        limiter: limiter(&config.rate_limit),
        metrics: Metrics::new(registry),
        readiness: Box::new(StoreReadiness::new(Arc::clone(&store), counters)),
        open: config.server.addr.ip().is_loopback(),
        request_timeout: config.server.request_timeout,
        body_timeout: config.server.body_timeout,
        bodies: BodyRoom::default(),
        max_body: usize::try_from(config.server.max_body.0).unwrap_or(usize::MAX),
    };
    Api {
        statistics: Arc::new(statistics),
        plans: Arc::new(Plans::new(store, Arc::clone(clock), config.server.business_zone())),
        due_tasks: Arc::new(due_tasks),
        runs,
        dev_iam: callers.dev_iam,
        edge: Arc::new(edge),
    }
}

fn limiter(limits: &RateLimit) -> RateLimiter {
    let common = RateLimiter::new(limits.per_second, limits.burst)
        .intake(limits.intake_per_second, limits.intake_burst);
    limits
        .accounts
        .iter()
        .fold(common, |limiter, account| limiter.account(&account.subject, account.per_second, account.burst))
}

/// Where testees go: as configured; with the development IAM, to this server.
fn entry_base(config: &ApiserverConfig, addr: SocketAddr) -> Option<EntryBase> {
    let here = config.dev_iam.enabled.then(|| format!("http://{addr}/entry"));
    // What is configured was checked at the start, and the address of a listener makes a URL.
    EntryBase::new(&config.plan.entry_base_url.clone().or(here)?).ok()
}

fn log_housekeeping(outcome: Result<Cleaned, String>) {
    match outcome {
        Ok(cleaned) if cleaned.abandoned > 0 => {
            tracing::warn!(syncs = cleaned.abandoned, "syncs that nobody carries on are recorded as failed");
        }
        Ok(cleaned) => tracing::debug!(?cleaned, "housekeeping is done"),
        Err(error) => tracing::error!(error, "housekeeping failed"),
    }
}
