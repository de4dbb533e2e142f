//! `plans/tasks/…` and the lists of tasks: the scheduled call, and what operators do to single tasks.

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::part;
use super::fields::moment;
use super::plan_replies::{Missing, Refused, TaskPage, TaskReply};
use super::sync_request::{SyncHeaders, SyncReplies, SyncRequest};
use super::{Api, schema};
use crate::business::due_tasks::{DueRequest, MAX_LIMIT, MAX_TESTEES, ScheduleError};
use crate::business::plan::TaskFilter;
use crate::domain::plan_task::{TaskEntry, TaskEvent};
use crate::http::edge::fields::{NumberOrText, flag, id as optional_id, ids, path_id, required, up_to, word};
use crate::http::edge::{Answer, ApiError, Caller, Input, Reply, Segment};
use crate::identity::{Identity, Permission};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(schedule_tasks))
        .routes(routes!(list_tasks))
        .routes(routes!(show_task))
        .routes(routes!(open_task))
        .routes(routes!(complete_task))
        .routes(routes!(expire_task))
        .routes(routes!(cancel_task))
        .routes(routes!(list_tasks_of_plan))
        .routes(routes!(list_tasks_of_testee))
        .routes(routes!(list_tasks_of_enrolment))
}

impl From<ScheduleError> for ApiError {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Plan(source) => source.into(),
            ScheduleError::Start(source) => source.into(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ScheduleInput {
    #[schema(schema_with = schema::moment)]
    before: Option<String>,
    /// Only this plan.
    #[schema(schema_with = schema::number)]
    plan_id: Option<Value>,
    #[schema(schema_with = schema::testee_ids)]
    testee_ids: Option<Value>,
    /// Tasks that this call opens at most. More than that is no failure: `detail.stats.pending_count` of the reply is how
    /// many are still due, for the next call.
    #[schema(schema_with = schema::schedule_limit)]
    limit: Option<Value>,
    #[schema(schema_with = schema::flag)]
    dry_run: Option<Value>,
    #[schema(schema_with = schema::org)]
    org: Option<NumberOrText>,
}

/// Opens the tasks that are due and expires those that are overdue.
#[utoipa::path(
    post, path = "/plans/tasks/schedule", tag = "syncs", params(SyncHeaders), request_body = Option<ScheduleInput>,
    responses(SyncReplies, (status = 404, description = "There is no such plan.")), extensions(("x-query-or-body" = json!(true)))
)]
async fn schedule_tasks(State(api): State<Api>, request: SyncRequest, input: Input<ScheduleInput>) -> Answer {
    let caller = request.require(Permission::OpenDueTasks)?;
    let input = input.read(caller).await?;
    let caller = request.by(caller, input.org)?;
    let testee_ids = ids("testee_ids", input.testee_ids.as_ref())?;
    if testee_ids.as_ref().is_some_and(|ids| !(1..=MAX_TESTEES).contains(&ids.len())) {
        let reason = format!("expected 1 to {MAX_TESTEES} ids; leave it out for every testee");
        return Err(ApiError::invalid("testee_ids", reason));
    }
    let limit = up_to(MAX_LIMIT, "limit", input.limit.as_ref())?;
    let zone = api.plans.zone();
    let due = DueRequest {
        before: input.before.map(|before| moment("before", &before, zone)).transpose()?,
        plan_id: optional_id("plan_id", input.plan_id.as_ref())?,
        testee_ids,
        limit,
        dry_run: flag("dry_run", input.dry_run.as_ref())?,
    };
    request.answer(&api, api.due_tasks.schedule(caller, due).await?).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListInput {
    #[param(schema_with = schema::number, required = false)]
    plan_id: Option<Value>,
    #[param(schema_with = schema::number, required = false)]
    testee_id: Option<Value>,
    #[param(schema_with = schema::task_status, required = false)]
    status: Option<String>,
    #[param(schema_with = schema::page, required = false)]
    page: Option<Value>,
    #[param(schema_with = schema::page_size, required = false)]
    page_size: Option<Value>,
    /// Goes on after the `next` of a page, whatever was inserted meanwhile; empty begins. The list is not counted then.
    #[param(schema_with = schema::cursor, required = false)]
    after: Option<String>,
}

/// The tasks of the organisation.
#[utoipa::path(
    get, path = "/plans/tasks", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage))
)]
async fn list_tasks(State(api): State<Api>, caller: Caller, input: Input<ListInput>) -> Answer {
    found(&api, caller.require(Permission::Read)?, input, [None, None]).await
}

