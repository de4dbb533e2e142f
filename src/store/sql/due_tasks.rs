//! SQL of the scheduled work: batches of tasks that are claimed and changed in one transaction.

use jiff::Timestamp;

use super::{SqlStore, corrupt, failed, plan_tasks};
use crate::domain::plan_task::{PlanTask, TaskStatus};
use crate::sql::{Columns, Row, Statement, Value, sql};
use crate::store::plan::{
    Batch, Due, Enrolment, Inserted, Moved, Opening, Page, Paged, PlanTaskStore, Position, Sweep, TaskFilter,
};
use crate::store::{Answer, StoreError};

/// The state of a task's plan. A scalar, not a join or an `exists`: MySQL would lock the rows of a joined plan, and may
/// begin with the plans, sort the tasks and so lock all of them.
const PLAN_STATUS: &str = "coalesce((select p.status from assessment_plan p where p.id = t.plan_id \
                           and p.org_id = t.org_id and p.deleted_at is null), '')";

impl PlanTaskStore for SqlStore {
    fn enrol<'a>(&'a self, tasks: &'a [PlanTask], now: Timestamp) -> Answer<'a, Inserted> {
        Box::pin(self.enrol_once(tasks, now))
    }

    fn terminate(&self, org_id: i64, plan_id: i64, testee_id: i64, now: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            let cancel = plan_tasks::cancel(org_id, plan_id, &self.stamps.write(now));
            let cancel = cancel.push(" and testee_id = ?").bind(testee_id);
            self.db.execute(cancel).await.map_err(failed("terminate"))
        })
    }

    fn enrolments(&self, org_id: i64, plan_id: i64) -> Answer<'_, Vec<Enrolment>> {
        Box::pin(self.enrolments_of(org_id, plan_id))
    }

    fn find_task(&self, org_id: i64, id: i64) -> Answer<'_, Option<PlanTask>> {
        Box::pin(self.task_of(org_id, id))
    }

    fn tasks(&self, org_id: i64, filter: TaskFilter, page: Page) -> Answer<'_, Paged<PlanTask>> {
        Box::pin(self.tasks_on(org_id, filter, page))
    }

    fn move_task<'a>(&'a self, from: TaskStatus, task: &'a PlanTask, now: Timestamp) -> Answer<'a, Moved> {
        Box::pin(self.move_one(from, task, now))
    }

    fn open_due<'a>(&'a self, org_id: i64, batch: Batch<'a>, opening: Opening<'a>) -> Answer<'a, Vec<i64>> {
        Box::pin(async move {
            let update = |ids: &[i64]| self.opening(ids, batch.due.now, opening);
            self.sweep("open_due", org_id, Sweep::Open, batch, update).await
        })
    }

    fn expire_overdue<'a>(&'a self, org_id: i64, batch: Batch<'a>) -> Answer<'a, Vec<i64>> {
        Box::pin(async move {
            let update = |_: &[i64]| self.becoming("expired", batch.due.now);
            self.sweep("expire_overdue", org_id, Sweep::Expire, batch, update).await
        })
    }

    fn cancel_of_inactive<'a>(&'a self, org_id: i64, batch: Batch<'a>) -> Answer<'a, Vec<i64>> {
        Box::pin(async move {
            let update = |_: &[i64]| self.becoming("canceled", batch.due.now);
            self.sweep("cancel_of_inactive", org_id, Sweep::Cancel, batch, update).await
        })
    }

    fn batch<'a>(&'a self, org_id: i64, sweep: Sweep, batch: Batch<'a>) -> Answer<'a, Vec<Position>> {
        Box::pin(async move {
            // A claim of its own, so that tasks which another caller is at are left out here too.
            let mut tx = self.db.begin().await.map_err(failed("batch"))?;
            let query = self.first(org_id, sweep, batch).order(batch.limit).push(self.db.dialect().claim());
            let rows = tx.fetch_all(query).await.map_err(failed("batch"))?;
            tx.rollback().await.map_err(failed("batch"))?;
            let read = |columns: &mut Columns| {
                let id = columns.int()?;
                Ok(Position { at: self.stamps.read(&columns.text()?)?, id })
            };
            rows.into_iter().map(|row| read(&mut row.columns()).map_err(corrupt("batch"))).collect()
        })
    }

    fn count_due<'a>(&'a self, org_id: i64, sweep: Sweep, due: &'a Due) -> Answer<'a, u64> {
        Box::pin(async move {
            let query = self.due("count(*)", org_id, sweep, due);
            let row = self.db.fetch_optional(query).await.map_err(failed("count_due"))?;
            row.map_or(Ok(0), |row| row.columns().count()).map_err(corrupt("count_due"))
        })
    }
}

