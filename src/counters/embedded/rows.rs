//! The rows: counters, and the revision of each organisation.

use jiff::civil::Date;

use crate::counters::{Counter, CountersError, During};
use crate::domain::statistics::{DailyCount, DailyKey, Distribution, Subject};
use crate::sql::{CellError, Columns, Statement, Tx, sql};

/// The columns of a counter.
pub(super) const COUNTER: &str = "statistic_type, statistic_key, stat_date, submission_count, completion_count, extra_metrics, \
                       revision";

/// primary key
pub(super) async fn next_revision(tx: &mut Tx, org_id: i64) -> Result<i64, CountersError> {
    let next = sql("insert into counter_revision (org_id, revision) values (?, 1) \
                    on conflict (org_id) do update set revision = revision + 1");
    tx.execute(next.bind(org_id)).await.during("count")?;
    revision(tx, org_id).await
}

/// primary key
pub(super) async fn revision(tx: &mut Tx, org_id: i64) -> Result<i64, CountersError> {
    let query = sql("select revision from counter_revision where org_id = ?").bind(org_id);
    match tx.fetch_optional(query).await.during("revision")? {
        Some(row) => row.columns().int().corrupt("revision"),
        None => Ok(0),
    }
}

/// Adds to one counter, made if it is not there: a new event with its revision, or what the store knows, once as
/// `restored` says. Answers 1, or 0 when it had that already.
pub(super) async fn add(
    tx: &mut Tx,
    org_id: i64,
    count: &DailyCount,
    revision: Option<i64>,
    restored: Option<&str>,
) -> Result<u64, CountersError> {
    let key = |statement: Statement| {
        statement
            .bind(org_id)
            .bind(count.key.date.to_string())
            .bind(count.key.subject.statistic.as_str())
            .bind(&count.key.subject.key)
    };
    // primary key
    let query = key(sql("select extra_metrics, restored from counter_daily \
                         where org_id = ? and stat_date = ? and statistic_type = ? and statistic_key = ?"));
    let mut distribution = count.distribution.clone();
    if let Some(row) = tx.fetch_optional(query).await.during("count")? {
        let mut columns = row.columns();
        let before = columns.optional_text().corrupt("count")?;
        let mark = columns.optional_text().corrupt("count")?;
        if restored.is_some() && mark.as_deref() == restored {
            return Ok(0);
        }
        distribution.add(&Distribution::from_extra_metrics(before.as_deref()).corrupt("count")?);
    }
    let write = key(sql(
        "insert into counter_daily (org_id, stat_date, statistic_type, statistic_key, submission_count, \
         completion_count, extra_metrics, revision, restored) values (?, ?, ?, ?, ?, ?, ?, ?, ?) \
         on conflict (org_id, stat_date, statistic_type, statistic_key) do update set \
         submission_count = submission_count + excluded.submission_count, \
         completion_count = completion_count + excluded.completion_count, \
         extra_metrics = excluded.extra_metrics, revision = max(revision, excluded.revision), \
         restored = coalesce(excluded.restored, restored)",
    ))
    .bind(count.submissions)
    .bind(count.completions)
    .bind(distribution.to_extra_metrics())
    .bind(revision.unwrap_or(0))
    .bind(restored);
    tx.execute(write).await.during("count")
}

/// Reads the columns of [`COUNTER`].
pub(super) fn counter(columns: &mut Columns) -> Result<Counter, CellError> {
    let subject = Subject { statistic: columns.parsed()?, key: columns.text()? };
    let date: Date = columns.parsed()?;
    let count = DailyCount {
        key: DailyKey { subject, date },
        submissions: columns.int()?,
        completions: columns.int()?,
        distribution: Distribution::from_extra_metrics(columns.optional_text()?.as_deref())?,
    };
    Ok(Counter { count, revision: Some(columns.int()?) })
}
