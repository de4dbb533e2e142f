//! Schemas of the fields that several inputs and replies share. What the server enforces stands here as well.

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

use crate::business::due_tasks::{MAX_LIMIT, MAX_TESTEES};
use crate::business::statistics::Mode;
use crate::domain::plan::PlanStatus;
use crate::domain::plan_schedule::ScheduleType;
use crate::domain::plan_task::TaskStatus;
use crate::domain::statistics::MAX_KEY;
use crate::domain::sync_run::{SyncKind, SyncStatus};

/// Text that becomes part of a key: no space at its ends, no NUL.
const KEY: &str = r"^[^\s\x00\x85]([^\x00]*[^\s\x00\x85])?$";

/// A positive number as text, without a sign or zeros before it.
const NUMERIC: &str = "^[1-9][0-9]{0,17}$";

/// An Idempotency-Key, bare or as a structured string (`"k"`).
const IDEMPOTENCY_KEY: &str = r#"^(?!""$)[!-~]([ -~]{0,253}[!-~])?$"#;

/// The schema that this JSON is. What cannot be read becomes an object without a rule; a test finds those.
fn schema(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).unwrap_or_else(|_| RefOr::T(Schema::default()))
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    schema(json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() }))
}

/// The same, or null: an optional field of a body.
fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let written = serde_json::to_value(schema).unwrap_or_default();
    let mut choices = written["oneOf"].as_array().cloned().unwrap_or_else(|| vec![written.clone()]);
    choices.push(json!({ "type": "null" }));
    self::schema(
        json!({ "description": written["description"].as_str().unwrap_or_default(), "oneOf": choices }),
    )
}

/// What a body must hold beyond what each of its fields says.
pub(super) fn rules(name: &str) -> Option<Value> {
    let some = |fields: &[&str]| {
        let there: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json!({ "not": { "type": "null" } }))).collect();
        json!({ "required": fields, "properties": there })
    };
    let days = ["start_date", "end_date"];
    match name {
        "DailyInput" => Some(json!([
            some(&days),
            { "properties": { "start_date": { "type": "null" }, "end_date": { "type": "null" } } },
        ])),
        "EventBody" => Some(json!([some(&["questionnaire_code"]), some(&["testee_id"]), some(&["plan_id"])])),
        _ => None,
    }
}

macro_rules! optional {
    ($($name:ident = $of:ident),* $(,)?) => {$(
        #[doc = concat!("[`", stringify!($of), "`], or null.")]
        pub(in crate::http) fn $name() -> RefOr<Schema> {
            or_null($of())
        }
    )*};
}

optional! {
    day_or_null = day,
    days_or_null = days,
    flag_or_null = flag,
    id_or_null = id,
    instant_or_null = instant,
    interval_or_null = interval,
    mode_or_null = mode,
    moment_or_null = moment,
    number_or_null = number,
    org_or_null = org,
    schedule_limit_or_null = schedule_limit,
    start_dates_or_null = start_dates,
    testee_ids_or_null = testee_ids,
    total_times_or_null = total_times,
    weeks_or_null = weeks,
    word_or_null = word,
}

/// What an event tells.
pub(in crate::http) fn event_type() -> RefOr<Schema> {
    words(["submitted", "interpreted"])
}

/// The kind of a sync.
pub(in crate::http) fn kind() -> RefOr<Schema> {
    words(SyncKind::ALL.map(SyncKind::as_str))
}

/// How a sync stands.
pub(in crate::http) fn status() -> RefOr<Schema> {
    words([SyncStatus::Running, SyncStatus::Succeeded, SyncStatus::Failed].map(SyncStatus::as_str))
}

/// The one status of a sync that goes on.
pub(in crate::http) fn running() -> RefOr<Schema> {
    words([SyncStatus::Running.as_str()])
}

/// Whether differences are listed or repaired.
pub(in crate::http) fn mode() -> RefOr<Schema> {
    words([Mode::Report, Mode::Repair].map(Mode::as_str))
}

