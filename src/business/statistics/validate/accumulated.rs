//! `statistics_accumulated` against `statistics_daily`.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::accumulated::{Total, Totals};
use super::{ACCUMULATED, Comparison, disagreement};
use crate::business::sync_run::SyncStopped;
use crate::domain::statistics::{Accumulated, Subject};
use crate::domain::sync_run::SyncKind;

/// Subjects that are compared at a time.
const BATCH: usize = 1_000;

impl Comparison<'_> {
    pub(super) async fn accumulated(&mut self) -> Result<(), SyncStopped> {
        let last = self.context.last_began(self.org_id, SyncKind::Accumulated).await?;
        let began = last.as_ref().map(|(_, began)| *began);
        // The windows move with the day: they are compared as of the day on which they were written.
        let as_of =
            last.and_then(|(run, _)| run.window).map_or_else(|| self.context.today(), |window| window.end);
        let mut totals = Totals::new(Arc::clone(&self.context), self.org_id, as_of);
        loop {
            self.progress.note();
            let batch = totals.next(BATCH).await?;
            if batch.is_empty() {
                break;
            }
            self.compare_totals(batch, began).await?;
        }
        self.compare_orphans().await
    }

    async fn compare_totals(
        &mut self,
        batch: Vec<Total>,
        began: Option<Timestamp>,
    ) -> Result<(), SyncStopped> {
        let subjects: Vec<Subject> = batch.iter().map(|total| total.total.subject.clone()).collect();
        let rows = self.rows(&subjects).await?;
        let mut repairs = Vec::new();
        for Total { total, changed_at } in batch {
            let row = rows.get(&total.subject);
            if row == Some(&total) {
                self.equal();
                continue;
            }
            if began.is_none_or(|began| changed_at >= began) {
                self.pending(true);
            } else {
                self.differs(ACCUMULATED, &total.subject, describe(&total, row));
            }
            repairs.push(total);
        }
        self.repair_totals(&repairs).await;
        Ok(())
    }

    /// Rows that no daily row stands behind should be zero.
    async fn compare_orphans(&mut self) -> Result<(), SyncStopped> {
        let mut after = None;
        loop {
            self.progress.note();
            let limit = u32::try_from(BATCH).unwrap_or(u32::MAX);
            let subjects = self.context.store.orphans(self.org_id, after.take(), limit).await?;
            let Some(last) = subjects.last() else { return Ok(()) };
            after = Some(last.clone());
            let rows = self.rows(&subjects).await?;
            let mut repairs = Vec::new();
            for subject in subjects {
                let empty = Accumulated::empty(subject);
                let row = rows.get(&empty.subject);
                if row.is_none() || row == Some(&empty) {
                    self.equal();
                } else {
                    self.differs(ACCUMULATED, &empty.subject, describe(&empty, row));
                    repairs.push(empty);
                }
            }
            self.repair_totals(&repairs).await;
        }
    }

    async fn rows(&self, subjects: &[Subject]) -> Result<HashMap<Subject, Accumulated>, SyncStopped> {
        let rows = self.context.store.accumulated_of(self.org_id, subjects).await?;
        Ok(rows.into_iter().map(|row| (row.subject.clone(), row)).collect())
    }

    async fn repair_totals(&mut self, repairs: &[Accumulated]) {
        let (context, org_id) = (Arc::clone(&self.context), self.org_id);
        let write = || context.store.put_accumulated(org_id, repairs, context.clock.now());
        self.repair(ACCUMULATED, repairs.len(), write).await;
    }
}

fn describe(truth: &Accumulated, row: Option<&Accumulated>) -> String {
    let Some(row) = row else { return "the daily rows have it, the table has no row".to_owned() };
    disagreement(
        "the daily rows",
        &[
            ("total_submissions", truth.total_submissions, row.total_submissions),
            ("total_completions", truth.total_completions, row.total_completions),
            ("last7d_submissions", truth.last_days[0], row.last_days[0]),
            ("last15d_submissions", truth.last_days[1], row.last_days[1]),
            ("last30d_submissions", truth.last_days[2], row.last_days[2]),
        ],
    )
}
