//! Schemas of the fields that the inputs of every program share. What the server enforces stands here as well.

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

/// A positive number as text, without a sign or zeros before it.
pub const NUMERIC: &str = "^[1-9][0-9]{0,17}$";

/// An Idempotency-Key, bare or as a structured string (`"k"`).
const IDEMPOTENCY_KEY: &str = r#"^(?!""$)[!-~]([ -~]{0,253}[!-~])?$"#;

/// The schema that this JSON is. What cannot be read becomes an object without a rule; a test finds those.
pub fn schema(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).unwrap_or_else(|_| RefOr::T(Schema::default()))
}

/// One of these words.
pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    schema(json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() }))
}

/// Any text.
pub fn text() -> RefOr<Schema> {
    schema(json!({ "type": "string" }))
}

/// A day.
pub fn day() -> RefOr<Schema> {
    schema(json!({ "type": "string", "format": "date", "pattern": "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$" }))
}

/// An instant of RFC 3339.
pub fn instant() -> RefOr<Schema> {
    schema(json!({ "type": "string", "format": "date-time" }))
}

/// A positive number, or one as text.
pub fn number() -> RefOr<Schema> {
    schema(json!({ "oneOf": [
        { "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX },
        { "type": "string", "pattern": NUMERIC },
    ]}))
}

/// True or false, in the query as text.
pub fn flag() -> RefOr<Schema> {
    schema(json!({ "oneOf": [{ "type": "boolean" }, { "type": "string", "enum": ["true", "false"] }] }))
}

/// Which page, from 1.
pub fn page() -> RefOr<Schema> {
    schema(json!({ "type": "integer", "minimum": 1, "maximum": i32::MAX, "default": 1 }))
}

/// Items of a page.
pub fn page_size() -> RefOr<Schema> {
    schema(json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 20 }))
}

/// The caller's key for a request.
pub fn idempotency_key() -> RefOr<Schema> {
    schema(json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": IDEMPOTENCY_KEY }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_says_what_was_written() {
        for (name, schema) in [
            ("words", words(["a"])),
            ("day", day()),
            ("instant", instant()),
            ("number", number()),
            ("flag", flag()),
            ("page", page()),
            ("page_size", page_size()),
            ("idempotency_key", idempotency_key()),
        ] {
            let written = serde_json::to_value(&schema).unwrap();
            let says =
                ["enum", "oneOf", "pattern", "format", "maximum"].map(|word| written.get(word).is_some());
            assert!(says.contains(&true), "{name}: {written}");
        }
    }
}
