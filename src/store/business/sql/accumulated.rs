//! SQL of `statistics_accumulated`.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use super::SqlStore;
use crate::domain::statistics::{Accumulated, DayRange, StatisticType, Subject};
use crate::sql::{CellError, Columns, LONGEST_LIST, Order, Upsert, Value, sql};
use crate::store::business::AccumulatedStore;
use crate::store::error::{Answer, named};

const ACCUMULATED: Upsert = Upsert {
    table: "statistics_accumulated",
    key: &["org_id", "statistic_type", "statistic_key"],
    facts: &[
        "total_submissions",
        "total_completions",
        "last7d_submissions",
        "last15d_submissions",
        "last30d_submissions",
        "distribution",
        "first_occurred_at",
        "last_occurred_at",
    ],
    stamps: &["last_updated_at", "updated_at"],
};

/// The columns that [`accumulated`] reads.
const COLUMNS: &str = "a.statistic_type, a.statistic_key, a.total_submissions, a.total_completions, \
                       a.last7d_submissions, a.last15d_submissions, a.last30d_submissions, \
                       cast(a.distribution as char), cast(a.first_occurred_at as char), \
                       cast(a.last_occurred_at as char)";

#[async_trait]
impl AccumulatedStore for SqlStore {
    async fn put_accumulated(&self, org_id: i64, totals: &[Accumulated], now: Timestamp) -> Answer<u64> {
        let _changing = self.changing();
        let row = |total: &Accumulated| {
            let [week, fortnight, month] = total.last_days;
            vec![
                Value::from(org_id),
                total.subject.statistic.as_str().into(),
                (&total.subject.key).into(),
                total.total_submissions.into(),
                total.total_completions.into(),
                week.into(),
                fortnight.into(),
                month.into(),
                total.to_json().into(),
                total.occurred.map(|days| midnight(days.start)).into(),
                total.occurred.map(|days| midnight(days.end)).into(),
            ]
        };
        let rows = totals.iter().map(row).collect();
        named("put_accumulated", ACCUMULATED.run(&self.db, rows, &self.stamps.write(now))).await
    }

    async fn accumulated_of(&self, org_id: i64, subjects: &[Subject]) -> Answer<Vec<Accumulated>> {
        named("accumulated_of", async {
            let asked: HashSet<&Subject> = subjects.iter().collect();
            let mut found = Vec::with_capacity(subjects.len());
            for subjects in subjects.chunks(LONGEST_LIST) {
                // uk_statistics_accumulated
                let tuples = subjects.iter().map(|s| [s.statistic.as_str().into(), (&s.key).into()]);
                let query = sql(format!(
                    "select {COLUMNS} from statistics_accumulated a where org_id = ? and deleted_at is null \
                     and (statistic_type, statistic_key) in "
                ))
                .bind(org_id)
                .push_tuples(self.db.kind(), tuples);
                let rows = self.db.read_all(query, accumulated).await?;
                // A collation that overlooks differences finds keys that nobody asked for.
                found.extend(rows.into_iter().filter(|row| asked.contains(&row.subject)));
            }
            Ok(found)
        })
        .await
    }

