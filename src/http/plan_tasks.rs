//! `plans/tasks/…` and the lists of tasks: the scheduled call, and what operators do to single tasks.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;

use super::Shared;
use super::auth::Caller;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::Input;
use super::plan_input::{
    flag, id as optional_id, invalid, moment, number, numbers, page, paged, path_id, required_id, task_view,
    word,
};
use super::sync_runs::{OrgInput, answer, asker};
use crate::business::due_tasks::{DueRequest, MAX_LIMIT, MAX_TESTEES};
use crate::business::plan::TaskFilter;
use crate::domain::plan_task::{Entry, TaskEvent};
use crate::identity::Permission;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/plans/tasks/schedule", post(schedule))
        .route("/plans/tasks", get(list))
        .route("/plans/tasks/{id}", get(show))
        .route("/plans/tasks/{id}/open", post(open))
        .route("/plans/tasks/{id}/complete", post(complete))
        .route("/plans/tasks/{id}/expire", post(expire))
        .route("/plans/tasks/{id}/cancel", post(cancel))
        .route("/plans/{id}/tasks", get(of_plan))
        .route("/testees/{id}/tasks", get(of_testee))
        .route("/testees/{id}/plans/{plan_id}/tasks", get(of_enrolment))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleInput {
    before: Option<String>,
    plan_id: Option<Value>,
    testee_ids: Option<Value>,
    limit: Option<Value>,
    dry_run: Option<Value>,
    org: Option<OrgInput>,
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListInput {
    plan_id: Option<Value>,
    testee_id: Option<Value>,
    status: Option<String>,
    page: Option<Value>,
    page_size: Option<Value>,
}

async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    found(&api, caller, input, [None, None]).await
}

async fn of_plan(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    found(&api, caller, input, [Some(path_id("id", &id)?), None]).await
}

async fn of_testee(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    found(&api, caller, input, [None, Some(path_id("id", &id)?)]).await
}

async fn of_enrolment(
    State(api): State<Shared>,
    caller: Caller,
    Path((id, plan_id)): Path<(String, String)>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    found(&api, caller, input, [Some(path_id("plan_id", &plan_id)?), Some(path_id("id", &id)?)]).await
}

/// The path wins over the query.
async fn found(
    api: &Shared,
    caller: Caller,
    input: ListInput,
    [plan_id, testee_id]: [Option<i64>; 2],
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
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
    Ok(Envelope::success(paged(&found, page, |task| task_view(task, api.plans.zone()))))
}

async fn show(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let task = api.plans.find_task(caller.org_id, path_id("id", &id)?).await?;
    Ok(Envelope::success(task_view(&task, api.plans.zone())))
}

async fn apply(api: &Shared, caller: Caller, id: &str, event: TaskEvent) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let task = api.plans.apply(caller.org_id, path_id("id", id)?, event).await?;
    Ok(Envelope::success(task_view(&task, api.plans.zone())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenBody {
    entry_token: Option<String>,
    entry_url: Option<String>,
    expire_at: Option<String>,
}

async fn open(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(body): Input<OpenBody>,
) -> Result<Envelope, ApiError> {
    let required = |field| move || invalid(field, "is required");
    let entry = Entry {
        token: body.entry_token.ok_or_else(required("entry_token"))?,
        url: body.entry_url.ok_or_else(required("entry_url"))?,
    };
    let expire_at = moment("expire_at", body.expire_at.as_deref(), api.plans.zone())?;
    let expire_at = expire_at.ok_or_else(required("expire_at"))?;
    apply(&api, caller, &id, TaskEvent::Open { entry, expire_at }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteInput {
    assessment_id: Option<Value>,
}

async fn complete(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(input): Input<CompleteInput>,
) -> Result<Envelope, ApiError> {
    let assessment_id = required_id("assessment_id", input.assessment_id.as_ref())?;
    apply(&api, caller, &id, TaskEvent::Complete { assessment_id }).await
}

async fn expire(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    apply(&api, caller, &id, TaskEvent::Expire).await
}

async fn cancel(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    apply(&api, caller, &id, TaskEvent::Cancel).await
}
