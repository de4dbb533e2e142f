//! Plans, who is enrolled in them, and what operators do to single tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::SharedClock;
use crate::domain::id::RowId;
use crate::domain::plan::{AssessmentPlan, Invalid, PlanEvent, PlanStatus, check_scale_code};
use crate::domain::plan_schedule::{PlanSchedule, Planned, ScheduleFields, ScheduleType, first_instant};
use crate::domain::plan_task::{PlanTask, Refused, TaskEvent, TaskStatus};
use crate::store::StoreError;
use crate::store::business::Store;
use crate::store::business::plans::{Inserted, Moved};
use crate::store::contention::retry;

pub use crate::store::business::plans::{Page, Paged, PlanFilter, TaskFilter};

/// How often something is tried that a change by another caller, or an id given twice, was in the way of.
const ATTEMPTS: u32 = 5;

/// Why nothing was done.
#[derive(Debug)]
pub enum PlanError {
    /// The input makes no sense.
    Invalid(Invalid),
    /// No such plan or task in the caller's organisation.
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The state forbids it.
    State {
        /// What cannot be done, and in which state.
        message: String,
    },
    /// The testee has tasks in the plan that are not over.
    Enrolled {
        /// Who.
        testee_id: i64,
    },
    /// The assessment belongs to another task.
    AssessmentTaken,
    /// The store did not do it.
    Store(StoreError),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::NotFound { what } => write!(f, "{what} does not exist"),
            Self::State { message } => f.write_str(message),
            Self::Enrolled { testee_id } => {
                write!(f, "testee {testee_id} is enrolled in this plan and has tasks that are not over")
            }
            Self::AssessmentTaken => f.write_str("this assessment belongs to another task"),
            Self::Store(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for PlanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Store(source) = self { Some(source) } else { None }
    }
}

impl From<StoreError> for PlanError {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}

