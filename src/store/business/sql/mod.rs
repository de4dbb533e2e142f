//! The adapter for SQL: SQLite embedded, or MySQL and MariaDB with the tables of the system that this replaces.

mod accumulated;
mod adopt;
mod daily;
mod due_tasks;
mod indexes;
mod listed;
mod plan_counts;
mod plan_exits;
mod plan_tasks;
mod plans;
mod shared;
mod stamp;
mod sync_runs;
mod zones;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;

pub use listed::{ListStatement, list_statements};
pub use stamp::Stamps;

use self::adopt::{adopt, incomplete, tell};
use self::shared::Shared;
use super::Store;
use super::plans::{PlanFilter, TaskFilter};
use crate::domain::statistics::StatisticType;
use crate::sql::{DatabaseKind, Db, MigrationError, Migrations, SchemaChange, sql};
use crate::store::error::{Answer, StoreError, named};

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
        SchemaChange {
            name: "probe",
            sqlite: include_str!("migrations/sqlite/0004_probe.sql"),
            mysql: include_str!("migrations/mysql/0004_probe.sql"),
        },
        SchemaChange {
            name: "sync_retry",
            sqlite: include_str!("migrations/sqlite/0005_sync_retry.sql"),
            mysql: include_str!("migrations/mysql/0005_sync_retry.sql"),
        },
        SchemaChange {
            name: "lists",
            sqlite: include_str!("migrations/sqlite/0006_lists.sql"),
            mysql: include_str!("migrations/mysql/0006_lists.sql"),
        },
        SchemaChange {
            name: "setting",
            sqlite: include_str!("migrations/sqlite/0007_setting.sql"),
            mysql: include_str!("migrations/mysql/0007_setting.sql"),
        },
        SchemaChange {
            name: "plan_exit",
            sqlite: include_str!("migrations/sqlite/0008_plan_exit.sql"),
            mysql: include_str!("migrations/mysql/0008_plan_exit.sql"),
        },
    ],
};

/// A store in a SQL database that others may use too.
#[derive(Clone, Debug)]
pub struct SqlStore {
    db: Db,
    stamps: Stamps,
    plan_counts: Arc<Shared<(i64, PlanFilter), u64>>,
    task_counts: Arc<Shared<(i64, TaskFilter), u64>>,
    sums: Arc<Shared<(i64, StatisticType), [i64; 3]>>,
}

impl SqlStore {
    /// Brings the tables up to date.
    ///
    /// # Errors
    /// When that fails, or they were made by a newer program.
    pub async fn migrate(db: &Db) -> Result<(), MigrationError> {
        if Self::pending(db).await? == 0 {
            return Ok(());
        }
        Box::pin(adopt(db, MIGRATIONS.run(db))).await
    }

    /// How many schema changes are missing, tables that lack columns or indexes among them. Only reads.
    ///
    /// # Errors
    /// When the history cannot be read, or the tables were made by a newer program.
    pub async fn pending(db: &Db) -> Result<usize, MigrationError> {
        Ok(MIGRATIONS.pending(db).await? + incomplete(db).await?)
    }

    /// How many schema changes a database lacks that does not exist.
    pub fn every_change() -> usize {
        MIGRATIONS.all()
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
        tell(&db).await?;
        let (plan_counts, task_counts, sums) = Default::default();
        Ok(Self { db, stamps: Stamps::new(zone), plan_counts, task_counts, sums })
    }

    /// Tells when these zones are others than those of the last start: of the days, and of the `DATETIME` columns. A
    /// database that cannot be asked or written now is no reason not to start.
    pub async fn remember_zones(&self, business: &TimeZone, columns: &TimeZone) {
        if let Err(error) = zones::remember(&self.db, business, columns).await {
            tracing::warn!(%error, "the time zones of this start could not be compared with those of the last one");
        }
    }
}

impl SqlStore {
    /// Held while something is changed that is counted or summed: whatever becomes of that, it is worked out anew afterwards.
    fn changing(&self) -> Changing<'_> {
        Changing(self)
    }
}

/// A change that is under way.
struct Changing<'a>(&'a SqlStore);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.plan_counts.changed();
        self.0.task_counts.changed();
        self.0.sums.changed();
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn ready(&self) -> Answer<()> {
        named("ready", self.db.room()).await?;
        let checked = MIGRATIONS.check(&self.db).await;
        checked.map_err(|error| StoreError::of_schema("ready", error))?;
        named("ready", async {
            let again = match self.db.kind() {
                DatabaseKind::Sqlite => "on conflict (id) do update set probes = probes + 1",
                DatabaseKind::MySql => "on duplicate key update probes = probes + 1",
            };
            // A real change: a disk that is full, a server that is read-only and a user without rights refuse it.
            let probe = sql("insert into qs_probe (id, probes) values (1, 1) ").push(again);
            self.db.execute(probe).await.map(drop)
        })
        .await
    }

    fn writers(&self) -> usize {
        self.db.writers()
    }
}
