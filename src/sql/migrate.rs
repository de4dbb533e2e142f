//! Schema changes that only go forward. Each owner of tables has a history of its own, a table that is named after it, so
//! that several can live in one database.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use super::{DatabaseKind, Db};

/// One change, written once for each database.
#[derive(Clone, Copy, Debug)]
pub struct SchemaChange {
    /// What it makes.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
    /// For MySQL.
    pub mysql: &'static str,
}

/// The changes of one owner; the first is version 1.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The table that remembers which were made.
    pub history: &'static str,
    /// In order. One that was released is never changed.
    pub steps: &'static [SchemaChange],
}

/// The schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// It was made by a newer program.
    #[error("the database has schema version {version} of a newer program")]
    Newer {
        /// Its version, unknown here.
        version: i64,
    },
    /// Steps are missing, and this start may not take them.
    #[error("the database lacks {steps} schema changes")]
    Pending {
        /// How many.
        steps: usize,
    },
    /// A step failed.
    #[error("the schema could not be brought up to date: {0}")]
    Failed(#[source] MigrateError),
    /// The history cannot be read.
    #[error("the schema's history could not be read: {0}")]
    Database(#[source] sqlx::Error),
}

impl From<MigrateError> for MigrationError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer { version },
            other => Self::Failed(other),
        }
    }
}

impl Migrations {
    /// Takes the steps that are missing. Processes that start together take turns.
    ///
    /// # Errors
    /// When a step fails, or the schema is a newer program's.
    pub async fn run(&self, db: &Db) -> Result<(), MigrationError> {
        let migrator = self.migrator(db.kind());
        match db {
            Db::Sqlite(pool) => migrator.run(pool).await?,
            Db::MySql(pool) => migrator.run(&**pool).await?,
        }
        Ok(())
    }

    /// How many steps are missing.
    ///
    /// # Errors
    /// When the history cannot be read, or the schema is a newer program's.
    pub async fn pending(&self, db: &Db) -> Result<usize, MigrationError> {
        let applied = match db {
            Db::Sqlite(pool) => {
                let mut connection = pool.acquire().await.map_err(MigrationError::Database)?;
                connection.ensure_migrations_table(self.history).await?;
                connection.list_applied_migrations(self.history).await?
            }
            Db::MySql(pool) => {
                let mut connection = pool.acquire().await.map_err(MigrationError::Database)?;
                connection.ensure_migrations_table(self.history).await?;
                connection.list_applied_migrations(self.history).await?
            }
        };
        let known = self.steps.len();
        match applied
            .iter()
            .map(|step| step.version)
            .find(|version| usize::try_from(*version).map_or(true, |v| v > known))
        {
            Some(version) => Err(MigrationError::Newer { version }),
            None => Ok(known.saturating_sub(applied.len())),
        }
    }

    /// Whether no step is missing.
    ///
    /// # Errors
    /// When one is, the history cannot be read, or the schema is a newer program's.
    pub async fn check(&self, db: &Db) -> Result<(), MigrationError> {
        match self.pending(db).await? {
            0 => Ok(()),
            steps => Err(MigrationError::Pending { steps }),
        }
    }

    fn migrator(&self, kind: DatabaseKind) -> Migrator {
        let migration = |(index, step): (usize, &SchemaChange)| {
            let text = match kind {
                DatabaseKind::Sqlite => step.sqlite,
                DatabaseKind::MySql => step.mysql,
            };
            let version = i64::try_from(index + 1).unwrap_or(i64::MAX);
            Migration::new(version, step.name.into(), MigrationType::Simple, text.into_sql_str(), false)
        };
        let mut migrator = Migrator::with_migrations(self.steps.iter().enumerate().map(migration).collect());
        migrator.dangerous_set_table_name(self.history);
        migrator
    }
}
