//! The embedded adapter: counters in SQLite, in the same database as the store or another one.

use jiff::Timestamp;
use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::{Answer, Counters, CountersError, Cursor, Touched};
use crate::domain::statistics::{DailyCount, DayRange, StatisticsEvent};

/// History of this adapter's migrations: other modules on the same database have their own.
const HISTORY: &str = "counters_migrations";

/// Counters in a SQLite database.
#[derive(Clone, Debug)]
pub struct EmbeddedCounters {
    pool: SqlitePool,
}

impl EmbeddedCounters {
    /// Opens them on this pool and brings their tables up to date.
    ///
    /// # Errors
    /// When the tables cannot be made, or were made by a newer program.
    pub async fn open(pool: SqlitePool) -> Result<Self, CountersError> {
        let sql = include_str!("migrations/0001_counters.sql").into_sql_str();
        let mut migrator = Migrator::with_migrations(vec![Migration::new(
            1,
            "counters".into(),
            MigrationType::Simple,
            sql,
            false,
        )]);
        migrator.dangerous_set_table_name(HISTORY);
        migrator.run(&pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) => CountersError::NewerSchema { version },
            other => CountersError::Backend { verb: "migrate", source: Box::new(other) },
        })?;
        Ok(Self { pool })
    }
}

impl Counters for EmbeddedCounters {
    fn count<'a>(&'a self, org_id: i64, event: &'a StatisticsEvent, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut transaction = self.pool.begin_with("begin immediate").await.map_err(failed("count"))?;
            if !remember(&mut transaction, org_id, &event.event_id, now).await? {
                return Ok(false);
            }
            let revision = next_revision(&mut transaction, org_id).await?;
            for count in event.increments() {
                add(&mut transaction, org_id, &count).await?;
            }
            touch(&mut transaction, org_id, &event.date.to_string(), revision).await?;
            transaction.commit().await.map_err(failed("count"))?;
            Ok(true)
        })
    }

    fn touched(&self, org_id: i64, since: Option<i64>) -> Answer<'_, Touched> {
        Box::pin(async move {
            // One snapshot for both questions: a change between them would be marked and not listed.
            let mut snapshot = self.pool.begin().await.map_err(failed("touched"))?;
            let mark = revision(&mut snapshot, org_id).await?;
            let days = touched_days(&mut snapshot, org_id, since.unwrap_or(0)).await?;
            let days = days.iter().map(|day| {
                day.parse().map_err(|_| CountersError::Corrupt { verb: "touched", found: day.clone() })
            });
            Ok(Touched { days: days.collect::<Result<_, _>>()?, mark })
        })
    }

    fn page(
        &self,
        org_id: i64,
        days: DayRange,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Answer<'_, Vec<DailyCount>> {
        Box::pin(async move {
            // Nothing sorts before an empty type.
            let (date, statistic, key) = cursor.map_or_else(
                || (days.start.to_string(), "", String::new()),
                |cursor| (cursor.date.to_string(), cursor.statistic.as_str(), cursor.key),
            );
            // primary key
            let rows = sqlx::query(
                "select stat_date, statistic_type, statistic_key, submission_count, completion_count \
                 from counter_daily where org_id = ? and stat_date <= ? \
                 and (stat_date, statistic_type, statistic_key) > (?, ?, ?) \
                 order by stat_date, statistic_type, statistic_key limit ?",
            )
            .bind(org_id)
            .bind(days.end.to_string())
            .bind(date)
            .bind(statistic)
            .bind(key)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("page"))?;
            rows.iter().map(count).collect()
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            sqlx::query("select 1").execute(&self.pool).await.map_err(failed("ping"))?;
            Ok(())
        })
    }
}

/// Whether this event is new. primary key
async fn remember(
    connection: &mut SqliteConnection,
    org_id: i64,
    event_id: &str,
    now: Timestamp,
) -> Result<bool, CountersError> {
    let done = sqlx::query(
        "insert into counter_event (org_id, event_id, counted_at) values (?, ?, ?) on conflict do nothing",
    )
    .bind(org_id)
    .bind(event_id)
    .bind(now.to_string())
    .execute(connection)
    .await
    .map_err(failed("count"))?;
    Ok(done.rows_affected() == 1)
}

/// primary key
async fn next_revision(connection: &mut SqliteConnection, org_id: i64) -> Result<i64, CountersError> {
    sqlx::query_scalar(
        "insert into counter_revision (org_id, revision) values (?, 1) \
         on conflict (org_id) do update set revision = revision + 1 returning revision",
    )
    .bind(org_id)
    .fetch_one(connection)
    .await
    .map_err(failed("count"))
}

/// primary key
async fn add(
    connection: &mut SqliteConnection,
    org_id: i64,
    count: &DailyCount,
) -> Result<(), CountersError> {
    sqlx::query(
        "insert into counter_daily (org_id, stat_date, statistic_type, statistic_key, submission_count, \
         completion_count) values (?, ?, ?, ?, ?, ?) \
         on conflict (org_id, stat_date, statistic_type, statistic_key) do update set \
         submission_count = submission_count + excluded.submission_count, \
         completion_count = completion_count + excluded.completion_count",
    )
    .bind(org_id)
    .bind(count.date.to_string())
    .bind(count.statistic.as_str())
    .bind(&count.key)
    .bind(count.submissions)
    .bind(count.completions)
    .execute(connection)
    .await
    .map_err(failed("count"))?;
    Ok(())
}

/// primary key
async fn touch(
    connection: &mut SqliteConnection,
    org_id: i64,
    date: &str,
    revision: i64,
) -> Result<(), CountersError> {
    sqlx::query(
        "insert into counter_day (org_id, stat_date, revision) values (?, ?, ?) \
         on conflict (org_id, stat_date) do update set revision = excluded.revision",
    )
    .bind(org_id)
    .bind(date)
    .bind(revision)
    .execute(connection)
    .await
    .map_err(failed("count"))?;
    Ok(())
}

/// primary key
async fn revision(connection: &mut SqliteConnection, org_id: i64) -> Result<i64, CountersError> {
    let found = sqlx::query_scalar("select revision from counter_revision where org_id = ?")
        .bind(org_id)
        .fetch_optional(connection)
        .await
        .map_err(failed("touched"))?;
    Ok(found.unwrap_or(0))
}

/// `idx_counter_day_revision`
async fn touched_days(
    connection: &mut SqliteConnection,
    org_id: i64,
    since: i64,
) -> Result<Vec<String>, CountersError> {
    sqlx::query_scalar("select stat_date from counter_day where org_id = ? and revision > ?")
        .bind(org_id)
        .bind(since)
        .fetch_all(connection)
        .await
        .map_err(failed("touched"))
}

fn count(row: &SqliteRow) -> Result<DailyCount, CountersError> {
    let corrupt = |found| CountersError::Corrupt { verb: "page", found };
    let text = |name| row.try_get::<String, _>(name).map_err(failed("page"));
    let number = |name| row.try_get::<i64, _>(name).map_err(failed("page"));
    let date = text("stat_date")?;
    Ok(DailyCount {
        date: date.parse().map_err(|_| corrupt(date))?,
        statistic: text("statistic_type")?.parse().map_err(corrupt)?,
        key: text("statistic_key")?,
        submissions: number("submission_count")?,
        completions: number("completion_count")?,
    })
}

fn failed(verb: &'static str) -> impl Fn(sqlx::Error) -> CountersError {
    move |source| CountersError::Backend { verb, source: Box::new(source) }
}
