//! Where the data of the demonstration lives: embedded in its directory, or on two servers that the environment names.

use std::path::Path;

use tokio::process::Command;

use crate::cli::output::Failure;
use crate::config::Env;
use crate::domain::exit::Exit;
use crate::secret::Secret;
use crate::sql::{Address, Db, sql};

/// The variables that name the servers. They are not those of the server's settings: a demonstration must never write
/// into a database that is in use.
const MYSQL: &str = "QS_DEMO_MYSQL_URL";
const REDIS: &str = "QS_DEMO_REDIS_URL";

/// The stores.
pub(super) enum Backing {
    /// A SQLite file in the directory of the demonstration.
    Embedded,
    /// A database of its own on a MySQL server, and a Redis that was empty.
    Servers(Servers),
}

/// Removed when dropped: the database, and what was written into Redis.
pub(super) struct Servers {
    server: Secret,
    database: String,
    redis: Secret,
}

impl Backing {
    /// Looks at the environment; makes the database if servers are named.
    pub(super) async fn of(env: &Env) -> Result<Self, Failure> {
        match (env.get(MYSQL), env.get(REDIS)) {
            (None, None) => Ok(Self::Embedded),
            (Some(mysql), Some(redis)) => Servers::make(mysql, redis).await.map(Self::Servers),
            (Some(_), None) => Err(wrong(format!("{REDIS} is required together with {MYSQL}"))),
            (None, Some(_)) => Err(wrong(format!("{MYSQL} is required together with {REDIS}"))),
        }
    }

    /// What is told about it.
    pub(super) fn describe(&self, dir: &Path) -> String {
        match self {
            Self::Embedded => format!("embedded data in {}", dir.display()),
            Self::Servers(servers) => {
                format!("the database {} on MySQL and counters in Redis", servers.database)
            }
        }
    }

    /// Tells the server where its data is.
    pub(super) fn apply(&self, server: &mut Command, dir: &Path) {
        match self {
            Self::Embedded => {
                server.env("QS_DATABASE__URL", format!("sqlite:{}", dir.join("qs.db").display()));
            }
            Self::Servers(servers) => {
                let Servers { server: mysql, database, redis } = servers;
                server.env("QS_DATABASE__URL", format!("{}/{database}", mysql.expose()));
                server.env("QS_REDIS__URL", redis.expose());
            }
        }
    }
}

impl Servers {
    async fn make(mysql: &str, redis: &str) -> Result<Self, Failure> {
        let (server, redis) = (Secret::new(mysql.trim_end_matches('/')), Secret::new(redis));
        let mut connection = connect(&redis).await?;
        let keys: i64 =
            redis::cmd("DBSIZE").query_async(&mut connection).await.map_err(|e| unreachable(REDIS, &e))?;
        if keys > 0 {
            let hint = "name an empty one, such as redis://HOST/15";
            return Err(wrong(format!("{REDIS}: that database holds {keys} keys; {hint}")));
        }
        let database = format!("qs_demo_{:08x}", fastrand::u32(..));
        administer(&server, &format!("create database {database}")).await?;
        Ok(Self { server, database, redis })
    }

    async fn remove(&self) -> Result<(), Failure> {
        administer(&self.server, &format!("drop database if exists {}", self.database)).await?;
        let mut connection = connect(&self.redis).await?;
        // It was empty before, so everything in it is ours.
        let flushed: Result<String, _> = redis::cmd("FLUSHDB").query_async(&mut connection).await;
        flushed.map(|_| ()).map_err(|error| unreachable(REDIS, &error))
    }
}

async fn connect(redis: &Secret) -> Result<redis::aio::MultiplexedConnection, Failure> {
    let client =
        redis::Client::open(redis.expose()).map_err(|_| wrong(format!("{REDIS}: no URL of Redis")))?;
    client.get_multiplexed_async_connection().await.map_err(|error| unreachable(REDIS, &error))
}

async fn administer(server: &Secret, statement: &str) -> Result<(), Failure> {
    let db = Db::connect(&Address::Url(server.clone()), 2).await;
    let db = db.map_err(|error| unreachable(MYSQL, &error))?;
    let done = db.execute(sql(statement)).await;
    db.close().await;
    done.map(|_| ()).map_err(|error| unreachable(MYSQL, &error))
}

impl Drop for Servers {
    fn drop(&mut self) {
        // A drop cannot wait, so the waiting is done elsewhere; what fails here was told by its error before.
        std::thread::scope(|scope| {
            let removal = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.is_ok_and(|runtime| runtime.block_on(self.remove()).is_ok())
            });
            if !removal.join().unwrap_or(false) {
                tracing::warn!(database = self.database, "the demonstration's data could not be removed");
            }
        });
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Exit::Config, message)
}

fn unreachable(variable: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Io, format!("{variable}: {error}"))
}
