//! SQL of `assessment_task`, one task or one testee at a time.

use jiff::Timestamp;

use super::plans::{hold, is_taken, offset};
use super::{SqlStore, Stamps, corrupt, failed};
use crate::domain::plan::PlanStatus;
use crate::domain::plan_task::{PlanTask, TaskStatus};
use crate::sql::{CellError, Columns, Statement, Tx, sql};
use crate::store::StoreError;
use crate::store::plan::{Enrolment, Inserted, Moved, Page, Paged, TaskFilter};

/// The columns that [`task`] reads.
const COLUMNS: &str = "id, plan_id, seq, org_id, testee_id, scale_code, cast(planned_at as char), \
                       cast(open_at as char), cast(expire_at as char), cast(completed_at as char), status, \
                       assessment_id, entry_token, entry_url";

/// Rows of one `insert`.
const ROWS: usize = 500;

/// States of which there is more to come.
const LIVING: &str = "status in ('pending', 'opened')";

impl SqlStore {
    pub(super) async fn enrol_once(
        &self,
        tasks: &[PlanTask],
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        let Some(first) = tasks.first() else { return Ok(Inserted::Done) };
        let mut tx = self.db.begin().await.map_err(failed("enrol"))?;
        // Two enrolments in one plan take turns, so each sees the tasks of the other.
        if hold(&mut tx, self.db.dialect(), first.org_id, first.plan_id).await? != Some(PlanStatus::Active) {
            return Ok(Inserted::Stale);
        }
        // idx_assessment_task_plan
        let query = sql(format!(
            "select count(*) from assessment_task where plan_id = ? and testee_id = ? and org_id = ? \
             and {LIVING} and deleted_at is null"
        ));
        let query = query.bind_all([first.plan_id, first.testee_id, first.org_id]);
        if super::count(&mut tx, "enrol", query).await? > 0 {
            return Ok(Inserted::Duplicate);
        }
        match self.insert_tasks(&mut tx, tasks, now).await {
            Ok(()) => {}
            Err(error) if is_taken(&error) => return Ok(Inserted::IdTaken),
            Err(error) => return Err(failed("enrol")(error)),
        }
        tx.commit().await.map_err(failed("enrol"))?;
        Ok(Inserted::Done)
    }

    pub(super) async fn insert_tasks(
        &self,
        tx: &mut Tx,
        tasks: &[PlanTask],
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let now = self.stamps.write(now);
        for chunk in tasks.chunks(ROWS) {
            let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
            let mut query = sql(format!(
                "insert into assessment_task (id, plan_id, seq, org_id, testee_id, scale_code, planned_at, status, \
                 created_at, updated_at) values {rows}"
            ))
            .once();
            for task in chunk {
                query = query
                    .bind_all([task.id, task.plan_id, task.seq.into(), task.org_id, task.testee_id])
                    .bind(&task.scale_code)
                    .bind(self.stamps.write(task.planned_at))
                    .bind(task.status.as_str())
                    .bind_all([&now, &now]);
            }
            tx.execute(query).await?;
        }
        Ok(())
    }

    pub(super) async fn enrolments_of(
        &self,
        org_id: i64,
        plan_id: i64,
    ) -> Result<Vec<Enrolment>, StoreError> {
        // idx_assessment_task_plan, primary key
        let query = sql("select t.testee_id, g.completed, t.seq, cast(t.planned_at as char) from \
             (select max(id) as newest, max(case when status = 'completed' then seq else 0 end) as completed \
             from assessment_task where plan_id = ? and org_id = ? and deleted_at is null group by testee_id) g \
             join assessment_task t on t.id = g.newest order by t.testee_id");
        let rows =
            self.db.fetch_all(query.bind_all([plan_id, org_id])).await.map_err(failed("enrolments"))?;
        let read = |columns: &mut Columns| {
            Ok(Enrolment {
                testee_id: columns.int()?,
                completed: seq(columns)?,
                last_seq: seq(columns)?,
                last_planned_at: self.stamps.read(&columns.text()?)?,
            })
        };
        rows.into_iter().map(|row| read(&mut row.columns()).map_err(corrupt("enrolments"))).collect()
    }

    pub(super) async fn task_of(&self, org_id: i64, id: i64) -> Result<Option<PlanTask>, StoreError> {
        // primary key
        let query = sql(format!(
            "select {COLUMNS} from assessment_task where id = ? and org_id = ? and deleted_at is null"
        ));
        let row = self.db.fetch_optional(query.bind_all([id, org_id])).await.map_err(failed("find_task"))?;
        row.map(|row| task(&mut row.columns(), &self.stamps).map_err(corrupt("find_task"))).transpose()
    }

