//! SQL of `assessment_task`, one task or one testee at a time.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{SqlStore, Stamps, plan_exits};
use crate::domain::plan::PlanStatus;
use crate::domain::plan_task::{PlanTask, TaskStatus};
use crate::sql::{
    CellError, Columns, DatabaseKind, ListRow, Statement, Tx, Value, insert_rows, sql, unless_taken,
};
use crate::store::business::lists::{Entry, Listed, Page, Part, Total};
use crate::store::business::plans::{Enrolment, Inserted, Moved, PlanTaskStore, TaskFilter, TaskMark};
use crate::store::error::{Answer, named};

/// The columns that [`task`] reads.
const COLUMNS: &str = "id, plan_id, seq, org_id, testee_id, scale_code, cast(planned_at as char), \
                       cast(open_at as char), cast(expire_at as char), cast(completed_at as char), status, \
                       assessment_id, entry_token, entry_url";

/// The columns of a task that is made.
const NEW_TASK: [&str; 10] = [
    "id",
    "plan_id",
    "seq",
    "org_id",
    "testee_id",
    "scale_code",
    "planned_at",
    "status",
    "created_at",
    "updated_at",
];

/// States of which there is more to come.
const LIVING: &str = "status in ('pending', 'opened')";

#[async_trait]
impl PlanTaskStore for SqlStore {
    async fn enrol(&self, tasks: &[PlanTask], now: Timestamp) -> Answer<Inserted> {
        let _changing = self.changing();
        named("enrol", async {
            let Some(first) = tasks.first() else { return Ok(Inserted::Done) };
            let mut tx = self.db.begin().await?;
            // Two enrolments in one plan take turns, so each sees the tasks of the other.
            let status = lock_plan(&mut tx, self.db.kind(), first.org_id, first.plan_id).await?;
            if status != Some(PlanStatus::Active) {
                return Ok(Inserted::Stale);
            }
            // idx_assessment_task_plan
            let query = sql(format!(
                "select count(*) from assessment_task where plan_id = ? and testee_id = ? and org_id = ? \
                 and {LIVING} and deleted_at is null"
            ));
            let query = query.bind_all([first.plan_id, first.testee_id, first.org_id]);
            if tx.read_one(query, Columns::count).await? > Some(0) {
                return Ok(Inserted::Duplicate);
            }
            plan_exits::remove(&mut tx, [first.org_id, first.plan_id, first.testee_id]).await?;
            self.insert_tasks(tx, tasks, now).await
        })
        .await
    }

    async fn terminate(
        &self,
        org_id: i64,
        plan_id: i64,
        testee_id: i64,
        now: Timestamp,
    ) -> Answer<Option<u64>> {
        let _changing = self.changing();
        named("terminate", async {
            let mut tx = self.db.begin().await?;
            // Whoever resumes the plan or enrols somebody takes turns with this.
            lock_plan(&mut tx, self.db.kind(), org_id, plan_id).await?;
            // idx_assessment_task_plan
            let made = sql("select count(*) from assessment_task where plan_id = ? and testee_id = ? \
                 and org_id = ? and deleted_at is null");
            let made = made.bind_all([plan_id, testee_id, org_id]);
            if tx.read_one(made, Columns::count).await?.unwrap_or_default() == 0 {
                return Ok(None);
            }
            plan_exits::insert(&mut tx, self.db.kind(), [org_id, plan_id, testee_id], now).await?;
            let cancel = cancel(org_id, plan_id, &self.stamps.write(now));
            let canceled = tx.execute(cancel.push(" and testee_id = ?").bind(testee_id)).await?;
            tx.commit().await?;
            Ok(Some(canceled))
        })
        .await
    }

    async fn enrolments(&self, org_id: i64, plan_id: i64) -> Answer<Vec<Enrolment>> {
        // idx_assessment_task_plan, primary keys. An enrolment begins with a task number 1, and is given another one only
        // while none of it is completed: what was completed before the newest of them belongs to an earlier enrolment.
        let query = sql("select t.testee_id, (select coalesce(max(c.seq), 0) from assessment_task c \
             where c.plan_id = t.plan_id and c.testee_id = t.testee_id and c.org_id = t.org_id \
             and c.status = 'completed' and c.deleted_at is null and c.id >= g.begun), \
             t.seq, cast(t.planned_at as char), e.testee_id is not null from \
             (select max(id) as newest, max(case when seq = 1 then id else 0 end) as begun \
             from assessment_task where plan_id = ? and org_id = ? and deleted_at is null group by testee_id) g \
             join assessment_task t on t.id = g.newest left join qs_plan_exit e \
             on e.org_id = t.org_id and e.plan_id = t.plan_id and e.testee_id = t.testee_id order by t.testee_id");
        let read = |columns: &mut Columns| {
            Ok(Enrolment {
                testee_id: columns.int()?,
                completed: seq(columns)?,
                last_seq: seq(columns)?,
                last_planned_at: self.stamps.read(&columns.text()?)?,
                ended: columns.int()? != 0,
            })
        };
        named("enrolments", self.db.read_all(query.bind_all([plan_id, org_id]), read)).await
    }

    async fn find_task(&self, org_id: i64, id: i64) -> Answer<Option<PlanTask>> {
        // primary key
        let query = sql(format!(
            "select {COLUMNS} from assessment_task where id = ? and org_id = ? and deleted_at is null"
        ));
        let read = |columns: &mut Columns| task(columns, &self.stamps);
        named("find_task", self.db.read_one(query.bind_all([id, org_id]), read)).await
    }

