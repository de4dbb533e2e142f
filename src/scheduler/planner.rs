//! The duty that plans: it moves the watermark, and what the schedules yield between the old one and the new one becomes
//! executions or is written down as missed.
//!
//! A move is a compare-and-set on the watermark and the catalog, so that any number of planners may try (the model in
//! `tests/it/ledger_model` shows what breaks without). Occurrences are planned a little ahead of their time. When the
//! watermark is behind by more than the grace, nobody has planned for a while: there is a gap, which catch-up is for.

mod due;
mod slice;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use self::due::Due;
use self::slice::{Slice, skipped};
use super::catalog::Catalog;
use crate::clock::periodic::Periodic;
use crate::domain::catch_up::{GRACE, Gap};
use crate::domain::execution::{SessionId, whole_millis};
use crate::store::scheduler::{Did, Ledger, PlanStep, Planned, Planner as Row};

/// How far ahead of its time an occurrence is planned.
const AHEAD: SignedDuration = SignedDuration::from_secs(2);

/// How often a planner that is overtaken tries again in one tick.
const TRIES: u32 = 10;

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Executions that were planned.
    pub planned: usize,
    /// Occurrences that were missed.
    pub missed: u64,
    /// Through which instant everything is planned now.
    pub through: Option<Timestamp>,
}

/// Plans.
pub struct Planner {
    session: SessionId,
    ledger: Arc<dyn Ledger>,
    catalog: Arc<Catalog>,
    due: Due,
    /// Told when something was planned.
    planned: Arc<Notify>,
}

impl Planner {
    /// One that tells `planned` when there is something new to wait for.
    pub fn new(
        session: SessionId,
        ledger: Arc<dyn Ledger>,
        catalog: Arc<Catalog>,
        planned: Arc<Notify>,
    ) -> Self {
        Self { session, ledger, catalog, due: Due::default(), planned }
    }

    /// Moves the watermark as far as it goes now.
    ///
    /// # Errors
    /// The store's, and that the session is over.
    pub async fn plan(&mut self, now: Timestamp) -> Did<Report> {
        let now = whole_millis(now);
        let mut report = Report::default();
        let mut tries = 0;
        loop {
            let row = self.ledger.planner(now).await?;
            report.through = Some(row.planned_through);
            let Some(slice) = self.next_slice(&row, now).await? else { return Ok(report) };
            let (planned, missed) =
                (slice.insert.len(), slice.missed.iter().map(|row| row.missed.count).sum::<u64>());
            match self.ledger.plan(self.session, slice).await? {
                Planned::Moved => {
                    report.planned += planned;
                    report.missed += missed;
                    if planned > 0 {
                        self.planned.notify_waiters();
                    }
                }
                Planned::Overtaken => {
                    tries += 1;
                    self.due.forget();
                    if tries >= TRIES {
                        return Ok(report);
                    }
                }
            }
        }
    }

    /// The next move; none where the watermark is where it should be.
    async fn next_slice(&mut self, row: &Row, now: Timestamp) -> Did<Option<PlanStep>> {
        let gap = gap(row, now);
        let target = gap.map_or(now + AHEAD, |gap| gap.to);
        if row.planned_through >= target {
            return Ok(None);
        }
        let mut view = self.catalog.view();
        if view.number != row.catalog || self.due.is_new() {
            view = self.catalog.read(row.planned_through).await?;
        }
        if !self.due.is_of(view.number, row.planned_through) {
            self.due.fill(&view, row.planned_through);
        }
        let slice = Slice { view: &view, from: row.planned_through, gap, now };
        let mut step = slice.through(target, &mut self.due);
        step.gap_to = gap.map(|gap| gap.to).filter(|to| step.through < *to);
        if let Some(gap) = gap.filter(|_| row.gap_to.is_none()) {
            let ahead = self.ledger.planned_ahead(gap.late_through()).await?;
            step.skip = skipped(&view, &ahead, &gap);
        }
        Ok(Some(step))
    }
}

/// The time without a planner that this row is in, or that is found now.
fn gap(row: &Row, now: Timestamp) -> Option<Gap> {
    let known = row.gap_to.filter(|to| row.planned_through < *to);
    known.map(|to| Gap { to, grace: GRACE }).or_else(|| Gap::found(row.planned_through, now))
}

#[async_trait]
impl Periodic for Planner {
    type Report = Report;

    async fn tick(&mut self, now: Timestamp) -> Result<Report, String> {
        self.plan(now).await.map_err(|error| error.to_string())
    }
}
