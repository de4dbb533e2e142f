//! `statistics/…`: the intake of events, and the syncs.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::HeaderName;
use axum::routing::post;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::auth::Caller;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::{Input, day};
use super::{Shared, request, sync_runs};
use crate::business::statistics::{Asker, EventInput};
use crate::business::sync_run::{Running, Started};
use crate::domain::statistics::EventType;
use crate::identity::Role;

const WRITERS: [Role; 3] = [Role::Admin, Role::Operator, Role::Caller];

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/statistics/sync/daily", post(sync_daily)).route("/statistics/events", post(count))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    start_date: Option<String>,
    end_date: Option<String>,
}

async fn sync_daily(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Input(window): Input<Window>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(&WRITERS)?;
    let window =
        (day("start_date", window.start_date.as_deref())?, day("end_date", window.end_date.as_deref())?);
    let asker = Asker {
        org_id: caller.org_id,
        caller: caller.subject,
        idempotency_key: request::idempotency_key(&headers)?,
    };
    match api.statistics.sync_daily(asker, window).await? {
        Started::Running(running) => answer(&api, running, request::prefers_async(&headers)).await,
        Started::Before(run) => {
            Ok(sync_runs::ended(&run).header(HeaderName::from_static("idempotent-replayed"), "true"))
        }
    }
}

/// Waits for the end, unless the caller would rather not or the deadline comes first: then the sync goes on.
async fn answer(api: &Shared, running: Running, prefers_async: bool) -> Result<Envelope, ApiError> {
    let accepted = sync_runs::accepted(&running.id);
    if prefers_async {
        return Ok(accepted.header(HeaderName::from_static("preference-applied"), "respond-async"));
    }
    match tokio::time::timeout(api.request_timeout, running.ended()).await {
        Ok(run) => Ok(sync_runs::ended(&run?)),
        Err(_) => Ok(accepted),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    event_id: String,
    #[serde(rename = "type")]
    event_type: Type,
    questionnaire_code: Option<Id>,
    testee_id: Option<Id>,
    plan_id: Option<Id>,
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

async fn count(
    State(api): State<Shared>,
    caller: Caller,
    Input(event): Input<Body>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(&WRITERS)?;
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
        occurred_at: event.occurred_at,
    };
    let counted = api.statistics.count(caller.org_id, input).await?;
    Ok(Envelope::success(json!({
        "event_id": event_id,
        "date": counted.date.to_string(),
        "counted": counted.counted,
    })))
}
