//! `statistics/events`: the intake of events, one or many at once.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, codes, schema};
use crate::business::statistics::{Counted, EventInput, StatisticsError};
use crate::domain::statistics::EventType;
use crate::http::edge::fields::NumberOrText;
use crate::http::edge::{Answer, ApiError, IntakeCaller, Item, OneOrMany, Reply};
use crate::identity::Permission;

/// Where the document has it.
pub(super) const PATH: &str = "/api/v1/statistics/events";

/// Most events of one request.
pub(super) const MAX_EVENTS: usize = 1_000;

/// Events of which the message says what is wrong; `data` says it of all.
const SHOWN: usize = 3;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(record_events))
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
    #[schema(schema_with = schema::id)]
    questionnaire_code: Option<NumberOrText>,
    /// Which person.
    #[schema(schema_with = schema::id)]
    testee_id: Option<NumberOrText>,
    /// Which plan.
    #[schema(schema_with = schema::id)]
    plan_id: Option<NumberOrText>,
    /// Where a submitted one came from.
    #[schema(schema_with = schema::word)]
    origin: Option<String>,
    /// What an interpreted one found.
    #[schema(schema_with = schema::word)]
    risk_level: Option<String>,
    /// When, not more than a day ahead; unset means now.
    #[schema(schema_with = schema::instant)]
    occurred_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Submitted,
    Interpreted,
}

impl From<EventBody> for EventInput {
    fn from(body: EventBody) -> Self {
        let text = |id: NumberOrText| id.to_string();
        Self {
            event_id: body.event_id,
            event_type: match body.event_type {
                Type::Submitted => EventType::Submitted,
                Type::Interpreted => EventType::Interpreted,
            },
            questionnaire_code: body.questionnaire_code.map(text),
            testee_id: body.testee_id.map(text),
            plan_id: body.plan_id.map(text),
            origin: body.origin,
            risk_level: body.risk_level,
            occurred_at: body.occurred_at,
        }
    }
}

/// What became of one event.
#[derive(Serialize, ToSchema)]
struct EventReply {
    event_id: String,
    /// The day that it belongs to.
    #[schema(format = Date)]
    date: String,
    /// False when its id was counted before.
    counted: bool,
}

/// What became of one event, or of many.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum EventsReply {
    /// Of one that was sent alone.
    One(EventReply),
    /// Of many.
    Many(BatchReply),
}

/// What became of many events.
#[derive(Default, Serialize, ToSchema)]
struct BatchReply {
    /// New ones.
    counted: usize,
    /// Those whose id was counted before.
    duplicates: usize,
    /// Those that make no sense, and make none when they are sent again.
    refused: usize,
    /// Those of which nobody knows whether they are counted: they can be sent again.
    failed: usize,
    /// One a line, in the order of the request.
    results: Vec<EventResult>,
}

/// What became of one of many.
#[derive(Serialize, ToSchema)]
struct EventResult {
    /// Which one of the array, or the number of its line; the first is 1.
    #[schema(minimum = 1)]
    position: usize,
    /// Its id, if that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event_id: Option<String>,
    /// What became of it.
    #[schema(schema_with = schema::event_result)]
    result: &'static str,
    /// The day that it belongs to, if it is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, nullable = false)]
    date: Option<String>,
    /// Why not: stable, programs may rely on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<u32>,
    /// Why not, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<String>,
}

/// Counts events, each id once: one as an object, or at most 1,000 as an array or one a line.
#[utoipa::path(
    post, path = "/statistics/events", tag = "statistics",
    request_body(content((EventBody = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "All of them are counted, now or before.", body = EventsReply),
        (status = 400, description = "The event, or one of many, makes no sense; of many, `data` says what became of each.",
         body = BatchReply),
        (status = 413, description = "The body is too large, or has too many events: none is counted."),
        (status = 500, description = "A defect, or the counters did not answer; of many, `data` says what became of each.",
         body = BatchReply),
    )
)]
async fn record_events(
    State(api): State<Api>,
    caller: IntakeCaller,
    events: OneOrMany<EventBody, MAX_EVENTS>,
) -> Answer {
    let org_id = caller.require(Permission::RecordEvents)?.org_id;
    match events {
        OneOrMany::One(event) => {
            let event_id = event.event_id.clone();
            let outcome = api.statistics.count(org_id, vec![event.into()]).await.pop();
            let Counted { date, counted } = outcome.expect("an answer for each event")?;
            let reply = EventReply { event_id, date: date.to_string(), counted };
            Ok(Reply::new(EventsReply::One(reply)))
        }
        OneOrMany::Many(items) => record_many(&api, org_id, items).await,
    }
}

