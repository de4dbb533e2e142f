//! The OpenAPI document: what the routes say about themselves, and what all of them have in common.
//!
//! A handler documents what is its own: fields, the data of its replies, the statuses that only it has. What follows from
//! that is added here, once: keys in the path, fields that may stand in the query, the envelope, refusals and headers.

mod responses;
pub mod schema;
mod serve;

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub(super) use serve::{Served, router};

/// On an operation whose fields may stand in the query as well as in the body.
const QUERY_OR_BODY: &str = "x-query-or-body";

/// The tags of the routes that every program has.
const TAGS: [(&str, &str); 2] = [
    ("health", "Whether the server works. These replies have no envelope."),
    (OBSERVATION, "This document and the metrics: open on a loopback address, with a token elsewhere."),
];
const OBSERVATION: &str = "observation";

/// Completes what was collected from the routes. `open`: those that observe the program need no token.
pub(super) fn complete(document: &mut Value, open: bool) {
    let mut schemas = document["components"]["schemas"].take();
    let mut bodies = BTreeSet::new();
    for (path, item) in fields(document.get_mut("paths")) {
        for (_, operation) in fields(Some(item)) {
            if open && items(&operation["tags"]).any(|tag| tag == OBSERVATION) {
                operation["security"] = json!([{}]);
            }
            let mut parameters: Vec<Value> = items(&operation["parameters"]).cloned().collect();
            keys_in_path(path, &mut parameters);
            if let Some(body) = body(operation) {
                if operation[QUERY_OR_BODY] == true {
                    parameters.extend(fields_in_query(&schemas[&body]));
                }
                bodies.insert(body);
            }
            if !parameters.is_empty() {
                operation["parameters"] = parameters.into();
            }
            responses::complete(operation);
        }
    }
    for body in bodies {
        optional_or_null(&mut schemas[body]);
    }
    schemas["Error"] = responses::error();
    document["components"]["schemas"] = schemas;
    document["components"]["securitySchemes"] = json!({ "bearer": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "A token of the IAM, signed with RS256 or ES256.",
    }});
    describe_tags(document);
}

fn fields(object: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    object.and_then(Value::as_object_mut).into_iter().flatten()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A variable part of the path of which nothing is said is the key of a row.
fn keys_in_path(path: &str, parameters: &mut Vec<Value>) {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for (at, name) in names.enumerate() {
        if !parameters.iter().any(|parameter| parameter["name"] == name && parameter["in"] == "path") {
            let key = json!({ "type": "integer", "format": "int64", "minimum": 1 });
            let parameter = json!({ "name": name, "in": "path", "description": "The id.", "required": true, "schema": key });
            parameters.insert(at, parameter);
        }
    }
}

/// The name of the schema that the body of an operation has.
fn body(operation: &Value) -> Option<String> {
    let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
    let mut choices = std::iter::once(schema).chain(items(&schema["oneOf"]));
    let name = choices.find_map(|choice| choice["$ref"].as_str()?.strip_prefix("#/components/schemas/"));
    name.map(str::to_owned)
}

/// The fields of the body as parameters of the query.
fn fields_in_query(body: &Value) -> impl Iterator<Item = Value> {
    body["properties"].as_object().into_iter().flatten().map(|(name, schema)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let description = description.unwrap_or_else(|| "".into());
        json!({ "name": name, "in": "query", "description": description, "required": false, "schema": schema })
    })
}

/// What a body need not hold may be null as well.
fn optional_or_null(body: &mut Value) {
    let required = body["required"].clone();
    for (name, property) in fields(body.get_mut("properties")) {
        let nullable = property["type"].is_array();
        if nullable || items(&required).any(|required| required == name) {
            continue;
        }
        if property["oneOf"].is_null() {
            *property = json!({ "oneOf": [property.take()] });
        }
        if let Some(choices) = property["oneOf"].as_array_mut() {
            choices.push(json!({ "type": "null" }));
        }
        if property["description"].is_null() {
            property["description"] = "".into();
        }
    }
}

fn describe_tags(document: &mut Value) {
    let mut tags: Vec<Value> = items(&document["tags"]).cloned().collect();
    for (name, description) in TAGS {
        match tags.iter_mut().find(|tag| tag["name"] == name) {
            Some(tag) => tag["description"] = description.into(),
            None => tags.push(json!({ "name": name, "description": description })),
        }
    }
    document["tags"] = tags.into();
}
