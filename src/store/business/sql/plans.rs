//! SQL of `assessment_plan`.

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{SqlStore, plan_exits, plan_tasks};
use crate::domain::plan::{AssessmentPlan, PlanStatus};
use crate::domain::plan_schedule::PlanSchedule;
use crate::domain::plan_task::PlanTask;
use crate::sql::{CellError, Columns, DatabaseKind, ListRow, Order, Statement, Tx, sql, unless_taken};
use crate::store::business::lists::{Entry, Listed, Page, Part, Total};
use crate::store::business::plans::{Inserted, PlanFilter, PlanStore};
use crate::store::error::{Answer, named};

/// The columns that [`plan`] reads. JSON is cast, because MySQL gives it in a type of its own. Both databases read
/// `interval` in backticks as a name.
const COLUMNS: &str = "id, org_id, scale_code, schedule_type, `interval`, total_times, cast(fixed_dates as char), \
                       cast(relative_weeks as char), status";

#[async_trait]
impl PlanStore for SqlStore {
    async fn insert_plan(&self, plan: &AssessmentPlan, now: Timestamp) -> Answer<bool> {
        let _changing = self.changing();
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

    async fn plans(
        &self,
        org_id: i64,
        filter: &PlanFilter,
        part: Part<i64>,
    ) -> Answer<Listed<AssessmentPlan, i64>> {
        named("plans", async {
            let query = plans_of_part(self.db.kind(), org_id, filter, &part);
            let rows = self.db.read_list(query, plan).await?;
            let total = match part.total(rows.len()) {
                Total::Known(total) => total,
                Total::Counted => {
                    let query = plan_list(self.db.kind(), "select count(*)", org_id, filter);
                    let count = self.db.read_one(query, Columns::count);
                    let count = async { Ok::<_, sqlx::Error>(count.await?.unwrap_or_default()) };
                    Some(Box::pin(self.plan_counts.get((org_id, filter.clone()), count)).await?)
                }
            };
            let entry = |row: ListRow<AssessmentPlan>| Entry { mark: row.first.int(), read: row.read };
            Ok(Listed::cut(rows.into_iter().map(entry).collect(), part.size(), total))
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
        let _changing = self.changing();
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
        let _changing = self.changing();
        named("resume_plan", async {
            let mut tx = self.db.begin().await?;
            let stamp = self.stamps.write(now);
            let change = [PlanStatus::Paused, PlanStatus::Active];
            if !set_status(&mut tx, [org_id, id], change, &stamp).await? {
                return Ok(Inserted::Stale);
            }
            // An enrolment that ended after the tasks were thought of.
            let ended = plan_exits::of_plan(&mut tx, org_id, id).await?;
            if tasks.iter().any(|task| ended.contains(&task.testee_id)) {
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

/// The plans of a list, in no order.
pub(super) fn plan_list(kind: DatabaseKind, select: &str, org_id: i64, filter: &PlanFilter) -> Statement {
    // idx_assessment_plan_list, of a scale idx_assessment_plan_scale, of a status idx_assessment_plan_status, each in the
    // order of ids; with a testee idx_assessment_task_testee. All of them hold what a count must look at.
    let mut query = sql(format!("{select} from assessment_plan where org_id = ? and deleted_at is null"))
        .bind(org_id)
        .push_some(" and status = ?", filter.status.map(PlanStatus::as_str));
    if let Some(code) = &filter.scale_code {
        query = query.push(" and scale_code = ?").bind(code);
        if kind == DatabaseKind::MySql {
            query = query.push(&format!(" and {}", kind.exactly("scale_code"))).bind(code);
        }
    }
    let Some(testee) = filter.testee_id else { return query };
    query
        .push(" and id in (select plan_id from assessment_task where org_id = ? and testee_id = ? and deleted_at is null)")
        .bind_all([org_id, testee])
}

/// One plan more than the part has.
pub(super) fn plans_of_part(
    kind: DatabaseKind,
    org_id: i64,
    filter: &PlanFilter,
    part: &Part<i64>,
) -> Statement {
    let mut query = plan_list(kind, &format!("select {COLUMNS}"), org_id, filter);
    if let Part::After { mark: Some(id), .. } = part {
        query = query.push_after(kind, ["id"], Order::Falling, [(*id).into()]);
    }
    query.push(" order by id desc").push_part(part.size(), part.page().map(Page::offset))
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
