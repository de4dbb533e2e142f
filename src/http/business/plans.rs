//! `plans/…` and `testees/{id}/plans`: plans, and who is enrolled in them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::part;
use super::plan_replies::{
    EnrolmentReply, Missing, PlanPage, PlanReply, Refused, TaskReply, TerminationReply,
};
use super::{Api, codes, schema};
use crate::business::plan::{NewPlan, PlanError, PlanFilter};
use crate::domain::plan::{AssessmentPlan, PlanEvent};
use crate::domain::plan_schedule::ScheduleFields;
use crate::http::edge::fields::{day, id, number, numbers, path_id, required, word};
use crate::http::edge::{Answer, ApiError, Caller, Input, Reply, Segment};
use crate::identity::{Identity, Permission};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_plans, create_plan))
        .routes(routes!(enrol_testee))
        .routes(routes!(show_plan))
        .routes(routes!(pause_plan))
        .routes(routes!(resume_plan))
        .routes(routes!(cancel_plan))
        .routes(routes!(terminate_enrolment))
        .routes(routes!(list_plans_of_testee))
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Invalid(invalid) => Self::invalid(invalid.field, invalid.reason),
            PlanError::NotFound { what } => Self::not_found(what),
            PlanError::Store(source) if source.may_pass() => Self::unavailable(source),
            PlanError::Store(source) => Self::database(source),
            forbidden => Self::new(StatusCode::CONFLICT, codes::STATE, forbidden.to_string()),
        }
    }
}

fn reply(plan: &AssessmentPlan) -> Reply {
    Reply::new(PlanReply::from(plan))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    #[schema(schema_with = schema::scale_code, required)]
    scale_code: Option<String>,
    #[schema(schema_with = schema::schedule_type, required)]
    schedule_type: Option<String>,
    #[schema(schema_with = schema::interval)]
    interval: Option<Value>,
    #[schema(schema_with = schema::total_times)]
    total_times: Option<Value>,
    #[schema(schema_with = schema::days)]
    fixed_dates: Option<Vec<String>>,
    #[schema(schema_with = schema::weeks)]
    relative_weeks: Option<Value>,
}

/// Makes a plan.
#[utoipa::path(
    post, path = "/plans", tag = "plans", request_body = PlanBody,
    responses((status = 200, description = "What it is now.", body = PlanReply))
)]
async fn create_plan(State(api): State<Api>, caller: Caller, body: Input<PlanBody>) -> Answer {
    let caller = caller.require(Permission::ManagePlans)?;
    let body = body.read(caller).await?;
    let dates = body.fixed_dates.unwrap_or_default();
    let new = NewPlan {
        scale_code: required("scale_code", body.scale_code)?,
        schedule_type: word("schedule_type", &required("schedule_type", body.schedule_type)?)?,
        fields: ScheduleFields {
            interval: number("interval", body.interval.as_ref())?,
            total_times: number("total_times", body.total_times.as_ref())?,
            fixed_dates: dates.iter().map(|date| day("fixed_dates", date)).collect::<Result<_, _>>()?,
            relative_weeks: numbers("relative_weeks", body.relative_weeks.as_ref())?.unwrap_or_default(),
        },
    };
    Ok(reply(&api.plans.create(caller.org_id, new).await?))
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
    post, path = "/plans/enroll", tag = "plans", request_body = EnrolBody,
    responses((status = 200, description = "What it is now.", body = EnrolmentReply), Refused)
)]
async fn enrol_testee(State(api): State<Api>, caller: Caller, body: Input<EnrolBody>) -> Answer {
    let caller = caller.require(Permission::ManagePlans)?;
    let body = body.read(caller).await?;
    let plan = required("plan_id", id("plan_id", body.plan_id.as_ref())?)?;
    let testee = required("testee_id", id("testee_id", body.testee_id.as_ref())?)?;
    let start = day("start_date", &required("start_date", body.start_date)?)?;
    let tasks = api.plans.enrol(caller.org_id, plan, testee, start).await?;
    Ok(Reply::new(EnrolmentReply {
        plan_id: plan.to_string(),
        testee_id: testee.to_string(),
        tasks: tasks.iter().map(|task| TaskReply::new(task, api.plans.zone())).collect(),
    }))
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
    /// Goes on after the `next` of a page, whatever was inserted meanwhile; empty begins. The list is not counted then.
    #[param(schema_with = schema::cursor, required = false)]
    after: Option<String>,
}

