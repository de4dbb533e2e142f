//! The input of an endpoint: a JSON object, nothing, or the query; where both name a field, the query wins.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
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
        read(&bytes(request, api).await?, query.0).map(Input)
    }
}

/// The fields of `T` from the body alone: what must not stand in a query, which logs and histories keep.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Shared) -> Result<Self, ApiError> {
        read(&bytes(request, api).await?, Vec::new()).map(Body)
    }
}

async fn bytes(request: Request, api: &Shared) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, api).await.map_err(|rejection| {
        let reason = rejection.to_string();
        match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
            _ => ApiError::Body { reason },
        }
    })
}

/// The variable parts of the path; what cannot be decoded is refused in the envelope.
pub(super) struct Segment<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, ApiError> {
        let Path(value) = Path::from_request_parts(parts, api).await.map_err(|rejection| {
            let reason = rejection.to_string();
            ApiError::Invalid { field: "path".to_owned(), reason }
        })?;
        Ok(Segment(value))
    }
}

fn read<T: DeserializeOwned>(body: &[u8], query: Vec<(String, String)>) -> Result<T, ApiError> {
    let mut fields = object(body)?;
    let mut seen = HashSet::new();
    for (name, value) in query {
        if !seen.insert(name.clone()) {
            let reason = "is given twice in the query".to_owned();
            return Err(ApiError::Invalid { field: name, reason });
        }
        fields.insert(name, Value::String(value));
    }
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

/// A number, or text: the query has only texts, and JavaScript cannot hold long numbers.
#[derive(Debug, PartialEq)]
pub(super) enum NumberOrText {
    /// As JSON writes it.
    Number(i64),
    /// As the query writes it.
    Text(String),
}

impl fmt::Display for NumberOrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = match value {
            Value::String(text) => return Ok(Self::Text(text)),
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            _ => None,
        };
        number.map(Self::Number).ok_or_else(|| D::Error::custom("expected a whole number, or text"))
    }
}

/// Some programs write whole numbers as `5.0`, which JSON Schema counts as whole.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn whole(number: f64) -> Option<i64> {
    // 2^63: every whole number below it is one of 64 bits too.
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && number.abs() < TOO_LARGE).then_some(number as i64)
}

/// A number in its one form: no sign, no zeros before it, no space around it.
pub(super) fn exact<T: FromStr + Display>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

/// The number of a row.
pub(super) fn positive(field: &str, text: &str) -> Result<i64, ApiError> {
    exact(text).filter(|number| *number > 0).ok_or_else(|| ApiError::Invalid {
        field: field.to_owned(),
        reason: "expected a positive whole number".to_owned(),
    })
}

/// An instant of RFC 3339.
pub(super) fn instant(field: &str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|_| ApiError::Invalid {
        field: field.to_owned(),
        reason: "expected an instant of RFC 3339".to_owned(),
    })
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

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<NumberOrText>(text).ok();
        for text in ["5", "5.0", "0.5e1"] {
            assert_eq!(read(text), Some(NumberOrText::Number(5)), "{text}");
        }
        assert_eq!(read("\"5\""), Some(NumberOrText::Text("5".to_owned())));
        for bad in ["5.5", "1e300", "9223372036854775808", "true", "[]"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(exact::<i64>("12"), Some(12));
        for bad in ["", "+1", "01", " 1", "1.0", "9223372036854775808"] {
            assert_eq!(exact::<i64>(bad), None, "{bad:?}");
        }
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
