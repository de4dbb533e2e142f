//! The input of an endpoint: a JSON object, nothing, or the query; where both name a field, the query wins.

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Shared;
use super::error::ApiError;

/// The fields of `T`. A field that `T` does not know is refused.
pub(super) struct Input<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Shared) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| ApiError::Body { reason: error.to_string() })?;
        let body = Bytes::from_request(request, api).await.map_err(|rejection| {
            let reason = rejection.to_string();
            match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
                _ => ApiError::Body { reason },
            }
        })?;
        read(&body, query.0).map(Input)
    }
}

fn read<T: DeserializeOwned>(body: &[u8], query: Vec<(String, String)>) -> Result<T, ApiError> {
    let mut fields = object(body)?;
    fields.extend(query.into_iter().map(|(name, value)| (name, Value::String(value))));
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| ApiError::Invalid { field: "input".to_owned(), reason: error.to_string() })
}

fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(ApiError::Body { reason: "expected a JSON object".to_owned() }),
        // The parser's text tells line and column, and nothing of the body.
        Err(error) => Err(ApiError::Body { reason: format!("the body is not JSON: {error}") }),
    }
}

/// A day as `YYYY-MM-DD`, exactly.
pub(super) fn day(field: &str, text: Option<&str>) -> Result<Option<Date>, ApiError> {
    text.map(|text| {
        // The parser is lenient; what it read must look as it was written.
        let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
        date.ok_or_else(|| ApiError::Invalid {
            field: field.to_owned(),
            reason: "expected a day as YYYY-MM-DD".to_owned(),
        })
    })
    .transpose()
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
    }

    #[test]
    fn a_day_has_one_form() {
        assert_eq!(day("d", None).unwrap(), None);
        assert_eq!(day("d", Some("2026-02-28")).unwrap(), Some("2026-02-28".parse().unwrap()));
        for bad in
            ["", "2026-02-30", "2026-2-1", "20260201", "2026-02-01T00:00:00", "2026/02/01", "+026-02-01"]
        {
            assert!(day("d", Some(bad)).is_err(), "{bad:?}");
        }
    }
}