    pub(super) async fn tasks_on(
        &self,
        org_id: i64,
        filter: TaskFilter,
        page: Page,
    ) -> Result<Paged<PlanTask>, StoreError> {
        let mut tx = self.db.snapshot().await.map_err(failed("tasks"))?;
        // idx_assessment_task_plan or idx_assessment_task_testee, else idx_assessment_task_due
        let count = wanted("select count(*) from assessment_task", org_id, filter);
        let total = super::count(&mut tx, "tasks", count).await?;
        let query = wanted(&format!("select {COLUMNS} from assessment_task"), org_id, filter)
            .push(" order by planned_at, id limit ? offset ?")
            .bind_all([page.size.into(), offset(page)]);
        let rows = tx.fetch_all(query).await.map_err(failed("tasks"))?;
        let read = |row: crate::sql::Row| task(&mut row.columns(), &self.stamps).map_err(corrupt("tasks"));
        Ok(Paged { items: rows.into_iter().map(read).collect::<Result<_, _>>()?, total })
    }

    pub(super) async fn move_one(
        &self,
        from: TaskStatus,
        task: &PlanTask,
        now: Timestamp,
    ) -> Result<Moved, StoreError> {
        let stamp = |at: Option<Timestamp>| at.map(|at| self.stamps.write(at));
        // primary key
        let query =
            sql("update assessment_task set status = ?, open_at = ?, expire_at = ?, completed_at = ?, \
             assessment_id = ?, entry_token = ?, entry_url = ?, updated_at = ?, version = version + 1 \
             where id = ? and org_id = ? and status = ? and deleted_at is null")
            .bind(task.status.as_str())
            .bind_all([stamp(task.open_at), stamp(task.expire_at), stamp(task.completed_at)])
            .bind(task.assessment_id)
            .bind_all([task.entry_token.as_ref(), task.entry_url.as_ref()])
            .bind(self.stamps.write(now))
            .bind_all([task.id, task.org_id])
            .bind(from.as_str());
        match self.db.execute(query).await {
            Ok(1) => Ok(Moved::Done),
            Ok(_) => Ok(Moved::Stale),
            // The only unique key beside the primary one.
            Err(error) if is_taken(&error) => Ok(Moved::AssessmentTaken),
            Err(error) => Err(failed("move_task")(error)),
        }
    }
}

/// Cancels what is not over of a plan; more conditions may follow.
pub(super) fn cancel(org_id: i64, plan_id: i64, now: &str) -> Statement {
    // idx_assessment_task_plan
    sql(format!(
        "update assessment_task set status = 'canceled', updated_at = ?, version = version + 1 \
         where plan_id = ? and org_id = ? and {LIVING} and deleted_at is null"
    ))
    .bind(now)
    .bind_all([plan_id, org_id])
}

fn wanted(select: &str, org_id: i64, filter: TaskFilter) -> Statement {
    let mut query = sql(format!("{select} where org_id = ? and deleted_at is null")).bind(org_id);
    if let Some(plan) = filter.plan_id {
        query = query.push(" and plan_id = ?").bind(plan);
    }
    if let Some(testee) = filter.testee_id {
        query = query.push(" and testee_id = ?").bind(testee);
    }
    if let Some(status) = filter.status {
        query = query.push(" and status = ?").bind(status.as_str());
    }
    query
}

fn seq(columns: &mut Columns) -> Result<u32, CellError> {
    let seq = columns.count()?;
    u32::try_from(seq).map_err(|_| format!("no number of a task: {seq}"))
}

fn task(columns: &mut Columns, stamps: &Stamps) -> Result<PlanTask, CellError> {
    let optional = |text: Option<String>| text.map(|text| stamps.read(&text)).transpose();
    Ok(PlanTask {
        id: columns.int()?,
        plan_id: columns.int()?,
        seq: seq(columns)?,
        org_id: columns.int()?,
        testee_id: columns.int()?,
        scale_code: columns.text()?,
        planned_at: stamps.read(&columns.text()?)?,
        open_at: optional(columns.optional_text()?)?,
        expire_at: optional(columns.optional_text()?)?,
        completed_at: optional(columns.optional_text()?)?,
        status: columns.parsed()?,
        assessment_id: columns.optional_int()?,
        entry_token: columns.optional_text()?,
        entry_url: columns.optional_text()?,
    })
}