    async fn tasks(
        &self,
        org_id: i64,
        filter: TaskFilter,
        part: Part<TaskMark>,
    ) -> Answer<Listed<PlanTask, TaskMark>> {
        named("tasks", async {
            let mut rows: Vec<ListRow<PlanTask>> = Vec::new();
            for query in tasks_of_part(self.db.kind(), org_id, filter, &part) {
                if rows.len() <= part.size() as usize {
                    let read = self.db.read_list(query, |columns| task(columns, &self.stamps));
                    rows.extend(Box::pin(read).await?);
                }
            }
            let total = match part.total(rows.len()) {
                Total::Known(total) => total,
                Total::Counted => {
                    let query = task_list("select count(*) from assessment_task", org_id, filter);
                    let count = self.db.read_one(query, Columns::count);
                    let count = async { Ok::<_, sqlx::Error>(count.await?.unwrap_or_default()) };
                    Some(Box::pin(self.task_counts.get((org_id, filter), count)).await?)
                }
            };
            let entry = |row: ListRow<PlanTask>| {
                let mark = row.first.int().zip(row.last.text());
                let mark = mark.map(|(id, at)| TaskMark { planned_at: at.to_owned(), id });
                Entry { mark, read: row.read }
            };
            Ok(Listed::cut(rows.into_iter().map(entry).collect(), part.size(), total))
        })
        .await
    }

    async fn move_task(&self, from: TaskStatus, task: &PlanTask, now: Timestamp) -> Answer<Moved> {
        let _changing = self.changing();
        named("move_task", async {
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
            Ok(match unless_taken(self.db.execute(query).await)? {
                Some(1) => Moved::Done,
                Some(_) => Moved::Stale,
                // The only unique key beside the primary one: uk_assessment_task_assessment.
                None => Moved::AssessmentTaken,
            })
        })
        .await
    }
}

impl SqlStore {
    /// Inserts the tasks and ends the transaction; when one of their ids is taken, nothing is changed.
    pub(super) async fn insert_tasks(
        &self,
        mut tx: Tx,
        tasks: &[PlanTask],
        now: Timestamp,
    ) -> Result<Inserted, sqlx::Error> {
        let now = self.stamps.write(now);
        let row = |task: &PlanTask| {
            vec![
                task.id.into(),
                task.plan_id.into(),
                task.seq.into(),
                task.org_id.into(),
                task.testee_id.into(),
                (&task.scale_code).into(),
                self.stamps.write(task.planned_at).into(),
                task.status.as_str().into(),
                (&now).into(),
                (&now).into(),
            ]
        };
        let rows: Vec<Vec<Value>> = tasks.iter().map(row).collect();
        if unless_taken(insert_rows(&mut tx, "assessment_task", &NEW_TASK, &rows).await)?.is_none() {
            return Ok(Inserted::IdTaken);
        }
        tx.commit().await?;
        Ok(Inserted::Done)
    }
}

/// The state of a plan, held until the transaction ends: whoever stops the plan or enrols somebody waits.
async fn lock_plan(
    tx: &mut Tx,
    kind: DatabaseKind,
    org_id: i64,
    id: i64,
) -> Result<Option<PlanStatus>, sqlx::Error> {
    // primary key
    let query = sql("select status from assessment_plan where id = ? and org_id = ? and deleted_at is null")
        .bind_all([id, org_id])
        .push(kind.lock_rows());
    tx.read_one(query, Columns::parsed).await
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

/// The tasks of a list, in no order.
pub(super) fn task_list(select: &str, org_id: i64, filter: TaskFilter) -> Statement {
    // Those of `index_of`. All of them hold what a count must look at.
    sql(format!("{select} where org_id = ? and deleted_at is null"))
        .bind(org_id)
        .push_some(" and plan_id = ?", filter.plan_id)
        .push_some(" and testee_id = ?", filter.testee_id)
        .push_some(" and status = ?", filter.status.map(TaskStatus::as_str))
}

/// The index that begins with what restricts a list, and goes on with `planned_at` and `id`.
pub(super) fn index_of(filter: TaskFilter) -> &'static str {
    match filter {
        TaskFilter { testee_id: Some(_), .. } => "idx_assessment_task_testee",
        TaskFilter { plan_id: Some(_), status: Some(_), .. } => "idx_assessment_task_plan_status",
        TaskFilter { plan_id: Some(_), status: None, .. } => "idx_assessment_task_plan_planned",
        TaskFilter { plan_id: None, status: Some(_), .. } => "idx_assessment_task_due",
        TaskFilter { plan_id: None, status: None, .. } => "idx_assessment_task_planned",
    }
}

/// One task more than the part has, each with its day as the database writes it: first those of the instant at which the
/// part begins, then later ones. Many tasks share one instant, and only so is each statement one range of an index:
/// SQLite finds the beginning of a tuple that ends with the id by looking at all of its instant.
pub(super) fn tasks_of_part(
    kind: DatabaseKind,
    org_id: i64,
    filter: TaskFilter,
    part: &Part<TaskMark>,
) -> Vec<Statement> {
    // MySQL goes through all that a list is restricted to where more than half of it comes after the mark, unless it is
    // told to go along the index.
    let index = match kind {
        DatabaseKind::Sqlite => String::new(),
        DatabaseKind::MySql => format!(" force index ({})", index_of(filter)),
    };
    let select = format!("select {COLUMNS}, cast(planned_at as char) from assessment_task{index}");
    let list = || task_list(&select, org_id, filter);
    let cut = |query: Statement| {
        query.push(" order by planned_at, id").push_part(part.size(), part.page().map(Page::offset))
    };
    let Part::After { mark: Some(TaskMark { planned_at, id }), .. } = part else { return vec![cut(list())] };
    let same = list().push(" and planned_at = ? and id > ?").bind(planned_at).bind(*id);
    let later = list().push(" and planned_at > ?").bind(planned_at);
    vec![cut(same), cut(later)]
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
