//! What the replies to events hold, and how the answer to many is put together.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{codes, schema};
use crate::business::statistics::{Counted, StatisticsError};
use crate::http::edge::{Answer, ApiError, Reply};

/// Events of which the message says what is wrong; `data` says it of all.
const SHOWN: usize = 3;

/// What became of one event.
#[derive(Serialize, ToSchema)]
pub(super) struct EventReply {
    pub(super) event_id: String,
    /// The day that it belongs to.
    #[schema(format = Date)]
    pub(super) date: String,
    /// False when its id was counted before.
    pub(super) counted: bool,
}

/// What became of one event, or of many.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum EventsReply {
    /// Of one that was sent alone.
    One(EventReply),
    /// Of many.
    Many(BatchReply),
}

/// What became of many events.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct BatchReply {
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

/// The answer to many events while it is put together.
#[derive(Default)]
pub(super) struct Batch {
    reply: BatchReply,
    /// What the message says of the first that are not counted.
    wrong: Vec<String>,
    /// Why the first of those is not counted that may be sent again.
    failure: Option<ApiError>,
}

impl Batch {
    pub(super) fn take(
        &mut self,
        position: usize,
        event_id: String,
        outcome: Result<Counted, StatisticsError>,
    ) {
        match outcome {
            Ok(Counted { date, counted }) => {
                let (result, number) = if counted {
                    ("counted", &mut self.reply.counted)
                } else {
                    ("duplicate", &mut self.reply.duplicates)
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

    pub(super) fn refuse(&mut self, position: usize, event_id: Option<String>, error: &ApiError) {
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
    pub(super) fn answer(self) -> Answer {
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