/// An organisation's number, or `all`.
pub(in crate::http) fn org() -> RefOr<Schema> {
    let description = "An organisation other than the caller's, or `all`: takes the role admin.";
    schema(json!({ "description": description, "oneOf": [
        { "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX },
        { "type": "string", "pattern": "^(all|[1-9][0-9]{0,17})$" },
    ]}))
}

/// A positive number, or one as text.
pub(in crate::http) fn number() -> RefOr<Schema> {
    schema(json!({ "oneOf": [
        { "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX },
        { "type": "string", "pattern": NUMERIC },
    ]}))
}

/// The key of a count: a number, or text.
pub(in crate::http) fn id() -> RefOr<Schema> {
    schema(json!({ "oneOf": [
        { "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX },
        { "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": KEY },
    ]}))
}

/// A key as text.
pub(in crate::http) fn key() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": KEY }))
}

/// A short word such as an origin.
pub(in crate::http) fn word() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": 50, "pattern": KEY }))
}

/// A day.
pub(in crate::http) fn day() -> RefOr<Schema> {
    schema(json!({ "type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }))
}

/// An instant of RFC 3339.
pub(in crate::http) fn instant() -> RefOr<Schema> {
    schema(json!({ "type": "string", "format": "date-time" }))
}

/// Records of one page.
pub(in crate::http) fn limit() -> RefOr<Schema> {
    schema(json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 20 }))
}

/// The caller's key for a request.
pub(in crate::http) fn idempotency_key() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": IDEMPOTENCY_KEY }))
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
pub(in crate::http) fn interval() -> RefOr<Schema> {
    between(0, 1_000)
}

/// How many tasks a testee gets.
pub(in crate::http) fn total_times() -> RefOr<Schema> {
    between(0, 100)
}

/// How many tasks are opened at most.
pub(in crate::http) fn schedule_limit() -> RefOr<Schema> {
    schema(json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT }))
}

/// Which page, from 1.
pub(in crate::http) fn page() -> RefOr<Schema> {
    schema(json!({ "type": "integer", "minimum": 1, "maximum": i32::MAX, "default": 1 }))
}

/// Items of a page.
pub(in crate::http) fn page_size() -> RefOr<Schema> {
    limit()
}

/// Days of which none is before the one that precedes it.
pub(in crate::http) fn days() -> RefOr<Schema> {
    schema(json!({ "type": "array", "maxItems": 100, "items": day() }))
}

/// Increasing weeks.
pub(in crate::http) fn weeks() -> RefOr<Schema> {
    let week = json!({ "type": "integer", "minimum": 1, "maximum": 1_000 });
    schema(json!({ "type": "array", "maxItems": 100, "items": week }))
}

/// Persons, as a list or as numbers with commas in between.
pub(in crate::http) fn testee_ids() -> RefOr<Schema> {
    schema(json!({ "oneOf": [
        { "type": "array", "minItems": 1, "maxItems": MAX_TESTEES, "items": number() },
        { "type": "string", "pattern": "^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,999}$" },
    ]}))
}

/// The first day of each testee, by id.
pub(in crate::http) fn start_dates() -> RefOr<Schema> {
    schema(
        json!({ "type": "object", "additionalProperties": day(), "propertyNames": { "type": "string", "pattern": NUMERIC } }),
    )
}

/// True or false, in the query as text.
pub(in crate::http) fn flag() -> RefOr<Schema> {
    schema(json!({ "oneOf": [{ "type": "boolean" }, { "type": "string", "enum": ["true", "false"] }] }))
}

/// An instant: RFC 3339, or the wall clock of the server's zone.
pub(in crate::http) fn moment() -> RefOr<Schema> {
    let pattern =
        "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])( ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])?$";
    schema(json!({ "oneOf": [
        { "type": "string", "format": "date-time", "pattern": "T" },
        { "type": "string", "pattern": pattern },
    ]}))
}

/// The code of a scale; spaces around it are taken away.
pub(in crate::http) fn scale_code() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": 100, "pattern": r"[^\s\x00\x85]" }))
}

/// Any text: what nothing equals finds nothing.
pub(in crate::http) fn text() -> RefOr<Schema> {
    schema(json!({ "type": "string" }))
}

/// The token of an entry.
pub(in crate::http) fn token() -> RefOr<Schema> {
    key()
}

/// The address of an entry.
pub(in crate::http) fn entry_url() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": 500 }))
}

/// How a plan counts its days.
pub(in crate::http) fn schedule_type() -> RefOr<Schema> {
    words(
        [ScheduleType::ByWeek, ScheduleType::ByDay, ScheduleType::FixedDate, ScheduleType::Custom]
            .map(ScheduleType::as_str),
    )
}

/// How a plan stands.
pub(in crate::http) fn plan_status() -> RefOr<Schema> {
    use PlanStatus::{Active, Canceled, Finished, Paused};
    words([Active, Paused, Finished, Canceled].map(PlanStatus::as_str))
}

/// How a task stands.
pub(in crate::http) fn task_status() -> RefOr<Schema> {
    use TaskStatus::{Canceled, Completed, Expired, Opened, Pending};
    words([Pending, Opened, Completed, Expired, Canceled].map(TaskStatus::as_str))
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
            ("number", number()),
            ("id", id()),
            ("key", key()),
            ("word", word()),
            ("day", day()),
            ("instant", instant()),
            ("limit", limit()),
            ("idempotency_key", idempotency_key()),
        ] {
            let written = serde_json::to_value(&schema).unwrap();
            let says =
                ["enum", "oneOf", "pattern", "format", "maximum"].map(|word| written.get(word).is_some());
            assert!(says.contains(&true), "{name}: {written}");
        }
        let written = serde_json::to_value(org()).unwrap();
        assert_eq!(written["oneOf"][0]["maximum"], json!(i64::MAX), "{written}");
    }
}
