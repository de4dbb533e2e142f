//! Puts `qs-apiserver` together and runs it.

use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::tz::TimeZone;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;

use crate::business::readiness::Readiness;
use crate::business::statistics::Statistics;
use crate::business::sync_run::{RecordError, SyncRuns};
use crate::cli::output::{Failure, Output};
use crate::clock::{SharedClock, SystemClock};
use crate::config::apiserver::{ApiserverConfig, LogLevel, LogShape};
use crate::counters::{Counters, CountersError, embedded::EmbeddedCounters};
use crate::domain::exit::Exit;
use crate::http::{self, Api};
use crate::identity::dev_iam::{Account, DevIam, generate_password};
use crate::identity::{Rules, Verifier};
use crate::secret::Secret;
use crate::store::{Store, StoreError, sqlite::SqliteStore};
use crate::telemetry::{self, Telemetry};

/// Connections to the embedded database: one writes at a time, the others read.
const CONNECTIONS: u32 = 8;

/// How long a write waits for another one.
const BUSY: Duration = Duration::from_secs(10);

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

fn stop(exit: Exit, message: impl std::fmt::Display) -> Failure {
    Failure::new(exit, message.to_string())
}

/// Serves on this listener until `shutdown`, then gives requests and syncs the grace to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    runs: Arc<SyncRuns>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> Result<(), RecordError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // An order to stop, or the end of whoever could give one: both mean stop.
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());
    shutdown.await;
    tracing::info!("stopping: requests and syncs may end");
    let deadline = Instant::now() + grace;
    // A server that has ended by itself needs no order.
    let _ = stop.send(());
    if tokio::time::timeout_at(deadline, server).await.is_err() {
        tracing::warn!("requests were cut off at the end of the grace");
    }
    let cut = runs.drain(deadline.saturating_duration_since(Instant::now())).await?;
    tracing::info!(syncs_cut_off = cut, "stopped");
    Ok(())
}

