//! SQL of the scheduled work: batches of tasks that are claimed and changed in one transaction.

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqlStore;
use crate::sql::{Columns, DatabaseKind, Order, Statement, Value, padded, sql};
use crate::store::business::due_tasks::{Batch, Due, DueTaskStore, Opening, Position, Sweep};
use crate::store::error::{Answer, named};

/// The state of a task's plan. A scalar, not a join or an `exists`: MySQL would lock the rows of a joined plan, and may
/// begin with the plans, sort the tasks and so lock all of them.
const PLAN_STATUS: &str = "coalesce((select p.status from assessment_plan p where p.id = t.plan_id \
                           and p.org_id = t.org_id and p.deleted_at is null), '')";

#[async_trait]
impl DueTaskStore for SqlStore {
    async fn open_due(&self, org_id: i64, batch: Batch<'_>, opening: Opening<'_>) -> Answer<Vec<i64>> {
        named("open_due", async {
            let update = |ids: &[i64]| self.opening(ids, batch.due.now, opening);
            self.sweep(org_id, Sweep::Open, batch, update).await
        })
        .await
    }

    async fn expire_overdue(&self, org_id: i64, batch: Batch<'_>) -> Answer<Vec<i64>> {
        named("expire_overdue", async {
            let update = |_: &[i64]| self.becoming("expired", batch.due.now);
            self.sweep(org_id, Sweep::Expire, batch, update).await
        })
        .await
    }

    async fn cancel_of_inactive(&self, org_id: i64, batch: Batch<'_>) -> Answer<Vec<i64>> {
        named("cancel_of_inactive", async {
            let update = |_: &[i64]| self.becoming("canceled", batch.due.now);
            self.sweep(org_id, Sweep::Cancel, batch, update).await
        })
        .await
    }

    async fn batch(&self, org_id: i64, sweep: Sweep, batch: Batch<'_>) -> Answer<Vec<Position>> {
        named("batch", async {
            // A claim of its own, so that tasks which another caller is at are left out here too.
            let mut tx = self.db.begin().await?;
            let query = self.first(org_id, sweep, batch).order(batch.limit);
            let read = |columns: &mut Columns| {
                let id = columns.int()?;
                Ok(Position { at: self.stamps.read(&columns.text()?)?, id })
            };
            let positions = tx.read_all(query.push(self.db.kind().lock_free_rows()), read).await?;
            tx.rollback().await?;
            Ok(positions)
        })
        .await
    }

    async fn count_due(&self, org_id: i64, sweep: Sweep, due: &Due) -> Answer<u64> {
        named("count_due", async {
            let query = self.due("count(*)", org_id, sweep, due);
            Ok(self.db.read_one(query, Columns::count).await?.unwrap_or_default())
        })
        .await
    }
}

impl SqlStore {
    /// Claims a batch and changes it by the statement that `update` begins.
    async fn sweep(
        &self,
        org_id: i64,
        sweep: Sweep,
        batch: Batch<'_>,
        update: impl Fn(&[i64]) -> Statement + Send,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let _changing = self.changing();
        let mut claim = self.first(org_id, sweep, batch);
        if sweep == Sweep::Cancel {
            // Tasks of inactive plans are few among many: a claim would lock all that it looks at, and others that want
            // to open them would leave them out.
            let found = self.db.read_all(claim.order(batch.limit), Columns::int).await?;
            if found.is_empty() {
                return Ok(found);
            }
            // primary key
            claim.query = claim.query.push(" and t.id in ").push_list(found);
        }
        let mut tx = self.db.begin().await?;
        let claim = claim.order(batch.limit).push(self.db.kind().lock_free_rows());
        let ids = tx.read_all(claim, Columns::int).await?;
        if ids.is_empty() {
            tx.rollback().await?;
            return Ok(ids);
        }
        // primary key
        let query = update(&ids).push(" where id in ").push_list(ids.iter().copied()).push(from(sweep));
        let changed = tx.execute(query).await?;
        if changed != ids.len() as u64 {
            // The claim makes this impossible; were it not, nothing is changed.
            let found = format!("{changed} of {} claimed tasks could be changed", ids.len());
            return Err(sqlx::Error::Decode(found.into()));
        }
        tx.commit().await?;
        Ok(ids)
    }

