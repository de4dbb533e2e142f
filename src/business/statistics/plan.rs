//! The plan sync: `assessment_task` to `statistics_plan`.

use std::sync::Arc;

use async_trait::async_trait;

use super::batch::{Batches, span};
use super::context::Context;
use crate::business::sync_run::{Progress, SyncStopped, SyncWork};
use crate::domain::statistics::PlanCounts;
use crate::domain::sync_run::SyncKind;
use crate::store::contention::retry;

/// Plans that are added up and written at a time.
pub(super) const BATCH: u32 = 500;

/// Adds up the tasks of every plan of an organisation, or of one.
pub(super) struct PlanSync {
    pub(super) context: Arc<Context>,
    pub(super) only: Option<i64>,
}

#[async_trait]
impl SyncWork for PlanSync {
    fn kind(&self) -> SyncKind {
        SyncKind::Plan
    }

    fn request(&self) -> String {
        self.only.map_or_else(|| "plan".to_owned(), |plan| format!("plan {plan}"))
    }

    async fn perform(&self, org_id: i64, progress: &mut Progress) -> Result<(), SyncStopped> {
        // What changes from here on is not covered.
        let began = self.context.clock.now();
        let store = &self.context.store;
        let (mut batches, mut after) = (Batches::default(), None);
        loop {
            progress.note();
            let totals = store.plan_totals(org_id, self.only, after, BATCH).await?;
            let Some(last) = totals.last() else { break };
            after = Some(last.counts.plan_id);
            let counts: Vec<PlanCounts> = totals.iter().map(|totals| totals.counts).collect();
            let size = counts.len() as u64;
            progress.scanned += size;
            let written = retry(|| store.put_plans(org_id, &counts, self.context.clock.now())).await;
            batches.written(progress, size, || span(&counts, |c| format!("plan {}", c.plan_id)), written)?;
        }
        if let Some(plan) = self.only.filter(|_| progress.scanned == 0) {
            return Err(format!("there is no plan {plan}").into());
        }
        if progress.failed == 0 && self.only.is_none() {
            progress.mark = Some(began.to_string());
        }
        Ok(())
    }
}
