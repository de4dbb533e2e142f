//! SQL of `qs_task` and `qs_task_revision`: what runs when, and since when.
//!
//! A change touches the planner's row first, so that it and a plan cannot pass each other. What is changed governs from
//! the watermark on, or from now where the watermark is behind: neither an edit, nor a resume, nor a file that was changed
//! while nobody ran can fire the past.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::SqlLedger;
use super::columns::{instant, millis, optional_instant};
use super::plans::{self, insert_missed};
use crate::domain::catch_up::{MissReason, Missed};
use crate::domain::digest::fnv64;
use crate::domain::id::RowId;
use crate::domain::schedule::Schedule;
use crate::domain::task::{Definition, Revision, Source, Task, seat_of, task_uid};
use crate::sql::{CellError, Columns, Tx, Value, insert_rows, sql};
use crate::store::error::{Answer, named};
use crate::store::scheduler::{Catalog, Imported, Known, MissedRow, Tasks, Wanted};

/// The columns of a task with one of its revisions.
const COLUMNS: &str = "t.id, t.uid, t.source, t.task_key, t.name, t.revision, t.deleted_at, r.revision, r.valid_from, \
                       r.valid_to, r.schedule, r.zone, r.handler, r.target, r.queue, r.policy, r.paused";

#[async_trait]
impl Tasks for SqlLedger {
    async fn catalog(&self, after: Timestamp) -> Answer<Catalog> {
        named("catalog", async {
            let mut tx = self.db.snapshot().await?;
            let number = sql("select catalog from qs_planner where shard = 1");
            let number = tx.read_one(number, Columns::int).await?.unwrap_or_default();
            let query = sql(format!(
                "select {COLUMNS} from qs_task t join qs_task_revision r on r.task_id = t.id \
                 where r.valid_to is null or r.valid_to > ? or r.revision = t.revision order by t.id, r.revision"
            ));
            let mut tasks: Vec<Known> = Vec::new();
            let rows = tx.read_list(query.bind(millis(after)), known).await?;
            for (task, revision) in rows.into_iter().filter_map(|row| row.read.ok()) {
                match tasks.last_mut() {
                    Some(last) if last.task.id == task.id => last.revisions.push(revision),
                    _ => tasks.push(Known { task, revisions: vec![revision] }),
                }
            }
            tx.rollback().await?;
            Ok(Catalog { number, tasks })
        })
        .await
    }

    async fn revision(&self, task_id: i64, number: i64) -> Answer<Option<(Task, Revision)>> {
        let query = sql(format!(
            "select {COLUMNS} from qs_task t join qs_task_revision r on r.task_id = t.id \
             where t.id = ? and r.revision = ?"
        ));
        named("revision", self.db.read_one(query.bind_all([task_id, number]), known)).await
    }

    async fn import(
        &self,
        source: Source,
        actor: &str,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Answer<Imported> {
        named("import", async {
            let mut change = Edit::begin(self, actor, now).await?;
            let mut there = change.of_source(source).await?;
            let mut imported = Imported::default();
            for one in wanted {
                match there.remove(&one.key) {
                    None => {
                        change.add(source, one).await?;
                        imported.added += 1;
                    }
                    Some((task, _)) if task.deleted_at.is_some() => {
                        change.begin_revision(&task, &one.name, &one.definition, false).await?;
                        imported.added += 1;
                    }
                    Some((task, last)) if last.definition != one.definition || task.name != one.name => {
                        change.end_revision(&task, &last).await?;
                        change.begin_revision(&task, &one.name, &one.definition, last.paused).await?;
                        imported.changed += 1;
                    }
                    Some(_) => {}
                }
            }
            for (task, last) in there.into_values().filter(|(task, _)| task.deleted_at.is_none()) {
                change.remove(&task, &last).await?;
                imported.removed += 1;
            }
            change.end(imported != Imported::default()).await?;
            Ok(imported)
        })
        .await
    }

    async fn pause(&self, name: &str, paused: bool, actor: &str, now: Timestamp) -> Answer<usize> {
        named("pause", async {
            let mut change = Edit::begin(self, actor, now).await?;
            let found = change.of_name(name).await?;
            let mut changed = 0;
            for (task, last) in &found {
                if task.deleted_at.is_some() || last.paused == paused {
                    continue;
                }
                if paused {
                    change.cancel_planned(task).await?;
                }
                change.end_revision(task, last).await?;
                change.begin_revision(task, &task.name, &last.definition, paused).await?;
                changed += 1;
            }
            change.end(changed > 0).await?;
            Ok(found.iter().filter(|(task, _)| task.deleted_at.is_none()).count())
        })
        .await
    }
}

/// A change of tasks that is under way: one transaction, one step of the catalog.
struct Edit<'a> {
    tx: Tx,
    actor: &'a str,
    now: Timestamp,
    /// From when on the change governs.
    from: Timestamp,
    catalog: i64,
    /// The next new row.
    next_id: i64,
}

