//! SQL of `statistics_daily`, and which organisations there are.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{SqlStore, corrupt, failed};
use crate::domain::statistics::{DailyCount, DailyKey, DayRange, Distribution, Subject};
use crate::sql::{CellError, Columns, Upsert, Value, sql};
use crate::store::{Answer, DailyRow, DailyStore};

/// Keys of one `in`: more would leave the databases' plans by ranges.
const KEYS: usize = 500;

const DAILY: Upsert = Upsert {
    table: "statistics_daily",
    key: &["org_id", "statistic_type", "statistic_key", "stat_date"],
    facts: &["submission_count", "completion_count", "extra_metrics"],
    stamps: &["updated_at"],
    created: "created_at",
};

/// The columns that [`count`] reads. JSON is cast, because MySQL gives it in a type of its own.
const COUNT: &str = "statistic_type, statistic_key, cast(stat_date as char), submission_count, completion_count, \
                     cast(extra_metrics as char)";

impl DailyStore for SqlStore {
    fn put_daily<'a>(&'a self, org_id: i64, counts: &'a [DailyCount], now: Timestamp) -> Answer<'a, u64> {
        Box::pin(async move {
            let now = self.stamps.write(now);
            let row = |count: &DailyCount| {
                vec![
                    Value::from(org_id),
                    count.key.subject.statistic.as_str().into(),
                    (&count.key.subject.key).into(),
                    count.key.date.to_string().into(),
                    count.submissions.into(),
                    count.completions.into(),
                    count.distribution.to_extra_metrics().into(),
                    (&now).into(),
                    (&now).into(),
                ]
            };
            DAILY.run(&self.db, counts.iter().map(row).collect()).await.map_err(failed("put_daily"))
        })
    }

    fn daily_of<'a>(&'a self, org_id: i64, keys: &'a [DailyKey]) -> Answer<'a, Vec<DailyCount>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(keys.len());
            for keys in keys.chunks(KEYS) {
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
                .push_tuples(self.db.dialect(), tuples)
                .once();
                let rows = self.db.fetch_all(query).await;
                for row in rows.map_err(failed("daily_of"))? {
                    found.push(count(&mut row.columns()).map_err(corrupt("daily_of"))?);
                }
            }
            Ok(found)
        })
    }

    fn daily_page(&self, org_id: i64, after: Option<DailyKey>, limit: u32) -> Answer<'_, Vec<DailyRow>> {
        Box::pin(async move {
            let after = after.map_or_else(
                // Nothing sorts before an empty type.
                || [Value::from(""), "".into(), "1000-01-01".into()],
                |key| {
                    let Subject { statistic, key: which } = key.subject;
                    [statistic.as_str().into(), which.into(), key.date.to_string().into()]
                },
            );
            let [statistic, key, date] = after;
            // uk_statistics_daily; written out, because MySQL finds no range in a comparison of tuples
            let query = sql(format!(
                "select {COUNT}, cast(updated_at as char) from statistics_daily where org_id = ? and deleted_at is null \
                 and (statistic_type > ? or (statistic_type = ? and statistic_key > ?) \
                 or (statistic_type = ? and statistic_key = ? and stat_date > ?)) \
                 order by statistic_type, statistic_key, stat_date limit ?"
            ))
            .bind(org_id)
            .bind_all([statistic.clone(), statistic.clone(), key.clone(), statistic, key, date])
            .bind(limit);
            let rows = self.db.fetch_all(query).await.map_err(failed("daily_page"))?;
            let read = |columns: &mut Columns| {
                Ok(DailyRow { count: count(columns)?, updated_at: self.stamps.read(&columns.text()?)? })
            };
            rows.into_iter().map(|row| read(&mut row.columns()).map_err(corrupt("daily_page"))).collect()
        })
    }

    fn daily_of_subject<'a>(
        &'a self,
        org_id: i64,
        subject: &'a Subject,
        days: DayRange,
    ) -> Answer<'a, Vec<DailyCount>> {
        Box::pin(async move {
            // uk_statistics_daily
            let query = sql(format!(
                "select {COUNT} from statistics_daily where org_id = ? and statistic_type = ? and statistic_key = ? \
                 and stat_date between ? and ? and deleted_at is null order by stat_date"
            ))
            .bind(org_id)
            .bind(subject.statistic.as_str())
            .bind(&subject.key)
            .bind(days.start.to_string())
            .bind(days.end.to_string());
            let rows = self.db.fetch_all(query).await.map_err(failed("daily_of_subject"))?;
            rows.into_iter()
                .map(|row| count(&mut row.columns()).map_err(corrupt("daily_of_subject")))
                .collect()
        })
    }

    fn organisations(&self) -> Answer<'_, BTreeSet<i64>> {
        Box::pin(async move {
            let query = sql("select org_id from assessment_plan union select org_id from statistics_daily \
                 union select org_id from statistics_accumulated union select org_id from statistics_plan");
            let rows = self.db.fetch_all(query).await.map_err(failed("organisations"))?;
            rows.into_iter().map(|row| row.columns().int().map_err(corrupt("organisations"))).collect()
        })
    }
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