impl From<Invalid> for PlanError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
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

    /// A page of plans.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &self,
        org_id: i64,
        filter: &PlanFilter,
        page: Page,
    ) -> Result<Paged<AssessmentPlan>, PlanError> {
        Ok(self.store.plans(org_id, filter, page).await?)
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

    /// Lets a paused plan go on: each testee gets the tasks after the highest one completed, counted from the start that
    /// is given or from the one that the task made last gives away.
    ///
    /// # Errors
    /// When its state forbids that, or a start is given for somebody who is not in the plan.
    pub async fn resume(
        &self,
        org_id: i64,
        id: i64,
        starts: BTreeMap<i64, Date>,
    ) -> Result<AssessmentPlan, PlanError> {
        let mut in_the_way = keeps_changing("plan", id);
        for _ in 0..ATTEMPTS {
            let plan = self.find(org_id, id).await?;
            let status = allowed(&plan, PlanEvent::Resume)?;
            let tasks = self.resumed(&plan, &starts).await?;
            let resume = || self.store.resume_plan(org_id, id, &tasks, self.clock.now());
            in_the_way = match retry(resume).await? {
                Inserted::Done => return Ok(AssessmentPlan { status, ..plan }),
                Inserted::Stale | Inserted::Duplicate => keeps_changing("plan", id),
                Inserted::IdTaken => ids_taken(),
            };
        }
        Err(in_the_way)
    }

    /// Enrols a testee: all tasks are made at once.
    ///
    /// # Errors
    /// When the plan is not active, or the testee has tasks in it that are not over.
    pub async fn enrol(
        &self,
        org_id: i64,
        plan_id: i64,
        testee_id: i64,
        start: Date,
    ) -> Result<Vec<PlanTask>, PlanError> {
        let mut in_the_way = keeps_changing("plan", plan_id);
        for _ in 0..ATTEMPTS {
            let plan = self.find(org_id, plan_id).await?;
            if plan.status != PlanStatus::Active {
                let message = format!("a plan cannot be enrolled in in state {}", plan.status);
                return Err(PlanError::State { message });
            }
            let planned = plan.schedule.tasks(start, 0).ok_or_else(|| beyond("start_date"))?;
            let tasks = self.tasks_of(&plan, testee_id, &planned, self.new_id().run())?;
            in_the_way = match retry(|| self.store.enrol(&tasks, self.clock.now())).await? {
                Inserted::Done => return Ok(tasks),
                Inserted::Duplicate => return Err(PlanError::Enrolled { testee_id }),
                Inserted::Stale => keeps_changing("plan", plan_id),
                Inserted::IdTaken => ids_taken(),
            };
        }
        Err(in_the_way)
    }

    /// Cancels the tasks of a testee in a plan. Answers how many.
    ///
    /// # Errors
    /// When there is no such plan.
    pub async fn terminate(&self, org_id: i64, plan_id: i64, testee_id: i64) -> Result<u64, PlanError> {
        self.find(org_id, plan_id).await?;
        Ok(retry(|| self.store.terminate(org_id, plan_id, testee_id, self.clock.now())).await?)
    }

    /// A page of tasks.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tasks(
        &self,
        org_id: i64,
        filter: TaskFilter,
        page: Page,
    ) -> Result<Paged<PlanTask>, PlanError> {
        Ok(self.store.tasks(org_id, filter, page).await?)
    }

    /// The task.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn find_task(&self, org_id: i64, id: i64) -> Result<PlanTask, PlanError> {
        let task = self.store.find_task(org_id, id).await?;
        task.ok_or_else(|| PlanError::NotFound { what: format!("task {id}") })
    }

    /// Lets this happen to a task.
    ///
    /// # Errors
    /// When its state forbids that, or the event makes no sense.
    pub async fn apply(&self, org_id: i64, id: i64, event: TaskEvent) -> Result<PlanTask, PlanError> {
        for _ in 0..ATTEMPTS {
            let task = self.find_task(org_id, id).await?;
            let now = self.clock.now();
            let moved = task.apply(event.clone(), now).map_err(|refused| match refused {
                Refused::Invalid(invalid) => PlanError::Invalid(invalid),
                state @ Refused::State { .. } => PlanError::State { message: state.to_string() },
            })?;
            if moved == task {
                return Ok(task);
            }
            match retry(|| self.store.move_task(task.status, &moved, now)).await? {
                Moved::Done => return Ok(moved),
                // Somebody else changed it after we looked: look again.
                Moved::Stale => {}
                Moved::AssessmentTaken => return Err(PlanError::AssessmentTaken),
            }
        }
        Err(keeps_changing("task", id))
    }

    async fn resumed(
        &self,
        plan: &AssessmentPlan,
        starts: &BTreeMap<i64, Date>,
    ) -> Result<Vec<PlanTask>, PlanError> {
        let enrolments = self.store.enrolments(plan.org_id, plan.id).await?;
        if let Some(stranger) = starts.keys().find(|id| !enrolments.iter().any(|one| one.testee_id == **id)) {
            let reason = format!("testee {stranger} is not enrolled in this plan");
            return Err(Invalid::new("testee_start_dates", reason).into());
        }
        let mut ids = self.new_id().run();
        let mut tasks = Vec::new();
        for one in enrolments {
            let day = one.last_planned_at.to_zoned(self.zone.clone()).date();
            let start =
                starts.get(&one.testee_id).copied().or_else(|| plan.schedule.start(one.last_seq, day));
            let unknown = || {
                let reason = format!("the start of testee {} is not known; give it", one.testee_id);
                Invalid::new("testee_start_dates", reason)
            };
            let planned = plan.schedule.tasks(start.ok_or_else(unknown)?, one.completed);
            let planned = planned.ok_or_else(|| beyond("testee_start_dates"))?;
            tasks.extend(self.tasks_of(plan, one.testee_id, &planned, &mut ids)?);
        }
        Ok(tasks)
    }

    fn tasks_of(
        &self,
        plan: &AssessmentPlan,
        testee_id: i64,
        planned: &[Planned],
        ids: impl Iterator<Item = i64>,
    ) -> Result<Vec<PlanTask>, PlanError> {
        let task = |(planned, id): (&Planned, i64)| {
            let planned_at = first_instant(planned.day, &self.zone).ok_or_else(|| beyond("start_date"))?;
            Ok(pending(plan, testee_id, planned.seq, planned_at, id))
        };
        planned.iter().zip(ids).map(task).collect()
    }

    fn new_id(&self) -> RowId {
        RowId::new(self.clock.now(), fastrand::u32(..))
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plans").finish_non_exhaustive()
    }
}

fn pending(plan: &AssessmentPlan, testee_id: i64, seq: u32, planned_at: Timestamp, id: i64) -> PlanTask {
    PlanTask {
        id,
        plan_id: plan.id,
        seq,
        org_id: plan.org_id,
        testee_id,
        scale_code: plan.scale_code.clone(),
        planned_at,
        open_at: None,
        expire_at: None,
        completed_at: None,
        status: TaskStatus::Pending,
        assessment_id: None,
        entry_token: None,
        entry_url: None,
    }
}

fn allowed(plan: &AssessmentPlan, event: PlanEvent) -> Result<PlanStatus, PlanError> {
    plan.status.after(event).ok_or_else(|| PlanError::State {
        message: format!("a plan cannot be {} in state {}", event.done(), plan.status),
    })
}

fn beyond(field: &'static str) -> Invalid {
    Invalid::new(field, "leads to days outside the calendar")
}

fn keeps_changing(what: &str, id: i64) -> PlanError {
    PlanError::State { message: format!("{what} {id} keeps changing") }
}

/// Five draws in a row that others had made before: something is wrong with the clock or the random numbers.
fn ids_taken() -> PlanError {
    PlanError::Store(StoreError::Corrupt { verb: "insert", found: "every id was taken".to_owned() })
}
