//! `statistics/…`: the syncs and the validation, and what they have produced.

use axum::extract::State;
use jiff::civil::Date;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::statistics_replies::{PlanStatisticsReply, QuestionnaireReply, SystemReply, TesteeReply};
use super::sync_request::{SyncHeaders, SyncReplies, SyncRequest};
use super::{Api, schema};
use crate::business::statistics::{Mode, StatisticsError};
use crate::domain::invalid::Invalid;
use crate::http::edge::fields::{NumberOrText, day, positive};
use crate::http::edge::{Answer, ApiError, Caller, Input, Reply, Segment};
use crate::identity::Permission;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(sync_daily))
        .routes(routes!(sync_accumulated))
        .routes(routes!(sync_plan))
        .routes(routes!(validate))
        .routes(routes!(system_statistics))
        .routes(routes!(questionnaire_statistics))
        .routes(routes!(testee_statistics))
        .routes(routes!(plan_statistics))
}

impl From<StatisticsError> for ApiError {
    fn from(error: StatisticsError) -> Self {
        match error {
            StatisticsError::Invalid(Invalid { field, reason }) => Self::invalid(field, reason),
            StatisticsError::NotFound { what } => Self::not_found(what),
            StatisticsError::Counters(source) if source.may_pass() => Self::unavailable(source),
            StatisticsError::Counters(source) => Self::internal(source),
            StatisticsError::Store(source) if source.may_pass() => Self::unavailable(source),
            StatisticsError::Store(source) => Self::database(source),
            StatisticsError::Start(source) => source.into(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DailyInput {
    /// The first day. Without both, the days are those that were touched since the last sync, today and yesterday.
    #[schema(schema_with = schema::day)]
    start_date: Option<String>,
    /// The last day.
    #[schema(schema_with = schema::day)]
    end_date: Option<String>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org)]
    org: Option<NumberOrText>,
}

/// Carries the counters of each day into the daily statistics.
#[utoipa::path(
    post, path = "/statistics/sync/daily", tag = "syncs", params(SyncHeaders), request_body = Option<DailyInput>,
    responses(SyncReplies), extensions(("x-query-or-body" = json!(true)))
)]
async fn sync_daily(State(api): State<Api>, request: SyncRequest, input: Input<DailyInput>) -> Answer {
    let caller = request.require(Permission::RunSyncs)?;
    let input = input.read(caller).await?;
    let caller = request.by(caller, input.org)?;
    let day = |field, text: Option<String>| text.map(|text| day(field, &text)).transpose();
    let window: (Option<Date>, _) = (day("start_date", input.start_date)?, day("end_date", input.end_date)?);
    request.answer(&api, api.statistics.sync_daily(caller, window).await?).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccumulatedInput {
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org)]
    org: Option<NumberOrText>,
}

/// Adds the daily statistics up.
#[utoipa::path(
    post, path = "/statistics/sync/accumulated", tag = "syncs", params(SyncHeaders), request_body = Option<AccumulatedInput>,
    responses(SyncReplies), extensions(("x-query-or-body" = json!(true)))
)]
async fn sync_accumulated(
    State(api): State<Api>,
    request: SyncRequest,
    input: Input<AccumulatedInput>,
) -> Answer {
    let caller = request.require(Permission::RunSyncs)?;
    let input = input.read(caller).await?;
    let caller = request.by(caller, input.org)?;
    request.answer(&api, api.statistics.sync_accumulated(caller).await?).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanInput {
    /// Only this plan.
    #[schema(schema_with = schema::number)]
    plan_id: Option<NumberOrText>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org)]
    org: Option<NumberOrText>,
}

/// Adds the tasks of plans up.
#[utoipa::path(
    post, path = "/statistics/sync/plan", tag = "syncs", params(SyncHeaders), request_body = Option<PlanInput>,
    responses(SyncReplies, (status = 404, description = "There is no such plan.")), extensions(("x-query-or-body" = json!(true)))
)]
async fn sync_plan(State(api): State<Api>, request: SyncRequest, input: Input<PlanInput>) -> Answer {
    let caller = request.require(Permission::RunSyncs)?;
    let input = input.read(caller).await?;
    let caller = request.by(caller, input.org)?;
    let only = input.plan_id.map(|id| positive("plan_id", &id.to_string())).transpose()?;
    request.answer(&api, api.statistics.sync_plan(caller, only).await?).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ValidateInput {
    /// Whether differences are listed (the default) or repaired.
    #[schema(schema_with = schema::mode)]
    mode: Option<String>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org)]
    org: Option<NumberOrText>,
}

