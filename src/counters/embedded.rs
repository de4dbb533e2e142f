//! The embedded adapter: counters in SQLite, in the same database as the store.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Answer, Counter, Counters, CountersError, Cursor, Mark, Page, Touched};
use crate::domain::statistics::{DailyCount, DailyKey, Days, Distribution, StatisticsEvent, Subject};
use crate::sql::{
    CellError, Columns, Db, LONGEST_LIST, MigrationError, Migrations, SchemaChange, Tx, Value, sql,
};

/// The history of its tables: other modules on the same database have their own.
static MIGRATIONS: Migrations = Migrations {
    history: "qs_counters_migrations",
    steps: &[SchemaChange {
        name: "counters",
        sqlite: include_str!("migrations/0001_counters.sql"),
        mysql: "",
    }],
};

/// The columns that [`counter`] reads.
const COUNTER: &str = "statistic_type, statistic_key, stat_date, submission_count, completion_count, extra_metrics, \
                       revision";

/// Counters in a SQLite database.
#[derive(Clone, Debug)]
pub struct EmbeddedCounters {
    db: Db,
}

impl EmbeddedCounters {
    /// Brings the tables up to date.
    ///
    /// # Errors
    /// When that fails, or they were made by a newer program.
    pub async fn migrate(db: &Db) -> Result<(), MigrationError> {
        MIGRATIONS.run(db).await
    }

    /// How many schema changes are missing.
    ///
    /// # Errors
    /// When the history cannot be read, or the tables were made by a newer program.
    pub async fn pending(db: &Db) -> Result<usize, MigrationError> {
        MIGRATIONS.pending(db).await
    }

    /// Opens them.
    ///
    /// # Errors
    /// When the tables are not those of this program.
    pub async fn open(db: Db) -> Result<Self, MigrationError> {
        match Self::pending(&db).await? {
            0 => Ok(Self { db }),
            steps => Err(MigrationError::Pending { steps }),
        }
    }

    async fn generation(&self, tx: &mut Tx, verb: &'static str) -> Result<String, CountersError> {
        let row = tx.fetch_optional(sql("select generation from counter_generation")).await;
        let row = row.map_err(failed(verb))?.ok_or_else(|| corrupt(verb)("no generation".to_owned()))?;
        row.columns().text().map_err(corrupt(verb))
    }
}

