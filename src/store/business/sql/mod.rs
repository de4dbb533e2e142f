//! The adapter for SQL: SQLite embedded, or MySQL and MariaDB with the tables of the system that this replaces.

mod accumulated;
mod adopt;
mod daily;
mod due_tasks;
mod plan_counts;
mod plan_tasks;
mod plans;
mod stamp;
mod sync_runs;

use async_trait::async_trait;
use jiff::tz::TimeZone;

pub use stamp::Stamps;

use self::adopt::{add_late_columns, loose_collation};
use super::Store;
use crate::sql::{DatabaseKind, Db, MigrationError, Migrations, SchemaChange};
use crate::store::error::{Answer, StoreError};

/// What the business keeps. The name of its history is older than the other stores' and never changes.
static MIGRATIONS: Migrations = Migrations {
    history: "qs_store_migrations",
    steps: &[
        SchemaChange {
            name: "statistics",
            sqlite: include_str!("migrations/sqlite/0001_statistics.sql"),
            mysql: include_str!("migrations/mysql/0001_statistics.sql"),
        },
        SchemaChange {
            name: "plan",
            sqlite: include_str!("migrations/sqlite/0002_plan.sql"),
            mysql: include_str!("migrations/mysql/0002_plan.sql"),
        },
        SchemaChange {
            name: "sync_run",
            sqlite: include_str!("migrations/sqlite/0003_sync_run.sql"),
            mysql: include_str!("migrations/mysql/0003_sync_run.sql"),
        },
    ],
};

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
        if db.kind() == DatabaseKind::MySql {
            add_late_columns(db).await.map_err(MigrationError::Database)?;
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
        MIGRATIONS.check(&db).await?;
        if let Some(collation) = loose_collation(&db).await.map_err(MigrationError::Database)? {
            tracing::warn!(
                collation,
                "statistics_daily.statistic_key takes keys that differ in case alone for one"
            );
        }
        Ok(Self { db, stamps: Stamps::new(zone) })
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn ready(&self) -> Answer<()> {
        let checked = MIGRATIONS.check(&self.db).await;
        checked.map_err(|error| StoreError::Database { verb: "ready", source: Box::new(error) })
    }

    fn writers(&self) -> usize {
        self.db.writers()
    }
}
