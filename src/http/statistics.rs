//! `statistics/…`: the intake of events, the syncs and the validation, and what they have produced.

use axum::extract::State;
use axum::http::HeaderMap;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::{Input, NumberOrText, Segment, day, positive};
use super::openapi::schema;
use super::statistics_replies::{
    EventReply, PlanStatisticsReply, QuestionnaireReply, SystemReply, TesteeReply,
};
use super::sync_runs::{SyncHeaders, SyncReplies, answer, asker};
use crate::business::statistics::{EventInput, Mode};
use crate::domain::statistics::EventType;
use crate::identity::Permission;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(sync_daily))
        .routes(routes!(sync_accumulated))
        .routes(routes!(sync_plan))
        .routes(routes!(validate))
        .routes(routes!(count))
        .routes(routes!(system))
        .routes(routes!(questionnaire))
        .routes(routes!(testee))
        .routes(routes!(plan))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DailyInput {
    /// The first day. Without both, the days are those that were touched since the last sync, today and yesterday.
    #[schema(schema_with = schema::day_or_null)]
    start_date: Option<String>,
    /// The last day.
    #[schema(schema_with = schema::day_or_null)]
    end_date: Option<String>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org_or_null)]
    org: Option<NumberOrText>,
}

/// Carries the counters of each day into the daily statistics.
#[utoipa::path(
    post, path = "/statistics/sync/daily", tag = "syncs", params(SyncHeaders), request_body = Option<DailyInput>,
    responses(SyncReplies), extensions(("x-query-or-body" = json!(true)))
)]
async fn sync_daily(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(input): Input<DailyInput>,
) -> Result<Envelope, ApiError> {
    let asker = asker(caller.require(Permission::RunSyncs)?, input.org, &headers)?;
    let window =
        (day("start_date", input.start_date.as_deref())?, day("end_date", input.end_date.as_deref())?);
    answer(&api, api.statistics.sync_daily(asker, window).await?, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccumulatedInput {
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org_or_null)]
    org: Option<NumberOrText>,
}

/// Adds the daily statistics up.
#[utoipa::path(
    post, path = "/statistics/sync/accumulated", tag = "syncs", params(SyncHeaders), request_body = Option<AccumulatedInput>,
    responses(SyncReplies), extensions(("x-query-or-body" = json!(true)))
)]
async fn sync_accumulated(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(input): Input<AccumulatedInput>,
) -> Result<Envelope, ApiError> {
    let asker = asker(caller.require(Permission::RunSyncs)?, input.org, &headers)?;
    answer(&api, api.statistics.sync_accumulated(asker).await?, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanInput {
    /// Only this plan.
    #[schema(schema_with = schema::number_or_null)]
    plan_id: Option<NumberOrText>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org_or_null)]
    org: Option<NumberOrText>,
}

/// Adds the tasks of plans up.
#[utoipa::path(
    post, path = "/statistics/sync/plan", tag = "syncs", params(SyncHeaders), request_body = Option<PlanInput>,
    responses(SyncReplies, (status = 404, description = "There is no such plan.")), extensions(("x-query-or-body" = json!(true)))
)]
async fn sync_plan(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(input): Input<PlanInput>,
) -> Result<Envelope, ApiError> {
    let asker = asker(caller.require(Permission::RunSyncs)?, input.org, &headers)?;
    let only = input.plan_id.map(|id| positive("plan_id", &id.to_string())).transpose()?;
    answer(&api, api.statistics.sync_plan(asker, only).await?, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ValidateInput {
    /// Whether differences are listed (the default) or repaired.
    #[schema(schema_with = schema::mode_or_null)]
    mode: Option<String>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[schema(schema_with = schema::org_or_null)]
    org: Option<NumberOrText>,
}

/// Compares the statistics with their sources; differences that stay are answered with 500.
#[utoipa::path(
    post, path = "/statistics/validate", tag = "syncs", params(SyncHeaders), request_body = Option<ValidateInput>,
    responses(SyncReplies), extensions(("x-query-or-body" = json!(true)))
)]
async fn validate(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(input): Input<ValidateInput>,
) -> Result<Envelope, ApiError> {
    let asker = asker(caller.require(Permission::RunSyncs)?, input.org, &headers)?;
    let mode: Mode = match input.mode.as_deref() {
        None => Mode::default(),
        Some(word) => {
            word.parse().map_err(|reason| ApiError::Invalid { field: "mode".to_owned(), reason })?
        }
    };
    answer(&api, api.statistics.validate(asker, mode).await?, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EventBody {
    /// Its id: an event is counted once.
    #[schema(schema_with = schema::key)]
    event_id: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::event_type)]
    event_type: Type,
    /// Which questionnaire.
    #[schema(schema_with = schema::id_or_null)]
    questionnaire_code: Option<NumberOrText>,
    /// Which person.
    #[schema(schema_with = schema::id_or_null)]
    testee_id: Option<NumberOrText>,
    /// Which plan.
    #[schema(schema_with = schema::id_or_null)]
    plan_id: Option<NumberOrText>,
    /// Where a submitted one came from.
    #[schema(schema_with = schema::word_or_null)]
    origin: Option<String>,
    /// What an interpreted one found.
    #[schema(schema_with = schema::word_or_null)]
    risk_level: Option<String>,
    /// When, not more than a day ahead; unset means now.
    #[schema(schema_with = schema::instant_or_null)]
    occurred_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Submitted,
    Interpreted,
}

