//! The input of an endpoint: a JSON object, nothing, or the query; where both name a field, the query wins.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Edge;
use super::body::{self, BodyLimits};
use super::error::ApiError;
use super::headers;
use crate::domain::json::unambiguous;
use crate::identity::Identity;

/// A body that nobody has read. It takes a caller who may do what is asked to read it: whoever may not is refused before
/// a byte of it is waited for.
#[derive(Debug)]
pub struct Unread {
    body: axum::body::Body,
    edge: Arc<Edge>,
}

impl Unread {
    /// The body, for a caller whose permission was asked for (`Caller::require`).
    pub async fn read(self, _allowed: &Identity) -> Result<Bytes, ApiError> {
        self.bytes().await
    }

    async fn bytes(self) -> Result<Bytes, ApiError> {
        let limits = BodyLimits { bytes: self.edge.max_body, time: self.edge.body_timeout };
        body::read(self.body, limits, &self.edge.bodies).await
    }
}

impl<S: Send + Sync> FromRequest<S> for Unread
where
    Arc<Edge>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self { body: request.into_body(), edge: Arc::from_ref(state) })
    }
}

/// The fields of `T`, of which nothing is read yet. A field that `T` does not know is refused.
#[derive(Debug)]
pub struct Input<T> {
    query: Vec<(String, String)>,
    json: Result<(), ApiError>,
    body: Unread,
    fields: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Input<T> {
    /// The fields, for a caller whose permission was asked for (`Caller::require`).
    pub async fn read(self, allowed: &Identity) -> Result<T, ApiError> {
        self.json?;
        read(&self.body.read(allowed).await?, self.query)
    }
}

impl<S: Send + Sync, T> FromRequest<S> for Input<T>
where
    Arc<Edge>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| ApiError::body(error.to_string()))?;
        let json = headers::json_body(request.headers());
        let body = Unread::from_request(request, state).await?;
        Ok(Self { query: query.0, json, body, fields: PhantomData })
    }
}

/// The object that is the body alone: what must not stand in a query, which logs and histories keep. It is read without
/// a caller, so it is for a route that makes one: a login.
#[derive(Debug)]
pub struct Body(pub Value);

impl<S: Send + Sync> FromRequest<S> for Body
where
    Arc<Edge>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        headers::json_body(request.headers())?;
        let bytes = Unread::from_request(request, state).await?.bytes().await?;
        object(&bytes).map(|fields| Body(Value::Object(fields)))
    }
}

/// The variable parts of the path; what cannot be decoded is refused in the envelope.
#[derive(Debug)]
pub struct Segment<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Segment(value)).map_err(|rejection| ApiError::invalid("path", rejection))
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8], query: Vec<(String, String)>) -> Result<T, ApiError> {
    let mut fields = object(body)?;
    let mut seen = HashSet::new();
    for (name, value) in query {
        if !seen.insert(name.clone()) {
            return Err(ApiError::invalid(&name, "is given twice in the query"));
        }
        // What decoding puts in the place of bytes that are no UTF-8: nobody can tell what was meant.
        if name.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(ApiError::invalid(&name, "is not UTF-8 in the query"));
        }
        fields.insert(name, Value::String(value));
    }
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let field = error.path().to_string();
        ApiError::invalid(if field == "." { "input" } else { &field }, error.into_inner())
    })
}

fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match unambiguous(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(ApiError::body("expected a JSON object")),
        // The parser's text tells line and column, and of the body no more than the name of a field.
        Err(error) => Err(ApiError::body(format!("the body is not JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        a: Option<String>,
        b: Option<String>,
    }

    fn sample(body: &str, query: &[(&str, &str)]) -> Result<Sample, ApiError> {
        read(body.as_bytes(), query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn body_and_query_are_one_input() {
        assert_eq!(sample("", &[]).unwrap(), Sample::default());
        assert_eq!(sample(" null ", &[]).unwrap(), Sample::default());
        let both = sample(r#"{"a":"1","b":"2"}"#, &[("b", "3")]).unwrap();
        assert_eq!((both.a.as_deref(), both.b.as_deref()), (Some("1"), Some("3")));
        for bad in ["{", "[]", "5", r#"{"c":1}"#, r#"{"a":[]}"#, r#"{"a":"1","a":"1"}"#] {
            assert!(sample(bad, &[]).is_err(), "{bad}");
        }
        assert!(sample("", &[("c", "1")]).is_err());
        assert!(sample("", &[("a", "1"), ("a", "1")]).is_err(), "which of the two?");
        assert!(sample("", &[("a", "\u{fffd}")]).is_err(), "what was it?");
        let message = sample(r#"{"a":[]}"#, &[]).unwrap_err().message;
        assert!(message.starts_with("a: invalid type"), "the field is named: {message}");
    }
}
