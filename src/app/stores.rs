//! The stores that the configuration names: opened, brought up to date, behind their ports.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::secrets::Secrets;
use super::stop;
use crate::cli::output::Failure;
use crate::config::apiserver::ApiserverConfig;
use crate::config::server::Database;
use crate::counters::Counters;
use crate::counters::embedded::EmbeddedCounters;
use crate::counters::redis::RedisCounters;
use crate::domain::exit::Exit;
use crate::files::{self, is_root};
use crate::secret::Secret;
use crate::sql::{Address, ConnectError, DatabaseKind, Db, MigrationError};
use crate::store::business::Store;
use crate::store::business::sql::SqlStore;

/// What the services work on.
pub(super) struct Stores {
    pub(super) db: Db,
    pub(super) store: Arc<dyn Store>,
    pub(super) counters: Arc<dyn Counters>,
}

/// Descriptors that the stores may have open: a connection to SQLite has the database, its log and its index.
pub(super) fn descriptors(database: &Database) -> u64 {
    u64::from(database.connections) * 4
}

/// Opens both; takes missing schema changes first if the configuration says so.
pub(super) async fn open(config: &ApiserverConfig, secrets: &Secrets) -> Result<Stores, Failure> {
    let db = connect(config, secrets).await?;
    let redis = redis_url(config, secrets)?;
    if db.kind() == DatabaseKind::MySql && redis.is_none() {
        let message =
            "redis.url: is required with a database on MySQL, because embedded counters live in SQLite";
        return Err(stop(Exit::Config, message));
    }
    if config.database.migrate {
        migrate_tables(&db, redis.is_none()).await?;
    }
    let zone = database_zone(config, db.kind());
    let store = SqlStore::open(db.clone(), zone.clone()).await.map_err(unusable)?;
    store.remember_zones(&config.server.business_zone(), &zone).await;
    let counters: Arc<dyn Counters> = match redis {
        Some(url) => {
            let connected = RedisCounters::connect(&url, config.sync.remember_events).await;
            Arc::new(connected.map_err(|error| stop(Exit::Io, format!("redis.url: {error}")))?)
        }
        None => Arc::new(EmbeddedCounters::open(db.clone()).await.map_err(unusable)?),
    };
    Ok(Stores { db, store: Arc::new(store), counters })
}

/// Takes the schema changes that are missing, and says how many there were.
pub(super) async fn migrate(config: &ApiserverConfig, secrets: &Secrets) -> Result<usize, Failure> {
    let embedded = redis_url(config, secrets)?.is_none();
    let db = connect(config, secrets).await?;
    let embedded = embedded && db.kind() == DatabaseKind::Sqlite;
    let missing = missing(&db, embedded).await?;
    migrate_tables(&db, embedded).await?;
    db.close().await;
    Ok(missing)
}

/// Says how many schema changes are missing. Only looks: what is not there stays away.
pub(super) async fn check(config: &ApiserverConfig, secrets: &Secrets) -> Result<usize, Failure> {
    let embedded = redis_url(config, secrets)?.is_none();
    let address = address(config, secrets)?;
    let Some(db) = Db::look(&address).await.map_err(not_opened)? else {
        let counters = if embedded { EmbeddedCounters::every_change() } else { 0 };
        return Ok(SqlStore::every_change() + counters);
    };
    let missing = missing(&db, embedded && db.kind() == DatabaseKind::Sqlite).await;
    db.close().await;
    missing
}

async fn missing(db: &Db, embedded: bool) -> Result<usize, Failure> {
    let mut missing = SqlStore::pending(db).await.map_err(unusable)?;
    if embedded {
        missing += EmbeddedCounters::pending(db).await.map_err(unusable)?;
    }
    Ok(missing)
}

async fn migrate_tables(db: &Db, embedded: bool) -> Result<(), Failure> {
    SqlStore::migrate(db).await.map_err(unusable)?;
    if embedded {
        EmbeddedCounters::migrate(db).await.map_err(unusable)?;
    }
    Ok(())
}

fn unusable(error: MigrationError) -> Failure {
    let hint = "run `qs-apiserver migrate`, or set database.migrate to true";
    match error {
        MigrationError::Newer { .. } | MigrationError::Changed { .. } | MigrationError::Unfinished { .. } => {
            stop(Exit::Config, error)
        }
        MigrationError::Pending { .. } => stop(Exit::Config, format!("{error}: {hint}")),
        MigrationError::Failed(_) | MigrationError::Database(_) => stop(Exit::Io, error),
    }
}

async fn connect(config: &ApiserverConfig, secrets: &Secrets) -> Result<Db, Failure> {
    let address = address(config, secrets)?;
    if let Address::File(file) = &address {
        let dir = files::parent(file);
        files::create_dir(dir, files::PRIVATE_DIR)
            .map_err(|error| stop(Exit::CannotCreate, format!("cannot create {}: {error}", dir.display())))?;
    }
    Db::connect(&address, config.database.connections).await.map_err(not_opened)
}

fn not_opened(error: ConnectError) -> Failure {
    match error {
        ConnectError::Unreachable { .. } => stop(Exit::Io, error),
        ConnectError::Scheme | ConnectError::Url => stop(Exit::Config, format!("database.url: {error}")),
    }
}

fn address(config: &ApiserverConfig, secrets: &Secrets) -> Result<Address, Failure> {
    let section = &config.database;
    let url = secrets.read(section.url.as_ref(), "database.url_file", section.url_file.as_deref())?;
    let Some(url) = url else { return default_file().map(Address::File) };
    secrets.check_key(&url)?;
    Ok(Address::Url(url))
}

fn redis_url(config: &ApiserverConfig, secrets: &Secrets) -> Result<Option<Secret>, Failure> {
    secrets.read(config.redis.url.as_ref(), "redis.url_file", config.redis.url_file.as_deref())
}

/// The zone of the `DATETIME` columns: an existing MySQL database shows the wall clock of its business.
fn database_zone(config: &ApiserverConfig, kind: DatabaseKind) -> TimeZone {
    match (&config.database.timezone, kind) {
        (Some(zone), _) => zone.0.clone(),
        (None, DatabaseKind::Sqlite) => TimeZone::UTC,
        (None, DatabaseKind::MySql) => config.server.business_zone(),
    }
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
    Ok(dir.join("qs-apiserver.db"))
}
