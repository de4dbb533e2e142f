//! SQL of `assessment_plan`.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{SqlStore, corrupt, failed, plan_tasks};
use crate::domain::plan::{AssessmentPlan, PlanStatus};
use crate::domain::plan_schedule::PlanSchedule;
use crate::domain::plan_task::PlanTask;
use crate::sql::{CellError, Columns, Statement, Tx, sql};
use crate::store::plan::{Inserted, Page, Paged, PlanFilter};
use crate::store::{Answer, PlanStore, StoreError};

/// The columns that [`plan`] reads. JSON is cast, because MySQL gives it in a type of its own. Both databases read
/// `interval` in backticks as a name.
const COLUMNS: &str = "id, org_id, scale_code, schedule_type, `interval`, total_times, cast(fixed_dates as char), \
                       cast(relative_weeks as char), status";

impl PlanStore for SqlStore {
    fn insert_plan<'a>(&'a self, plan: &'a AssessmentPlan, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
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
            match self.db.execute(query).await {
                Ok(_) => Ok(true),
                Err(error) if is_taken(&error) => Ok(false),
                Err(error) => Err(failed("insert_plan")(error)),
            }
        })
    }

    fn find_plan(&self, org_id: i64, id: i64) -> Answer<'_, Option<AssessmentPlan>> {
        Box::pin(async move {
            // primary key
            let query = sql(format!(
                "select {COLUMNS} from assessment_plan where id = ? and org_id = ? and deleted_at is null"
            ));
            let row =
                self.db.fetch_optional(query.bind_all([id, org_id])).await.map_err(failed("find_plan"))?;
            row.map(|row| plan(&mut row.columns()).map_err(corrupt("find_plan"))).transpose()
        })
    }

    fn plans<'a>(
        &'a self,
        org_id: i64,
        filter: &'a PlanFilter,
        page: Page,
    ) -> Answer<'a, Paged<AssessmentPlan>> {
        Box::pin(async move {
            let mut tx = self.db.snapshot().await.map_err(failed("plans"))?;
            // idx_assessment_plan_org; with a testee idx_assessment_task_testee
            let count = wanted("select count(*) from assessment_plan", org_id, filter);
            let total = super::count(&mut tx, "plans", count).await?;
            let query = wanted(&format!("select {COLUMNS} from assessment_plan"), org_id, filter)
                .push(" order by id desc limit ? offset ?")
                .bind_all([page.size.into(), offset(page)]);
            let rows = tx.fetch_all(query).await.map_err(failed("plans"))?;
            let items = rows
                .into_iter()
                .map(|row| plan(&mut row.columns()).map_err(corrupt("plans")))
                .collect::<Result<_, _>>()?;
            Ok(Paged { items, total })
        })
    }

    fn stop_plan(
        &self,
        org_id: i64,
        id: i64,
        from: PlanStatus,
        to: PlanStatus,
        now: Timestamp,
    ) -> Answer<'_, Option<u64>> {
        Box::pin(async move {
            let mut tx = self.db.begin().await.map_err(failed("stop_plan"))?;
            let now = self.stamps.write(now);
            if !set_status(&mut tx, [org_id, id], [from, to], &now).await.map_err(failed("stop_plan"))? {
                return Ok(None);
            }
            let cancel = plan_tasks::cancel(org_id, id, &now);
            let canceled = tx.execute(cancel).await.map_err(failed("stop_plan"))?;
            tx.commit().await.map_err(failed("stop_plan"))?;
            Ok(Some(canceled))
        })
    }

    fn resume_plan<'a>(
        &'a self,
        org_id: i64,
        id: i64,
        tasks: &'a [PlanTask],
        now: Timestamp,
    ) -> Answer<'a, Inserted> {
        Box::pin(async move {
            let verb = "resume_plan";
            let mut tx = self.db.begin().await.map_err(failed(verb))?;
            let stamp = self.stamps.write(now);
            let change = [PlanStatus::Paused, PlanStatus::Active];
            if !set_status(&mut tx, [org_id, id], change, &stamp).await.map_err(failed(verb))? {
                return Ok(Inserted::Stale);
            }
            match self.insert_tasks(&mut tx, tasks, now).await {
                Ok(()) => {}
                Err(error) if is_taken(&error) => return Ok(Inserted::IdTaken),
                Err(error) => return Err(failed(verb)(error)),
            }
            tx.commit().await.map_err(failed(verb))?;
            Ok(Inserted::Done)
        })
    }
}

/// Whether the key of a row exists already.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Rows before the page.
pub(super) fn offset(page: Page) -> i64 {
    i64::from(page.size) * i64::from(page.number.saturating_sub(1))
}

/// The state of a plan, held until the transaction ends: whoever stops the plan or enrols somebody waits.
pub(super) async fn hold(
    tx: &mut Tx,
    db: crate::sql::Dialect,
    org_id: i64,
    id: i64,
) -> Result<Option<PlanStatus>, StoreError> {
    // primary key
    let query = sql("select status from assessment_plan where id = ? and org_id = ? and deleted_at is null")
        .bind_all([id, org_id])
        .push(db.hold());
    let row = tx.fetch_optional(query).await.map_err(failed("hold"))?;
    row.map(|row| row.columns().parsed().map_err(corrupt("hold"))).transpose()
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
    let mut query = sql(format!("{select} where org_id = ? and deleted_at is null")).bind(org_id);
    if let Some(code) = &filter.scale_code {
        query = query.push(" and scale_code = ?").bind(code);
    }
    if let Some(status) = filter.status {
        query = query.push(" and status = ?").bind(status.as_str());
    }
    if let Some(testee) = filter.testee_id {
        query = query
            .push(" and id in (select plan_id from assessment_task where org_id = ? and testee_id = ? and deleted_at is null)")
            .bind_all([org_id, testee]);
    }
    query
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
