//! Schema changes that only go forward. Each owner of tables has a history of its own, a table that is named after it, so
//! that several can live in one database.
//!
//! On SQLite, what is missing is looked up and taken in one transaction: others wait, and whoever is killed leaves nothing.
//! MySQL ends a transaction at each change of a table. A step that was cut off is in the history as unfinished, and its
//! statements are given once more: each is done as a whole or not at all, so that the database itself says which are done.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, Sqlite, Transaction};
use tokio::time::Instant;

use super::error::{is_contended, is_done_already};
use super::outage::Connections;
use super::{DatabaseKind, Db, sql};
use crate::domain::hex::hex;

/// How long another process may take to change tables. Copying a large one takes minutes.
const TURN: Duration = Duration::from_secs(600);

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
    /// In order. One that was released is never changed. On MySQL every statement ends with `;` at the end of its line,
    /// and changes tables or indexes, so that one that is done already is refused when it is given again.
    pub steps: &'static [SchemaChange],
}

/// A step that was taken.
struct Taken {
    version: i64,
    finished: bool,
    /// Of its text, in hexadecimal.
    checksum: String,
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
    /// A step is not the one that was taken here.
    #[error("schema change {version} of the database is not the one of this program ({history})")]
    Changed {
        /// Which.
        version: i64,
        /// The table that says so.
        history: &'static str,
    },
    /// The history has a step of SQLite as unfinished, where each is finished or undone: somebody else wrote that.
    #[error(
        "schema change {version} was begun and not finished (hint: undo by hand what it made, then remove its row \
         from {history})"
    )]
    Unfinished {
        /// Which.
        version: i64,
        /// The table that says so.
        history: &'static str,
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
    Database(#[from] sqlx::Error),
}

impl Migrations {
    /// Takes the steps that are missing; where none is, nothing is written, and no right to change tables is needed.
    /// Processes that start together take turns.
    ///
    /// # Errors
    /// When a step fails, or the schema is not one that this program could have made.
    pub async fn run(&self, db: &Db) -> Result<(), MigrationError> {
        if self.pending(db).await? == 0 {
            return Ok(());
        }
        match db {
            Db::Sqlite(file) => {
                let mut turn = take_turn(file).await?;
                self.take(&mut *turn, db.kind()).await?;
                Ok(turn.commit().await?)
            }
            Db::MySql(server) => {
                self.finish(db).await?;
                self.take(&mut *server.acquire().await?, db.kind()).await
            }
        }
    }

    /// Takes the steps that the history does not know.
    async fn take<C: Migrate>(&self, connection: &mut C, kind: DatabaseKind) -> Result<(), MigrationError> {
        let history = self.history;
        let taken = self.migrator(kind).run_direct(None, connection, false).await;
        taken.map_err(|error| match error {
            MigrateError::VersionMissing(version) => MigrationError::Newer { version },
            MigrateError::VersionMismatch(version) => MigrationError::Changed { version, history },
            MigrateError::Dirty(version) => MigrationError::Unfinished { version, history },
            other => MigrationError::Failed(other),
        })
    }

    /// Finishes what a process began on MySQL that was killed.
    async fn finish(&self, db: &Db) -> Result<(), MigrationError> {
        for step in self.taken(db).await?.into_iter().filter(|step| !step.finished) {
            let place = usize::try_from(step.version - 1).ok();
            let known = place.and_then(|place| self.steps.get(place));
            let change = known.ok_or(MigrationError::Newer { version: step.version })?;
            for statement in change.mysql.split(";\n").map(str::trim).filter(|text| !text.is_empty()) {
                match db.execute(sql(statement)).await {
                    Err(error) if !is_done_already(&error) => {
                        let failed = MigrateError::ExecuteMigration(error, step.version);
                        return Err(MigrationError::Failed(failed));
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            let finished = format!("update {} set success = true where version = ?", self.history);
            db.execute(sql(finished).bind(step.version)).await?;
            tracing::info!(change = change.name, "a schema change that was cut off is finished");
        }
        Ok(())
    }

    /// How many steps are missing, one that was cut off among them. Only reads.
    ///
    /// # Errors
    /// When the history cannot be read, or the schema is not one that this program could have made.
    pub async fn pending(&self, db: &Db) -> Result<usize, MigrationError> {
        let history = self.history;
        let known = self.migrator(db.kind());
        let mut taken = 0;
        for step in self.taken(db).await? {
            let version = step.version;
            match known.iter().find(|known| known.version == version) {
                None => return Err(MigrationError::Newer { version }),
                Some(known) if step.checksum != hex(&known.checksum) => {
                    return Err(MigrationError::Changed { version, history });
                }
                Some(_) => taken += usize::from(step.finished),
            }
        }
        Ok(self.steps.len().saturating_sub(taken))
    }

    /// How many steps there are: a database that does not exist lacks them all.
    pub fn all(&self) -> usize {
        self.steps.len()
    }

    /// Whether no step is missing.
    ///
    /// # Errors
    /// When one is, the history cannot be read, or the schema is not one that this program could have made.
    pub async fn check(&self, db: &Db) -> Result<(), MigrationError> {
        match self.pending(db).await? {
            0 => Ok(()),
            steps => Err(MigrationError::Pending { steps }),
        }
    }

    /// The steps that the history knows; none where there is no history.
    async fn taken(&self, db: &Db) -> Result<Vec<Taken>, sqlx::Error> {
        let tables = match db.kind() {
            DatabaseKind::Sqlite => "select 1 from sqlite_master where type = 'table' and name = ?",
            DatabaseKind::MySql => {
                "select 1 from information_schema.tables where table_schema = database() and table_name = ?"
            }
        };
        if db.fetch_optional(sql(tables).bind(self.history)).await?.is_none() {
            return Ok(Vec::new());
        }
        let history = self.history;
        let steps =
            sql(format!("select version, success, lower(hex(checksum)) from {history} order by version"));
        db.read_all(steps, |columns| {
            Ok(Taken { version: columns.int()?, finished: columns.int()? != 0, checksum: columns.text()? })
        })
        .await
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

/// A transaction that alone may write, once whoever changes tables now has done so.
async fn take_turn(file: &Connections<Sqlite>) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    let deadline = Instant::now() + TURN;
    loop {
        match file.begin(Some("begin immediate")).await {
            Err(error) if is_contended(&error) && Instant::now() < deadline => {}
            answer => return answer,
        }
    }
}
