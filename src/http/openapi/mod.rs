//! The OpenAPI document: what the routes say about themselves, and what all of them have in common.
//!
//! A handler documents what is its own: fields, the data of its replies, the statuses that only it has. The envelope,
//! the refusals of every protected route and the headers are added here, once.

mod common;
pub(super) mod schema;
pub(super) mod serve;

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::sync_replies::{SyncAccepted, SyncInTheWay, SyncReply};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "qs-apiserver",
        description = "The business endpoints that the crontab calls. Every reply is one envelope: \
                       `{\"code\":200,\"message\":\"success\",\"data\":…,\"request_id\":…}`; an error has the HTTP \
                       status, a stable code, and a message that says what was wrong and where.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "syncs", description = "The scheduled work, and how it went. Fields may stand in the query or in a JSON \
                                        body; the query wins."),
        (name = "statistics", description = "Events that are counted, and what the syncs have made of them."),
        (name = "plans", description = "Plans, their tasks, and who is enrolled."),
        (name = "health", description = "Whether the server works. These replies have no envelope."),
        (name = "development", description = "The IAM inside a server that runs with --dev-iam."),
        (name = "observation", description = "This document and the metrics: open on a loopback address, with a token \
                                              elsewhere."),
    ),
    components(schemas(SyncReply, SyncAccepted, SyncInTheWay))
)]
struct Base;

/// The document before the routes have said anything.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The document as it is served. `open`: the routes for observation need no token.
pub(super) fn complete(collected: &utoipa::openapi::OpenApi, open: bool) -> Value {
    let mut document = serde_json::to_value(collected).unwrap_or_default();
    let components = document["components"].take();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (_, operation) in item.as_object_mut().into_iter().flatten() {
                if open && operation["tags"][0] == "observation" {
                    operation["security"] = json!([{}]);
                }
                common::complete(path, operation, &components);
            }
        }
    }
    document["components"] = components;
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        if let Some(rules) = schema::rules(name) {
            schema["anyOf"] = rules;
        }
    }
    document["components"]["schemas"]["Error"] = common::error();
    document["components"]["securitySchemes"] = json!({ "bearer": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "A token of the IAM, signed with RS256 or ES256.",
    }});
    document
}
