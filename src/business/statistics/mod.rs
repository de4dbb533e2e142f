//! Statistics: events are counted at once, syncs carry the counters into the tables that are read, and a validation
//! compares both sides.

mod accumulated;
mod batch;
mod context;
mod daily;
mod events;
mod plan;
mod read;
mod validate;

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use self::accumulated::AccumulatedSync;
use self::context::Context;
use self::daily::DailySync;
use self::plan::PlanSync;
use self::validate::Validation;
use super::sync_run::{Scope, StartError, Started, SyncCaller, SyncRuns};
use crate::clock::SharedClock;
use crate::counters::{Counters, CountersError};
use crate::domain::invalid::Invalid;
use crate::domain::statistics::DayRange;
use crate::store::StoreError;
use crate::store::business::Store;

pub use events::{Counted, EventInput};
pub use read::{QuestionnaireStatistics, SystemStatistics};
pub use validate::Mode;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum StatisticsError {
    /// The input makes no sense.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// What is asked for does not exist.
    #[error("not found: {what}")]
    NotFound {
        /// What.
        what: String,
    },
    /// The counters did not answer.
    #[error("{0}")]
    Counters(#[from] CountersError),
    /// The store did not answer.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No sync was started.
    #[error("{0}")]
    Start(#[from] StartError),
}

/// The statistics of every organisation.
pub struct Statistics {
    context: Arc<Context>,
    runs: Arc<SyncRuns>,
}

impl Statistics {
    /// Counts days of `zone`.
    pub fn new(
        store: Arc<dyn Store>,
        counters: Arc<dyn Counters>,
        runs: Arc<SyncRuns>,
        clock: SharedClock,
        zone: TimeZone,
    ) -> Self {
        Self { context: Arc::new(Context { store, counters, clock, zone }), runs }
    }

    /// Starts the sync of daily counts: of the days of `window`, or of today, yesterday and every day that was touched
    /// since the last sync.
    ///
    /// # Errors
    /// When the window makes no sense or the sync cannot start.
    pub async fn sync_daily(
        &self,
        request: SyncCaller,
        window: (Option<Date>, Option<Date>),
    ) -> Result<Started, StatisticsError> {
        let window = check_window(window)?;
        let work = DailySync { context: Arc::clone(&self.context), window };
        Ok(self.runs.start(request, Arc::new(work)).await?)
    }

    /// Starts the sync of totals and sliding windows.
    ///
    /// # Errors
    /// When the sync cannot start.
    pub async fn sync_accumulated(&self, request: SyncCaller) -> Result<Started, StatisticsError> {
        let work = AccumulatedSync { context: Arc::clone(&self.context) };
        Ok(self.runs.start(request, Arc::new(work)).await?)
    }

    /// Starts the sync of the tasks of plans: of every plan, or of one.
    ///
    /// # Errors
    /// When the sync cannot start.
    pub async fn sync_plan(
        &self,
        request: SyncCaller,
        only: Option<i64>,
    ) -> Result<Started, StatisticsError> {
        if let Some(plan) = only {
            self.check_plan(request.scope, plan).await?;
        }
        let work = PlanSync { context: Arc::clone(&self.context), only };
        Ok(self.runs.start(request, Arc::new(work)).await?)
    }

    /// A sync of a plan that does not exist could only fail, so none is started.
    async fn check_plan(&self, scope: Scope, plan: i64) -> Result<(), StatisticsError> {
        let Scope::Organisation(org_id) = scope else {
            return Err(Invalid::new("plan_id", "belongs to one organisation, so org cannot be all").into());
        };
        if self.context.store.plan_totals(org_id, Some(plan), None, 1).await?.is_empty() {
            return Err(StatisticsError::NotFound { what: format!("plan {plan}") });
        }
        Ok(())
    }

    /// Starts the comparison of both sides.
    ///
    /// # Errors
    /// When the sync cannot start.
    pub async fn validate(&self, request: SyncCaller, mode: Mode) -> Result<Started, StatisticsError> {
        let work = Validation { context: Arc::clone(&self.context), mode };
        Ok(self.runs.start(request, Arc::new(work)).await?)
    }
}

fn check_window(window: (Option<Date>, Option<Date>)) -> Result<Option<DayRange>, Invalid> {
    match window {
        (None, None) => Ok(None),
        (Some(start), Some(end)) if start <= end => Ok(Some(DayRange { start, end })),
        (Some(_), Some(_)) => Err(Invalid::new("end_date", "lies before start_date")),
        (Some(_), None) => Err(Invalid::new("end_date", "is required together with start_date")),
        (None, Some(_)) => Err(Invalid::new("start_date", "is required together with end_date")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_two_ends_in_order_or_none() {
        let day = |text: &str| Some(text.parse::<Date>().unwrap());
        assert_eq!(check_window((None, None)).unwrap(), None);
        let one = check_window((day("2026-01-01"), day("2026-01-01"))).unwrap().unwrap();
        assert_eq!(one.start, one.end);
        for (window, expected) in [
            ((day("2026-01-02"), day("2026-01-01")), "end_date: lies before start_date"),
            ((day("2026-01-02"), None), "end_date: is required together with start_date"),
            ((None, day("2026-01-02")), "start_date: is required together with end_date"),
        ] {
            assert_eq!(check_window(window).unwrap_err().to_string(), expected);
        }
    }
}
