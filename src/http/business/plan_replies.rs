//! What the replies about plans and tasks hold. Ids are texts: JavaScript cannot hold long numbers.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::cursor::Cursor;
use super::schema;
use super::unreadable::UnreadableReply;
use crate::business::plan::{Listed, Part, TaskMark};
use crate::domain::plan::AssessmentPlan;
use crate::domain::plan_task::PlanTask;

/// A plan.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanReply {
    id: String,
    org_id: i64,
    /// What is filled in.
    scale_code: String,
    #[schema(schema_with = schema::schedule_type)]
    schedule_type: &'static str,
    /// Weeks or days between two tasks; 0 where a list says it.
    interval: i64,
    /// How many tasks a testee gets.
    total_times: u32,
    fixed_dates: Vec<String>,
    relative_weeks: Vec<i64>,
    #[schema(schema_with = schema::plan_status)]
    status: &'static str,
}

/// A task of a plan. Times are the wall clock of the server's zone.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskReply {
    id: String,
    plan_id: String,
    /// Which one of the testee's tasks.
    seq: i64,
    org_id: i64,
    testee_id: String,
    scale_code: String,
    planned_at: String,
    #[schema(schema_with = schema::task_status)]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    open_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expire_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    assessment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entry_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entry_url: Option<String>,
}

/// A page of plans.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanPage {
    items: Vec<PlanReply>,
    /// What belongs on the page and cannot be read.
    unreadable: Vec<UnreadableReply>,
    /// How long the whole list is, changes by other servers in the last second left out; not where `after` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total_count: Option<u64>,
    /// Which page; not where `after` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    page: Option<u32>,
    page_size: u32,
    /// What `after` takes to go on; not on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A page of tasks.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskPage {
    items: Vec<TaskReply>,
    /// What belongs on the page and cannot be read.
    unreadable: Vec<UnreadableReply>,
    /// How long the whole list is, changes by other servers in the last second left out; not where `after` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total_count: Option<u64>,
    /// Which page; not where `after` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    page: Option<u32>,
    page_size: u32,
    /// What `after` takes to go on; not on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// The tasks that an enrolment made.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentReply {
    pub(super) plan_id: String,
    pub(super) testee_id: String,
    pub(super) tasks: Vec<TaskReply>,
}

/// The end of an enrolment.
#[derive(Serialize, ToSchema)]
pub(super) struct TerminationReply {
    pub(super) plan_id: String,
    pub(super) testee_id: String,
    /// Tasks that were canceled with it.
    pub(super) canceled_count: u64,
}

/// What keeps a plan or a task from being changed.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents what `ApiError` writes")]
pub(super) enum Refused {
    /// There is no such plan or task in this organisation.
    #[response(status = 404)]
    Missing,
    /// The state or the time forbids it. What is so already is answered with 200.
    #[response(status = 409)]
    Forbidden,
}

/// There is no such plan or task in this organisation.
#[derive(IntoResponses)]
#[response(status = 404)]
pub(super) struct Missing;

impl From<&AssessmentPlan> for PlanReply {
    fn from(plan: &AssessmentPlan) -> Self {
        let schedule = &plan.schedule;
        Self {
            id: plan.id.to_string(),
            org_id: plan.org_id,
            scale_code: plan.scale_code.clone(),
            schedule_type: schedule.kind().as_str(),
            interval: schedule.interval(),
            total_times: schedule.total_times(),
            fixed_dates: schedule.fixed_dates().iter().map(ToString::to_string).collect(),
            relative_weeks: schedule.relative_weeks().to_vec(),
            status: plan.status.as_str(),
        }
    }
}

impl TaskReply {
    pub(super) fn new(task: &PlanTask, zone: &TimeZone) -> Self {
        let wall = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        Self {
            id: task.id.to_string(),
            plan_id: task.plan_id.to_string(),
            seq: task.seq.into(),
            org_id: task.org_id,
            testee_id: task.testee_id.to_string(),
            scale_code: task.scale_code.clone(),
            planned_at: wall(task.planned_at),
            status: task.status.as_str(),
            open_at: task.open_at.map(wall),
            expire_at: task.expire_at.map(wall),
            completed_at: task.completed_at.map(wall),
            assessment_id: task.assessment_id.map(|id| id.to_string()),
            entry_token: task.entry_token.clone(),
            entry_url: task.entry_url.clone(),
        }
    }
}

impl PlanPage {
    pub(super) fn new(found: &Listed<AssessmentPlan, i64>, part: &Part<i64>) -> Self {
        Self {
            items: found.items.iter().map(PlanReply::from).collect(),
            unreadable: UnreadableReply::all(&found.unreadable),
            total_count: found.total,
            page: part.page().map(|page| page.number),
            page_size: part.size(),
            next: found.next.as_ref().map(Cursor::write),
        }
    }
}

impl TaskPage {
    pub(super) fn new(found: &Listed<PlanTask, TaskMark>, part: &Part<TaskMark>, zone: &TimeZone) -> Self {
        Self {
            items: found.items.iter().map(|task| TaskReply::new(task, zone)).collect(),
            unreadable: UnreadableReply::all(&found.unreadable),
            total_count: found.total,
            page: part.page().map(|page| page.number),
            page_size: part.size(),
            next: found.next.as_ref().map(Cursor::write),
        }
    }
}
