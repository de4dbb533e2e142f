//! The verbs of plans and of their tasks.

use async_trait::async_trait;
use jiff::Timestamp;

use super::lists::{Listed, Part};
use crate::domain::plan::{AssessmentPlan, PlanStatus};
use crate::domain::plan_task::{PlanTask, TaskStatus};
use crate::store::error::Answer;

/// Which plans; what is unset does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlanFilter {
    /// Of this scale.
    pub scale_code: Option<String>,
    /// In this state.
    pub status: Option<PlanStatus>,
    /// With tasks of this testee.
    pub testee_id: Option<i64>,
}

/// Which tasks; what is unset does not restrict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TaskFilter {
    /// Of this plan.
    pub plan_id: Option<i64>,
    /// Of this testee.
    pub testee_id: Option<i64>,
    /// In this state.
    pub status: Option<TaskStatus>,
}

/// Where a task is in the order of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskMark {
    /// When it is planned for, as the database writes it: what is read and written again may differ from it by the hour
    /// that a change of the clocks repeats, and a list would go on elsewhere.
    pub planned_at: String,
    /// Its id.
    pub id: i64,
}

/// How far a testee came in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Who.
    pub testee_id: i64,
    /// The highest number among the completed tasks of the enrolment; 0 when there is none.
    pub completed: u32,
    /// The number of the task that was made last,
    pub last_seq: u32,
    /// and the instant that it was planned for.
    pub last_planned_at: Timestamp,
    /// Whether the enrolment was ended, and the testee not enrolled again.
    pub ended: bool,
}

/// What became of tasks that were to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// They are there.
    Done,
    /// The testee has tasks in this plan that are not over.
    Duplicate,
    /// The plan does not stand as it must, or is gone, or an enrolment in it was ended meanwhile.
    Stale,
    /// Another process has given one of the ids away.
    IdTaken,
}

/// What became of a transition of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It was made.
    Done,
    /// The task did not stand as it must any more.
    Stale,
    /// The assessment belongs to another task.
    AssessmentTaken,
}

/// The table `assessment_plan`. Each verb that changes something answers whether the plan stood as it must.
#[async_trait]
pub trait PlanStore: Send + Sync {
    /// Inserts a plan. Answers false when its id is taken.
    async fn insert_plan(&self, plan: &AssessmentPlan, now: Timestamp) -> Answer<bool>;

    /// The plan.
    async fn find_plan(&self, org_id: i64, id: i64) -> Answer<Option<AssessmentPlan>>;

    /// The plans in the order of their ids, the newest first.
    async fn plans(
        &self,
        org_id: i64,
        filter: &PlanFilter,
        part: Part<i64>,
    ) -> Answer<Listed<AssessmentPlan, i64>>;

    /// A plan that stands at `from` and stops at `to`; its tasks that are not over are canceled with it. Answers how many.
    async fn stop_plan(
        &self,
        org_id: i64,
        id: i64,
        from: PlanStatus,
        to: PlanStatus,
        now: Timestamp,
    ) -> Answer<Option<u64>>;

    /// A paused plan goes on with these tasks, unless the enrolment of one of their testees was ended.
    async fn resume_plan(&self, org_id: i64, id: i64, tasks: &[PlanTask], now: Timestamp)
    -> Answer<Inserted>;
}

/// The table `assessment_task`, one task or one testee at a time.
#[async_trait]
pub trait PlanTaskStore: Send + Sync {
    /// Inserts the tasks of one testee in one active plan. An enrolment that was ended begins anew with them.
    async fn enrol(&self, tasks: &[PlanTask], now: Timestamp) -> Answer<Inserted>;

    /// Ends the enrolment of a testee, and cancels the tasks in it that are not over. Answers how many; nothing, when the
    /// testee never was in the plan.
    async fn terminate(
        &self,
        org_id: i64,
        plan_id: i64,
        testee_id: i64,
        now: Timestamp,
    ) -> Answer<Option<u64>>;

    /// How far each testee of a plan came.
    async fn enrolments(&self, org_id: i64, plan_id: i64) -> Answer<Vec<Enrolment>>;

    /// The task.
    async fn find_task(&self, org_id: i64, id: i64) -> Answer<Option<PlanTask>>;

    /// The tasks in the order of their days, and of their ids where these are the same.
    async fn tasks(
        &self,
        org_id: i64,
        filter: TaskFilter,
        part: Part<TaskMark>,
    ) -> Answer<Listed<PlanTask, TaskMark>>;

    /// A task that stands at `from` becomes this one.
    async fn move_task(&self, from: TaskStatus, task: &PlanTask, now: Timestamp) -> Answer<Moved>;
}
