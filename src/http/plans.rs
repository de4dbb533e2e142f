//! `plans/…` and `testees/{id}/plans`: plans, and who is enrolled in them.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::{Input, Segment, day};
use super::openapi::schema;
use super::plan_input::{invalid, number, numbers, page, path_id, required_id, word};
use super::plan_replies::{
    EnrolmentReply, Missing, PlanPage, PlanReply, Refused, TaskReply, TerminationReply,
};
use crate::business::plan::{NewPlan, PlanFilter};
use crate::domain::plan::PlanEvent;
use crate::domain::plan_schedule::ScheduleFields;
use crate::identity::{Identity, Permission};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(enroll))
        .routes(routes!(show))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(terminate))
        .routes(routes!(of_testee))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    #[schema(schema_with = schema::scale_code, required)]
    scale_code: Option<String>,
    #[schema(schema_with = schema::schedule_type, required)]
    schedule_type: Option<String>,
    #[schema(schema_with = schema::interval_or_null)]
    interval: Option<Value>,
    #[schema(schema_with = schema::total_times_or_null)]
    total_times: Option<Value>,
    #[schema(schema_with = schema::days_or_null)]
    fixed_dates: Option<Vec<String>>,
    #[schema(schema_with = schema::weeks_or_null)]
    relative_weeks: Option<Value>,
}

/// Makes a plan.
#[utoipa::path(
    post, path = "/plans", operation_id = "create_plan", tag = "plans", request_body = PlanBody,
    responses((status = 200, description = "What it is now.", body = PlanReply))
)]
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
    Ok(Envelope::success(PlanReply::from(&api.plans.create(caller.org_id, new).await?)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EnrolBody {
    #[schema(schema_with = schema::number, required)]
    plan_id: Option<Value>,
    #[schema(schema_with = schema::number, required)]
    testee_id: Option<Value>,
    #[schema(schema_with = schema::day, required)]
    start_date: Option<String>,
}

/// Enrols a testee in a plan and makes the tasks.
#[utoipa::path(
    post, path = "/plans/enroll", operation_id = "enrol_testee", tag = "plans", request_body = EnrolBody,
    responses((status = 200, description = "What it is now.", body = EnrolmentReply), Refused)
)]
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
    let tasks = tasks.iter().map(|task| TaskReply::new(task, api.plans.zone())).collect();
    let (plan_id, testee_id) = (plan.to_string(), testee.to_string());
    Ok(Envelope::success(EnrolmentReply { plan_id, testee_id, tasks }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListInput {
    #[param(schema_with = schema::text, required = false)]
    scale_code: Option<String>,
    #[param(schema_with = schema::plan_status, required = false)]
    status: Option<String>,
    #[param(schema_with = schema::page, required = false)]
    page: Option<Value>,
    #[param(schema_with = schema::page_size, required = false)]
    page_size: Option<Value>,
}

/// The plans of the organisation.
#[utoipa::path(
    get, path = "/plans", operation_id = "list_plans", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of plans.", body = PlanPage))
)]
async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    found(&api, &caller.require(Permission::Read)?, input, None).await
}

/// The plans that a testee is enrolled in.
#[utoipa::path(
    get, path = "/testees/{id}/plans", operation_id = "list_plans_of_testee", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1), ListInput),
    responses((status = 200, description = "A page of plans.", body = PlanPage))
)]
async fn of_testee(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
    Input(input): Input<ListInput>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let testee = path_id("id", &id)?;
    found(&api, &caller, input, Some(testee)).await
}

async fn found(
    api: &Shared,
    caller: &Identity,
    input: ListInput,
    testee_id: Option<i64>,
) -> Result<Envelope, ApiError> {
    let status = word("status", input.status.as_deref())?;
    let filter = PlanFilter { scale_code: input.scale_code, status, testee_id };
    let page = page(input.page.as_ref(), input.page_size.as_ref())?;
    let found = api.plans.list(caller.org_id, &filter, page).await?;
    Ok(Envelope::success(PlanPage::new(&found, page)))
}

/// A plan.
#[utoipa::path(
    get, path = "/plans/{id}", operation_id = "show_plan", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)),
    responses((status = 200, description = "What it is now.", body = PlanReply), Missing)
)]
async fn show(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    Ok(Envelope::success(PlanReply::from(&api.plans.find(caller.org_id, path_id("id", &id)?).await?)))
}

/// Stops a plan for a while.
#[utoipa::path(
    post, path = "/plans/{id}/pause", operation_id = "pause_plan", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)),
    responses((status = 200, description = "What it is now.", body = PlanReply), Refused)
)]
async fn pause(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    stop(&api, caller, &id, PlanEvent::Pause).await
}

/// Gives a plan up.
#[utoipa::path(
    post, path = "/plans/{id}/cancel", operation_id = "cancel_plan", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)),
    responses((status = 200, description = "What it is now.", body = PlanReply), Refused)
)]
async fn cancel(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    stop(&api, caller, &id, PlanEvent::Cancel).await
}

async fn stop(api: &Shared, caller: Caller, id: &str, event: PlanEvent) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    Ok(Envelope::success(PlanReply::from(&api.plans.stop(caller.org_id, path_id("id", id)?, event).await?)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResumeBody {
    #[schema(schema_with = schema::start_dates_or_null)]
    testee_start_dates: Option<BTreeMap<String, String>>,
}

/// Goes on with a plan.
#[utoipa::path(
    post, path = "/plans/{id}/resume", operation_id = "resume_plan", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1)), request_body = Option<ResumeBody>,
    responses((status = 200, description = "What it is now.", body = PlanReply), Refused)
)]
async fn resume(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
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
    Ok(Envelope::success(PlanReply::from(
        &api.plans.resume(caller.org_id, path_id("id", &id)?, starts).await?,
    )))
}

/// Ends the enrolment of a testee.
#[utoipa::path(
    post, path = "/plans/{id}/testees/{testee_id}/terminate", operation_id = "terminate_enrolment", tag = "plans", params(("id" = i64, Path, description = "The id.", minimum = 1), ("testee_id" = i64, Path, description = "The id.", minimum = 1)),
    responses((status = 200, description = "What it is now.", body = TerminationReply), Refused)
)]
async fn terminate(
    State(api): State<Shared>,
    caller: Caller,
    Segment((id, testee_id)): Segment<(String, String)>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::ManagePlans)?;
    let (plan, testee) = (path_id("id", &id)?, path_id("testee_id", &testee_id)?);
    let canceled = api.plans.terminate(caller.org_id, plan, testee).await?;
    Ok(Envelope::success(TerminationReply { plan_id: id, testee_id, canceled_count: canceled }))
}
