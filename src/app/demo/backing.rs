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
    /// A database of its own on a MySQL server, and a Redis that was empty. Once `made`, everything in them is ours.
    Servers { mysql: Secret, database: String, redis: Secret, made: bool },
}

impl Backing {
    /// What the environment names.
    pub(super) fn of(env: &Env) -> Result<Self, Failure> {
        match (env.get(MYSQL), env.get(REDIS)) {
            (None, None) => Ok(Self::Embedded),
            (Some(mysql), Some(redis)) => Ok(Self::Servers {
                mysql: Secret::new(mysql.trim_end_matches('/')),
                database: format!("qs_demo_{:08x}", fastrand::u32(..)),
                redis: Secret::new(redis),
                made: false,
            }),
            (Some(_), None) => Err(wrong(format!("{REDIS} is required together with {MYSQL}"))),
            (None, Some(_)) => Err(wrong(format!("{MYSQL} is required together with {REDIS}"))),
        }
    }

    /// Makes the database.
    pub(super) async fn make(&mut self) -> Result<(), Failure> {
        let Self::Servers { mysql, database, redis, made } = self else { return Ok(()) };
        let mut connection = connect(redis).await?;
        let keys: i64 =
            redis::cmd("DBSIZE").query_async(&mut connection).await.map_err(|e| unreachable(REDIS, &e))?;
        if keys > 0 {
            let hint = "name an empty one, such as redis://HOST/15";
            return Err(wrong(format!("{REDIS}: that database holds {keys} keys; {hint}")));
        }
        *made = true;
        administer(mysql, &format!("create database {database}")).await
    }

    /// What is told about it.
    pub(super) fn describe(&self, dir: &Path) -> String {
        match self {
            Self::Embedded => format!("embedded data in {}", dir.display()),
            Self::Servers { database, .. } => {
                format!("the database {database} on MySQL and counters in Redis")
            }
        }
    }

    /// Tells the server where its data is.
    pub(super) fn apply(&self, server: &mut Command, dir: &Path) {
        match self {
            Self::Embedded => {
                server.env("QS_DATABASE__URL", format!("sqlite:{}", dir.join("qs.db").display()));
            }
            Self::Servers { mysql, database, redis, .. } => {
                server.env("QS_DATABASE__URL", format!("{}/{database}", mysql.expose()));
                server.env("QS_REDIS__URL", redis.expose());
            }
        }
    }

    /// Removes what was written into servers, and tells of whatever is left; files go with their directory.
    pub(super) async fn remove(&self) -> Result<(), Failure> {
        let Self::Servers { mysql, database, redis, made: true } = self else { return Ok(()) };
        let dropped = administer(mysql, &format!("drop database if exists {database}")).await.err();
        let flushed = flush(redis).await.err();
        let wrong: Vec<String> = [dropped, flushed].into_iter().flatten().map(|one| one.message).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let message = format!("the demonstration's data could not be removed: {}", wrong.join("; "));
        let hint = format!("drop the database {database} and empty the one of {REDIS}");
        Err(Failure::new(Exit::Io, message).with_hint(hint))
    }
}

/// It was empty before, so everything in it is ours.
async fn flush(redis: &Secret) -> Result<(), Failure> {
    let mut connection = connect(redis).await?;
    let flushed: Result<String, _> = redis::cmd("FLUSHDB").query_async(&mut connection).await;
    flushed.map(drop).map_err(|error| unreachable(REDIS, &error))
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
    done.map(drop).map_err(|error| unreachable(MYSQL, &error))
}

fn wrong(message: String) -> Failure {
    Failure::new(Exit::Config, message)
}

fn unreachable(variable: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Io, format!("{variable}: {error}"))
}
