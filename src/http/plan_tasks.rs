//! `plans/tasks/…` and the lists of tasks: the scheduled call, and what operators do to single tasks.

use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::{Input, NumberOrText, Segment};
use super::openapi::schema;
use super::plan_input::{
    flag, id as optional_id, invalid, moment, number, numbers, page, path_id, required_id, word,
};
use super::plan_replies::{Missing, Refused, TaskPage, TaskReply};
use super::sync_runs::{SyncHeaders, SyncReplies, answer, asker};
use crate::business::due_tasks::{DueRequest, MAX_LIMIT, MAX_TESTEES};
use crate::business::plan::TaskFilter;
use crate::domain::plan_task::{Entry, TaskEvent};
use crate::identity::{Identity, Permission};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(schedule))
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(open))
        .routes(routes!(complete))
        .routes(routes!(expire))
        .routes(routes!(cancel))
        .routes(routes!(of_plan))
        .routes(routes!(of_testee))
        .routes(routes!(of_enrolment))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ScheduleInput {
    #[schema(schema_with = schema::moment_or_null)]
    before: Option<String>,
    #[schema(schema_with = schema::number_or_null)]
    plan_id: Option<Value>,
    #[schema(schema_with = schema::testee_ids_or_null)]
    testee_ids: Option<Value>,
    #[schema(schema_with = schema::schedule_limit_or_null)]
    limit: Option<Value>,
    #[schema(schema_with = schema::flag_or_null)]
    dry_run: Option<Value>,
    #[schema(schema_with = schema::org_or_null)]
    org: Option<NumberOrText>,
}

/// Opens the tasks that are due and expires those that are overdue.
#[utoipa::path(
    post, path = "/plans/tasks/schedule", operation_id = "schedule_tasks", tag = "syncs", params(SyncHeaders),
    request_body = Option<ScheduleInput>, responses(SyncReplies), extensions(("x-query-or-body" = json!(true)))
)]
async fn schedule(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(input): Input<ScheduleInput>,
) -> Result<Envelope, ApiError> {
    let asker = asker(caller.require(Permission::OpenDueTasks)?, input.org, &headers)?;
    let testee_ids = numbers("testee_ids", input.testee_ids.as_ref())?;
    if testee_ids.as_ref().is_some_and(|ids| !(1..=MAX_TESTEES).contains(&ids.len())) {
        return Err(invalid(
            "testee_ids",
            format!("expected 1 to {MAX_TESTEES} ids; leave it out for every testee"),
        ));
    }
    let limit = match number("limit", input.limit.as_ref())? {
        None => None,
        Some(limit) => match u32::try_from(limit) {
            Ok(limit @ 1..=MAX_LIMIT) => Some(limit),
            _ => return Err(invalid("limit", format!("expected a number from 1 to {MAX_LIMIT}"))),
        },
    };
    let request = DueRequest {
        before: moment("before", input.before.as_deref(), api.plans.zone())?,
        plan_id: optional_id("plan_id", input.plan_id.as_ref())?,
        testee_ids,
        limit,
        dry_run: flag("dry_run", input.dry_run.as_ref())?,
    };
    let started = api.due_tasks.schedule(asker, request).await.map_err(ApiError::Start)?;
    answer(&api, started, &headers).await
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
}

/// The tasks of the organisation.
#[utoipa::path(
    get, path = "/plans/tasks", operation_id = "list_tasks", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage))
)]
async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    found(&api, &caller.require(Permission::Read)?, input, [None, None]).await
}

/// The tasks of a plan.
#[utoipa::path(
    get, path = "/plans/{id}/tasks", operation_id = "list_tasks_of_plan", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1), ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage), Missing)
)]
async fn of_plan(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    found(&api, &caller, input, [Some(path_id("id", &id)?), None]).await
}

/// The tasks of a testee.
#[utoipa::path(
    get, path = "/testees/{id}/tasks", operation_id = "list_tasks_of_testee", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1), ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage))
)]
async fn of_testee(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    found(&api, &caller, input, [None, Some(path_id("id", &id)?)]).await
}