/// The tasks of a plan.
#[utoipa::path(
    get, path = "/plans/{id}/tasks", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage), Missing)
)]
async fn list_tasks_of_plan(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<String>,
    input: Input<ListInput>,
) -> Answer {
    let caller = caller.require(Permission::Read)?;
    found(&api, caller, input, [Some(path_id("id", &id)?), None]).await
}

/// The tasks of a testee.
#[utoipa::path(
    get, path = "/testees/{id}/tasks", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage))
)]
async fn list_tasks_of_testee(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<String>,
    input: Input<ListInput>,
) -> Answer {
    let caller = caller.require(Permission::Read)?;
    found(&api, caller, input, [None, Some(path_id("id", &id)?)]).await
}

/// The tasks of a testee in a plan.
#[utoipa::path(
    get, path = "/testees/{id}/plans/{plan_id}/tasks", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage))
)]
async fn list_tasks_of_enrolment(
    State(api): State<Api>,
    caller: Caller,
    Segment((id, plan_id)): Segment<(String, String)>,
    input: Input<ListInput>,
) -> Answer {
    let caller = caller.require(Permission::Read)?;
    found(&api, caller, input, [Some(path_id("plan_id", &plan_id)?), Some(path_id("id", &id)?)]).await
}

/// The path wins over the query.
async fn found(
    api: &Api,
    caller: &Identity,
    input: Input<ListInput>,
    [plan_id, testee_id]: [Option<i64>; 2],
) -> Answer {
    let input = input.read(caller).await?;
    let filter = TaskFilter {
        plan_id: plan_id.or(optional_id("plan_id", input.plan_id.as_ref())?),
        testee_id: testee_id.or(optional_id("testee_id", input.testee_id.as_ref())?),
        status: input.status.map(|status| word("status", &status)).transpose()?,
    };
    let part = part(input.page.as_ref(), input.page_size.as_ref(), input.after.as_deref())?;
    if let (Some(plan), None) = (plan_id, testee_id) {
        api.plans.find(caller.org_id, plan).await?;
    }
    let found = api.plans.tasks(caller.org_id, filter, part.clone()).await?;
    Ok(Reply::new(TaskPage::new(&found, &part, api.plans.zone())))
}

/// A task.
#[utoipa::path(
    get, path = "/plans/tasks/{id}", tag = "plans",
    responses((status = 200, description = "What it is now.", body = TaskReply), Missing)
)]
async fn show_task(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    let caller = caller.require(Permission::Read)?;
    let task = api.plans.find_task(caller.org_id, path_id("id", &id)?).await?;
    Ok(Reply::new(TaskReply::new(&task, api.plans.zone())))
}

async fn apply(api: &Api, caller: &Identity, id: &str, event: TaskEvent) -> Answer {
    let task = api.plans.apply(caller.org_id, path_id("id", id)?, event).await?;
    Ok(Reply::new(TaskReply::new(&task, api.plans.zone())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpenBody {
    #[schema(schema_with = schema::key, required)]
    entry_token: Option<String>,
    #[schema(schema_with = schema::entry_url, required)]
    entry_url: Option<String>,
    #[schema(schema_with = schema::moment, required)]
    expire_at: Option<String>,
}

/// Opens a task.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/open", tag = "plans", request_body = OpenBody,
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn open_task(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<String>,
    body: Input<OpenBody>,
) -> Answer {
    let caller = caller.require(Permission::ManagePlans)?;
    let body = body.read(caller).await?;
    let token = required("entry_token", body.entry_token)?;
    let url = required("entry_url", body.entry_url)?;
    let expire_at = moment("expire_at", &required("expire_at", body.expire_at)?, api.plans.zone())?;
    apply(&api, caller, &id, TaskEvent::Open { entry: TaskEntry { token, url }, expire_at }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompleteInput {
    #[schema(schema_with = schema::number, required)]
    assessment_id: Option<Value>,
}

/// Records that a task was filled in, before its `expire_at`.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/complete", tag = "plans", request_body = CompleteInput,
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn complete_task(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<String>,
    input: Input<CompleteInput>,
) -> Answer {
    let caller = caller.require(Permission::ManagePlans)?;
    let input = input.read(caller).await?;
    let assessment_id =
        required("assessment_id", optional_id("assessment_id", input.assessment_id.as_ref())?)?;
    apply(&api, caller, &id, TaskEvent::Complete { assessment_id }).await
}

/// Ends a task that was not filled in.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/expire", tag = "plans",
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn expire_task(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    apply(&api, caller.require(Permission::ManagePlans)?, &id, TaskEvent::Expire).await
}

/// Cancels a task.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/cancel", tag = "plans",
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn cancel_task(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    apply(&api, caller.require(Permission::ManagePlans)?, &id, TaskEvent::Cancel).await
}
