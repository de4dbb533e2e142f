//! What the document says of the program as a whole.

use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::{OpenApi, RefOr, Schema};

use super::events;
use super::schema::schema;
use super::sync_replies::{SyncAccepted, SyncInTheWay, SyncReply};
use crate::http::edge::openapi::keyword;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "qs-apiserver",
        description = "The business endpoints that the crontab calls. Every reply is one envelope: \
                       `{\"code\":200,\"message\":\"success\",\"data\":…,\"request_id\":…}`; an error has the HTTP \
                       status, a stable code, and a message that says what was wrong and where. What is refused before there is \
                       a request has no body: a head of more than 32 KiB (431) or that is no HTTP (400), and a \
                       connection while every other one is worked on (503).",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "syncs", description = "The scheduled work, and how it went. Fields may stand in the query or in a JSON \
                                        body; the query wins."),
        (name = "statistics", description = "Events that are counted, and what the syncs have made of them."),
        (name = "plans", description = "Plans, their tasks, and who is enrolled."),
        (name = "health"),
        (name = "development", description = "The IAM inside a server that runs with --dev-iam."),
    ),
    components(schemas(SyncReply, SyncAccepted, SyncInTheWay))
)]
struct Base;

/// The document before the routes have said anything.
pub(super) fn base() -> OpenApi {
    Base::openapi()
}

/// Adds what a body must hold beyond what each of its fields says.
pub(super) fn rules(document: &mut OpenApi) {
    let nothing = json!({ "type": "null" });
    let given = |fields: &[&str]| {
        let not_null = |field: &&str| ((*field).to_owned(), json!({ "not": nothing }));
        json!({ "required": fields, "properties": fields.iter().map(not_null).collect::<Map<_, _>>() })
    };
    let neither = json!({ "properties": { "start_date": nothing, "end_date": nothing } });
    let any_of = |document: &mut OpenApi, body: &str, rules: Value| {
        let schemas = document.components.as_mut().map(|components| &mut components.schemas);
        if let Some(RefOr::T(Schema::Object(body))) = schemas.and_then(|schemas| schemas.get_mut(body)) {
            body.extensions = Some(keyword("anyOf", rules));
        }
    };
    any_of(document, "DailyInput", json!([given(&["start_date", "end_date"]), neither]));
    let subjects = ["questionnaire_code", "testee_id", "plan_id"];
    any_of(document, "EventBody", subjects.iter().map(|subject| given(&[*subject])).collect());
    many_events(document);
}

/// The intake takes an array of what it takes alone.
fn many_events(document: &mut OpenApi) {
    let intake = document.paths.paths.get_mut(events::PATH).and_then(|item| item.post.as_mut());
    let Some(RefOr::T(body)) = intake.and_then(|intake| intake.request_body.as_mut()) else { return };
    if let Some(RefOr::T(content)) = body.content.get_mut("application/json") {
        let one = json!({ "$ref": "#/components/schemas/EventBody" });
        let many = json!({ "type": "array", "minItems": 1, "maxItems": events::MAX_EVENTS, "items": one });
        content.schema = Some(schema(json!({ "oneOf": [one, many] })));
    }
}
