//! L1 · One SQL database, SQLite or MySQL, behind one set of verbs: the adapters above write each statement once.
//!
//! Both databases agree on the statements that are used here when every value travels as a number or a text: days as
//! `YYYY-MM-DD`, instants as the adapter writes them, JSON as text. What they do not agree on asks for the
//! [`DatabaseKind`]. sqlx's own `Any` driver cannot read `DATE`, `DATETIME` or a sum of MySQL, which existing tables hold.

mod connect;
mod error;
mod kept;
mod migrate;
mod outage;
mod private;
mod probe;
mod row;
mod rows;
mod statement;
mod upsert;
mod value;

use sqlx::{MySql, Sqlite, Transaction};

use probe::has_its_file;
use row::read_list;
use statement::Runs;

pub use connect::{Address, ConnectError};
pub use error::{is_contended, is_of_values, unless_taken};
pub use kept::KeptPool;
pub use migrate::{MigrationError, Migrations, SchemaChange};
pub use outage::{Connections, Outage, Trouble, of as outage, trouble};
pub use row::{CellError, Columns, ListRow, Row, Unreadable};
pub use rows::{insert_new_rows, insert_rows};
pub use statement::{LONGEST_LIST, Order, Statement, padded, sql};
pub use upsert::Upsert;
pub use value::Value;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// The embedded one.
    Sqlite,
    /// MySQL 8 or MariaDB 10.6 and later.
    MySql,
}

impl DatabaseKind {
    /// Ends a `select` of rows that this transaction changes next: rows that another transaction holds are left out.
    /// SQLite has one writer at a time, so there is nothing to lock.
    pub fn lock_free_rows(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql => " for update skip locked",
        }
    }

    /// A comparison with one `?`: the column says exactly this. Columns on MySQL may overlook case, accents, or blanks at
    /// the end. Where rows are found by an index, a plain comparison stands before this one.
    pub fn exactly(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} = ?"),
            Self::MySql => format!("cast(convert({column} using utf8mb4) as binary) = cast(? as binary)"),
        }
    }

    /// Ends a `select` of rows that must not change before this transaction ends: it waits for whoever holds them.
    pub fn lock_rows(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql => " for update",
        }
    }
}

/// With fewer connections, a piece of work takes no more than one for its writes and one beside them.
const SMALL_POOL: u32 = 4;

/// A pool of connections.
#[derive(Clone, Debug)]
pub enum Db {
    /// To a file.
    Sqlite(Connections<Sqlite>),
    /// To a server.
    MySql(KeptPool),
}

