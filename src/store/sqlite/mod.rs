//! The embedded adapter: SQLite.

mod statistics;
mod sync_runs;

use sqlx::SqlSafeStr;
use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::{Answer, Store, StoreError};

/// History of this adapter's migrations: other modules on the same database have their own.
const HISTORY: &str = "store_migrations";

/// A store in a SQLite database that others may use too.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens it on this pool and brings its tables up to date.
    ///
    /// # Errors
    /// When the tables cannot be made, or were made by a newer program.
    pub async fn open(pool: SqlitePool) -> Result<Self, StoreError> {
        migrator().run(&pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) => StoreError::NewerSchema { version },
            other => StoreError::Database { verb: "migrate", source: Box::new(other) },
        })?;
        Ok(Self { pool })
    }
}

fn migrator() -> Migrator {
    let step = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(vec![
        step(1, "statistics", include_str!("migrations/0001_statistics.sql")),
        step(2, "sync_run", include_str!("migrations/0002_sync_run.sql")),
    ]);
    migrator.dangerous_set_table_name(HISTORY);
    migrator
}

impl Store for SqliteStore {
    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            sqlx::query("select 1").execute(&self.pool).await.map_err(failed("ping"))?;
            Ok(())
        })
    }
}

/// Names the verb that failed.
fn failed(verb: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { verb, source: Box::new(source) }
}
