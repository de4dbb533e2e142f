//! Opening the database that a URL names.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor};

use super::{Db, KeptPool};
use crate::secret::Secret;

/// How long a write to SQLite waits for another one, and a caller for a connection.
const BUSY: Duration = Duration::from_secs(10);

/// How long a connection may have been idle and is used without being asked whether it still stands: between two requests
/// of a busy server the question costs as much as a statement, and its answer is old by then.
const FRESH: Duration = Duration::from_secs(1);

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Address {
    /// A SQLite file.
    File(PathBuf),
    /// A URL that begins with `sqlite:` or `mysql:`; it may hold a password.
    Url(Secret),
}

/// The database cannot be opened. The text never holds the URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is of neither kind.
    #[error("expected a URL that begins with sqlite: or mysql:")]
    Scheme,
    /// The URL cannot be read. The parser's own text may repeat a part of it, and that part may be the password.
    #[error("the URL cannot be read; a password in it must be percent-encoded")]
    Url,
    /// The database did not answer.
    #[error("cannot open the database {place}: {source}")]
    Unreachable {
        /// File, or host and port.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
}

impl Db {
    /// Opens it with at most this many connections. A SQLite file is made if it does not exist.
    ///
    /// # Errors
    /// When the URL is none, or nothing answers there.
    pub async fn connect(address: &Address, connections: u32) -> Result<Self, ConnectError> {
        match address {
            Address::File(path) => sqlite(SqliteConnectOptions::new().filename(path), connections).await,
            Address::Url(url) if url.expose().starts_with("sqlite:") => {
                let options = SqliteConnectOptions::from_str(url.expose()).map_err(|_| ConnectError::Url)?;
                sqlite(options, connections).await
            }
            Address::Url(url)
                if url.expose().starts_with("mysql:") || url.expose().starts_with("mariadb:") =>
            {
                let options = MySqlConnectOptions::from_str(url.expose()).map_err(|_| ConnectError::Url)?;
                mysql(options, connections).await
            }
            Address::Url(_) => Err(ConnectError::Scheme),
        }
    }
}

async fn sqlite(options: SqliteConnectOptions, connections: u32) -> Result<Db, ConnectError> {
    let place = options.get_filename().display().to_string();
    // A commit is on the disk before it is reported: an accepted event and a finished sync survive a power cut.
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY);
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY)
        // A file does not go away between two statements.
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // A full disk ends a transaction without being asked to, and the driver goes on to believe in it: no
                // other one could begin on this connection. The ping comes after the rollback that was ordered.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(options)
        .await
        .map(Db::Sqlite)
        .map_err(|source| ConnectError::Unreachable { place, source })
}

async fn mysql(options: MySqlConnectOptions, connections: u32) -> Result<Db, ConnectError> {
    let place = format!("{}:{}", options.get_host(), options.get_port());
    MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                // Every verb locks the rows that it changes, so gaps between them need no lock of their own.
                connection.execute("set session transaction isolation level read committed").await?;
                // A process that was frozen would keep its rows from the one that has taken over. MariaDB ends such a
                // transaction after so many seconds; MySQL cannot, and reads this as a comment.
                connection
                    .execute("set session autocommit = 1 /*M! , session idle_transaction_timeout = 10 */")
                    .await?;
                Ok(())
            })
        })
        .connect_with(options.charset("utf8mb4"))
        .await
        .map(|pool| Db::MySql(KeptPool::new(pool)))
        .map_err(|source| ConnectError::Unreachable { place, source })
}