impl<'a> Edit<'a> {
    async fn begin(ledger: &SqlLedger, actor: &'a str, now: Timestamp) -> Result<Self, sqlx::Error> {
        // Made where there is none.
        plans::planner(&ledger.db, now).await?;
        let mut tx = ledger.db.begin().await?;
        tx.execute(sql("update qs_planner set catalog = catalog + 1 where shard = 1")).await?;
        let read = |row: &mut Columns| Ok((instant(row)?, row.int()?));
        let planner = sql("select planned_through, catalog from qs_planner where shard = 1");
        let (watermark, catalog) = tx.read_one(planner, read).await?.ok_or(sqlx::Error::RowNotFound)?;
        let next_id = RowId::new(now, fastrand::u32(..)).get();
        Ok(Self { tx, actor, now, from: watermark.max(now), catalog, next_id })
    }

    /// Makes it last, or nothing at all where nothing has changed.
    async fn end(self, changed: bool) -> Result<(), sqlx::Error> {
        if changed { self.tx.commit().await } else { self.tx.rollback().await }
    }

    /// Every task of a source by its key, with its newest revision.
    async fn of_source(&mut self, source: Source) -> Result<HashMap<String, (Task, Revision)>, sqlx::Error> {
        let found = self.newest(" and t.source = ?", source.as_str()).await?;
        Ok(found.into_iter().map(|(task, last)| (task.key.clone(), (task, last))).collect())
    }

    async fn of_name(&mut self, name: &str) -> Result<Vec<(Task, Revision)>, sqlx::Error> {
        self.newest(" and t.name = ?", name).await
    }

    async fn newest(&mut self, which: &str, value: &str) -> Result<Vec<(Task, Revision)>, sqlx::Error> {
        let query = format!(
            "select {COLUMNS} from qs_task t join qs_task_revision r on r.task_id = t.id and r.revision = t.revision \
             where true{which} order by t.id"
        );
        self.tx.read_all(sql(query).bind(value), known).await
    }

    async fn add(&mut self, source: Source, one: &Wanted) -> Result<(), sqlx::Error> {
        let id = self.next_id;
        self.next_id += 1;
        let insert = sql(
            "insert into qs_task (id, uid, source, task_key, name, revision, deleted_at) values (?, ?, ?, ?, ?, 1, null)",
        )
        .bind(id)
        .bind(task_uid(source, &one.key).to_string())
        .bind(source.as_str())
        .bind(&one.key)
        .bind(&one.name);
        self.tx.execute(insert).await?;
        self.insert_revision(id, 1, &one.definition, false).await
    }

    /// Begins another revision.
    async fn begin_revision(
        &mut self,
        task: &Task,
        name: &str,
        definition: &Definition,
        paused: bool,
    ) -> Result<(), sqlx::Error> {
        let number = task.revision + 1;
        let update = sql("update qs_task set revision = ?, name = ?, deleted_at = null where id = ?")
            .bind(number)
            .bind(name)
            .bind(task.id);
        self.tx.execute(update).await?;
        self.insert_revision(task.id, number, definition, paused).await
    }

    /// Ends the newest revision. A pause is one row of what was missed, written when it ends.
    async fn end_revision(&mut self, task: &Task, last: &Revision) -> Result<(), sqlx::Error> {
        if last.paused {
            self.record_pause(last).await?;
        }
        let update = sql(
            "update qs_task_revision set valid_to = ?, catalog = ? where task_id = ? and valid_to is null",
        )
        .bind(millis(self.from))
        .bind(self.catalog)
        .bind(task.id);
        self.tx.execute(update).await.map(drop)
    }