    async fn accumulated_by_day(
        &self,
        org_id: i64,
        subject: &Subject,
        days: DayRange,
    ) -> Answer<Option<(Accumulated, Vec<(Date, i64)>)>> {
        // uk_statistics_accumulated, uk_statistics_daily. One statement without an order: on MySQL a second one
        // costs as much as the first, and sorting rows with texts as much as both.
        let query = sql(format!(
            "select {COLUMNS}, d.statistic_key, cast(d.stat_date as char), d.submission_count \
             from statistics_accumulated a left join statistics_daily d on d.org_id = a.org_id \
             and d.statistic_type = a.statistic_type and d.statistic_key = a.statistic_key \
             and d.stat_date between ? and ? and d.deleted_at is null \
             where a.org_id = ? and a.statistic_type = ? and a.statistic_key = ? and a.deleted_at is null"
        ))
        .bind(days.start.to_string())
        .bind(days.end.to_string())
        .bind(org_id)
        .bind(subject.statistic.as_str())
        .bind(&subject.key);
        let read = |columns: &mut Columns| {
            let total = accumulated(columns)?;
            Ok((total, columns.optional_text()?, columns.optional_parsed()?, columns.optional_int()?))
        };
        named("accumulated_by_day", async {
            let (mut found, mut by_day) = (None, Vec::new());
            for (total, key, day, submissions) in self.db.read_all(query, read).await? {
                // A collation that overlooks differences finds keys that nobody asked for.
                if total.subject != *subject {
                    continue;
                }
                found = Some(total);
                let day = day.zip(submissions).filter(|_| key.as_ref() == Some(&subject.key));
                by_day.extend(day);
            }
            Ok(found.map(|total| (total, by_day)))
        })
        .await
    }

    async fn orphans(&self, org_id: i64, after: Option<Subject>, limit: u32) -> Answer<Vec<Subject>> {
        // uk_statistics_accumulated, uk_statistics_daily
        let mut query = sql("select statistic_type, statistic_key from statistics_accumulated a \
             where org_id = ? and deleted_at is null \
             and not exists (select 1 from statistics_daily d where d.org_id = a.org_id \
             and d.statistic_type = a.statistic_type and d.statistic_key = a.statistic_key \
             and d.deleted_at is null)")
        .bind(org_id);
        if let Some(after) = after {
            let values = [after.statistic.as_str().into(), after.key.into()];
            let columns = ["statistic_type", "statistic_key"];
            query = query.push_after(self.db.kind(), columns, Order::Rising, values);
        }
        let query = query.push(" order by statistic_type, statistic_key limit ?").bind(limit);
        let read = |columns: &mut Columns| Ok(Subject { statistic: columns.parsed()?, key: columns.text()? });
        named("orphans", self.db.read_all(query, read)).await
    }

    async fn accumulated_sum(&self, org_id: i64, statistic: StatisticType) -> Answer<[i64; 3]> {
        let sum = async {
            // uk_statistics_accumulated
            let query = sql("select count(*), cast(coalesce(sum(total_submissions), 0) as signed), \
                 cast(coalesce(sum(total_completions), 0) as signed) from statistics_accumulated \
                 where org_id = ? and statistic_type = ? and deleted_at is null")
            .bind(org_id)
            .bind(statistic.as_str());
            let read = |columns: &mut Columns| Ok([columns.int()?, columns.int()?, columns.int()?]);
            Ok::<_, sqlx::Error>(self.db.read_one(query, read).await?.unwrap_or_default())
        };
        // Every row of the type is looked at, so the answer is shared.
        named("accumulated_sum", self.sums.get((org_id, statistic), sum)).await
    }
}

/// The first instant of a day, as wall clock.
fn midnight(day: Date) -> String {
    format!("{day} 00:00:00.000")
}

fn accumulated(columns: &mut Columns) -> Result<Accumulated, CellError> {
    Ok(Accumulated {
        subject: Subject { statistic: columns.parsed()?, key: columns.text()? },
        total_submissions: columns.int()?,
        total_completions: columns.int()?,
        last_days: [columns.int()?, columns.int()?, columns.int()?],
        distribution: Accumulated::distribution_of(columns.optional_text()?.as_deref())?,
        occurred: match (day(columns)?, day(columns)?) {
            (Some(start), Some(end)) => Some(DayRange { start, end }),
            _ => None,
        },
    })
}

/// The day of a wall clock, if there is one.
fn day(columns: &mut Columns) -> Result<Option<Date>, CellError> {
    let Some(text) = columns.optional_text()? else { return Ok(None) };
    text.get(..10)
        .and_then(|day| day.parse().ok())
        .map(Some)
        .ok_or_else(|| format!("no date and time: {text:?}"))
}
