//! `plans/…` and `testees/{id}/plans`: plans, and who is enrolled in them.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::auth::Caller;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::{Input, day};
use super::plan_input::{
    invalid, number, numbers, page, paged, path_id, plan_view, required_id, task_view, word,
};
use crate::business::plan::{NewPlan, PlanFilter};
use crate::domain::plan::{PlanEvent, ScheduleFields};
use crate::identity::Permission;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/plans", get(list).post(create))
        .route("/plans/enroll", post(enroll))
        .route("/plans/{id}", get(show))
        .route("/plans/{id}/pause", post(pause))
        .route("/plans/{id}/resume", post(resume))
        .route("/plans/{id}/cancel", post(cancel))
        .route("/plans/{id}/testees/{testee_id}/terminate", post(terminate))
        .route("/testees/{id}/plans", get(of_testee))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    scale_code: Option<String>,
    schedule_type: Option<String>,
    interval: Option<Value>,
    total_times: Option<Value>,
    fixed_dates: Option<Vec<String>>,
    relative_weeks: Option<Value>,
}

async fn create(
    State(api): State<Shared>,
    caller: Caller,
    Input(body): Input<PlanBody>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let required = |field| move || invalid(field, "is required");
    let dates = body.fixed_dates.unwrap_or_default();
    let date = |text: &String| {
        day("fixed_dates", Some(text))?.ok_or_else(|| invalid("fixed_dates", "expected days"))
    };
    let new = NewPlan {
        scale_code: body.scale_code.ok_or_else(required("scale_code"))?,
        schedule_type: word("schedule_type", body.schedule_type.as_deref())?
            .ok_or_else(required("schedule_type"))?,
        fields: ScheduleFields {
            interval: number("interval", body.interval.as_ref())?,
            total_times: number("total_times", body.total_times.as_ref())?,
            fixed_dates: dates.iter().map(date).collect::<Result<_, _>>()?,
            relative_weeks: numbers("relative_weeks", body.relative_weeks.as_ref())?.unwrap_or_default(),
        },
    };
    Ok(Envelope::success(plan_view(&api.plans.create(caller.org_id, new).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrolBody {
    plan_id: Option<Value>,
    testee_id: Option<Value>,
    start_date: Option<String>,
}

async fn enroll(
    State(api): State<Shared>,
    caller: Caller,
    Input(body): Input<EnrolBody>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let (plan, testee) =
        (required_id("plan_id", body.plan_id.as_ref())?, required_id("testee_id", body.testee_id.as_ref())?);
    let start =
        day("start_date", body.start_date.as_deref())?.ok_or_else(|| invalid("start_date", "is required"))?;
    let tasks = api.plans.enrol(caller.org_id, plan, testee, start).await?;
    let views: Vec<Value> = tasks.iter().map(|task| task_view(task, api.plans.zone())).collect();
    Ok(Envelope::success(
        json!({ "plan_id": plan.to_string(), "testee_id": testee.to_string(), "tasks": views }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListInput {
    scale_code: Option<String>,
    status: Option<String>,
    page: Option<Value>,
    page_size: Option<Value>,
}

async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    found(&api, caller, input, None).await
}

async fn of_testee(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    let testee = path_id("id", &id)?;
    found(&api, caller, input, Some(testee)).await
}

async fn found(
    api: &Shared,
    caller: Caller,
    input: ListInput,
    testee_id: Option<i64>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let status = word("status", input.status.as_deref())?;
    let filter = PlanFilter { scale_code: input.scale_code, status, testee_id };
    let page = page(input.page.as_ref(), input.page_size.as_ref())?;
    let found = api.plans.list(caller.org_id, &filter, page).await?;
    Ok(Envelope::success(paged(&found, page, plan_view)))
}

async fn show(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    Ok(Envelope::success(plan_view(&api.plans.find(caller.org_id, path_id("id", &id)?).await?)))
}

async fn pause(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    stop(&api, caller, &id, PlanEvent::Pause).await
}

async fn cancel(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    stop(&api, caller, &id, PlanEvent::Cancel).await
}

async fn stop(api: &Shared, caller: Caller, id: &str, event: PlanEvent) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    Ok(Envelope::success(plan_view(&api.plans.stop(caller.org_id, path_id("id", id)?, event).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeBody {
    testee_start_dates: Option<BTreeMap<String, String>>,
}

async fn resume(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(body): Input<ResumeBody>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let field = "testee_start_dates";
    let start = |(testee, date): (String, String)| {
        let date: Date = day(field, Some(&date))?.ok_or_else(|| invalid(field, "expected days"))?;
        Ok((path_id(field, &testee)?, date))
    };
    let starts = body
        .testee_start_dates
        .unwrap_or_default()
        .into_iter()
        .map(start)
        .collect::<Result<_, ApiError>>()?;
    Ok(Envelope::success(plan_view(&api.plans.resume(caller.org_id, path_id("id", &id)?, starts).await?)))
}

async fn terminate(
    State(api): State<Shared>,
    caller: Caller,
    Path((id, testee_id)): Path<(String, String)>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let (plan, testee) = (path_id("id", &id)?, path_id("testee_id", &testee_id)?);
    let canceled = api.plans.terminate(caller.org_id, plan, testee).await?;
    Ok(Envelope::success(json!({ "plan_id": id, "testee_id": testee_id, "canceled_count": canceled })))
}
