//! Connections of a pool, and the true reason when there is none.
//!
//! The pool of sqlx 0.9 tries a connection that is refused again and again until its time is over, and then says only that
//! it timed out (`PoolInner::connect`). Whoever waited in vain therefore makes one connection past the pool, which tells
//! why; those who waited at the same time share what it was told.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::{ConnectOptions, Connection, Database, Pool, SqlSafeStr, Transaction};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::private::FileIdentity;
use crate::clock::patience::patience;

/// How long the connection past the pool may take.
const ASKED: Duration = Duration::from_millis(500);

/// How long what it was told counts.
const SHARED: Duration = Duration::from_secs(1);

/// There is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Outage {
    /// Which database, and where.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// Connections to one database.
#[derive(Debug)]
pub struct Connections<D: Database> {
    /// The pool itself, for what this module has no verb for.
    pub pool: Pool<D>,
    place: Arc<str>,
    /// The file that was opened, whatever stands in its place by now.
    pub(super) opened: Option<FileIdentity>,
    /// What the last connection past the pool was told, and when.
    told: Arc<Mutex<Option<(Instant, String)>>>,
}

impl<D: Database> Clone for Connections<D> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            place: Arc::clone(&self.place),
            opened: self.opened,
            told: Arc::clone(&self.told),
        }
    }
}

impl<D: Database> Connections<D> {
    /// Those of this pool. `place` is what may be shown of its address.
    pub(super) fn new(pool: Pool<D>, place: &str) -> Self {
        Self { pool, place: place.into(), opened: None, told: Arc::default() }
    }

    /// A connection, as soon as there is one.
    ///
    /// # Errors
    /// Why there is none, after as long as whoever asks waits.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<D>, sqlx::Error> {
        match timeout(patience(), self.pool.acquire()).await {
            Err(_) | Ok(Err(sqlx::Error::PoolTimedOut)) => Err(self.outage().await),
            Ok(answer) => answer,
        }
    }

    /// Begins a transaction, by this statement if it is not the usual one.
    pub(super) async fn begin(
        &self,
        statement: Option<&'static str>,
    ) -> Result<Transaction<'static, D>, sqlx::Error> {
        let statement = statement.map(SqlSafeStr::into_sql_str);
        Transaction::begin(self.acquire().await?, statement).await
    }

    /// Why there is no connection.
    async fn outage(&self) -> sqlx::Error {
        let mut told = self.told.lock().await;
        let reason = match &*told {
            Some((at, reason)) if at.elapsed() < SHARED => reason.clone(),
            _ => {
                let reason = match self.ask().await {
                    Asked::Connected => {
                        let most = self.pool.options().get_max_connections();
                        format!(
                            "each of its {most} connections has been in use all the time (database.connections)"
                        )
                    }
                    Asked::Refused(reason) | Asked::Gone(reason) => reason,
                };
                *told = Some((Instant::now(), reason.clone()));
                reason
            }
        };
        self.error(reason)
    }

    /// Why the server is taken to be gone, if it answers nobody. One that refuses another connection has answered.
    pub(super) async fn silence(&self) -> Option<sqlx::Error> {
        match self.ask().await {
            Asked::Gone(reason) => Some(self.error(reason)),
            Asked::Connected | Asked::Refused(_) => None,
        }
    }

    /// Makes one connection past the pool.
    async fn ask(&self) -> Asked {
        match timeout(ASKED, self.pool.connect_options().connect()).await {
            Ok(Ok(connection)) => {
                // It was made to be closed; a server that does not hear of it ends it by itself.
                let _ = timeout(ASKED, connection.close()).await;
                Asked::Connected
            }
            Ok(Err(sqlx::Error::Io(error))) => Asked::Gone(error.to_string()),
            Ok(Err(error)) => Asked::Refused(error.to_string()),
            Err(_) => Asked::Gone(format!("no answer within {ASKED:?}")),
        }
    }

    fn error(&self, reason: String) -> sqlx::Error {
        sqlx::Error::Io(io::Error::other(Outage { place: self.place.to_string(), reason }))
    }
}

/// What became of a connection past the pool.
enum Asked {
    /// It was made.
    Connected,
    /// The server answered, and does not want it.
    Refused(String),
    /// Nobody answered.
    Gone(String),
}

/// The outage that an error tells of, if it is one.
pub fn of(error: sqlx::Error) -> Result<Outage, sqlx::Error> {
    match error {
        sqlx::Error::Io(error) => error.downcast().map_err(sqlx::Error::Io),
        error => Err(error),
    }
}

/// What an error says of the database as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing can be asked of it: it is down, does not let us in, or is too busy.
    Unreachable,
    /// It answers and takes no writes: its disk is full, or it is read-only.
    NotWritable,
}

/// Whether an error is one of the whole database and not of what was asked.
pub fn trouble(error: &sqlx::Error) -> Option<Trouble> {
    let error = match error {
        sqlx::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
                    | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            return Some(Trouble::NotWritable);
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => return Some(Trouble::Unreachable),
        sqlx::Error::Database(error) => error,
        _ => return None,
    };
    if let Some(mysql) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return match mysql.number() {
            // ER_CON_COUNT_ERROR, ER_OUT_OF_RESOURCES, ER_DBACCESS_DENIED_ERROR, ER_ACCESS_DENIED_ERROR, ER_BAD_DB_ERROR,
            // ER_SERVER_SHUTDOWN, ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED, ER_TOO_MANY_USER_CONNECTIONS,
            // ER_USER_LIMIT_REACHED, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_MUST_CHANGE_PASSWORD_LOGIN,
            // ER_CONNECTION_KILLED of MariaDB
            1040 | 1041 | 1044 | 1045 | 1049 | 1053 | 1129 | 1130 | 1203 | 1226 | 1698 | 1862 | 1927 => {
                Some(Trouble::Unreachable)
            }
            // ER_DISK_FULL, ER_RECORD_FILE_FULL, ER_OPTION_PREVENTS_STATEMENT (read_only), ER_CANT_EXECUTE_IN_READ_ONLY_-
            // TRANSACTION, ER_READ_ONLY_MODE
            1021 | 1114 | 1290 | 1792 | 1836 => Some(Trouble::NotWritable),
            _ => None,
        };
    }
    // The lowest byte of SQLite's extended code: SQLITE_CANTOPEN; SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL.
    match error.code()?.parse::<u32>().ok()? & 0xff {
        14 => Some(Trouble::Unreachable),
        8 | 10 | 13 => Some(Trouble::NotWritable),
        _ => None,
    }
}