/// Counts an event, once.
#[utoipa::path(
    post, path = "/statistics/events", operation_id = "record_event", tag = "statistics", request_body = EventBody,
    responses((status = 200, description = "It is counted, now or before.", body = EventReply))
)]
async fn count(
    State(api): State<Shared>,
    caller: Caller,
    Input(event): Input<EventBody>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::RecordEvents)?;
    let event_id = event.event_id.clone();
    let text = |id: NumberOrText| id.to_string();
    let input = EventInput {
        event_id: event.event_id,
        event_type: match event.event_type {
            Type::Submitted => EventType::Submitted,
            Type::Interpreted => EventType::Interpreted,
        },
        questionnaire_code: event.questionnaire_code.map(text),
        testee_id: event.testee_id.map(text),
        plan_id: event.plan_id.map(text),
        origin: event.origin,
        risk_level: event.risk_level,
        occurred_at: event.occurred_at,
    };
    let counted = api.statistics.count(caller.org_id, input).await?;
    let reply = EventReply { event_id, date: counted.date.to_string(), counted: counted.counted };
    Ok(Envelope::success(reply))
}

/// The numbers of the caller's organisation.
#[utoipa::path(
    get, path = "/statistics/system", operation_id = "system_statistics", tag = "statistics",
    responses(
        (status = 200, description = "As of the last syncs.", body = SystemReply),
    )
)]
async fn system(State(api): State<Shared>, caller: Caller) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let system = api.statistics.system(caller.org_id).await?;
    Ok(Envelope::success(SystemReply::new(caller.org_id, &system)))
}

/// The numbers of a questionnaire.
#[utoipa::path(
    get, path = "/statistics/questionnaires/{code}", operation_id = "questionnaire_statistics", tag = "statistics",
    params(("code" = String, Path, description = "Its code.")),
    responses(
        (status = 200, description = "As of the last syncs.", body = QuestionnaireReply),
        (status = 404, description = "No sync has written any."),
    )
)]
async fn questionnaire(
    State(api): State<Shared>,
    caller: Caller,
    Segment(code): Segment<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let found = api.statistics.questionnaire(caller.org_id, &code).await?;
    let found = found.ok_or_else(|| unsynced("questionnaire", &code))?;
    Ok(Envelope::success(QuestionnaireReply::new(caller.org_id, code, found)))
}

/// The numbers of a person.
#[utoipa::path(
    get, path = "/statistics/testees/{id}", operation_id = "testee_statistics", tag = "statistics",
    params(("id" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "As of the last syncs.", body = TesteeReply),
        (status = 404, description = "No sync has written any."),
    )
)]
async fn testee(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let found = api.statistics.testee(caller.org_id, &id).await?;
    let total = found.ok_or_else(|| unsynced("testee", &id))?.total;
    Ok(Envelope::success(TesteeReply::new(caller.org_id, id, total)))
}

/// The numbers of a plan.
#[utoipa::path(
    get, path = "/statistics/plans/{id}", operation_id = "plan_statistics", tag = "statistics",
    params(("id" = i64, Path, description = "Its id.", minimum = 1)),
    responses(
        (status = 200, description = "As of the last syncs.", body = PlanStatisticsReply),
        (status = 404, description = "No sync has written any."),
    )
)]
async fn plan(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let counts = api.statistics.plan(caller.org_id, positive("id", &id)?).await?;
    let counts = counts.ok_or_else(|| unsynced("plan", &id))?;
    Ok(Envelope::success(PlanStatisticsReply::new(caller.org_id, id, &counts)))
}

fn unsynced(what: &str, id: &str) -> ApiError {
    ApiError::NotFound { what: format!("no sync has written statistics of {what} {id}") }
}
