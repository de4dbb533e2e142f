//! The input of an endpoint: a JSON object, nothing, or the query; where both name a field, the query wins.

use std::collections::HashSet;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{ApiError, codes};

/// The fields of `T`. A field that `T` does not know is refused.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| ApiError::body(error.to_string()))?;
        read(&bytes(request, state).await?, query.0).map(Input)
    }
}

/// The object that is the body alone: what must not stand in a query, which logs and histories keep.
#[derive(Debug)]
pub struct Body(pub Value);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        object(&bytes(request, state).await?).map(|fields| Body(Value::Object(fields)))
    }
}

pub(super) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let reason = rejection.to_string();
        match rejection.into_response().status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => {
                ApiError::new(status, codes::TOO_LARGE, "the body is too large")
            }
            _ => ApiError::body(reason),
        }
    })
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
        fields.insert(name, Value::String(value));
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| ApiError::invalid("input", error))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(ApiError::body("expected a JSON object")),
        // The parser's text tells line and column, and nothing of the body.
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
        for bad in ["{", "[]", "5", r#"{"c":1}"#, r#"{"a":[]}"#] {
            assert!(sample(bad, &[]).is_err(), "{bad}");
        }
        assert!(sample("", &[("c", "1")]).is_err());
        assert!(sample("", &[("a", "1"), ("a", "1")]).is_err(), "which of the two?");
    }
}
