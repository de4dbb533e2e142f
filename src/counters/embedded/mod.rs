//! The embedded adapter: counters in SQLite, in the same database as the store.

mod group;
mod place;
mod rows;
mod writer;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;

use self::place::{Place, first_part};
use self::rows::{COUNTER, counter, restore, revision};
use self::writer::Writer;
use super::{Counted, Counter, Counters, CountersError, Cursor, During, Mark, Page, Touched};
use crate::domain::statistics::{DailyCount, DailyKey, Days, StatisticsEvent, Subject};
use crate::domain::sync_run::ItemError;
use crate::sql::{Db, LONGEST_LIST, MigrationError, Migrations, SchemaChange, Tx, Value, sql};

/// The history of its tables: other modules on the same database have their own.
static MIGRATIONS: Migrations = Migrations {
    history: "qs_counters_migrations",
    steps: &[SchemaChange {
        name: "counters",
        sqlite: include_str!("../migrations/0001_counters.sql"),
        mysql: "",
    }],
};

/// Counters in a SQLite database.
#[derive(Clone, Debug)]
pub struct EmbeddedCounters {
    db: Db,
    writer: Writer,
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

    /// How many schema changes a database lacks that does not exist.
    pub fn every_change() -> usize {
        MIGRATIONS.all()
    }

    /// Opens them, and starts their writer on this runtime.
    ///
    /// # Errors
    /// When the tables are not those of this program.
    pub async fn open(db: Db) -> Result<Self, MigrationError> {
        MIGRATIONS.check(&db).await?;
        let writer = Writer::start(db.clone());
        Ok(Self { db, writer })
    }

    async fn generation(&self, tx: &mut Tx, verb: &'static str) -> Result<String, CountersError> {
        let row = tx.fetch_optional(sql("select generation from counter_generation")).await;
        let row = row.during(verb)?.ok_or("no generation").corrupt(verb)?;
        row.columns().text().corrupt(verb)
    }
}

#[async_trait]
impl Counters for EmbeddedCounters {
    async fn count(
        &self,
        org_id: i64,
        events: Vec<StatisticsEvent>,
        now: Timestamp,
    ) -> Vec<Result<Counted, CountersError>> {
        self.writer.count(org_id, events, now).await
    }

    async fn settle(&self) {
        self.writer.count(0, Vec::new(), Timestamp::UNIX_EPOCH).await;
    }

    async fn mark(&self, org_id: i64) -> Result<Mark, CountersError> {
        let mut tx = self.db.snapshot().await.during("mark")?;
        let generation = self.generation(&mut tx, "mark").await?;
        Ok(Mark { generation, revision: revision(&mut tx, org_id).await? })
    }

    async fn touched(&self, org_id: i64, since: Option<&Mark>) -> Result<Touched, CountersError> {
        // One snapshot for all questions: a change between them would be marked and not listed.
        let mut tx = self.db.snapshot().await.during("touched")?;
        let generation = self.generation(&mut tx, "touched").await?;
        let mark = Mark { generation, revision: revision(&mut tx, org_id).await? };
        // What was restored and never counted has revision 0: it did not change.
        let since =
            since.filter(|since| since.generation == mark.generation).map_or(0, |since| since.revision);
        // idx_counter_daily_revision
        let query = sql("select distinct stat_date from counter_daily where org_id = ? and revision > ?");
        let rows = tx.fetch_all(query.bind(org_id).bind(since)).await.during("touched")?;
        let days = rows.into_iter().map(|row| row.columns().parsed().corrupt("touched"));
        Ok(Touched { days: days.collect::<Result<_, _>>()?, mark })
    }

    async fn page(
        &self,
        org_id: i64,
        days: &Days,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page, CountersError> {
        let after = match cursor {
            Some(cursor) => Place::read(&cursor)?,
            None => Place::start_of("0000-01-01"),
        };
        let Some((first, last)) = first_part(days, after) else { return Ok(Page::default()) };
        // primary key
        let query = sql(format!(
            "select {COUNTER} from counter_daily where org_id = ? and stat_date <= ? \
             and (stat_date, statistic_type, statistic_key) > (?, ?, ?) \
             order by stat_date, statistic_type, statistic_key limit ?"
        ))
        .bind(org_id)
        .bind(&last)
        .bind_all([first.date, first.statistic, first.key])
        .bind(limit);
        let rows = self.db.fetch_all(query).await.during("page")?;
        let full = rows.len() >= limit as usize;
        let (mut page, mut end) = (Page::default(), None);
        for row in rows {
            let (key, counter) = counter(&mut row.columns()).corrupt("page")?;
            end = Some(Place::of(&key));
            match counter {
                Ok(counter) => page.counters.push(counter),
                Err(message) => page.unreadable.push(ItemError { item: key.to_string(), message }),
            }
        }
        // Where the range is done, it goes on with the one that follows.
        let next = if full { end } else { place::following(days, &last) };
        page.next = next.map(|place| place.to_cursor());
        Ok(page)
    }

    async fn find(&self, org_id: i64, keys: &[DailyKey]) -> Result<Vec<Option<Counter>>, CountersError> {
        let mut found = HashMap::with_capacity(keys.len());
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
            for row in self.db.fetch_all(query).await.during("find")? {
                let (key, counter) = counter(&mut row.columns()).corrupt("find")?;
                let counter = counter.map_err(|why| format!("{key}: {why}")).corrupt("find")?;
                found.insert(key, counter);
            }
        }
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    async fn restore(
        &self,
        org_id: i64,
        known: &[DailyCount],
        repair: Option<&str>,
    ) -> Result<u64, CountersError> {
        let mut tx = self.db.begin().await.during("restore")?;
        let generation = self.generation(&mut tx, "restore").await?;
        let once = repair.unwrap_or(&generation);
        let mut changed = 0;
        for count in known {
            changed += restore(&mut tx, org_id, count, once).await?;
        }
        tx.commit().await.during("restore")?;
        Ok(changed)
    }

    async fn organisations(&self) -> Result<BTreeSet<i64>, CountersError> {
        let query =
            sql("select org_id from counter_revision union select distinct org_id from counter_daily");
        let rows = self.db.fetch_all(query).await.during("organisations")?;
        rows.into_iter().map(|row| row.columns().int().corrupt("organisations")).collect()
    }

    async fn forget(&self, counted_before: Timestamp) -> Result<u64, CountersError> {
        // idx_counter_event_counted
        let query =
            sql("delete from counter_event where counted_at < ?").bind(counted_before.as_millisecond());
        self.db.execute(query).await.during("forget")
    }

    async fn ready(&self) -> Result<(), CountersError> {
        self.db.room().await.during("ready")?;
        MIGRATIONS.check(&self.db).await.during("ready")?;
        // SQLite writes a row also when it says the same.
        let probe = sql("update counter_generation set generation = generation");
        self.db.execute(probe).await.during("ready").map(drop)
    }
}
