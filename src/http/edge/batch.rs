//! The input of an endpoint that takes one object, or many at once: as a JSON array, or one a line (NDJSON). What is
//! wrong with one of many is said of that one; only a body that cannot be taken apart is refused as a whole.

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::{ApiError, codes};
use super::input::{bytes, read};

/// The media type of one object a line.
const NDJSON: &str = "application/x-ndjson";

/// One object, or at most `MOST` of them. A field that `T` does not know is refused.
#[derive(Debug)]
pub enum OneOrMany<T, const MOST: usize> {
    /// An object, whose fields may stand in the query as well.
    One(T),
    /// An array, or lines; never empty.
    Many(Vec<Item<T>>),
}

/// One of many.
#[derive(Debug)]
pub struct Item<T> {
    /// Which one of the array, or the number of its line; the first is 1.
    pub position: usize,
    /// It, or what is wrong with it.
    pub input: Result<T, ApiError>,
}

impl<S: Send + Sync, T: DeserializeOwned, const MOST: usize> FromRequest<S> for OneOrMany<T, MOST> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| ApiError::body(error.to_string()))?;
        let lines = is_ndjson(request.headers());
        let body: Bytes = bytes(request, state).await?;
        if !lines && body.trim_ascii_start().first() != Some(&b'[') {
            return read(&body, query.0).map(Self::One);
        }
        if let Some((name, _)) = query.0.first() {
            return Err(ApiError::invalid(name, "stands in the query, where many at once have no fields"));
        }
        let items = if lines { of_lines(&body) } else { of_array(&body)? };
        if items.is_empty() {
            return Err(ApiError::body("expected at least one object"));
        }
        if items.len() > MOST {
            let message = format!("expected at most {MOST} objects in one request, found {}", items.len());
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, codes::TOO_LARGE, message));
        }
        let item = |(position, text): (usize, &[u8])| Item { position, input: one(text) };
        Ok(Self::Many(items.into_iter().map(item).collect()))
    }
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(NDJSON)
}

/// The lines that hold something.
fn of_lines(body: &[u8]) -> Vec<(usize, &[u8])> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(|(_, line)| !line.is_empty()).collect()
}

fn of_array(body: &[u8]) -> Result<Vec<(usize, &[u8])>, ApiError> {
    let items: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| ApiError::body(format!("the body is not JSON: {error}")))?;
    Ok((1..).zip(items.into_iter().map(|item| item.get().as_bytes())).collect())
}

/// An array would be taken for the fields in their order, so it is refused here.
fn one<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    if text.first() != Some(&b'{') {
        return Err(ApiError::body("expected a JSON object"));
    }
    serde_json::from_slice(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::invalid("input", error),
        _ => ApiError::body(format!("not JSON: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        a: u8,
    }

    async fn sent(kind: &str, uri: &str, body: &str) -> Result<OneOrMany<Sample, 3>, ApiError> {
        let request =
            Request::builder().uri(uri).header("content-type", kind).body(Body::from(body.to_owned()));
        OneOrMany::from_request(request.unwrap(), &()).await
    }

    async fn many(kind: &str, body: &str) -> Vec<(usize, Result<u8, String>)> {
        match sent(kind, "/", body).await.unwrap() {
            OneOrMany::One(sample) => panic!("one: {sample:?}"),
            OneOrMany::Many(items) => {
                let item = |item: Item<Sample>| {
                    (item.position, item.input.map(|sample| sample.a).map_err(|error| error.message))
                };
                items.into_iter().map(item).collect()
            }
        }
    }

    const JSON: &str = "application/json";

    #[tokio::test]
    async fn the_three_forms_are_told_apart() {
        let one = |sent| matches!(sent, Ok(OneOrMany::One(Sample { a: 1 })));
        assert!(one(sent(JSON, "/", r#" {"a":1}"#).await));
        assert!(one(sent("application/x-www-form-urlencoded", "/", r#"{"a":1}"#).await), "as curl sends it");
        let expected = vec![(1, Ok(1)), (2, Ok(2))];
        assert_eq!(many(JSON, r#" [{"a":1}, {"a":2}] "#).await, expected);
        for kind in [NDJSON, "Application/X-NDJSON; charset=utf-8"] {
            assert_eq!(many(kind, "{\"a\":1}\r\n{\"a\":2}\n").await, expected, "{kind}");
        }
        assert_eq!(
            many(NDJSON, "\n{\"a\":1}\n\n{\"a\":2}").await,
            [(2, Ok(1)), (4, Ok(2))],
            "lines are counted"
        );
    }

    #[tokio::test]
    async fn what_is_wrong_with_one_is_said_of_that_one() {
        let found = many(JSON, r#"[{"a":1}, [1], {"a":1,"a":2}]"#).await;
        let reason = |at: usize| found[at].1.clone().unwrap_err();
        assert_eq!(found[0], (1, Ok(1)));
        assert_eq!(reason(1), "expected a JSON object");
        assert!(reason(2).starts_with("input: duplicate field `a`"), "{}", reason(2));
        let found = many(NDJSON, "{\"a\":1}\n{\"a\":\n{\"b\":1}\n").await;
        assert_eq!(found[0], (1, Ok(1)));
        assert!(found[1].1.clone().unwrap_err().starts_with("not JSON: EOF"), "{found:?}");
        assert!(found[2].1.clone().unwrap_err().starts_with("input: unknown field `b`"), "{found:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_taken_apart_is_refused_as_a_whole() {
        for (kind, uri, body, status, reason) in [
            (JSON, "/", "[{\"a\":1}", 400, "the body is not JSON: EOF"),
            (JSON, "/", "[] x", 400, "the body is not JSON: trailing"),
            (JSON, "/", "[]", 400, "expected at least one object"),
            (NDJSON, "/", "\n \n", 400, "expected at least one object"),
            (JSON, "/?a=1", "[{\"a\":1}]", 400, "a: stands in the query"),
            (JSON, "/", "[1,2,3,4]", 413, "expected at most 3 objects in one request, found 4"),
        ] {
            let error = sent(kind, uri, body).await.unwrap_err();
            assert_eq!(error.status.as_u16(), status, "{body}");
            assert!(error.message.starts_with(reason), "{body}: {}", error.message);
        }
    }
}