impl Counters for EmbeddedCounters {
    fn count<'a>(&'a self, org_id: i64, event: &'a StatisticsEvent, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut tx = self.db.begin().await.map_err(failed("count"))?;
            let remember = sql("insert into counter_event (org_id, event_id, counted_at) values (?, ?, ?) \
                                on conflict do nothing");
            let remember = remember.bind(org_id).bind(&event.event_id).bind(now.as_millisecond());
            if tx.execute(remember).await.map_err(failed("count"))? == 0 {
                return Ok(false);
            }
            let revision = next_revision(&mut tx, org_id).await?;
            for count in event.increments() {
                add(&mut tx, org_id, &count, Some(revision), None).await?;
            }
            tx.commit().await.map_err(failed("count"))?;
            Ok(true)
        })
    }

    fn mark(&self, org_id: i64) -> Answer<'_, Mark> {
        Box::pin(async move {
            let mut tx = self.db.snapshot().await.map_err(failed("mark"))?;
            let generation = self.generation(&mut tx, "mark").await?;
            Ok(Mark { generation, revision: revision(&mut tx, org_id).await? })
        })
    }

    fn touched<'a>(&'a self, org_id: i64, since: Option<&'a Mark>) -> Answer<'a, Touched> {
        Box::pin(async move {
            // One snapshot for all questions: a change between them would be marked and not listed.
            let mut tx = self.db.snapshot().await.map_err(failed("touched"))?;
            let generation = self.generation(&mut tx, "touched").await?;
            let mark = Mark { generation, revision: revision(&mut tx, org_id).await? };
            // What was restored and never counted has revision 0: it did not change.
            let since =
                since.filter(|since| since.generation == mark.generation).map_or(0, |since| since.revision);
            // idx_counter_daily_revision
            let query = sql("select distinct stat_date from counter_daily where org_id = ? and revision > ?");
            let rows = tx.fetch_all(query.bind(org_id).bind(since)).await.map_err(failed("touched"))?;
            let days = rows.into_iter().map(|row| row.columns().parsed().map_err(corrupt("touched")));
            Ok(Touched { days: days.collect::<Result<_, _>>()?, mark })
        })
    }

    fn page<'a>(
        &'a self,
        org_id: i64,
        days: &'a Days,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Answer<'a, Page> {
        Box::pin(async move {
            let after = match cursor {
                Some(cursor) => read_cursor(&cursor)?,
                // Nothing sorts before an empty type.
                None => ("0000-01-01".to_owned(), String::new(), String::new()),
            };
            let Some((first, last)) = part(days, after) else { return Ok(Page::default()) };
            // primary key
            let query = sql(format!(
                "select {COUNTER} from counter_daily where org_id = ? and stat_date <= ? \
                 and (stat_date, statistic_type, statistic_key) > (?, ?, ?) \
                 order by stat_date, statistic_type, statistic_key limit ?"
            ))
            .bind(org_id)
            .bind(&last)
            .bind_all([first.0, first.1, first.2])
            .bind(limit);
            let rows = self.db.fetch_all(query).await.map_err(failed("page"))?;
            let full = rows.len() >= limit as usize;
            let counters: Vec<Counter> = rows
                .into_iter()
                .map(|row| counter(&mut row.columns()).map_err(corrupt("page")))
                .collect::<Result<_, _>>()?;
            let next = match (counters.last(), days) {
                (Some(counter), _) if full => Some(cursor_at(&counter.count.key)),
                // The range is done: on to the one that follows.
                (_, Days::Ranges(ranges)) => {
                    let following =
                        ranges.iter().map(|range| range.start.to_string()).find(|start| *start > last);
                    following.map(|start| Cursor(format!("{start}\u{0}\u{0}")))
                }
                _ => None,
            };
            Ok(Page { counters, unreadable: Vec::new(), next })
        })
    }

    fn find<'a>(&'a self, org_id: i64, keys: &'a [DailyKey]) -> Answer<'a, Vec<Option<Counter>>> {
        Box::pin(async move {
            let mut found = std::collections::HashMap::with_capacity(keys.len());
            for keys in keys.chunks(LONGEST_LIST) {
                // primary key
                let tuples = keys.iter().map(|key| {
                    let Subject { statistic, key: which } = &key.subject;
                    [Value::from(key.date.to_string()), statistic.as_str().into(), which.into()]
                });
                let query = sql(format!(
                    "select {COUNTER} from counter_daily where org_id = ? \
                     and (stat_date, statistic_type, statistic_key) in "
                ))
                .bind(org_id)
                .push_tuples(self.db.kind(), tuples);
                for row in self.db.fetch_all(query).await.map_err(failed("find"))? {
                    let counter = counter(&mut row.columns()).map_err(corrupt("find"))?;
                    found.insert(counter.count.key.clone(), counter);
                }
            }
            Ok(keys.iter().map(|key| found.remove(key)).collect())
        })
    }

    fn restore<'a>(&'a self, org_id: i64, known: &'a [DailyCount]) -> Answer<'a, u64> {
        Box::pin(async move {
            let mut tx = self.db.begin().await.map_err(failed("restore"))?;
            let generation = self.generation(&mut tx, "restore").await?;
            let mut changed = 0;
            for count in known {
                changed += add(&mut tx, org_id, count, None, Some(&generation)).await?;
            }
            tx.commit().await.map_err(failed("restore"))?;
            Ok(changed)
        })
    }

    fn organisations(&self) -> Answer<'_, BTreeSet<i64>> {
        Box::pin(async move {
            let query =
                sql("select org_id from counter_revision union select distinct org_id from counter_daily");
            let rows = self.db.fetch_all(query).await.map_err(failed("organisations"))?;
            rows.into_iter().map(|row| row.columns().int().map_err(corrupt("organisations"))).collect()
        })
    }

    fn forget(&self, counted_before: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            // idx_counter_event_counted
            let query =
                sql("delete from counter_event where counted_at < ?").bind(counted_before.as_millisecond());
            self.db.execute(query).await.map_err(failed("forget"))
        })
    }

    fn ready(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let other = |source| CountersError::Backend { verb: "ready", source };
            match Self::pending(&self.db).await {
                Ok(0) => Ok(()),
                Ok(steps) => Err(other(Box::new(MigrationError::Pending { steps }))),
                Err(error) => Err(other(Box::new(error))),
            }
        })
    }
}