/// The plans of the organisation.
#[utoipa::path(
    get, path = "/plans", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of plans.", body = PlanPage))
)]
async fn list_plans(State(api): State<Api>, caller: Caller, input: Input<ListInput>) -> Answer {
    found(&api, caller.require(Permission::Read)?, input, None).await
}

/// The plans that a testee is enrolled in.
#[utoipa::path(
    get, path = "/testees/{id}/plans", tag = "plans", params(ListInput),
    responses((status = 200, description = "A page of plans.", body = PlanPage))
)]
async fn list_plans_of_testee(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<String>,
    input: Input<ListInput>,
) -> Answer {
    let caller = caller.require(Permission::Read)?;
    found(&api, caller, input, Some(path_id("id", &id)?)).await
}

async fn found(api: &Api, caller: &Identity, input: Input<ListInput>, testee_id: Option<i64>) -> Answer {
    let input = input.read(caller).await?;
    let status = input.status.map(|status| word("status", &status)).transpose()?;
    let filter = PlanFilter { scale_code: input.scale_code, status, testee_id };
    let part = part(input.page.as_ref(), input.page_size.as_ref(), input.after.as_deref())?;
    let found = api.plans.list(caller.org_id, filter, part.clone()).await?;
    Ok(Reply::new(PlanPage::new(&found, &part)))
}

/// A plan.
#[utoipa::path(
    get, path = "/plans/{id}", tag = "plans",
    responses((status = 200, description = "What it is now.", body = PlanReply), Missing)
)]
async fn show_plan(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    let caller = caller.require(Permission::Read)?;
    Ok(reply(&api.plans.find(caller.org_id, path_id("id", &id)?).await?))
}

/// Stops a plan for a while.
#[utoipa::path(
    post, path = "/plans/{id}/pause", tag = "plans",
    responses((status = 200, description = "What it is now.", body = PlanReply), Refused)
)]
async fn pause_plan(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    stop(&api, caller, &id, PlanEvent::Pause).await
}

/// Gives a plan up.
#[utoipa::path(
    post, path = "/plans/{id}/cancel", tag = "plans",
    responses((status = 200, description = "What it is now.", body = PlanReply), Refused)
)]
async fn cancel_plan(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    stop(&api, caller, &id, PlanEvent::Cancel).await
}

async fn stop(api: &Api, caller: Caller, id: &str, event: PlanEvent) -> Answer {
    let caller = caller.require(Permission::ManagePlans)?;
    Ok(reply(&api.plans.stop(caller.org_id, path_id("id", id)?, event).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResumeBody {
    #[schema(schema_with = schema::start_dates)]
    testee_start_dates: Option<BTreeMap<String, String>>,
}

/// Goes on with a plan.
#[utoipa::path(
    post, path = "/plans/{id}/resume", tag = "plans", request_body = Option<ResumeBody>,
    responses((status = 200, description = "What it is now.", body = PlanReply), Refused)
)]
async fn resume_plan(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<String>,
    body: Input<ResumeBody>,
) -> Answer {
    let caller = caller.require(Permission::ManagePlans)?;
    let body = body.read(caller).await?;
    let field = "testee_start_dates";
    let dates = body.testee_start_dates.unwrap_or_default();
    let start = |(testee, date): (&String, &String)| Ok((path_id(field, testee)?, day(field, date)?));
    let starts = dates.iter().map(start).collect::<Result<_, ApiError>>()?;
    Ok(reply(&api.plans.resume(caller.org_id, path_id("id", &id)?, starts).await?))
}

/// Ends the enrolment of a testee.
#[utoipa::path(
    post, path = "/plans/{id}/testees/{testee_id}/terminate", tag = "plans",
    responses((status = 200, description = "What it is now.", body = TerminationReply), Refused)
)]
async fn terminate_enrolment(
    State(api): State<Api>,
    caller: Caller,
    Segment((id, testee_id)): Segment<(String, String)>,
) -> Answer {
    let caller = caller.require(Permission::ManagePlans)?;
    let (plan, testee) = (path_id("id", &id)?, path_id("testee_id", &testee_id)?);
    let canceled_count = api.plans.terminate(caller.org_id, plan, testee).await?;
    Ok(Reply::new(TerminationReply { plan_id: id, testee_id, canceled_count }))
}