    /// One statement for the batch, though each task gets an entry of its own.
    fn opening(&self, ids: &[i64], now: Timestamp, opening: Opening<'_>) -> Statement {
        let entries = padded(ids.iter().map(|&id| (id, (opening.entry)(id))).collect());
        let cases = " when ? then ?".repeat(entries.len());
        let tokens = entries.iter().flat_map(|(id, entry)| [Value::from(*id), (&entry.token).into()]);
        let urls = entries.iter().flat_map(|(id, entry)| [Value::from(*id), (&entry.url).into()]);
        let now = self.stamps.write(now);
        sql(format!(
            "update assessment_task set status = 'opened', open_at = ?, expire_at = ?, entry_token = case id{cases} \
             end, entry_url = case id{cases} end, updated_at = ?, version = version + 1"
        ))
        .bind_all([&now, &self.stamps.write(opening.expire_at)])
        .bind_all(tokens)
        .bind_all(urls)
        .bind(now)
    }

    fn becoming(&self, status: &str, now: Timestamp) -> Statement {
        sql("update assessment_task set status = ?, updated_at = ?, version = version + 1")
            .bind(status)
            .bind(self.stamps.write(now))
    }

    /// What is due after the position of a batch.
    fn first(&self, org_id: i64, sweep: Sweep, batch: Batch<'_>) -> Claim {
        let column = column(sweep);
        let mut query = self.due(&format!("t.id, cast(t.{column} as char)"), org_id, sweep, batch.due);
        if let Some(after) = batch.after {
            let values = [self.stamps.write(after.at).into(), after.id.into()];
            let columns = [&*format!("t.{column}"), "t.id"];
            query = query.push_after(self.db.kind(), columns, Order::Rising, values);
        }
        Claim { query, column }
    }

    /// Where nothing else restricts a sweep, MySQL is told along which index to go: among a few tasks it may take another
    /// one and sort, and would claim all of them for a batch of some.
    fn index(&self, sweep: Sweep, due: &Due) -> &'static str {
        if self.db.kind() == DatabaseKind::Sqlite || due.plan_id.is_some() || due.testee_ids.is_some() {
            return "";
        }
        match sweep {
            Sweep::Open => " force index (idx_assessment_task_due)",
            Sweep::Expire => " force index (idx_assessment_task_overdue)",
            // It finds its tasks first and claims them by their ids.
            Sweep::Cancel => "",
        }
    }

    fn due(&self, select: &str, org_id: i64, sweep: Sweep, due: &Due) -> Statement {
        // idx_assessment_task_due; to expire idx_assessment_task_overdue; the plan by its primary key
        let (condition, until) = match sweep {
            Sweep::Cancel => (format!("{PLAN_STATUS} <> 'active'"), due.before),
            Sweep::Expire => (format!("{PLAN_STATUS} = 'active'"), due.now),
            Sweep::Open => (format!("{PLAN_STATUS} = 'active'"), due.before),
        };
        let index = self.index(sweep, due);
        let mut query = sql(format!(
            "select {select} from assessment_task t{index} where t.org_id = ?{} and t.{} <= ? and t.deleted_at is null \
             and {condition}",
            from(sweep).replace("status", "t.status"),
            column(sweep),
        ))
        .bind(org_id)
        .bind(self.stamps.write(until))
        .push_some(" and t.plan_id = ?", due.plan_id);
        if let Some(testees) = &due.testee_ids {
            query = query.push(" and t.testee_id in ").push_list(testees.iter().copied());
        }
        query
    }
}

/// A `select` without its end.
struct Claim {
    query: Statement,
    column: &'static str,
}

impl Claim {
    /// Orders it and cuts it.
    fn order(&self, limit: u32) -> Statement {
        self.query.clone().push(&format!(" order by t.{}, t.id limit ?", self.column)).bind(limit)
    }
}

/// What makes a task due, and orders the batches.
fn column(sweep: Sweep) -> &'static str {
    match sweep {
        Sweep::Cancel | Sweep::Open => "planned_at",
        Sweep::Expire => "expire_at",
    }
}

/// The states that a sweep begins with.
fn from(sweep: Sweep) -> &'static str {
    match sweep {
        Sweep::Cancel => " and status in ('pending', 'opened')",
        Sweep::Expire => " and status = 'opened'",
        Sweep::Open => " and status = 'pending'",
    }
}
