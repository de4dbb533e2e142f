//! Schemas of the fields that several inputs and replies share, beside those of every program (`edge::openapi::schema`).
//! What the server enforces stands here as well.

use serde_json::json;
use utoipa::openapi::{RefOr, Schema};

use crate::business::due_tasks::{DEFAULT_LIMIT, MAX_LIMIT, MAX_TESTEES};
use crate::business::statistics::Mode;
use crate::domain::plan::PlanStatus;
use crate::domain::plan_schedule::ScheduleType;
use crate::domain::plan_task::TaskStatus;
use crate::domain::statistics::MAX_KEY;
use crate::domain::sync_run::{SyncKind, SyncStatus};

pub(super) use crate::http::edge::openapi::schema::{
    NUMERIC, day, flag, idempotency_key, instant, number, page, page_size, schema, text, words,
};

/// Text that becomes part of a key: no space at its ends, no NUL.
const KEY: &str = r"^[^\s\x00\x85]([^\x00]*[^\s\x00\x85])?$";

/// What an event tells.
pub(super) fn event_type() -> RefOr<Schema> {
    words(["submitted", "interpreted"])
}

/// What became of one of many events.
pub(super) fn event_result() -> RefOr<Schema> {
    words(["counted", "duplicate", "refused", "failed"])
}

/// The kind of a sync.
pub(super) fn kind() -> RefOr<Schema> {
    words(SyncKind::WORDS.iter().copied())
}

/// How a sync stands.
pub(super) fn status() -> RefOr<Schema> {
    words(SyncStatus::WORDS.iter().copied())
}

/// The one status of a sync that goes on.
pub(super) fn running() -> RefOr<Schema> {
    words([SyncStatus::Running.as_str()])
}

/// Whether differences are listed or repaired.
pub(super) fn mode() -> RefOr<Schema> {
    words(Mode::WORDS.iter().copied())
}

/// An organisation's number, or `all`.
pub(super) fn org() -> RefOr<Schema> {
    let description = "An organisation other than the caller's, or `all`: takes the role admin.";
    schema(json!({ "description": description, "oneOf": [
        { "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX },
        { "type": "string", "pattern": "^(all|[1-9][0-9]{0,17})$" },
    ]}))
}

/// The key of a count: a number, or text.
pub(super) fn id() -> RefOr<Schema> {
    schema(json!({ "oneOf": [
        { "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX },
        { "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": KEY },
    ]}))
}

/// A key as text.
pub(super) fn key() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": KEY }))
}

/// A short word such as an origin.
pub(super) fn word() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": 50, "pattern": KEY }))
}

/// A whole number in a range, or one as text.
fn between(least: u32, most: u32) -> RefOr<Schema> {
    let texts = "^(0|[1-9][0-9]{0,17})$";
    schema(json!({ "oneOf": [
        { "type": "integer", "minimum": least, "maximum": most },
        { "type": "string", "pattern": texts },
    ]}))
}

/// Weeks or days between two tasks.
pub(super) fn interval() -> RefOr<Schema> {
    between(0, 1_000)
}

/// How many tasks a testee gets.
pub(super) fn total_times() -> RefOr<Schema> {
    between(0, 100)
}

/// How many tasks are opened at most.
pub(super) fn schedule_limit() -> RefOr<Schema> {
    schema(json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT }))
}

/// Days of which none is before the one that precedes it.
pub(super) fn days() -> RefOr<Schema> {
    schema(json!({ "type": "array", "maxItems": 100, "items": day() }))
}

/// Increasing weeks.
pub(super) fn weeks() -> RefOr<Schema> {
    let week = json!({ "type": "integer", "minimum": 1, "maximum": 1_000 });
    schema(json!({ "type": "array", "maxItems": 100, "items": week }))
}

/// Persons, as a list or as numbers with commas in between.
pub(super) fn testee_ids() -> RefOr<Schema> {
    schema(json!({ "oneOf": [
        { "type": "array", "minItems": 1, "maxItems": MAX_TESTEES, "items": number() },
        { "type": "string", "pattern": "^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,999}$" },
    ]}))
}

/// The first day of each testee, by id.
pub(super) fn start_dates() -> RefOr<Schema> {
    let names = json!({ "type": "string", "pattern": NUMERIC });
    schema(json!({ "type": "object", "additionalProperties": day(), "propertyNames": names }))
}

/// An instant: RFC 3339, or the wall clock of the server's zone.
pub(super) fn moment() -> RefOr<Schema> {
    let pattern =
        "^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])( ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])?$";
    schema(json!({ "oneOf": [
        { "type": "string", "format": "date-time", "pattern": "T" },
        { "type": "string", "pattern": pattern },
    ]}))
}

/// Where a list goes on: what its `next` said, or nothing.
pub(super) fn cursor() -> RefOr<Schema> {
    schema(json!({ "type": "string", "maxLength": 200, "pattern": "^[A-Za-z0-9_-]*$" }))
}

/// The code of a scale; spaces around it are taken away.
pub(super) fn scale_code() -> RefOr<Schema> {
    schema(
        json!({ "type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\x00]*[^\s\x00\x85][^\x00]*$" }),
    )
}

/// The address of an entry: of the web, as a browser opens it.
pub(super) fn entry_url() -> RefOr<Schema> {
    let pattern = r"^https?://[a-z][a-z0-9.]*(:[1-9][0-9]{0,3})?(/[!-~]*)?$";
    schema(json!({ "type": "string", "format": "uri", "maxLength": 500, "pattern": pattern }))
}

/// How a plan counts its days.
pub(super) fn schedule_type() -> RefOr<Schema> {
    words(ScheduleType::ALL.iter().map(|kind| kind.as_str()))
}

/// How a plan stands.
pub(super) fn plan_status() -> RefOr<Schema> {
    words(PlanStatus::ALL.iter().map(|status| status.as_str()))
}

/// How a task stands.
pub(super) fn task_status() -> RefOr<Schema> {
    words(TaskStatus::ALL.iter().map(|status| status.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_says_what_was_written() {
        for (name, schema) in [
            ("kind", kind()),
            ("status", status()),
            ("running", running()),
            ("mode", mode()),
            ("org", org()),
            ("id", id()),
            ("key", key()),
            ("word", word()),
        ] {
            let written = serde_json::to_value(&schema).unwrap();
            let says = ["enum", "oneOf", "pattern"].map(|word| written.get(word).is_some());
            assert!(says.contains(&true), "{name}: {written}");
        }
        let written = serde_json::to_value(org()).unwrap();
        assert_eq!(written["oneOf"][0]["maximum"], json!(i64::MAX), "{written}");
    }
}
