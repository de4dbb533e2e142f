//! Schema changes that only go forward, each module with a history of its own.

use std::fmt;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use super::statement::sql;
use super::{Db, Dialect};

/// One step, written once for each database.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What it makes.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
    /// For MySQL.
    pub mysql: &'static str,
}

/// The steps of one module; the first is version 1.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The table that remembers which steps were taken.
    pub history: &'static str,
    /// In order. A step that was released is never changed.
    pub steps: &'static [Step],
}

/// The schema cannot be used.
#[derive(Debug)]
pub enum MigrationError {
    /// It was made by a newer program.
    Newer {
        /// Its version, unknown here.
        version: i64,
    },
    /// Steps are missing, and this start may not take them.
    Pending {
        /// How many.
        steps: usize,
    },
    /// A step failed.
    Failed(MigrateError),
    /// The history cannot be read.
    Database(sqlx::Error),
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { version } => {
                write!(f, "the database has schema version {version} of a newer program")
            }
            Self::Pending { steps } => write!(f, "the database lacks {steps} schema changes"),
            Self::Failed(source) => write!(f, "the schema could not be brought up to date: {source}"),
            Self::Database(source) => write!(f, "the schema's history could not be read: {source}"),
        }
    }
}

impl std::error::Error for MigrationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(source) => Some(source),
            Self::Database(source) => Some(source),
            Self::Newer { .. } | Self::Pending { .. } => None,
        }
    }
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
        let migrator = self.migrator(db.dialect());
        match db {
            Db::Sqlite(pool) => migrator.run(pool).await?,
            Db::MySql(pool) => migrator.run(pool).await?,
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

    fn migrator(&self, dialect: Dialect) -> Migrator {
        let migration = |(index, step): (usize, &Step)| {
            let text = match dialect {
                Dialect::Sqlite => step.sqlite,
                Dialect::MySql => step.mysql,
            };
            let version = i64::try_from(index + 1).unwrap_or(i64::MAX);
            Migration::new(version, step.name.into(), MigrationType::Simple, text.into_sql_str(), false)
        };
        let mut migrator = Migrator::with_migrations(self.steps.iter().enumerate().map(migration).collect());
        migrator.dangerous_set_table_name(self.history);
        migrator
    }
}

/// The columns of a MySQL table of the current database; none when it does not exist.
pub async fn mysql_columns(db: &Db, table: &str) -> Result<Vec<String>, sqlx::Error> {
    let query = sql("select lower(column_name) from information_schema.columns \
                     where table_schema = database() and table_name = ?");
    let rows = db.fetch_all(query.bind(table)).await?;
    rows.into_iter()
        .map(|row| row.columns().text().map_err(|found| sqlx::Error::Decode(found.into())))
        .collect()
}