async fn record_many(api: &Api, org_id: i64, items: Vec<Item<EventBody>>) -> Answer {
    let mut batch = Batch { reply: BatchReply::default(), wrong: Vec::new(), failure: None };
    let mut sent = Vec::with_capacity(items.len());
    let mut events = Vec::with_capacity(items.len());
    for Item { position, input } in items {
        match input {
            Ok(event) => {
                sent.push((position, Ok(event.event_id.clone())));
                events.push(event.into());
            }
            Err(error) => sent.push((position, Err(error))),
        }
    }
    let mut outcomes = api.statistics.count(org_id, events).await.into_iter();
    for (position, read) in sent {
        match read {
            Ok(event_id) => {
                batch.take(position, event_id, outcomes.next().expect("an answer for each event"));
            }
            Err(error) => batch.refuse(position, None, &error),
        }
    }
    batch.answer()
}

/// The answer to many events while it is put together.
struct Batch {
    reply: BatchReply,
    /// What the message says of the first that are not counted.
    wrong: Vec<String>,
    /// Why the first of those is not counted that may be sent again.
    failure: Option<ApiError>,
}

impl Batch {
    fn take(&mut self, position: usize, event_id: String, outcome: Result<Counted, StatisticsError>) {
        match outcome {
            Ok(Counted { date, counted }) => {
                let (result, number) = match counted {
                    true => ("counted", &mut self.reply.counted),
                    false => ("duplicate", &mut self.reply.duplicates),
                };
                *number += 1;
                let (event_id, date) = (Some(event_id), Some(date.to_string()));
                let result = EventResult { position, event_id, result, date, code: None, message: None };
                self.reply.results.push(result);
            }
            Err(error @ StatisticsError::Invalid(_)) => self.refuse(position, Some(event_id), &error.into()),
            Err(error) => {
                let error = ApiError::from(error);
                self.reply.failed += 1;
                self.not_counted(position, Some(event_id), "failed", &error);
                self.failure.get_or_insert(error);
            }
        }
    }

    fn refuse(&mut self, position: usize, event_id: Option<String>, error: &ApiError) {
        self.reply.refused += 1;
        self.not_counted(position, event_id, "refused", error);
    }

    fn not_counted(
        &mut self,
        position: usize,
        event_id: Option<String>,
        result: &'static str,
        error: &ApiError,
    ) {
        if self.wrong.len() < SHOWN {
            self.wrong.push(format!("event {position}: {}", error.message));
        }
        let (code, message) = (Some(error.code), Some(error.message.clone()));
        self.reply.results.push(EventResult { position, event_id, result, date: None, code, message });
    }

    /// A part of the work is never a success: 400 when events were refused, so that nobody sends the same again, and the
    /// status of the failure when some are worth it.
    fn answer(self) -> Answer {
        let Self { reply, wrong, failure } = self;
        let (not_counted, all) = (reply.refused + reply.failed, reply.results.len());
        if not_counted == 0 {
            return Ok(Reply::new(EventsReply::Many(reply)));
        }
        let more = if not_counted > wrong.len() { "; …" } else { "" };
        let message = format!("{not_counted} of {all} events are not counted: {}{more}", wrong.join("; "));
        let error = match failure {
            Some(failure) => ApiError { message, ..failure },
            None => ApiError::new(StatusCode::BAD_REQUEST, codes::EVENTS_REFUSED, message),
        };
        Err(error.data(reply))
    }
}
