//! The adapter for SQL: SQLite embedded, or MySQL and MariaDB with the tables of the system that this replaces.

mod accumulated;
mod daily;
mod due_tasks;
mod plan_counts;
mod plan_tasks;
mod plans;
mod stamp;
mod sync_runs;

use jiff::tz::TimeZone;

pub use stamp::Stamps;

use super::{Answer, Store, StoreError};
use crate::sql::{
    CellError, Db, Dialect, MigrationError, Migrations, Statement, Step, Tx, is_contended, mysql_columns, sql,
};

/// What this adapter keeps. Other modules on the same database have a history of their own.
static MIGRATIONS: Migrations = Migrations {
    history: "qs_store_migrations",
    steps: &[
        Step {
            name: "statistics",
            sqlite: include_str!("migrations/sqlite/0001_statistics.sql"),
            mysql: include_str!("migrations/mysql/0001_statistics.sql"),
        },
        Step {
            name: "plan",
            sqlite: include_str!("migrations/sqlite/0002_plan.sql"),
            mysql: include_str!("migrations/mysql/0002_plan.sql"),
        },
        Step {
            name: "sync_run",
            sqlite: include_str!("migrations/sqlite/0003_sync_run.sql"),
            mysql: include_str!("migrations/mysql/0003_sync_run.sql"),
        },
    ],
};

/// Columns that tables of the system that this replaces got late, in its migration 7, and with which meaning.
const LATE_COLUMNS: [(&str, &str); 7] = [
    ("created_at", "datetime(3) not null default current_timestamp(3)"),
    ("updated_at", "datetime(3) not null default current_timestamp(3)"),
    ("deleted_at", "datetime(3) null"),
    ("created_by", "bigint unsigned not null default 0"),
    ("updated_by", "bigint unsigned not null default 0"),
    ("deleted_by", "bigint unsigned not null default 0"),
    ("version", "int unsigned not null default 1"),
];

/// A store in a SQL database that others may use too.
#[derive(Clone, Debug)]
pub struct SqlStore {
    db: Db,
    stamps: Stamps,
}

impl SqlStore {
    /// Brings the tables up to date.
    ///
    /// # Errors
    /// When that fails, or they were made by a newer program.
    pub async fn migrate(db: &Db) -> Result<(), MigrationError> {
        MIGRATIONS.run(db).await?;
        if db.dialect() == Dialect::MySql {
            adopt(db).await.map_err(MigrationError::Database)?;
        }
        Ok(())
    }

    /// How many schema changes are missing.
    ///
    /// # Errors
    /// When the history cannot be read, or the tables were made by a newer program.
    pub async fn pending(db: &Db) -> Result<usize, MigrationError> {
        MIGRATIONS.pending(db).await
    }

    /// Opens it. `zone` is the one whose wall clock the `DATETIME` columns show.
    ///
    /// # Errors
    /// When the tables are not those of this program.
    pub async fn open(db: Db, zone: TimeZone) -> Result<Self, MigrationError> {
        match Self::pending(&db).await? {
            0 => {}
            steps => return Err(MigrationError::Pending { steps }),
        }
        if let Some(collation) = loose_collation(&db).await.map_err(MigrationError::Database)? {
            tracing::warn!(
                collation,
                "statistics_daily.statistic_key takes keys that differ in case alone for one"
            );
        }
        Ok(Self { db, stamps: Stamps::new(zone) })
    }
}

/// The collation of the keys where it overlooks differences: tables that were there before may have such a one.
async fn loose_collation(db: &Db) -> Result<Option<String>, sqlx::Error> {
    if db.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let query = sql("select collation_name from information_schema.columns where table_schema = database() \
                     and table_name = 'statistics_daily' and column_name = 'statistic_key'");
    let row = db.fetch_optional(query).await?;
    let name = row.and_then(|row| row.columns().optional_text().ok().flatten());
    Ok(name.filter(|name| !name.ends_with("_bin")))
}

/// Adds the late columns where they are missing: without them each write would fail.
async fn adopt(db: &Db) -> Result<(), sqlx::Error> {
    for table in ["statistics_daily", "statistics_accumulated", "statistics_plan"] {
        let present = mysql_columns(db, table).await?;
        let missing: Vec<String> = LATE_COLUMNS
            .iter()
            .filter(|(column, _)| !present.iter().any(|known| known == column))
            .map(|(column, definition)| format!("add column {column} {definition}"))
            .collect();
        if !missing.is_empty() {
            db.execute(sql(format!("alter table {table} {}", missing.join(", ")))).await?;
        }
    }
    Ok(())
}

impl Store for SqlStore {
    fn ready(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let other = |source| StoreError::Database { verb: "ready", source };
            match Self::pending(&self.db).await {
                Ok(0) => Ok(()),
                Ok(steps) => Err(other(Box::new(MigrationError::Pending { steps }))),
                Err(error) => Err(other(Box::new(error))),
            }
        })
    }
}

/// Names the verb that failed.
fn failed(verb: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        let contended = is_contended(&error);
        let source = Box::new(error);
        if contended { StoreError::Contended { verb, source } } else { StoreError::Database { verb, source } }
    }
}

/// Names the verb that found a row it cannot read.
fn corrupt(verb: &'static str) -> impl Fn(CellError) -> StoreError {
    move |found| StoreError::Corrupt { verb, found }
}

/// The number that a statement counts.
async fn count(tx: &mut Tx, verb: &'static str, query: Statement) -> Result<u64, StoreError> {
    let row = tx.fetch_optional(query).await.map_err(failed(verb))?;
    row.map_or(Ok(0), |row| row.columns().count()).map_err(corrupt(verb))
}
