//! Where the data of the demonstration lives: embedded in its directory, or on two servers that the environment names.

use std::path::Path;

use tokio::process::Command;

use crate::cli::output::{Failure, Output};
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

/// The database, and what was written into Redis. [`Backing::remove`] is their end; whoever never comes to it removes
/// them by dropping this.
pub(super) struct Servers {
    server: Secret,
    database: String,
    redis: Secret,
    output: Output,
    /// Their end was reached, well or not.
    ended: bool,
}

impl Backing {
    /// Looks at the environment; makes the database if servers are named.
    pub(super) async fn of(env: &Env, output: Output) -> Result<Self, Failure> {
        match (env.get(MYSQL), env.get(REDIS)) {
            (None, None) => Ok(Self::Embedded),
            (Some(mysql), Some(redis)) => Servers::make(mysql, redis, output).await.map(Self::Servers),
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
                let Servers { server: mysql, database, redis, .. } = servers;
                server.env("QS_DATABASE__URL", format!("{}/{database}", mysql.expose()));
                server.env("QS_REDIS__URL", redis.expose());
            }
        }
    }

    /// Removes what was written into servers; files go with their directory.
    pub(super) async fn remove(&mut self) -> Result<(), Failure> {
        let Self::Servers(servers) = self else { return Ok(()) };
        let removed = servers.remove().await;
        servers.ended = true;
        removed
    }
}

impl Servers {
    async fn make(mysql: &str, redis: &str, output: Output) -> Result<Self, Failure> {
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
        Ok(Self { server, database, redis, output, ended: false })
    }

    /// Tries both, and tells of whatever is left.
    async fn remove(&self) -> Result<(), Failure> {
        let dropped =
            administer(&self.server, &format!("drop database if exists {}", self.database)).await.err();
        let flushed = flush(&self.redis).await.err();
        let wrong: Vec<String> = [dropped, flushed].into_iter().flatten().map(|one| one.message).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let message = format!("the demonstration's data could not be removed: {}", wrong.join("; "));
        let hint = format!("drop the database {} and empty the one of {REDIS}", self.database);
        Err(Failure::new(Exit::Io, message).with_hint(hint))
    }
}

/// It was empty before, so everything in it is ours.
async fn flush(redis: &Secret) -> Result<(), Failure> {
    let mut connection = connect(redis).await?;
    let flushed: Result<String, _> = redis::cmd("FLUSHDB").query_async(&mut connection).await;
    flushed.map(|_| ()).map_err(|error| unreachable(REDIS, &error))
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
        if self.ended {
            return;
        }
        // The demonstration was stopped or broke down. A drop cannot wait, so the waiting is done elsewhere.
        let removed = std::thread::scope(|scope| {
            let removal = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
                runtime.block_on(self.remove())
            });
            removal
                .join()
                .unwrap_or_else(|_| Err(Failure::new(Exit::Internal, "a defect stopped the removal")))
        });
        // It has a reason to end already; this is said beside it.
        if let Err(failure) = removed {
            self.output.failure(&failure);
        }
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Exit::Config, message)
}

fn unreachable(variable: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Io, format!("{variable}: {error}"))
}