    async fn insert_revision(
        &mut self,
        task_id: i64,
        number: i64,
        definition: &Definition,
        paused: bool,
    ) -> Result<(), sqlx::Error> {
        let columns = [
            "task_id",
            "revision",
            "valid_from",
            "catalog",
            "schedule",
            "zone",
            "handler",
            "target",
            "queue",
            "policy",
            "paused",
            "actor",
            "made_at",
        ];
        let of = definition;
        let zone = of.schedule.as_ref().and_then(Schedule::zone).cloned().unwrap_or(TimeZone::UTC);
        let nameless = || sqlx::Error::Encode("a time zone without a name".into());
        let zone_name = zone.iana_name().ok_or_else(nameless)?.to_owned();
        let schedule = of.schedule.as_ref().map(Schedule::to_json);
        // One that could not be read would be in the way of all others.
        if let Some(text) = &schedule {
            Schedule::from_json(text, &zone, 0).map_err(|error| sqlx::Error::Encode(error.into()))?;
        }
        let row: Vec<Value> = vec![
            task_id.into(),
            number.into(),
            millis(self.from).into(),
            self.catalog.into(),
            schedule.into(),
            zone_name.into(),
            (&of.handler).into(),
            (&of.target).into(),
            (&of.queue).into(),
            serde_json::to_string(&of.policy).map_err(|error| sqlx::Error::Encode(error.into()))?.into(),
            i64::from(paused).into(),
            self.actor.into(),
            millis(self.now).into(),
        ];
        insert_rows(&mut self.tx, "qs_task_revision", &columns, &[row]).await
    }

    /// Ends a task: what waits of it is not wanted any more.
    async fn remove(&mut self, task: &Task, last: &Revision) -> Result<(), sqlx::Error> {
        self.end_revision(task, last).await?;
        let gone =
            sql("update qs_task set deleted_at = ? where id = ?").bind(millis(self.from)).bind(task.id);
        self.tx.execute(gone).await?;
        self.cancel(task, "", "the task was deleted").await
    }

    /// Takes back what its schedule has made and nobody has begun.
    async fn cancel_planned(&mut self, task: &Task) -> Result<(), sqlx::Error> {
        self.cancel(
            task,
            " and state = 'pending' and trigger_type in ('schedule', 'catch_up')",
            "the task was paused",
        )
        .await
    }

    async fn cancel(&mut self, task: &Task, which: &str, why: &str) -> Result<(), sqlx::Error> {
        let update = sql(
            "update qs_execution set state = 'cancelled', outcome = 'cancelled', message = ?, finished_at = ?, \
             holder = null where task_id = ? and state in ('pending', 'retrying')",
        )
        .bind(why)
        .bind(millis(self.now))
        .bind(task.id)
        .push(which);
        self.tx.execute(update).await?;
        let seats = sql("delete from qs_slot where name = ? and exists (select 1 from qs_execution e \
             where e.id = qs_slot.execution_id and e.state = 'cancelled')");
        self.tx.execute(seats.bind(seat_of(task.id))).await.map(drop)
    }

    async fn record_pause(&mut self, last: &Revision) -> Result<(), sqlx::Error> {
        let Some(schedule) = &last.definition.schedule else { return Ok(()) };
        let Some(missed) = Missed::all(schedule, last.valid_from, self.from, MissReason::Paused) else {
            return Ok(());
        };
        let row = MissedRow { task_id: last.task_id, revision: last.number, missed };
        insert_missed(&mut self.tx, &[row]).await
    }
}

/// Reads a task with one of its revisions.
fn known(row: &mut Columns) -> Result<(Task, Revision), CellError> {
    let task = Task {
        id: row.int()?,
        uid: row.parsed::<Uuid>()?,
        source: row.parsed()?,
        key: row.text()?,
        name: row.text()?,
        revision: row.int()?,
        deleted_at: optional_instant(row)?,
    };
    let (number, valid_from, valid_to) = (row.int()?, instant(row)?, optional_instant(row)?);
    let (schedule, zone) = (row.optional_text()?, row.text()?);
    let zone = TimeZone::get(&zone).map_err(|error| error.to_string())?;
    let seed = fnv64(task.uid.into_bytes());
    let schedule = schedule.map(|text| Schedule::from_json(&text, &zone, seed)).transpose()?;
    let (handler, target, queue, policy) = (row.text()?, row.text()?, row.text()?, row.text()?);
    let policy = serde_json::from_str(&policy).map_err(|error| format!("policy: {error}"))?;
    let definition = Definition { schedule, handler, target, queue, policy };
    let revision =
        Revision { task_id: task.id, number, valid_from, valid_to, definition, paused: row.int()? != 0 };
    Ok((task, revision))
}