/// primary key
async fn next_revision(tx: &mut Tx, org_id: i64) -> Result<i64, CountersError> {
    let next = sql("insert into counter_revision (org_id, revision) values (?, 1) \
                    on conflict (org_id) do update set revision = revision + 1");
    tx.execute(next.bind(org_id)).await.map_err(failed("count"))?;
    revision(tx, org_id).await
}

/// primary key
async fn revision(tx: &mut Tx, org_id: i64) -> Result<i64, CountersError> {
    let query = sql("select revision from counter_revision where org_id = ?").bind(org_id);
    match tx.fetch_optional(query).await.map_err(failed("revision"))? {
        Some(row) => row.columns().int().map_err(corrupt("revision")),
        None => Ok(0),
    }
}

/// Adds to one counter, made if it is not there: a new event with its revision, or what the store knows, once in this
/// generation. Answers 1, or 0 when it had that already.
async fn add(
    tx: &mut Tx,
    org_id: i64,
    count: &DailyCount,
    revision: Option<i64>,
    restored: Option<&str>,
) -> Result<u64, CountersError> {
    let key = |statement: crate::sql::Statement| {
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
    if let Some(row) = tx.fetch_optional(query).await.map_err(failed("count"))? {
        let mut columns = row.columns();
        let before = columns.optional_text().map_err(corrupt("count"))?;
        let mark = columns.optional_text().map_err(corrupt("count"))?;
        if restored.is_some() && mark.as_deref() == restored {
            return Ok(0);
        }
        distribution.add(&Distribution::from_extra_metrics(before.as_deref()).map_err(corrupt("count"))?);
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
    tx.execute(write).await.map_err(failed("count"))
}

fn counter(columns: &mut Columns) -> Result<Counter, CellError> {
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

/// A place among the counters: day, type and key.
type Place = (String, String, String);

/// Where to begin and on which day to end: all of it, or what is left of the first range that is not done.
fn part(days: &Days, after: Place) -> Option<(Place, String)> {
    let Days::Ranges(ranges) = days else { return Some((after, "9999-12-31".to_owned())) };
    let range = ranges.iter().find(|range| range.end.to_string() >= after.0)?;
    let start = range.start.to_string();
    let first = if start > after.0 { (start, String::new(), String::new()) } else { after };
    Some((first, range.end.to_string()))
}

/// The place behind this key. No key holds a NUL.
fn cursor_at(key: &DailyKey) -> Cursor {
    Cursor(format!("{}\u{0}{}\u{0}{}", key.date, key.subject.statistic, key.subject.key))
}

fn read_cursor(cursor: &Cursor) -> Result<Place, CountersError> {
    let mut parts = cursor.0.splitn(3, '\u{0}').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(date), Some(statistic), Some(key)) => Ok((date, statistic, key)),
        _ => Err(corrupt("page")("a cursor of another adapter".to_owned())),
    }
}

fn failed(verb: &'static str) -> impl Fn(sqlx::Error) -> CountersError {
    move |source| CountersError::Backend { verb, source: Box::new(source) }
}

fn corrupt(verb: &'static str) -> impl Fn(String) -> CountersError {
    move |found| CountersError::Corrupt { verb, found }
}
