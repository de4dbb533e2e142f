//! The OpenAPI document: what the routes say about themselves, and what all of them have in common.
//!
//! A handler documents what is its own: fields, the data of its replies, the statuses that only it has. What follows from
//! that is added here, once: keys in the path, fields that may stand in the query, the envelope, refusals and headers.

mod responses;
pub mod schema;
mod serve;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{Object, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{OpenApi, RefOr, Required, Schema};

pub(super) use serve::{Served, router};

pub(in crate::http) use responses::keyword;

/// On an operation whose fields may stand in the query as well as in the body.
const QUERY_OR_BODY: &str = "x-query-or-body";

/// The tags of the routes that every program has.
const TAGS: [(&str, &str); 2] = [
    ("health", "Whether the server works. These replies have no envelope."),
    (OBSERVATION, "This document and the metrics: open on a loopback address, with a token elsewhere."),
];
const OBSERVATION: &str = "observation";

const JSON: &str = "application/json";

/// Completes what was collected from the routes.
pub(super) struct Completion {
    /// The routes that observe the program need no token.
    pub(super) open: bool,
}

impl Modify for Completion {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let mut bodies = BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                if self.open && operation.tags.iter().flatten().any(|tag| tag == OBSERVATION) {
                    operation.security = Some(vec![SecurityRequirement::default()]);
                }
                keys_in_path(path, operation);
                if let Some(body) = body(operation) {
                    if marked(operation, QUERY_OR_BODY) {
                        fields_in_query(operation, components.schemas.get(&body));
                    }
                    bodies.insert(body);
                }
                responses::complete(operation);
            }
        }
        for body in bodies {
            components.schemas.entry(body).and_modify(optional_or_null);
        }
        components.schemas.insert("Error".to_owned(), responses::error().into());
        components.add_security_scheme("bearer", bearer());
        describe_tags(document);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn marked(operation: &Operation, mark: &str) -> bool {
    operation.extensions.as_ref().is_some_and(|marks| marks.get(mark) == Some(&Value::Bool(true)))
}

/// A variable part of the path of which nothing is said is the key of a row.
fn keys_in_path(path: &str, operation: &mut Operation) {
    let said = |parameter: &RefOr<Parameter>, name: &str| match parameter {
        RefOr::T(parameter) => parameter.name == name && parameter.parameter_in == ParameterIn::Path,
        RefOr::Ref(_) => false,
    };
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for (at, name) in names.enumerate() {
        if !operation.parameters.iter().flatten().any(|parameter| said(parameter, name)) {
            let key = json!({ "type": "integer", "format": "int64", "minimum": 1 });
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some("The id."))
                .schema(Some(schema::schema(key)));
            operation.parameters.get_or_insert_default().insert(at, parameter.build().into());
        }
    }
}

/// The name of the schema that the body of an operation has.
fn body(operation: &Operation) -> Option<String> {
    let RefOr::T(body) = operation.request_body.as_ref()? else { return None };
    let RefOr::T(content) = body.content.get(JSON)? else { return None };
    let schema = content.schema.as_ref()?;
    let choices = match schema {
        RefOr::T(Schema::OneOf(choices)) => choices.items.as_slice(),
        one => std::slice::from_ref(one),
    };
    choices.iter().find_map(|choice| match choice {
        RefOr::Ref(named) => named.ref_location.strip_prefix("#/components/schemas/").map(str::to_owned),
        RefOr::T(_) => None,
    })
}

/// The fields of the body as parameters of the query.
fn fields_in_query(operation: &mut Operation, body: Option<&RefOr<Schema>>) {
    let Some(RefOr::T(Schema::Object(body))) = body else { return };
    for (name, schema) in &body.properties {
        let mut schema = schema.clone();
        let description = match &mut schema {
            RefOr::T(Schema::OneOf(choices)) => choices.description.take(),
            RefOr::T(Schema::Object(object)) => object.description.take(),
            _ => None,
        };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(description.unwrap_or_default()))
            .schema(Some(schema));
        operation.parameters.get_or_insert_default().push(parameter.build().into());
    }
}

/// What a body need not hold may be null as well.
fn optional_or_null(body: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(body)) = body else { return };
    for (name, property) in &mut body.properties {
        let nullable =
            matches!(property, RefOr::T(Schema::Object(Object { schema_type: SchemaType::Array(_), .. })));
        if nullable || body.required.contains(name) {
            continue;
        }
        let mut choices = match property.clone() {
            RefOr::T(Schema::OneOf(choices)) => choices,
            one => OneOfBuilder::new().item(one).build(),
        };
        choices.items.push(Object::with_type(Type::Null).into());
        choices.description.get_or_insert_default();
        *property = Schema::OneOf(choices).into();
    }
}

fn bearer() -> SecurityScheme {
    let http = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token of the IAM, signed with RS256 or ES256."));
    SecurityScheme::Http(http.build())
}

fn describe_tags(document: &mut OpenApi) {
    let tags = document.tags.get_or_insert_default();
    for (name, description) in TAGS {
        match tags.iter_mut().find(|tag| tag.name == name) {
            Some(tag) => tag.description = Some(description.to_owned()),
            None => tags.push(TagBuilder::new().name(name).description(Some(description)).build()),
        }
    }
}