impl SqlStore {
    /// Claims a batch and changes it by the statement that `update` begins.
    async fn sweep(
        &self,
        verb: &'static str,
        org_id: i64,
        sweep: Sweep,
        batch: Batch<'_>,
        update: impl Fn(&[i64]) -> Statement,
    ) -> Result<Vec<i64>, StoreError> {
        let read =
            |rows: Vec<Row>| rows.into_iter().map(|row| row.columns().int()).collect::<Result<Vec<_>, _>>();
        let mut claim = self.first(org_id, sweep, batch);
        if sweep == Sweep::Cancel {
            // Tasks of inactive plans are few among many: a claim would lock all that it looks at, and others that want
            // to open them would leave them out.
            let found = self.db.fetch_all(claim.order(batch.limit)).await.map_err(failed(verb))?;
            let found = read(found).map_err(corrupt(verb))?;
            if found.is_empty() {
                return Ok(found);
            }
            claim.among(&found);
        }
        let mut tx = self.db.begin().await.map_err(failed(verb))?;
        let rows = tx
            .fetch_all(claim.order(batch.limit).push(self.db.dialect().claim()))
            .await
            .map_err(failed(verb))?;
        let ids = read(rows).map_err(corrupt(verb))?;
        if ids.is_empty() {
            tx.rollback().await.map_err(failed(verb))?;
            return Ok(ids);
        }
        // primary key
        let query =
            update(&ids).push(" where id in ").push_list(ids.iter().copied()).push(from(sweep)).once();
        let changed = tx.execute(query).await.map_err(failed(verb))?;
        if changed != ids.len() as u64 {
            // The claim makes this impossible; were it not, nothing is changed.
            let found = format!("{changed} of {} claimed tasks could be changed", ids.len());
            return Err(StoreError::Corrupt { verb, found });
        }
        tx.commit().await.map_err(failed(verb))?;
        Ok(ids)
    }

    /// One statement for the batch, though each task gets an entry of its own.
    fn opening(&self, ids: &[i64], now: Timestamp, opening: Opening<'_>) -> Statement {
        let (mut tokens, mut urls): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for &id in ids {
            let entry = (opening.entry)(id);
            tokens.extend([id.into(), entry.token.into()]);
            urls.extend([id.into(), entry.url.into()]);
        }
        let cases = " when ? then ?".repeat(ids.len());
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
            let at = self.stamps.write(after.at);
            query = query
                .push(&format!(" and (t.{column} > ? or (t.{column} = ? and t.id > ?))"))
                .bind_all([&at, &at])
                .bind(after.id);
        }
        Claim { query, column }
    }

    fn due(&self, select: &str, org_id: i64, sweep: Sweep, due: &Due) -> Statement {
        // idx_assessment_task_due; to expire idx_assessment_task_overdue; the plan by its primary key
        let (condition, until) = match sweep {
            Sweep::Cancel => (format!("{PLAN_STATUS} <> 'active'"), due.before),
            Sweep::Expire => (format!("{PLAN_STATUS} = 'active'"), due.now),
            Sweep::Open => (format!("{PLAN_STATUS} = 'active'"), due.before),
        };
        let mut query = sql(format!(
            "select {select} from assessment_task t where t.org_id = ?{} and t.{} <= ? and t.deleted_at is null \
             and {condition}",
            from(sweep).replace("status", "t.status"),
            column(sweep),
        ))
        .bind(org_id)
        .bind(self.stamps.write(until));
        if let Some(plan) = due.plan_id {
            query = query.push(" and t.plan_id = ?").bind(plan);
        }
        if let Some(testees) = &due.testee_ids {
            query = query.push(" and t.testee_id in ").push_list(testees.iter().copied()).once();
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
    /// Restricts it to these tasks.
    fn among(&mut self, ids: &[i64]) {
        // primary key
        self.query = self.query.clone().push(" and t.id in ").push_list(ids.iter().copied()).once();
    }

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
