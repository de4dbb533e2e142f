//! `statistics_plan` against the tasks.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::plan::BATCH;
use super::{Comparison, PLAN, disagreement};
use crate::business::sync_run::SyncStopped;
use crate::domain::statistics::PlanCounts;
use crate::domain::sync_run::SyncKind;
use crate::store::business::PlanTotals;

impl Comparison<'_> {
    pub(super) async fn plans(&mut self) -> Result<(), SyncStopped> {
        let began = self.context.last_began(self.org_id, SyncKind::Plan).await?.map(|(_, began)| began);
        let mut after = None;
        loop {
            self.progress.note();
            let page = self.context.store.plan_totals(self.org_id, None, after, BATCH).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.counts.plan_id);
            let ids: Vec<i64> = page.iter().map(|totals| totals.counts.plan_id).collect();
            let rows = self.context.store.plans_of(self.org_id, &ids).await?;
            let rows: HashMap<i64, PlanCounts> = rows.into_iter().map(|row| (row.plan_id, row)).collect();
            let mut repairs = Vec::new();
            for PlanTotals { counts, changed_at } in page {
                let row = rows.get(&counts.plan_id);
                if row == Some(&counts) {
                    self.equal();
                    continue;
                }
                if began.is_none_or(|began| changed_at >= began) {
                    self.pending(true);
                } else {
                    self.differs(PLAN, format!("plan {}", counts.plan_id), describe(&counts, row));
                }
                repairs.push(counts);
            }
            let (context, org_id) = (Arc::clone(&self.context), self.org_id);
            let write = || context.store.put_plans(org_id, &repairs, context.clock.now());
            self.repair(PLAN, repairs.len(), write).await;
        }
    }
}

fn describe(truth: &PlanCounts, row: Option<&PlanCounts>) -> String {
    let Some(row) = row else { return "the tasks have it, the table has no row".to_owned() };
    disagreement(
        "the tasks",
        &[
            ("total_tasks", truth.total_tasks, row.total_tasks),
            ("completed_tasks", truth.completed_tasks, row.completed_tasks),
            ("pending_tasks", truth.pending_tasks, row.pending_tasks),
            ("expired_tasks", truth.expired_tasks, row.expired_tasks),
            ("enrolled_testees", truth.enrolled_testees, row.enrolled_testees),
            ("active_testees", truth.active_testees, row.active_testees),
        ],
    )
}
