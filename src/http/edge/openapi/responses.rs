//! What the replies of all operations have in common: the envelope, the refusals, the headers.

use serde_json::{Value, json};

use super::fields;

/// On an operation whose replies have no envelope.
const UNWRAPPED: &str = "x-unwrapped";

const RETRY_AFTER: &str = "Retry-After";

/// Adds to an operation what it does not say itself.
pub(super) fn complete(operation: &mut Value) {
    let protected = operation["security"] != json!([{}]);
    if protected {
        operation["security"] = json!([{ "bearer": [] }]);
    }
    refusals(operation, protected);
    let unwrapped = operation[UNWRAPPED] == true;
    for (status, response) in fields(operation.get_mut("responses")) {
        let success = status.starts_with('2');
        let own = unwrapped && (success || response["content"].is_object());
        if !own {
            envelope(success, response);
        }
        // A reply of its own with 503 (`/ready`) is an answer, not a refusal.
        let passes = !own && matches!(status.as_str(), "429" | "503");
        headers(&mut response["headers"], passes, protected && status == "401");
    }
}

/// The refusals that do not depend on what is asked.
fn refusals(operation: &mut Value, protected: bool) {
    let body = operation["requestBody"].is_object();
    let input = body || operation["parameters"].is_array();
    for (possible, status, description) in [
        (input, "400", "The input does not make sense; the message names the field."),
        (protected, "401", "There is no token, or it does not count."),
        (protected, "403", "The roles of the caller are not enough."),
        (body, "413", "The body is too large."),
        (protected, "429", "The caller asks too often."),
        (true, "500", "A defect, or a database that does not answer."),
        (true, "503", "No answer within the deadline, or the keys of the IAM could not be fetched."),
    ] {
        if possible && operation["responses"][status].is_null() {
            operation["responses"][status] = json!({ "description": description });
        }
    }
}

/// Puts what a handler says about its data into the envelope.
fn envelope(success: bool, response: &mut Value) {
    let data = response.pointer("/content/application~1json/schema").cloned();
    let error = json!({ "$ref": "#/components/schemas/Error" });
    let schema = match (success, data) {
        (true, data) => done(&data.unwrap_or_else(|| json!({}))),
        (false, None) => error,
        (false, Some(data)) => json!({ "allOf": [error, { "properties": { "data": data } }] }),
    };
    response["content"] = json!({ "application/json": { "schema": schema } });
}

/// The envelope of what was done.
fn done(data: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["code", "message", "data", "request_id"],
        "properties": {
            "code": { "const": 200 },
            "message": { "type": "string", "const": "success" },
            "data": data,
            "request_id": { "type": "string" },
        },
    })
}

/// The envelope of everything that was not done.
pub(super) fn error() -> Value {
    let (code, message) = ("Stable: programs may rely on it.", "What was wrong and where, for people.");
    let data = "What was done all the same, or what stood in the way.";
    json!({
        "type": "object",
        "description": "Something was not done.",
        "required": ["code", "message", "request_id"],
        "properties": {
            "code": { "type": "integer", "description": code, "minimum": 100_000 },
            "message": { "type": "string", "description": message },
            "data": { "description": data },
            "request_id": { "type": "string" },
        },
    })
}

fn headers(headers: &mut Value, passes: bool, unauthorized: bool) {
    let id = "The caller's own id if it was harmless, or a new one.";
    headers["X-Request-Id"] = header(id, &json!({ "type": "string" }));
    if passes || headers[RETRY_AFTER].is_object() {
        let seconds = json!({ "type": "integer", "minimum": 1 });
        headers[RETRY_AFTER] = header("Seconds until another attempt makes sense.", &seconds);
    }
    if unauthorized {
        let bearer = json!({ "type": "string", "const": "Bearer" });
        headers["WWW-Authenticate"] = header("How to authenticate.", &bearer);
    }
}

/// A header that is always there.
fn header(description: &str, schema: &Value) -> Value {
    json!({ "schema": schema, "description": description, "required": true })
}
