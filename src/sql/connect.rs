//! Opening the database that a URL names.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, Sqlite};
use tokio::time::{Instant, sleep};

use super::error::is_contended;
use super::outage::{Connections, Outage};
use super::private::{FileIdentity, file_of};
use super::{Db, KeptPool, private};
use crate::clock::patience::WORK;
use crate::secret::Secret;

/// How long a write to SQLite waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// Between two tries to open a file that others begin.
const PAUSE: Duration = Duration::from_millis(10);

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
    #[error("cannot open the database {place}: {reason}")]
    Unreachable {
        /// File, or host and port.
        place: String,
        /// Why.
        reason: String,
    },
}

/// What the address leads to.
enum Options {
    Sqlite(Box<SqliteConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

impl Db {
    /// Opens it with at most this many connections. A SQLite file is made if it does not exist; it and what lies beside it
    /// is for its owner alone.
    ///
    /// # Errors
    /// When the URL is none, or nothing answers there.
    pub async fn connect(address: &Address, connections: u32) -> Result<Self, ConnectError> {
        match Options::read(address)? {
            Options::Sqlite(options) => sqlite(*options, connections).await,
            Options::MySql(options) => mysql(*options, connections).await,
        }
    }

    /// Opens it to look at it: nothing is made or changed, no file beside it either. None where a SQLite file is missing.
    ///
    /// # Errors
    /// When the URL is none, or nothing answers there.
    pub async fn look(address: &Address) -> Result<Option<Self>, ConnectError> {
        match Options::read(address)? {
            Options::Sqlite(options) => look_at_file(*options).await,
            Options::MySql(options) => mysql(*options, 1).await.map(Some),
        }
    }
}

impl Options {
    fn read(address: &Address) -> Result<Self, ConnectError> {
        let url = match address {
            Address::File(path) => {
                return Ok(Self::Sqlite(Box::new(SqliteConnectOptions::new().filename(path))));
            }
            Address::Url(url) => url.expose(),
        };
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url).map_err(|_| ConnectError::Url)?;
            Ok(Self::Sqlite(Box::new(options)))
        } else if url.starts_with("mysql:") || url.starts_with("mariadb:") {
            let options = MySqlConnectOptions::from_str(url).map_err(|_| ConnectError::Url)?;
            Ok(Self::MySql(Box::new(options)))
        } else {
            Err(ConnectError::Scheme)
        }
    }
}

async fn sqlite(options: SqliteConnectOptions, connections: u32) -> Result<Db, ConnectError> {
    let file = options.get_filename().to_owned();
    let place = file.display().to_string();
    private::keep(&file)
        .map_err(|error| ConnectError::Unreachable { place: place.clone(), reason: error.to_string() })?;
    // A commit is on the disk before it is reported: an accepted event and a finished sync survive a power cut.
    // It is there by now; one that disappears later is an outage and no reason to begin with an empty one.
    let options = options
        .create_if_missing(!private::is_file(&file))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY);
    open_file(options, connections, &place).await
}

/// A file that nobody has open is read as if it could not change: SQLite would put its files of shared memory beside it.
async fn look_at_file(options: SqliteConnectOptions) -> Result<Option<Db>, ConnectError> {
    let file = options.get_filename().to_owned();
    if !file.exists() {
        return Ok(None);
    }
    let in_use = private::beside(&file).any(|beside| beside.exists());
    let options = options.create_if_missing(false).read_only(true).immutable(!in_use).busy_timeout(BUSY);
    open_file(options, 1, &file.display().to_string()).await.map(Some)
}

async fn open_file(options: SqliteConnectOptions, connections: u32, place: &str) -> Result<Db, ConnectError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WORK)
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
        .connect_lazy_with(options);
    let mut file = Connections::new(pool, &format!("SQLite in {place}"));
    first_connection(&file).await.map_err(|error| unreachable_at(place, error))?;
    file.opened = file_of(&file.pool).and_then(|path| FileIdentity::of(&path).ok());
    Ok(Db::Sqlite(file))
}

/// SQLite waits for others, but not where it gives a new file its write-ahead log: there it says at once that the file
/// is locked by another process that begins it too.
async fn first_connection(file: &Connections<Sqlite>) -> Result<(), sqlx::Error> {
    let deadline = Instant::now() + BUSY;
    loop {
        match file.acquire().await {
            Err(error) if is_contended(&error) && Instant::now() < deadline => sleep(PAUSE).await,
            answer => return answer.map(drop),
        }
    }
}

async fn mysql(options: MySqlConnectOptions, connections: u32) -> Result<Db, ConnectError> {
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let pool = MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WORK)
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
        .connect_lazy_with(options.charset("utf8mb4"));
    let server = Connections::new(pool, &format!("MySQL at {place}"));
    server.acquire().await.map_err(|error| unreachable_at(&place, error))?;
    Ok(Db::MySql(KeptPool::new(server)))
}

fn unreachable_at(place: &str, error: sqlx::Error) -> ConnectError {
    let reason = match super::outage::of(error) {
        Ok(Outage { reason, .. }) => reason,
        Err(other) => other.to_string(),
    };
    ConnectError::Unreachable { place: place.to_owned(), reason }
}
