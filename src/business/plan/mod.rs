//! Plans, who is enrolled in them, and what operators do to single tasks.

mod enrolment;
mod tasks;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::SharedClock;
use crate::domain::calendar::{KEPT, kept_instant};
use crate::domain::id::RowId;
use crate::domain::invalid::Invalid;
use crate::domain::plan::{AssessmentPlan, PlanEvent, PlanStatus, check_scale_code};
use crate::domain::plan_schedule::{PlanSchedule, ScheduleFields, ScheduleType, first_instant};
use crate::store::StoreError;
use crate::store::business::Store;
use crate::store::contention::retry;

pub use crate::store::business::lists::{Listed, Page, Part};
pub use crate::store::business::plans::{PlanFilter, TaskFilter, TaskMark};

/// How often something is tried that a change by another caller, or an id given twice, was in the way of.
const ATTEMPTS: u32 = 5;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The input makes no sense.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// No such plan or task in the caller's organisation.
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The state forbids it.
    #[error("{message}")]
    State {
        /// What cannot be done, and in which state.
        message: String,
    },
    /// The testee has tasks in the plan that are not over.
    #[error("testee {testee_id} is enrolled in this plan and has tasks that are not over")]
    Enrolled {
        /// Who.
        testee_id: i64,
    },
    /// The assessment belongs to another task.
    #[error("this assessment belongs to another task")]
    AssessmentTaken,
    /// The store did not do it.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// A plan that is not made yet.
#[derive(Clone, Debug)]
pub struct NewPlan {
    /// What is filled in.
    pub scale_code: String,
    /// How its days are counted.
    pub schedule_type: ScheduleType,
    /// The fields of its schedule.
    pub fields: ScheduleFields,
}

/// The plans of every organisation.
pub struct Plans {
    store: Arc<dyn Store>,
    clock: SharedClock,
    zone: TimeZone,
}

impl Plans {
    /// Tasks fall on days of `zone`.
    pub fn new(store: Arc<dyn Store>, clock: SharedClock, zone: TimeZone) -> Self {
        Self { store, clock, zone }
    }

    /// The zone of its days.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Makes a plan.
    ///
    /// # Errors
    /// When a field makes no sense.
    pub async fn create(&self, org_id: i64, new: NewPlan) -> Result<AssessmentPlan, PlanError> {
        let mut plan = AssessmentPlan {
            id: 0,
            org_id,
            scale_code: check_scale_code(&new.scale_code)?,
            schedule: PlanSchedule::new(new.schedule_type, new.fields)?,
            status: PlanStatus::Active,
        };
        for day in plan.schedule.fixed_dates() {
            self.planned_at(*day, "fixed_dates")?;
        }
        for _ in 0..ATTEMPTS {
            plan.id = self.new_id().get();
            if retry(|| self.store.insert_plan(&plan, self.clock.now())).await? {
                return Ok(plan);
            }
        }
        Err(ids_taken())
    }

    /// The plan.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn find(&self, org_id: i64, id: i64) -> Result<AssessmentPlan, PlanError> {
        let plan = self.store.find_plan(org_id, id).await?;
        plan.ok_or_else(|| PlanError::NotFound { what: format!("plan {id}") })
    }

    /// Part of the list of plans.
    ///
    /// # Errors
    /// When no plan can have such a scale, or the store cannot be read.
    pub async fn list(
        &self,
        org_id: i64,
        mut filter: PlanFilter,
        part: Part<i64>,
    ) -> Result<Listed<AssessmentPlan, i64>, PlanError> {
        // Looked for as it is kept: databases differ in whether they overlook a space at the end.
        filter.scale_code = filter.scale_code.as_deref().map(check_scale_code).transpose()?;
        Ok(self.store.plans(org_id, &filter, part).await?)
    }

    /// Stops a plan; its tasks that are not over are canceled.
    ///
    /// # Errors
    /// When its state forbids that.
    pub async fn stop(&self, org_id: i64, id: i64, event: PlanEvent) -> Result<AssessmentPlan, PlanError> {
        for _ in 0..ATTEMPTS {
            let plan = self.find(org_id, id).await?;
            let to = allowed(&plan, event)?;
            let stop = || self.store.stop_plan(org_id, id, plan.status, to, self.clock.now());
            if retry(stop).await?.is_some() {
                return Ok(AssessmentPlan { status: to, ..plan });
            }
            // Somebody else changed it after we looked: look again.
        }
        Err(keeps_changing("plan", id))
    }

    /// When the tasks of a day are due. `field` is what leads to the day.
    fn planned_at(&self, day: Date, field: &'static str) -> Result<Timestamp, Invalid> {
        first_instant(day, &self.zone).and_then(kept_instant).ok_or_else(|| beyond(field))
    }

    fn new_id(&self) -> RowId {
        RowId::new(self.clock.now(), fastrand::u32(..))
    }
}

fn allowed(plan: &AssessmentPlan, event: PlanEvent) -> Result<PlanStatus, PlanError> {
    plan.status.after(event).ok_or_else(|| PlanError::State {
        message: format!("a plan cannot be {} in state {}", event.done(), plan.status),
    })
}

fn beyond(field: &'static str) -> Invalid {
    Invalid::new(field, format!("leads to days outside {KEPT}"))
}

fn keeps_changing(what: &str, id: i64) -> PlanError {
    PlanError::State { message: format!("{what} {id} keeps changing") }
}

/// Five draws in a row that others had made before: something is wrong with the clock or the random numbers.
fn ids_taken() -> PlanError {
    PlanError::Store(StoreError::Corrupt { verb: "insert", found: "every id was taken".to_owned() })
}
