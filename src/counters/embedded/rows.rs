//! The rows: counters, and the revision of each organisation.

use jiff::civil::Date;

use crate::counters::{Counter, CountersError, During};
use crate::domain::statistics::{DailyCount, DailyKey, Distribution, Subject};
use crate::sql::{CellError, Columns, Statement, Tx, sql};

/// The columns of a counter.
pub(super) const COUNTER: &str = "statistic_type, statistic_key, stat_date, submission_count, completion_count, extra_metrics, \
                       revision";

/// primary key
pub(super) async fn revision(tx: &mut Tx, org_id: i64) -> Result<i64, CountersError> {
    let query = sql("select revision from counter_revision where org_id = ?").bind(org_id);
    match tx.fetch_optional(query).await.during("revision")? {
        Some(row) => row.columns().int().corrupt("revision"),
        None => Ok(0),
    }
}

/// Adds to one counter, made if it is not there, what the store knows of it, `once` in this generation or repair. Answers
/// 1, or 0 when it had that already. No bound on values: what was lost was within it.
pub(super) async fn restore(
    tx: &mut Tx,
    org_id: i64,
    known: &DailyCount,
    once: &str,
) -> Result<u64, CountersError> {
    let key = |statement: Statement| {
        statement
            .bind(org_id)
            .bind(known.key.date.to_string())
            .bind(known.key.subject.statistic.as_str())
            .bind(&known.key.subject.key)
    };
    // primary key
    let query =
        key(sql("select restored, submission_count, completion_count, extra_metrics from counter_daily \
                         where org_id = ? and stat_date = ? and statistic_type = ? and statistic_key = ?"));
    let mut distribution = known.distribution.clone();
    if let Some(row) = tx.fetch_optional(query).await.during("restore")? {
        let mut columns = row.columns();
        if columns.optional_text().corrupt("restore")?.as_deref() == Some(once) {
            return Ok(0);
        }
        let before = numbers(&mut columns, known.key.clone()).corrupt("restore")?;
        if !before.has_room_for(known) {
            return Err(CountersError::Stuck { key: before.key, why: "it is at its end".to_owned() });
        }
        distribution.add(&before.distribution);
    }
    let write = key(sql(
        "insert into counter_daily (org_id, stat_date, statistic_type, statistic_key, submission_count, \
         completion_count, extra_metrics, revision, restored) values (?, ?, ?, ?, ?, ?, ?, 0, ?) \
         on conflict (org_id, stat_date, statistic_type, statistic_key) do update set \
         submission_count = submission_count + excluded.submission_count, \
         completion_count = completion_count + excluded.completion_count, \
         extra_metrics = excluded.extra_metrics, restored = excluded.restored",
    ))
    .bind(known.submissions)
    .bind(known.completions)
    .bind(distribution.to_extra_metrics())
    .bind(once);
    tx.execute(write).await.during("restore")
}

/// Reads the columns of [`COUNTER`]: the key, and what is counted under it. One that cannot be read hides no other.
pub(super) fn counter(columns: &mut Columns) -> Result<(DailyKey, Result<Counter, CellError>), CellError> {
    let subject = Subject { statistic: columns.parsed()?, key: columns.text()? };
    let date: Date = columns.parsed()?;
    let key = DailyKey { subject, date };
    let counted = counted(columns, key.clone());
    Ok((key, counted))
}

/// Reads what is counted, after the key.
pub(super) fn numbers(columns: &mut Columns, key: DailyKey) -> Result<DailyCount, CellError> {
    Ok(DailyCount {
        key,
        submissions: columns.int()?,
        completions: columns.int()?,
        distribution: Distribution::from_extra_metrics(columns.optional_text()?.as_deref())?,
    })
}

fn counted(columns: &mut Columns, key: DailyKey) -> Result<Counter, CellError> {
    let count = numbers(columns, key)?;
    if let Some(field) = count.negative() {
        return Err(format!("expected no number below 0 in the field {field}"));
    }
    Ok(Counter { count, revision: Some(columns.int()?) })
}
