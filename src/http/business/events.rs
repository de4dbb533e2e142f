//! `statistics/events`: the intake of events, one or many at once.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::event_replies::{Batch, BatchReply, EventReply, EventsReply};
use super::{Api, schema};
use crate::business::statistics::{Counted, EventInput};
use crate::domain::statistics::EventType;
use crate::http::edge::fields::{Instant, NumberOrText};
use crate::http::edge::{Answer, IntakeCaller, Item, Many, OneOrMany, Reply};
use crate::identity::Permission;

/// Where the document has it.
pub(super) const PATH: &str = "/api/v1/statistics/events";

/// Most events of one request.
pub(super) const MAX_EVENTS: usize = 1_000;

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
    occurred_at: Option<Instant>,
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
            occurred_at: body.occurred_at.map(|Instant(at)| at),
        }
    }
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
    events: Many<EventBody, MAX_EVENTS>,
) -> Answer {
    let caller = caller.require(Permission::RecordEvents)?;
    let org_id = caller.org_id;
    match events.read(caller).await? {
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
    let mut batch = Batch::default();
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
