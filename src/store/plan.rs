//! The verbs of plans and of their tasks.

use jiff::Timestamp;

use super::Answer;
use crate::domain::plan::{AssessmentPlan, PlanStatus};
use crate::domain::plan_task::{Entry, PlanTask, TaskStatus};

/// Part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which, from 1.
    pub number: u32,
    /// How long it is.
    pub size: u32,
}

/// A page with the length of the whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// The whole list.
    pub total: u64,
}

/// Which plans; what is unset does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanFilter {
    /// Of this scale.
    pub scale_code: Option<String>,
    /// In this state.
    pub status: Option<PlanStatus>,
    /// With tasks of this testee.
    pub testee_id: Option<i64>,
}

/// Which tasks; what is unset does not restrict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Of this plan.
    pub plan_id: Option<i64>,
    /// Of this testee.
    pub testee_id: Option<i64>,
    /// In this state.
    pub status: Option<TaskStatus>,
}

/// How far a testee came in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Who.
    pub testee_id: i64,
    /// The highest number among the completed tasks; 0 when there is none.
    pub completed: u32,
    /// The number of the task that was made last,
    pub last_seq: u32,
    /// and the instant that it was planned for.
    pub last_planned_at: Timestamp,
}

/// What became of tasks that were to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// They are there.
    Done,
    /// The testee has tasks in this plan that are not over.
    Duplicate,
    /// The plan does not stand as it must, or is gone.
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
pub trait PlanStore: Send + Sync {
    /// Inserts a plan. Answers false when its id is taken.
    fn insert_plan<'a>(&'a self, plan: &'a AssessmentPlan, now: Timestamp) -> Answer<'a, bool>;

    /// The plan.
    fn find_plan(&self, org_id: i64, id: i64) -> Answer<'_, Option<AssessmentPlan>>;

    /// The plans in the order of their ids, the newest first.
    fn plans<'a>(
        &'a self,
        org_id: i64,
        filter: &'a PlanFilter,
        page: Page,
    ) -> Answer<'a, Paged<AssessmentPlan>>;

    /// A plan that stands at `from` and stops at `to`; its tasks that are not over are canceled with it. Answers how many.
    fn stop_plan(
        &self,
        org_id: i64,
        id: i64,
        from: PlanStatus,
        to: PlanStatus,
        now: Timestamp,
    ) -> Answer<'_, Option<u64>>;

    /// A paused plan goes on with these tasks.
    fn resume_plan<'a>(
        &'a self,
        org_id: i64,
        id: i64,
        tasks: &'a [PlanTask],
        now: Timestamp,
    ) -> Answer<'a, Inserted>;
}

/// One of the three things that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sweep {
    /// A task that is not over, of a plan that is not active, is canceled.
    Cancel,
    /// An opened task whose time is over expires.
    Expire,
    /// A pending task whose time has come is opened.
    Open,
}

/// Which tasks are considered. A plan that is gone is not active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Tasks that were planned until then are canceled or opened.
    pub before: Timestamp,
    /// Tasks that were to be filled in until then expire.
    pub now: Timestamp,
    /// Of this plan alone.
    pub plan_id: Option<i64>,
    /// Of these testees alone.
    pub testee_ids: Option<Vec<i64>>,
}

/// Where a task is in the order in which a sweep goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When it is due.
    pub at: Timestamp,
    /// Its id.
    pub id: i64,
}

/// A part of a sweep: the first `limit` tasks after a position.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Which tasks.
    pub due: &'a Due,
    /// Those after this one.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: u32,
}

/// How tasks are opened.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Until when they can be filled in.
    pub expire_at: Timestamp,
    /// Makes the entry of the task with this id.
    pub entry: &'a (dyn Fn(i64) -> Entry + Send + Sync),
}

impl std::fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").field("expire_at", &self.expire_at).finish_non_exhaustive()
    }
}

/// The table `assessment_task`.
///
/// The batches are one transaction each: it claims rows, leaving out those that another transaction has claimed, and
/// changes them. So two callers never change one task, and an empty batch means that nothing is left or that others
/// are at it.
pub trait PlanTaskStore: Send + Sync {
    /// Inserts the tasks of one testee in one active plan.
    fn enrol<'a>(&'a self, tasks: &'a [PlanTask], now: Timestamp) -> Answer<'a, Inserted>;

    /// Cancels the tasks of a testee in a plan that are not over. Answers how many.
    fn terminate(&self, org_id: i64, plan_id: i64, testee_id: i64, now: Timestamp) -> Answer<'_, u64>;

    /// How far each testee of a plan came.
    fn enrolments(&self, org_id: i64, plan_id: i64) -> Answer<'_, Vec<Enrolment>>;

    /// The task.
    fn find_task(&self, org_id: i64, id: i64) -> Answer<'_, Option<PlanTask>>;

    /// The tasks in the order of their days.
    fn tasks(&self, org_id: i64, filter: TaskFilter, page: Page) -> Answer<'_, Paged<PlanTask>>;

    /// A task that stands at `from` becomes this one.
    fn move_task<'a>(&'a self, from: TaskStatus, task: &'a PlanTask, now: Timestamp) -> Answer<'a, Moved>;

    /// Opens due tasks of active plans. Answers their ids.
    fn open_due<'a>(&'a self, org_id: i64, batch: Batch<'a>, opening: Opening<'a>) -> Answer<'a, Vec<i64>>;

    /// Opened tasks of active plans whose time is over expire. Answers their ids.
    fn expire_overdue<'a>(&'a self, org_id: i64, batch: Batch<'a>) -> Answer<'a, Vec<i64>>;

    /// Cancels tasks of plans that are not active. Answers their ids.
    fn cancel_of_inactive<'a>(&'a self, org_id: i64, batch: Batch<'a>) -> Answer<'a, Vec<i64>>;

    /// What a batch would consist of. Changes nothing.
    fn batch<'a>(&'a self, org_id: i64, sweep: Sweep, batch: Batch<'a>) -> Answer<'a, Vec<Position>>;

    /// How many tasks a sweep would change. Changes nothing.
    fn count_due<'a>(&'a self, org_id: i64, sweep: Sweep, due: &'a Due) -> Answer<'a, u64>;
}