/// A transaction that is rolled back unless it is committed.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, with its write lock taken.
    Sqlite(Transaction<'static, Sqlite>),
    /// On MySQL.
    MySql(Transaction<'static, MySql>),
}

/// Runs one call on whichever database it is.
macro_rules! on {
    ($self:expr, $one:ident => $call:expr) => {
        match $self {
            Self::Sqlite($one) => $call,
            Self::MySql($one) => $call,
        }
    };
}

impl Db {
    /// Which database it is.
    pub fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite(_) => DatabaseKind::Sqlite,
            Self::MySql(_) => DatabaseKind::MySql,
        }
    }

    /// How many transactions of one piece of work are written fastest at a time. SQLite has one writer. On MySQL two: while
    /// one commit waits for the disk, the other one's rows are taken; three only wait for each other. A small pool keeps
    /// its connections for others.
    pub fn writers(&self) -> usize {
        match self {
            Self::Sqlite(_) => 1,
            Self::MySql(at) if at.pool.options().get_max_connections() < SMALL_POOL => 1,
            Self::MySql(_) => 2,
        }
    }

    /// Begins a transaction. On SQLite it takes the write lock first: a busy database then waits, whereas upgrading a
    /// read later would fail at once.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(file) => {
                has_its_file(file)?;
                Tx::Sqlite(file.begin(Some("begin immediate")).await?)
            }
            Self::MySql(server) => Tx::MySql(server.begin().await?),
        })
    }

    /// Begins a transaction that only reads. On SQLite every statement in it sees the same moment.
    pub async fn snapshot(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(file) => Tx::Sqlite(file.begin(None).await?),
            Self::MySql(server) => Tx::MySql(server.begin().await?),
        })
    }

    /// How many rows it touched. What a row that was found but not changed counts as is the database's matter.
    pub async fn execute(&self, statement: Statement) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(file) => {
                has_its_file(file)?;
                file.acquire().await?.execute(statement).await
            }
            Self::MySql(server) => server.execute(statement).await,
        }
    }

    /// The rows.
    pub async fn fetch_all(&self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(file) => file.acquire().await?.fetch_all(statement).await,
            Self::MySql(server) => server.fetch_all(statement).await,
        }
    }

    /// The only row, if there is one.
    pub async fn fetch_optional(&self, statement: Statement) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.fetch_all(statement).await?.into_iter().next())
    }

    /// The rows, each read by this function.
    pub async fn read_all<T>(
        &self,
        statement: Statement,
        mut read: impl FnMut(&mut Columns) -> Result<T, CellError> + Send,
    ) -> Result<Vec<T>, sqlx::Error> {
        self.fetch_all(statement).await?.into_iter().map(|row| row.read(&mut read)).collect()
    }

    /// The only row, if there is one, read by this function.
    pub async fn read_one<T>(
        &self,
        statement: Statement,
        mut read: impl FnMut(&mut Columns) -> Result<T, CellError> + Send,
    ) -> Result<Option<T>, sqlx::Error> {
        self.fetch_optional(statement).await?.map(|row| row.read(&mut read)).transpose()
    }

    /// The rows of a list; one that this function cannot read does not take the others with it.
    pub async fn read_list<T>(
        &self,
        statement: Statement,
        read: impl FnMut(&mut Columns) -> Result<T, CellError> + Send,
    ) -> Result<Vec<ListRow<T>>, sqlx::Error> {
        Ok(read_list(self.fetch_all(statement).await?, read))
    }

    /// Ends every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(file) => file.pool.close().await,
            Self::MySql(server) => server.close().await,
        }
    }
}

impl Tx {
    /// Which database it is.
    pub fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite(_) => DatabaseKind::Sqlite,
            Self::MySql(_) => DatabaseKind::MySql,
        }
    }

    /// See [`Db::execute`].
    pub async fn execute(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        on!(self, tx => (&mut **tx).execute(statement).await)
    }

    /// Runs a text with a `?` for every value of these rows.
    async fn execute_rows(&mut self, text: String, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error> {
        on!(self, tx => (&mut **tx).execute_rows(text, rows).await)
    }

    /// See [`Db::fetch_all`].
    pub async fn fetch_all(&mut self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        on!(self, tx => (&mut **tx).fetch_all(statement).await)
    }

    /// See [`Db::fetch_optional`].
    pub async fn fetch_optional(&mut self, statement: Statement) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.fetch_all(statement).await?.into_iter().next())
    }

    /// See [`Db::read_all`].
    pub async fn read_all<T>(
        &mut self,
        statement: Statement,
        mut read: impl FnMut(&mut Columns) -> Result<T, CellError> + Send,
    ) -> Result<Vec<T>, sqlx::Error> {
        self.fetch_all(statement).await?.into_iter().map(|row| row.read(&mut read)).collect()
    }

    /// See [`Db::read_list`].
    pub async fn read_list<T>(
        &mut self,
        statement: Statement,
        read: impl FnMut(&mut Columns) -> Result<T, CellError> + Send,
    ) -> Result<Vec<ListRow<T>>, sqlx::Error> {
        Ok(read_list(self.fetch_all(statement).await?, read))
    }

    /// See [`Db::read_one`].
    pub async fn read_one<T>(
        &mut self,
        statement: Statement,
        mut read: impl FnMut(&mut Columns) -> Result<T, CellError> + Send,
    ) -> Result<Option<T>, sqlx::Error> {
        self.fetch_optional(statement).await?.map(|row| row.read(&mut read)).transpose()
    }

    /// Makes its changes last.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        on!(self, tx => tx.commit().await)
    }

    /// Undoes its changes and frees its locks now. A transaction that is only dropped does so at some later moment.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        on!(self, tx => tx.rollback().await)
    }
}
