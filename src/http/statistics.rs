//! `statistics/…`: the intake of events, the syncs and the validation, and what they have produced.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::auth::Caller;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::{Input, day};
use super::sync_runs::{OrgInput, answer, asker};
use crate::business::statistics::{EventInput, Mode};
use crate::domain::statistics::{Accumulated, EventType};
use crate::identity::Permission;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/statistics/sync/daily", post(sync_daily))
        .route("/statistics/sync/accumulated", post(sync_accumulated))
        .route("/statistics/sync/plan", post(sync_plan))
        .route("/statistics/validate", post(validate))
        .route("/statistics/events", post(count))
        .route("/statistics/system", get(system))
        .route("/statistics/questionnaires/{code}", get(questionnaire))
        .route("/statistics/testees/{id}", get(testee))
        .route("/statistics/plans/{id}", get(plan))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DailyInput {
    start_date: Option<String>,
    end_date: Option<String>,
    org: Option<OrgInput>,
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccumulatedInput {
    org: Option<OrgInput>,
}

async fn sync_accumulated(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(input): Input<AccumulatedInput>,
) -> Result<Envelope, ApiError> {
    let asker = asker(caller.require(Permission::RunSyncs)?, input.org, &headers)?;
    answer(&api, api.statistics.sync_accumulated(asker).await?, &headers).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanInput {
    plan_id: Option<Id>,
    org: Option<OrgInput>,
}

async fn sync_plan(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(input): Input<PlanInput>,
) -> Result<Envelope, ApiError> {
    let asker = asker(caller.require(Permission::RunSyncs)?, input.org, &headers)?;
    let only = input.plan_id.map(|id| number("plan_id", &id.text())).transpose()?;
    answer(&api, api.statistics.sync_plan(asker, only).await?, &headers).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidateInput {
    mode: Option<String>,
    org: Option<OrgInput>,
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventBody {
    event_id: String,
    #[serde(rename = "type")]
    event_type: Type,
    questionnaire_code: Option<Id>,
    testee_id: Option<Id>,
    plan_id: Option<Id>,
    origin: Option<String>,
    risk_level: Option<String>,
    occurred_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Submitted,
    Interpreted,
}

/// Ids are numbers, or numbers as text where JavaScript is near.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn text(self) -> String {
        match self {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text,
        }
    }
}

fn number(field: &str, text: &str) -> Result<i64, ApiError> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| ApiError::Invalid {
        field: field.to_owned(),
        reason: "expected a positive whole number".to_owned(),
    })
}

async fn count(
    State(api): State<Shared>,
    caller: Caller,
    Input(event): Input<EventBody>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::RecordEvents)?;
    let event_id = event.event_id.clone();
    let input = EventInput {
        event_id: event.event_id,
        event_type: match event.event_type {
            Type::Submitted => EventType::Submitted,
            Type::Interpreted => EventType::Interpreted,
        },
        questionnaire_code: event.questionnaire_code.map(Id::text),
        testee_id: event.testee_id.map(Id::text),
        plan_id: event.plan_id.map(Id::text),
        origin: event.origin,
        risk_level: event.risk_level,
        occurred_at: event.occurred_at,
    };
    let counted = api.statistics.count(caller.org_id, input).await?;
    Ok(Envelope::success(json!({
        "event_id": event_id,
        "date": counted.date.to_string(),
        "counted": counted.counted,
    })))
}

async fn system(State(api): State<Shared>, caller: Caller) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let system = api.statistics.system(caller.org_id).await?;
    Ok(Envelope::success(json!({
        "org_id": caller.org_id,
        "questionnaire_count": system.questionnaires,
        "testee_count": system.testees,
        "answer_sheet_count": system.submissions,
        "assessment_count": system.submissions,
        "assessment_status_distribution": {
            "submitted": system.submissions,
            "interpreted": system.completions,
        },
    })))
}

async fn questionnaire(
    State(api): State<Shared>,
    caller: Caller,
    Path(code): Path<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let found = api.statistics.questionnaire(caller.org_id, &code).await?;
    let found = found.ok_or_else(|| unsynced("questionnaire", &code))?;
    let total = &found.total;
    let trend: Vec<Value> =
        found.trend.iter().map(|(date, count)| json!({ "date": date.to_string(), "count": count })).collect();
    Ok(Envelope::success(json!({
        "org_id": caller.org_id,
        "questionnaire_code": code,
        "total_submissions": total.total_submissions,
        "total_completions": total.total_completions,
        "completion_rate": percent(total.total_completions, total.total_submissions),
        "last_7_days_count": total.last_days[0],
        "last_15_days_count": total.last_days[1],
        "last_30_days_count": total.last_days[2],
        "daily_trend": trend,
        "origin_distribution": total.distribution.origin,
        "risk_distribution": total.distribution.risk,
    })))
}

async fn testee(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let found = api.statistics.testee(caller.org_id, &id).await?;
    let Accumulated { total_submissions, total_completions, distribution, occurred, .. } =
        found.ok_or_else(|| unsynced("testee", &id))?.total;
    Ok(Envelope::success(json!({
        "org_id": caller.org_id,
        "testee_id": id,
        "total_assessments": total_submissions,
        "completed_assessments": total_completions,
        "pending_assessments": (total_submissions - total_completions).max(0),
        "risk_distribution": distribution.risk,
        "first_assessment_date": occurred.map(|days| days.start.to_string()),
        "last_assessment_date": occurred.map(|days| days.end.to_string()),
    })))
}

async fn plan(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let counts = api.statistics.plan(caller.org_id, number("id", &id)?).await?;
    let counts = counts.ok_or_else(|| unsynced("plan", &id))?;
    Ok(Envelope::success(json!({
        "org_id": caller.org_id,
        "plan_id": id,
        "total_tasks": counts.total_tasks,
        "completed_tasks": counts.completed_tasks,
        "pending_tasks": counts.pending_tasks,
        "expired_tasks": counts.expired_tasks,
        "completion_rate": percent(counts.completed_tasks, counts.total_tasks),
        "enrolled_testees": counts.enrolled_testees,
        "active_testees": counts.active_testees,
    })))
}

fn unsynced(what: &str, id: &str) -> ApiError {
    ApiError::NotFound { what: format!("no sync has written statistics of {what} {id}") }
}

/// Of a hundred, to two decimals; 0 when there is nothing.
#[expect(clippy::cast_precision_loss, reason = "two decimals of a ratio need no more")]
fn percent(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 10_000.0).round() / 100.0 }
}
