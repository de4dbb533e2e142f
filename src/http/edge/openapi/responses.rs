//! What the replies of all operations have in common: the envelope, the refusals, the headers.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AllOfBuilder, Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder, Schema};

use super::{JSON, marked};

/// On an operation whose replies have no envelope.
const UNWRAPPED: &str = "x-unwrapped";

const RETRY_AFTER: &str = "Retry-After";

/// Adds to an operation what it does not say itself.
pub(super) fn complete(operation: &mut Operation) {
    let protected = operation.security != Some(vec![SecurityRequirement::default()]);
    if protected {
        operation.security = Some(vec![SecurityRequirement::new("bearer", [""; 0])]);
    }
    let unwrapped = marked(operation, UNWRAPPED);
    refusals(operation, protected);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let success = status.starts_with('2');
        let own = unwrapped && (success || !response.content.is_empty());
        if !own {
            envelope(success, response);
        }
        // A reply of its own with 503 (`/ready`) is an answer, not a refusal.
        let passes = !own && matches!(status.as_str(), "429" | "503");
        headers(&mut response.headers, passes, protected && status == "401");
    }
}

/// The refusals that do not depend on what is asked.
fn refusals(operation: &mut Operation, protected: bool) {
    let body = operation.request_body.is_some();
    let input = body || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    for (possible, status, description) in [
        (input, "400", "The input does not make sense; the message names the field."),
        (protected, "401", "There is no token, or it does not count."),
        (protected, "403", "The roles of the caller are not enough."),
        (body, "408", "The body did not arrive in time."),
        (body, "413", "The body is too large."),
        (body, "415", "The body is packed: its Content-Encoding is not undone."),
        (protected, "429", "The caller asks too often."),
        (true, "500", "A defect, or a database that did not do what was asked."),
        (body, "501", "The body comes in a Transfer-Encoding other than chunked."),
        (
            true,
            "503",
            "No answer within the deadline, too much under way, a server that is ending, a store that cannot be used now, or no usable keys of the IAM.",
        ),
    ] {
        if possible {
            let refusal = || ResponseBuilder::new().description(description).build().into();
            operation.responses.responses.entry(status.to_owned()).or_insert_with(refusal);
        }
    }
}

/// Puts what a handler says about its data into the envelope.
fn envelope(success: bool, response: &mut Response) {
    let data = match response.content.swap_remove(JSON) {
        Some(RefOr::T(content)) => content.schema,
        _ => None,
    };
    let error = Ref::from_schema_name("Error");
    let schema: RefOr<Schema> = match (success, data) {
        (true, data) => done(data.unwrap_or_else(|| any().into())).into(),
        (false, None) => error.into(),
        (false, Some(data)) => AllOfBuilder::new().item(error).item(any().property("data", data)).into(),
    };
    response.content.clear();
    response.content.insert(JSON.to_owned(), Content::new(Some(schema)).into());
}

/// The envelope of what was done.
fn done(data: RefOr<Schema>) -> Object {
    ObjectBuilder::new()
        .property("code", any().extensions(Some(keyword("const", 200))))
        .property("message", text().extensions(Some(keyword("const", "success"))))
        .property("data", data)
        .property("request_id", text())
        .required("code")
        .required("message")
        .required("data")
        .required("request_id")
        .build()
}

/// The envelope of everything that was not done.
pub(super) fn error() -> Object {
    let code = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(100_000));
    let data = "What was done all the same, or what stood in the way.";
    ObjectBuilder::new()
        .description(Some("Something was not done."))
        .property("code", code.description(Some("Stable: programs may rely on it.")))
        .property("message", text().description(Some("What was wrong and where, for people.")))
        .property("data", any().description(Some(data)))
        .property("request_id", text())
        .required("code")
        .required("message")
        .required("request_id")
        .build()
}

fn headers(headers: &mut BTreeMap<String, RefOr<Header>>, passes: bool, unauthorized: bool) {
    let id = "The caller's own id if it was harmless, or a new one.";
    headers.insert("X-Request-Id".to_owned(), header(id, text()));
    if passes || headers.contains_key(RETRY_AFTER) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        headers.insert(RETRY_AFTER.to_owned(), header("Seconds until another attempt makes sense.", seconds));
    }
    if unauthorized {
        let bearer = text().extensions(Some(keyword("const", "Bearer")));
        headers.insert("WWW-Authenticate".to_owned(), header("How to authenticate.", bearer));
    }
}

/// A header that is always there.
fn header(description: &str, schema: ObjectBuilder) -> RefOr<Header> {
    let header = HeaderBuilder::new().description(Some(description)).schema(Some(schema));
    RefOr::T(header.extensions(Some(keyword("required", true))).build())
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// Whatever there may be.
fn any() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}

/// A keyword for which there is no field: what stands among the extensions is written beside the fields.
pub(in crate::http) fn keyword(name: &str, value: impl Into<Value>) -> Extensions {
    Extensions::from_iter([(name, value)])
}