async fn start(config: &ApiserverConfig, output: Output) -> Result<(), Failure> {
    // From here on a signal means an orderly stop, also while starting.
    let shutdown = Signals::listen()?;
    let clock: SharedClock = Arc::new(SystemClock);
    let (dev_iam, generated) = dev_iam(config, &clock)?;
    let pool = open(config).await?;
    let (api, runs) = compose(config, &clock, &pool, dev_iam).await?;
    let lost = runs.recover().await.map_err(|error| stop(Exit::Io, error))?;
    if lost > 0 {
        tracing::warn!(syncs = lost, "syncs of a server that was killed are recorded as failed");
    }
    let listener = TcpListener::bind(config.server.addr).await;
    let cannot = |error| stop(Exit::Io, format!("cannot listen on {}: {error}", config.server.addr));
    let listener = listener.map_err(cannot)?;
    let addr = listener.local_addr().map_err(cannot)?;
    announce(output, &config.dev_iam.username, generated.as_ref(), addr)?;
    tracing::info!(%addr, "listening");
    let ended = serve(listener, http::router(api), runs, shutdown.any(), config.server.shutdown_grace).await;
    pool.close().await;
    ended.map_err(|error| stop(Exit::Io, error))
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

/// Adapters, services, state of the routes.
async fn compose(
    config: &ApiserverConfig,
    clock: &SharedClock,
    pool: &SqlitePool,
    dev_iam: Arc<DevIam>,
) -> Result<(Api, Arc<SyncRuns>), Failure> {
    let store = SqliteStore::open(pool.clone()).await.map_err(|error| match error {
        StoreError::NewerSchema { .. } => stop(Exit::Config, error),
        _ => stop(Exit::Io, error),
    })?;
    let counters = EmbeddedCounters::open(pool.clone()).await.map_err(|error| match error {
        CountersError::NewerSchema { .. } => stop(Exit::Config, error),
        _ => stop(Exit::Io, error),
    })?;
    let store: Arc<dyn Store> = Arc::new(store);
    let counters: Arc<dyn Counters> = Arc::new(counters);
    let zone = config.server.timezone.clone().map_or_else(TimeZone::system, |zone| zone.0);
    let runs = Arc::new(SyncRuns::new(Arc::clone(&store), Arc::clone(clock)));
    let statistics = Statistics::new(
        Arc::clone(&store),
        Arc::clone(&counters),
        Arc::clone(&runs),
        Arc::clone(clock),
        zone,
    );
    let api = Api {
        statistics: Arc::new(statistics),
        runs: Arc::clone(&runs),
        readiness: Readiness::new(store, counters),
        verifier: Verifier::new(dev_iam.key(), rules(config), Arc::clone(clock)),
        dev_iam: Some(dev_iam),
        request_timeout: config.server.request_timeout,
        max_body: usize::try_from(config.server.max_body.0).unwrap_or(usize::MAX),
    };
    Ok((api, runs))
}

/// The IAM for development, and its password if it was generated.
fn dev_iam(config: &ApiserverConfig, clock: &SharedClock) -> Result<(Arc<DevIam>, Option<Secret>), Failure> {
    let section = &config.dev_iam;
    let internal = |error| stop(Exit::Internal, error);
    let (password, generated) = match (&section.password, &section.password_file) {
        (Some(password), _) => (password.0.clone(), None),
        (None, Some(path)) => (read_password(path)?, None),
        (None, None) => {
            let password = generate_password().map_err(internal)?;
            (password.clone(), Some(password))
        }
    };
    let account = Account {
        username: section.username.clone(),
        password,
        ttl: section.ttl,
        lockout_threshold: section.lockout_threshold,
        lockout_duration: section.lockout_duration,
    };
    let iam = DevIam::new(account, rules(config), Arc::clone(clock)).map_err(internal)?;
    Ok((Arc::new(iam), generated))
}

/// The file's text without the newline that editors add.
fn read_password(path: &std::path::Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        stop(Exit::NoInput, format!("dev_iam.password_file: cannot read {}: {error}", path.display()))
    })?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        let message = format!("dev_iam.password_file: {} is empty", path.display());
        return Err(stop(Exit::Config, message));
    }
    Ok(Secret::new(password))
}

fn rules(config: &ApiserverConfig) -> Rules {
    Rules {
        issuer: config.auth.issuer.clone(),
        audience: config.auth.audience.clone(),
        leeway: config.auth.leeway,
    }
}

/// The one pool that every adapter on this database shares.
async fn open(config: &ApiserverConfig) -> Result<SqlitePool, Failure> {
    let options = match &config.database.url {
        Some(url) => {
            let url = url.0.expose();
            if !url.starts_with("sqlite:") {
                return Err(stop(Exit::Config, "database.url: expected a URL that begins with sqlite:"));
            }
            SqliteConnectOptions::from_str(url)
                .map_err(|error| stop(Exit::Config, format!("database.url: {error}")))?
        }
        None => SqliteConnectOptions::new().filename(default_file()?),
    };
    let path = options.get_filename().to_owned();
    let options = options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).busy_timeout(BUSY);
    SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(BUSY)
        .connect_with(options)
        .await
        .map_err(|error| stop(Exit::Io, format!("cannot open the database {}: {error}", path.display())))
}

/// The database of a server that was told of none.
fn default_file() -> Result<PathBuf, Failure> {
    let user = directories::ProjectDirs::from("", "", "qs-scheduler");
    let dir = if is_root() {
        PathBuf::from("/var/lib/qs-scheduler")
    } else if let Some(dir) = user.as_ref().and_then(|dirs| dirs.state_dir()) {
        dir.to_owned()
    } else {
        return Err(stop(Exit::Config, "database.url: is required, since this user has no home directory"));
    };
    std::fs::create_dir_all(&dir)
        .map_err(|error| stop(Exit::CannotCreate, format!("cannot create {}: {error}", dir.display())))?;
    Ok(dir.join("qs-apiserver.db"))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
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
