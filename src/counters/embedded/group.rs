//! A group of events, counted in one transaction: what they change is worked out in memory, between one look at the
//! database and one write. The write lock is held meanwhile, so nothing that was read becomes old.
//!
//! Lists travel as one JSON text (`json_each`): each statement has one text for any number of rows and stays prepared.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value as Json, json};

use super::rows::{numbers, revision};
use crate::counters::{Counted, CountersError, During};
use crate::domain::statistics::{DailyCount, DailyKey, StatisticsEvent, Subject};
use crate::sql::{CellError, Row, Tx, sql};

/// An event and when it was accepted.
#[derive(Clone, Copy)]
pub(super) struct Accepted<'a> {
    pub(super) event: &'a StatisticsEvent,
    pub(super) at: Timestamp,
}

/// What became of each.
pub(super) type Outcomes = Vec<Result<Counted, CountersError>>;

/// Counts events of one organisation, in their order.
pub(super) async fn count(
    tx: &mut Tx,
    org_id: i64,
    events: &[Accepted<'_>],
) -> Result<Outcomes, CountersError> {
    let added: Vec<Vec<DailyCount>> = events.iter().map(|accepted| accepted.event.increments()).collect();
    let mut group = Group {
        revision: revision(tx, org_id).await?,
        known: known(tx, org_id, events).await?,
        counters: counters(tx, org_id, added.iter().flatten().map(|count| &count.key)).await?,
        remembered: Vec::new(),
    };
    let outcomes = events.iter().zip(added).map(|(accepted, added)| group.take(accepted, added)).collect();
    group.write(tx, org_id).await?;
    Ok(outcomes)
}

/// A counter as it will be written.
struct Counter {
    count: DailyCount,
    /// Of its last change in this group.
    revision: Option<i64>,
}

/// What is known while the events are taken one after the other.
struct Group {
    revision: i64,
    /// Ids that were counted, before or in this group.
    known: HashSet<String>,
    /// Those that events of the group name and that exist, or why one cannot be read.
    counters: HashMap<DailyKey, Result<Counter, CellError>>,
    /// Id and instant of what this group counts.
    remembered: Vec<Json>,
}

impl Group {
    fn take(&mut self, accepted: &Accepted<'_>, added: Vec<DailyCount>) -> Result<Counted, CountersError> {
        let id = &accepted.event.event_id;
        if self.known.contains(id) {
            return Ok(Counted::Before);
        }
        for count in &added {
            match self.counters.get(&count.key) {
                Some(Err(why)) => return Err(stuck(&count.key, why)),
                Some(Ok(counter)) if !counter.count.has_room_for(count) => {
                    return Err(stuck(&count.key, "it is at its end"));
                }
                Some(Ok(counter)) if !counter.count.distribution.has_room_for(&count.distribution) => {
                    return Ok(Counted::Full(count.key.clone()));
                }
                _ => {}
            }
        }
        self.known.insert(id.clone());
        self.remembered.push(json!([id, accepted.at.as_millisecond()]));
        self.revision += 1;
        for count in added {
            self.add(count);
        }
        Ok(Counted::New)
    }

    fn add(&mut self, count: DailyCount) {
        let revision = Some(self.revision);
        match self.counters.get_mut(&count.key) {
            Some(Ok(counter)) => {
                counter.count.submissions += count.submissions;
                counter.count.completions += count.completions;
                counter.count.distribution.add(&count.distribution);
                counter.revision = revision;
            }
            _ => drop(self.counters.insert(count.key.clone(), Ok(Counter { count, revision }))),
        }
    }

    async fn write(self, tx: &mut Tx, org_id: i64) -> Result<(), CountersError> {
        if self.remembered.is_empty() {
            return Ok(());
        }
        let remember = sql("insert into counter_event (org_id, event_id, counted_at) \
                            select ?, value ->> 0, value ->> 1 from json_each(?)");
        let remember = remember.bind(org_id).bind(Json::from(self.remembered).to_string());
        tx.execute(remember).await.during("count")?;
        let changed = self.counters.into_values().flatten().filter_map(|Counter { count, revision }| {
            let DailyCount { key: DailyKey { subject, date }, submissions, completions, distribution } =
                count;
            Some(json!([
                date.to_string(),
                subject.statistic.as_str(),
                subject.key,
                submissions,
                completions,
                distribution.to_extra_metrics(),
                revision?,
            ]))
        });
        let write = sql("insert into counter_daily (org_id, stat_date, statistic_type, statistic_key, \
             submission_count, completion_count, extra_metrics, revision) \
             select ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 \
             from json_each(?) where true \
             on conflict (org_id, stat_date, statistic_type, statistic_key) do update set \
             submission_count = excluded.submission_count, completion_count = excluded.completion_count, \
             extra_metrics = excluded.extra_metrics, revision = excluded.revision");
        let write = write.bind(org_id).bind(changed.collect::<Json>().to_string());
        tx.execute(write).await.during("count")?;
        let next = sql("insert into counter_revision (org_id, revision) values (?, ?) \
                        on conflict (org_id) do update set revision = excluded.revision");
        tx.execute(next.bind(org_id).bind(self.revision)).await.during("count")?;
        Ok(())
    }
}

fn stuck(key: &DailyKey, why: &str) -> CountersError {
    CountersError::Stuck { key: key.clone(), why: why.to_owned() }
}

/// Those of the ids that were counted before. Primary key.
async fn known(tx: &mut Tx, org_id: i64, events: &[Accepted<'_>]) -> Result<HashSet<String>, CountersError> {
    let ids: Json = events.iter().map(|accepted| accepted.event.event_id.as_str()).collect();
    let query = sql("select event_id from counter_event where org_id = ? \
                     and event_id in (select value from json_each(?))");
    let rows = tx.fetch_all(query.bind(org_id).bind(ids.to_string())).await.during("count")?;
    rows.into_iter().map(|row| row.columns().text().corrupt("count")).collect()
}

/// The counters that exist under these keys. Primary key, from the list to the table.
async fn counters(
    tx: &mut Tx,
    org_id: i64,
    keys: impl Iterator<Item = &DailyKey>,
) -> Result<HashMap<DailyKey, Result<Counter, CellError>>, CountersError> {
    let keys: HashSet<&DailyKey> = keys.collect();
    let keys: Json = keys
        .into_iter()
        .map(|DailyKey { subject, date }| json!([date.to_string(), subject.statistic.as_str(), subject.key]))
        .collect();
    let query = sql("select statistic_type, statistic_key, stat_date, submission_count, completion_count, \
         extra_metrics from json_each(?) cross join counter_daily on org_id = ? \
         and stat_date = value ->> 0 and statistic_type = value ->> 1 and statistic_key = value ->> 2");
    let rows = tx.fetch_all(query.bind(keys.to_string()).bind(org_id)).await.during("count")?;
    rows.into_iter().map(|row| read(row).corrupt("count")).collect()
}

/// A counter that cannot be read is one all the same: whoever does not count on it need not know.
fn read(row: Row) -> Result<(DailyKey, Result<Counter, CellError>), CellError> {
    let mut columns = row.columns();
    let subject = Subject { statistic: columns.parsed()?, key: columns.text()? };
    let date: Date = columns.parsed()?;
    let key = DailyKey { subject, date };
    let counter = numbers(&mut columns, key.clone()).map(|count| Counter { count, revision: None });
    Ok((key, counter))
}