/// Compares the statistics with their sources; differences that stay are answered with 500.
#[utoipa::path(
    post, path = "/statistics/validate", tag = "syncs", params(SyncHeaders), request_body = Option<ValidateInput>,
    responses(SyncReplies), extensions(("x-query-or-body" = json!(true)))
)]
async fn validate(State(api): State<Api>, request: SyncRequest, input: Input<ValidateInput>) -> Answer {
    let caller = request.require(Permission::RunSyncs)?;
    let input = input.read(caller).await?;
    let caller = request.by(caller, input.org)?;
    let mode: Option<Mode> = input
        .mode
        .map(|mode| {
            let unknown = |_| ApiError::invalid("mode", format!("expected report or repair, found {mode:?}"));
            mode.parse().map_err(unknown)
        })
        .transpose()?;
    request.answer(&api, api.statistics.validate(caller, mode.unwrap_or_default()).await?).await
}

/// The numbers of the caller's organisation.
#[utoipa::path(
    get, path = "/statistics/system", tag = "statistics",
    responses(
        (status = 200, description = "As of the last syncs.", body = SystemReply),
    )
)]
async fn system_statistics(State(api): State<Api>, caller: Caller) -> Answer {
    let caller = caller.require(Permission::Read)?;
    let system = api.statistics.system(caller.org_id).await?;
    Ok(Reply::new(SystemReply::new(caller.org_id, &system)))
}

/// The numbers of a questionnaire.
#[utoipa::path(
    get, path = "/statistics/questionnaires/{code}", tag = "statistics",
    params(("code" = String, Path, description = "Its code.")),
    responses(
        (status = 200, description = "As of the last syncs.", body = QuestionnaireReply),
        (status = 404, description = "No sync has written any."),
    )
)]
async fn questionnaire_statistics(
    State(api): State<Api>,
    caller: Caller,
    Segment(code): Segment<String>,
) -> Answer {
    let caller = caller.require(Permission::Read)?;
    let found = api.statistics.questionnaire(caller.org_id, &code).await?;
    let found = found.ok_or_else(|| unsynced("questionnaire", &code))?;
    Ok(Reply::new(QuestionnaireReply::new(caller.org_id, code, found)))
}

/// The numbers of a person.
#[utoipa::path(
    get, path = "/statistics/testees/{id}", tag = "statistics",
    params(("id" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "As of the last syncs.", body = TesteeReply),
        (status = 404, description = "No sync has written any."),
    )
)]
async fn testee_statistics(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    let caller = caller.require(Permission::Read)?;
    let found = api.statistics.testee(caller.org_id, &id).await?;
    let total = found.ok_or_else(|| unsynced("testee", &id))?;
    Ok(Reply::new(TesteeReply::new(caller.org_id, id, total)))
}

/// The numbers of a plan.
#[utoipa::path(
    get, path = "/statistics/plans/{id}", tag = "statistics",
    params(("id" = i64, Path, description = "Its id.", minimum = 1)),
    responses(
        (status = 200, description = "As of the last syncs.", body = PlanStatisticsReply),
        (status = 404, description = "No sync has written any."),
    )
)]
async fn plan_statistics(State(api): State<Api>, caller: Caller, Segment(id): Segment<String>) -> Answer {
    let caller = caller.require(Permission::Read)?;
    let counts = api.statistics.plan(caller.org_id, positive("id", &id)?).await?;
    let counts = counts.ok_or_else(|| unsynced("plan", &id))?;
    Ok(Reply::new(PlanStatisticsReply::new(caller.org_id, id, &counts)))
}

fn unsynced(what: &str, id: &str) -> ApiError {
    ApiError::not_found(format!("no sync has written statistics of {what} {id}"))
}
