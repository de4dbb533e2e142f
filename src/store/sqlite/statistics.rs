//! SQL of `statistics_daily`.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::{SqliteStore, failed};
use crate::domain::statistics::{DailyCount, DayRange};
use crate::store::{Answer, StatisticsStore, StoreError, parse_date};

/// Rows of one statement: 7 values each, below SQLite's limit of 32,766.
const ROWS: usize = 1_000;

impl StatisticsStore for SqliteStore {
    fn put_daily<'a>(&'a self, org_id: i64, counts: &'a [DailyCount], now: Timestamp) -> Answer<'a, u64> {
        Box::pin(async move {
            // Taking the write lock first makes a busy database wait; upgrading a read later would fail at once.
            let mut transaction =
                self.pool.begin_with("begin immediate").await.map_err(failed("put_daily"))?;
            let mut changed = 0;
            for rows in counts.chunks(ROWS) {
                let done = upsert(org_id, rows, now).build().execute(&mut *transaction).await;
                changed += done.map_err(failed("put_daily"))?.rows_affected();
            }
            transaction.commit().await.map_err(failed("put_daily"))?;
            Ok(changed)
        })
    }

    fn daily(&self, org_id: i64, days: DayRange, limit: u32) -> Answer<'_, Vec<DailyCount>> {
        Box::pin(async move {
            // idx_statistics_daily_org_date
            let rows = sqlx::query(
                "select stat_date, statistic_type, statistic_key, submission_count, completion_count \
                 from statistics_daily where org_id = ? and stat_date between ? and ? and deleted_at is null \
                 order by stat_date, statistic_type, statistic_key limit ?",
            )
            .bind(org_id)
            .bind(days.start.to_string())
            .bind(days.end.to_string())
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("daily"))?;
            rows.iter().map(count).collect()
        })
    }
}

/// Writes only what differs, so that the number of affected rows is the number of changes. `uk_statistics_daily`
fn upsert(org_id: i64, counts: &[DailyCount], now: Timestamp) -> QueryBuilder<Sqlite> {
    let now = now.to_string();
    let mut query = QueryBuilder::new(
        "insert into statistics_daily (org_id, statistic_type, statistic_key, stat_date, submission_count, \
         completion_count, created_at, updated_at) ",
    );
    query.push_values(counts, |mut row, count| {
        row.push_bind(org_id)
            .push_bind(count.statistic.as_str())
            .push_bind(count.key.clone())
            .push_bind(count.date.to_string())
            .push_bind(count.submissions)
            .push_bind(count.completions)
            .push_bind(now.clone())
            .push_bind(now.clone());
    });
    query.push(
        " on conflict (org_id, statistic_type, statistic_key, stat_date) do update set \
         submission_count = excluded.submission_count, completion_count = excluded.completion_count, \
         updated_at = excluded.updated_at, deleted_at = null, version = version + 1 \
         where submission_count <> excluded.submission_count or completion_count <> excluded.completion_count \
         or deleted_at is not null",
    );
    query
}

fn count(row: &SqliteRow) -> Result<DailyCount, StoreError> {
    let text = |name| row.try_get::<String, _>(name).map_err(failed("daily"));
    let number = |name| row.try_get::<i64, _>(name).map_err(failed("daily"));
    Ok(DailyCount {
        date: parse_date("daily", &text("stat_date")?)?,
        statistic: text("statistic_type")?
            .parse()
            .map_err(|found| StoreError::Corrupt { verb: "daily", found })?,
        key: text("statistic_key")?,
        submissions: number("submission_count")?,
        completions: number("completion_count")?,
    })
}
