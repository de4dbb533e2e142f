//! SQL of `statistics_daily`, and which organisations there are.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqlStore;
use crate::domain::statistics::{DailyCount, DailyKey, Distribution, Subject};
use crate::sql::{CellError, Columns, DatabaseKind, LONGEST_LIST, Order, Statement, Upsert, Value, sql};
use crate::store::business::{DailyRow, DailyStore};
use crate::store::error::{Answer, named};

const DAILY: Upsert = Upsert {
    table: "statistics_daily",
    key: &["org_id", "statistic_type", "statistic_key", "stat_date"],
    facts: &["submission_count", "completion_count", "extra_metrics"],
    stamps: &["updated_at"],
};

/// The columns that [`count`] reads. JSON is cast, because MySQL gives it in a type of its own.
const COUNT: &str = "statistic_type, statistic_key, cast(stat_date as char), submission_count, completion_count, \
                     cast(extra_metrics as char)";

#[async_trait]
impl DailyStore for SqlStore {
    async fn put_daily(&self, org_id: i64, counts: &[DailyCount], now: Timestamp) -> Answer<u64> {
        let row = |count: &DailyCount| {
            vec![
                Value::from(org_id),
                count.key.subject.statistic.as_str().into(),
                (&count.key.subject.key).into(),
                count.key.date.to_string().into(),
                count.submissions.into(),
                count.completions.into(),
                count.distribution.to_extra_metrics().into(),
            ]
        };
        named("put_daily", DAILY.run(&self.db, counts.iter().map(row).collect(), &self.stamps.write(now)))
            .await
    }

    async fn daily_of(&self, org_id: i64, keys: &[DailyKey]) -> Answer<Vec<DailyCount>> {
        named("daily_of", async {
            let asked: HashSet<&DailyKey> = keys.iter().collect();
            let mut found = Vec::with_capacity(keys.len());
            for keys in keys.chunks(LONGEST_LIST) {
                // uk_statistics_daily
                let tuples = keys.iter().map(|key| {
                    [
                        key.subject.statistic.as_str().into(),
                        (&key.subject.key).into(),
                        key.date.to_string().into(),
                    ]
                });
                let query = sql(format!(
                    "select {COUNT} from statistics_daily where org_id = ? and deleted_at is null \
                     and (statistic_type, statistic_key, stat_date) in "
                ))
                .bind(org_id)
                .push_tuples(self.db.kind(), tuples);
                let rows = self.db.read_all(query, count).await?;
                // A collation that overlooks differences finds keys that nobody asked for.
                found.extend(rows.into_iter().filter(|row| asked.contains(&row.key)));
            }
            Ok(found)
        })
        .await
    }

    async fn daily_page(&self, org_id: i64, after: Option<DailyKey>, limit: u32) -> Answer<Vec<DailyRow>> {
        let query = rows_after(self.db.kind(), org_id, after, limit);
        let read = |columns: &mut Columns| {
            Ok(DailyRow { count: count(columns)?, updated_at: self.stamps.read(&columns.text()?)? })
        };
        named("daily_page", self.db.read_all(query, read)).await
    }

    async fn organisations(&self) -> Answer<BTreeSet<i64>> {
        named("organisations", async {
            let query = sql("select org_id from assessment_plan union select org_id from statistics_daily \
                 union select org_id from statistics_accumulated union select org_id from statistics_plan");
            Ok(self.db.read_all(query, Columns::int).await?.into_iter().collect())
        })
        .await
    }
}

/// The rows after this key: `uk_statistics_daily`.
pub(super) fn rows_after(kind: DatabaseKind, org_id: i64, after: Option<DailyKey>, limit: u32) -> Statement {
    let mut query = sql(format!(
        "select {COUNT}, cast(updated_at as char) from statistics_daily where org_id = ? and deleted_at is null"
    ))
    .bind(org_id);
    if let Some(DailyKey { subject, date }) = after {
        let columns = ["statistic_type", "statistic_key", "stat_date"];
        let values = [subject.statistic.as_str().into(), subject.key.into(), date.to_string().into()];
        query = query.push_after(kind, columns, Order::Rising, values);
    }
    query.push(" order by statistic_type, statistic_key, stat_date limit ?").bind(limit)
}

fn count(columns: &mut Columns) -> Result<DailyCount, CellError> {
    let subject = Subject { statistic: columns.parsed()?, key: columns.text()? };
    Ok(DailyCount {
        key: DailyKey { subject, date: columns.parsed()? },
        submissions: columns.int()?,
        completions: columns.int()?,
        distribution: Distribution::from_extra_metrics(columns.optional_text()?.as_deref())?,
    })
}
