//! SQL of `statistics_plan` and of the tasks that it adds up.

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqlStore;
use crate::domain::statistics::PlanCounts;
use crate::sql::{CellError, Columns, Upsert, Value, sql};
use crate::store::business::{PlanCountStore, PlanTotals};
use crate::store::error::{Answer, named};

const PLANS: Upsert = Upsert {
    table: "statistics_plan",
    key: &["org_id", "plan_id"],
    facts: &[
        "total_tasks",
        "completed_tasks",
        "pending_tasks",
        "expired_tasks",
        "enrolled_testees",
        "active_testees",
    ],
    stamps: &["last_updated_at", "updated_at"],
};

#[async_trait]
impl PlanCountStore for SqlStore {
    async fn plan_totals(
        &self,
        org_id: i64,
        only: Option<i64>,
        after: Option<i64>,
        limit: u32,
    ) -> Answer<Vec<PlanTotals>> {
        // primary key of assessment_plan, idx_assessment_task_plan; a task that was deleted counts no more, but its
        // end is a change
        let query = sql(
            "select p.id, count(t.present), \
             cast(coalesce(sum(case when t.present = 'completed' then 1 else 0 end), 0) as signed), \
             cast(coalesce(sum(case when t.present in ('pending', 'opened') then 1 else 0 end), 0) as signed), \
             cast(coalesce(sum(case when t.present = 'expired' then 1 else 0 end), 0) as signed), \
             count(distinct case when t.present is not null then t.testee_id end), \
             count(distinct case when t.present = 'completed' then t.testee_id end), \
             cast(max(p.updated_at) as char), cast(max(t.changed_at) as char) \
             from (select id, updated_at from assessment_plan \
             where org_id = ? and deleted_at is null and id > ? and (? is null or id = ?) \
             order by id limit ?) p \
             left join (select plan_id, testee_id, case when deleted_at is null then status end as present, \
             case when deleted_at > updated_at then deleted_at else updated_at end as changed_at \
             from assessment_task) t on t.plan_id = p.id \
             group by p.id order by p.id",
        )
        .bind(org_id)
        .bind(after.unwrap_or(i64::MIN).max(0))
        .bind(only)
        .bind(only)
        .bind(limit);
        let read = |columns: &mut Columns| {
            let counts = counts(columns)?;
            let plan = self.stamps.read(&columns.text()?)?;
            let task = columns.optional_text()?.map(|text| self.stamps.read(&text)).transpose()?;
            Ok(PlanTotals { counts, changed_at: task.map_or(plan, |task| task.max(plan)) })
        };
        named("plan_totals", self.db.read_all(query, read)).await
    }

    async fn put_plans(&self, org_id: i64, counts: &[PlanCounts], now: Timestamp) -> Answer<u64> {
        let row = |c: &PlanCounts| {
            vec![
                Value::from(org_id),
                c.plan_id.into(),
                c.total_tasks.into(),
                c.completed_tasks.into(),
                c.pending_tasks.into(),
                c.expired_tasks.into(),
                c.enrolled_testees.into(),
                c.active_testees.into(),
            ]
        };
        named("put_plans", PLANS.run(&self.db, counts.iter().map(row).collect(), &self.stamps.write(now)))
            .await
    }

    async fn plans_of(&self, org_id: i64, plan_ids: &[i64]) -> Answer<Vec<PlanCounts>> {
        named("plans_of", async {
            if plan_ids.is_empty() {
                return Ok(Vec::new());
            }
            // uk_statistics_plan
            let query = sql(
                "select plan_id, total_tasks, completed_tasks, pending_tasks, expired_tasks, enrolled_testees, \
                 active_testees from statistics_plan where org_id = ? and deleted_at is null and plan_id in ",
            )
            .bind(org_id)
            .push_list(plan_ids.iter().copied())
            ;
            self.db.read_all(query, counts).await
        })
        .await
    }
}

fn counts(columns: &mut Columns) -> Result<PlanCounts, CellError> {
    Ok(PlanCounts {
        plan_id: columns.int()?,
        total_tasks: columns.int()?,
        completed_tasks: columns.int()?,
        pending_tasks: columns.int()?,
        expired_tasks: columns.int()?,
        enrolled_testees: columns.int()?,
        active_testees: columns.int()?,
    })
}
