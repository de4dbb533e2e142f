//! What operations have in common: the envelope, the refusals, the headers, and fields in the query or the body.

use serde_json::{Map, Value, json};

/// On an operation whose fields may stand in the query as well as in the body.
const QUERY_OR_BODY: &str = "x-query-or-body";

/// On an operation whose replies have no envelope.
const UNWRAPPED: &str = "x-unwrapped";

/// The reply to everything that was not done.
pub(super) fn error() -> Value {
    json!({
        "type": "object",
        "description": "Something was not done.",
        "required": ["code", "message", "request_id"],
        "properties": {
            "code": { "type": "integer", "minimum": 100_000, "description": "Stable: programs may rely on it." },
            "message": { "type": "string", "description": "What was wrong and where, for people." },
            "data": { "description": "What was done all the same, or what stood in the way." },
            "request_id": { "type": "string" },
        },
    })
}

/// Adds to an operation what it does not say itself.
pub(super) fn complete(path: &str, operation: &mut Value, components: &Value) {
    operation["operationId"] = json!(distinct(path, operation["operationId"].as_str().unwrap_or_default()));
    if operation[QUERY_OR_BODY] == true {
        let fields = query(operation, components);
        parameters(operation).extend(fields);
    }
    let protected = operation["security"] != json!([{}]);
    if protected {
        operation["security"] = json!([{ "bearer": [] }]);
    }
    let unwrapped = operation[UNWRAPPED] == true;
    if let Some(responses) = operation["responses"].as_object_mut() {
        for (status, response) in responses.iter_mut() {
            envelope(status, response, unwrapped);
        }
    }
    refusals(operation, protected);
    headers(operation, protected);
}

/// The same handler may answer at several paths; an operation id stands for one of them.
fn distinct(path: &str, id: &str) -> String {
    match path {
        path if path.starts_with("/internal/") => format!("internal_{id}"),
        path if path.starts_with("/api/v2/") => format!("{id}_v2"),
        "/api/v1/.well-known/jwks.json" => format!("api_{id}"),
        _ => id.to_owned(),
    }
}

fn parameters(operation: &mut Value) -> &mut Vec<Value> {
    if !operation["parameters"].is_array() {
        operation["parameters"] = json!([]);
    }
    match &mut operation["parameters"] {
        Value::Array(parameters) => parameters,
        // It was made an array above.
        _ => unreachable!("parameters are an array"),
    }
}

/// The fields of the body as parameters of the query, where nothing stands for null.
fn query(operation: &Value, components: &Value) -> Vec<Value> {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let one_of = body["oneOf"].as_array().into_iter().flatten();
    let name = one_of.chain([body]).find_map(|schema| schema["$ref"].as_str()?.rsplit('/').next());
    let properties = name.and_then(|name| components["schemas"][name]["properties"].as_object());
    let parameter = |(name, schema): (&String, &Value)| {
        let description = schema["description"].as_str().unwrap_or_default();
        json!({
            "name": name, "in": "query", "required": false, "description": description,
            "schema": without_null(schema),
        })
    };
    properties.into_iter().flatten().map(parameter).collect()
}

fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove("description");
    }
    if let Some(choices) = schema["oneOf"].as_array_mut() {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_slice() {
            return only.clone();
        }
    } else if let Some(types) = schema["type"].as_array() {
        schema["type"] = types.iter().find(|name| *name != "null").cloned().unwrap_or_default();
    }
    schema
}

/// Puts what a handler says about its data into the envelope.
fn envelope(status: &str, response: &mut Value, unwrapped: bool) {
    let success = status.starts_with('2');
    if unwrapped && (success || !response["content"].is_null()) {
        return;
    }
    let data = response["content"]["application/json"]["schema"].take();
    let schema = match (success, data) {
        (true, data) => json!({
            "type": "object",
            "required": ["code", "message", "data", "request_id"],
            "properties": {
                "code": { "const": 200 },
                "message": { "type": "string", "const": "success" },
                "data": data,
                "request_id": { "type": "string" },
            },
        }),
        (false, Value::Null) => json!({ "$ref": "#/components/schemas/Error" }),
        (false, data) => json!({ "allOf": [
            { "$ref": "#/components/schemas/Error" },
            { "properties": { "data": data } },
        ]}),
    };
    response["content"] = json!({ "application/json": { "schema": schema } });
}

/// The refusals that do not depend on what is asked.
fn refusals(operation: &mut Value, protected: bool) {
    let body = !operation["requestBody"].is_null();
    let input = body || operation["parameters"].as_array().is_some_and(|all| !all.is_empty());
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let mut add = |wanted: bool, status: &str, description: &str| {
        if wanted && !responses.contains_key(status) {
            let schema = json!({ "$ref": "#/components/schemas/Error" });
            let content = json!({ "application/json": { "schema": schema } });
            responses.insert(status.to_owned(), json!({ "description": description, "content": content }));
        }
    };
    add(input, "400", "The input does not make sense; the message names the field.");
    add(protected, "401", "There is no token, or it does not count.");
    add(protected, "403", "The roles of the caller are not enough.");
    add(body, "413", "The body is too large.");
    add(protected, "429", "The caller asks too often.");
    add(true, "500", "A defect, or a database that does not answer.");
    add(true, "503", "No answer within the deadline, or the keys of the IAM could not be fetched.");
}

fn headers(operation: &mut Value, protected: bool) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, response) in responses {
        let mut headers: Map<String, Value> = response["headers"].as_object().cloned().unwrap_or_default();
        let mut add = |name: &str, description: &str, schema: Value| {
            let header = json!({ "description": description, "required": true, "schema": schema });
            headers.entry(name).or_insert(header);
        };
        add(
            "X-Request-Id",
            "The caller's own id if it was harmless, or a new one.",
            json!({ "type": "string" }),
        );
        // An unwrapped 503 (`/ready`) is an answer, not a refusal.
        let content = response["content"].to_string();
        let passes = match status.as_str() {
            "423" | "429" | "503" => content.contains("schemas/Error"),
            // The state of a plan does not change by waiting; a sync that is in the way ends.
            "409" => content.contains("SyncInTheWay"),
            _ => false,
        };
        if passes {
            let seconds = json!({ "type": "integer", "minimum": 1 });
            add("Retry-After", "Seconds until another attempt makes sense.", seconds);
        }
        if protected && status == "401" {
            add("WWW-Authenticate", "How to authenticate.", json!({ "type": "string", "const": "Bearer" }));
        }
        response["headers"] = Value::Object(headers);
    }
}
