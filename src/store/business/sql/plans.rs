//! SQL of `assessment_plan`.

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{SqlStore, plan_tasks};
use crate::domain::plan::{AssessmentPlan, PlanStatus};
use crate::domain::plan_schedule::PlanSchedule;
use crate::domain::plan_task::PlanTask;
use crate::sql::{CellError, Columns, Readable, Statement, Tx, sql, unless_taken};
use crate::store::business::plans::{Inserted, Page, Paged, PlanFilter, PlanStore};
use crate::store::error::{Answer, named};

/// The columns that [`plan`] reads. JSON is cast, because MySQL gives it in a type of its own. Both databases read
/// `interval` in backticks as a name.
const COLUMNS: &str = "id, org_id, scale_code, schedule_type, `interval`, total_times, cast(fixed_dates as char), \
                       cast(relative_weeks as char), status";

#[async_trait]
impl PlanStore for SqlStore {
    async fn insert_plan(&self, plan: &AssessmentPlan, now: Timestamp) -> Answer<bool> {
        named("insert_plan", async {
            let now = self.stamps.write(now);
            let schedule = &plan.schedule;
            let dates: Vec<String> = schedule.fixed_dates().iter().map(ToString::to_string).collect();
            let query =
                sql("insert into assessment_plan (id, org_id, scale_code, schedule_type, `interval`, \
                 total_times, fixed_dates, relative_weeks, status, created_at, updated_at) \
                 values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind_all([plan.id, plan.org_id])
                .bind(&plan.scale_code)
                .bind(schedule.kind().as_str())
                .bind(schedule.interval())
                .bind(schedule.total_times())
                .bind(serde_json::json!(dates).to_string())
                .bind(serde_json::json!(schedule.relative_weeks()).to_string())
                .bind(plan.status.as_str())
                .bind_all([&now, &now]);
            Ok(unless_taken(self.db.execute(query).await)?.is_some())
        })
        .await
    }

    async fn find_plan(&self, org_id: i64, id: i64) -> Answer<Option<AssessmentPlan>> {
        // primary key
        let query = sql(format!(
            "select {COLUMNS} from assessment_plan where id = ? and org_id = ? and deleted_at is null"
        ));
        named("find_plan", self.db.read_one(query.bind_all([id, org_id]), plan)).await
    }

    async fn plans(&self, org_id: i64, filter: &PlanFilter, page: Page) -> Answer<Paged<AssessmentPlan>> {
        named("plans", async {
            let mut tx = self.db.snapshot().await?;
            // idx_assessment_plan_org; with a testee idx_assessment_task_testee
            let count = wanted("select count(*) from assessment_plan", org_id, filter);
            let total = tx.read_one(count, Columns::count).await?.unwrap_or_default();
            let query = wanted(&format!("select {COLUMNS} from assessment_plan"), org_id, filter)
                .push(" order by id desc limit ? offset ?")
                .bind_all([page.size.into(), page.offset()]);
            let Readable { items, unreadable } = tx.read_each(query, plan).await?;
            Ok(Paged { items, unreadable, total })
        })
        .await
    }

    async fn stop_plan(
        &self,
        org_id: i64,
        id: i64,
        from: PlanStatus,
        to: PlanStatus,
        now: Timestamp,
    ) -> Answer<Option<u64>> {
        named("stop_plan", async {
            let mut tx = self.db.begin().await?;
            let now = self.stamps.write(now);
            if !set_status(&mut tx, [org_id, id], [from, to], &now).await? {
                return Ok(None);
            }
            let cancel = plan_tasks::cancel(org_id, id, &now);
            let canceled = tx.execute(cancel).await?;
            tx.commit().await?;
            Ok(Some(canceled))
        })
        .await
    }

    async fn resume_plan(
        &self,
        org_id: i64,
        id: i64,
        tasks: &[PlanTask],
        now: Timestamp,
    ) -> Answer<Inserted> {
        named("resume_plan", async {
            let mut tx = self.db.begin().await?;
            let stamp = self.stamps.write(now);
            let change = [PlanStatus::Paused, PlanStatus::Active];
            if !set_status(&mut tx, [org_id, id], change, &stamp).await? {
                return Ok(Inserted::Stale);
            }
            self.insert_tasks(tx, tasks, now).await
        })
        .await
    }
}

async fn set_status(
    tx: &mut Tx,
    [org_id, id]: [i64; 2],
    [from, to]: [PlanStatus; 2],
    now: &str,
) -> Result<bool, sqlx::Error> {
    // primary key
    let query = sql("update assessment_plan set status = ?, updated_at = ?, version = version + 1 \
         where id = ? and org_id = ? and status = ? and deleted_at is null")
    .bind(to.as_str())
    .bind(now)
    .bind_all([id, org_id])
    .bind(from.as_str());
    Ok(tx.execute(query).await? == 1)
}

fn wanted(select: &str, org_id: i64, filter: &PlanFilter) -> Statement {
    let query = sql(format!("{select} where org_id = ? and deleted_at is null"))
        .bind(org_id)
        .push_some(" and scale_code = ?", filter.scale_code.as_ref())
        .push_some(" and status = ?", filter.status.map(PlanStatus::as_str));
    let Some(testee) = filter.testee_id else { return query };
    query
        .push(" and id in (select plan_id from assessment_task where org_id = ? and testee_id = ? and deleted_at is null)")
        .bind_all([org_id, testee])
}

fn plan(columns: &mut Columns) -> Result<AssessmentPlan, CellError> {
    let (id, org_id, scale_code) = (columns.int()?, columns.int()?, columns.text()?);
    let (kind, interval, times) = (columns.parsed()?, columns.int()?, columns.int()?);
    let dates: Vec<Date> = list(columns)?;
    let schedule = PlanSchedule::stored(kind, interval, times, dates, list(columns)?);
    Ok(AssessmentPlan { id, org_id, scale_code, schedule, status: columns.parsed()? })
}

/// A JSON list; nothing and `null` are empty.
fn list<T: serde::de::DeserializeOwned>(columns: &mut Columns) -> Result<Vec<T>, CellError> {
    let text = columns.optional_text()?.unwrap_or_else(|| "null".to_owned());
    let list: Option<Vec<T>> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(list.unwrap_or_default())
}