/// The tasks of a testee in a plan.
#[utoipa::path(
    get, path = "/testees/{id}/plans/{plan_id}/tasks", operation_id = "list_tasks_of_enrolment", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1), ("plan_id" = i64, Path, description = "The id.", minimum = 1), ListInput),
    responses((status = 200, description = "A page of tasks.", body = TaskPage))
)]
async fn of_enrolment(
    State(api): State<Shared>,
    caller: Caller,
    Segment((id, plan_id)): Segment<(String, String)>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    found(&api, &caller, input, [Some(path_id("plan_id", &plan_id)?), Some(path_id("id", &id)?)]).await
}

/// The path wins over the query.
async fn found(
    api: &Shared,
    caller: &Identity,
    input: ListInput,
    [plan_id, testee_id]: [Option<i64>; 2],
) -> Result<Envelope, ApiError> {
    let filter = TaskFilter {
        plan_id: plan_id.or(optional_id("plan_id", input.plan_id.as_ref())?),
        testee_id: testee_id.or(optional_id("testee_id", input.testee_id.as_ref())?),
        status: word("status", input.status.as_deref())?,
    };
    let page = page(input.page.as_ref(), input.page_size.as_ref())?;
    if let (Some(plan), None) = (plan_id, testee_id) {
        api.plans.find(caller.org_id, plan).await?;
    }
    let found = api.plans.tasks(caller.org_id, filter, page).await?;
    Ok(Envelope::success(TaskPage::new(&found, page, api.plans.zone())))
}

/// A task.
#[utoipa::path(
    get, path = "/plans/tasks/{id}", operation_id = "show_task", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)),
    responses((status = 200, description = "What it is now.", body = TaskReply), Missing)
)]
async fn show(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let task = api.plans.find_task(caller.org_id, path_id("id", &id)?).await?;
    Ok(Envelope::success(TaskReply::new(&task, api.plans.zone())))
}

async fn apply(api: &Shared, caller: &Identity, id: &str, event: TaskEvent) -> Result<Envelope, ApiError> {
    let task = api.plans.apply(caller.org_id, path_id("id", id)?, event).await?;
    Ok(Envelope::success(TaskReply::new(&task, api.plans.zone())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpenBody {
    #[schema(schema_with = schema::token, required)]
    entry_token: Option<String>,
    #[schema(schema_with = schema::entry_url, required)]
    entry_url: Option<String>,
    #[schema(schema_with = schema::moment, required)]
    expire_at: Option<String>,
}

/// Opens a task.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/open", operation_id = "open_task", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)), request_body = OpenBody,
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn open(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
    Input(body): Input<OpenBody>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let required = |field| move || invalid(field, "is required");
    let entry = Entry {
        token: body.entry_token.ok_or_else(required("entry_token"))?,
        url: body.entry_url.ok_or_else(required("entry_url"))?,
    };
    let expire_at = moment("expire_at", body.expire_at.as_deref(), api.plans.zone())?;
    let expire_at = expire_at.ok_or_else(required("expire_at"))?;
    apply(&api, &caller, &id, TaskEvent::Open { entry, expire_at }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompleteInput {
    #[schema(schema_with = schema::number, required)]
    assessment_id: Option<Value>,
}

/// Records that a task was filled in.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/complete", operation_id = "complete_task", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)), request_body = CompleteInput,
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn complete(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
    Input(input): Input<CompleteInput>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let assessment_id = required_id("assessment_id", input.assessment_id.as_ref())?;
    apply(&api, &caller, &id, TaskEvent::Complete { assessment_id }).await
}

/// Ends a task that was not filled in.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/expire", operation_id = "expire_task", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)),
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn expire(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    apply(&api, &caller.require(Permission::ManagePlans)?, &id, TaskEvent::Expire).await
}

/// Cancels a task.
#[utoipa::path(
    post, path = "/plans/tasks/{id}/cancel", operation_id = "cancel_task", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)),
    responses((status = 200, description = "What it is now.", body = TaskReply), Refused)
)]
async fn cancel(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    apply(&api, &caller.require(Permission::ManagePlans)?, &id, TaskEvent::Cancel).await
}
