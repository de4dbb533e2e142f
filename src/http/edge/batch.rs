//! The input of an endpoint that takes one object, or many at once: as a JSON array, or one a line (NDJSON). What is
//! wrong with one of many is said of that one; only a body that cannot be taken apart is refused as a whole.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequest, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::error::{ApiError, codes};
use super::input::read;
use super::{Edge, Unread, headers};
use crate::domain::media_type::essence;
use crate::identity::Identity;

/// The media type of one object a line.
const NDJSON: &str = "application/x-ndjson";

/// One object, or at most `MOST` of them, of which nothing is read yet. A field that `T` does not know is refused.
#[derive(Debug)]
pub struct Many<T, const MOST: usize> {
    query: Vec<(String, String)>,
    form: Result<Form, ApiError>,
    body: Unread,
    items: PhantomData<fn() -> T>,
}

/// What the header says of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Lines,
}

/// One object or many.
#[derive(Debug)]
pub enum OneOrMany<T> {
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

impl<T: DeserializeOwned, const MOST: usize> Many<T, MOST> {
    /// The objects, for a caller whose permission was asked for (`Caller::require`).
    pub async fn read(self, allowed: &Identity) -> Result<OneOrMany<T>, ApiError> {
        let form = self.form?;
        one_or_many(form, self.query, &self.body.read(allowed).await?, MOST)
    }
}

impl<S: Send + Sync, T, const MOST: usize> FromRequest<S> for Many<T, MOST>
where
    Arc<Edge>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| ApiError::body(error.to_string()))?;
        let form = form(request.headers());
        let body = Unread::from_request(request, state).await?;
        Ok(Self { query: query.0, form, body, items: PhantomData })
    }
}

fn one_or_many<T: DeserializeOwned>(
    form: Form,
    query: Vec<(String, String)>,
    body: &[u8],
    most: usize,
) -> Result<OneOrMany<T>, ApiError> {
    if form == Form::Json && body.trim_ascii_start().first() != Some(&b'[') {
        return read(body, query).map(OneOrMany::One);
    }
    if let Some((name, _)) = query.first() {
        return Err(ApiError::invalid(name, "stands in the query, where many at once have no fields"));
    }
    let items = match form {
        Form::Lines => of_lines(body),
        Form::Json => of_array(body)?,
    };
    if items.is_empty() {
        return Err(ApiError::body("expected at least one object"));
    }
    if items.len() > most {
        let message = format!("expected at most {most} objects in one request, found {}", items.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, codes::TOO_LARGE, message));
    }
    let item = |(position, text): (usize, &[u8])| Item { position, input: one(text) };
    Ok(OneOrMany::Many(items.into_iter().map(item).collect()))
}

fn form(sent: &HeaderMap) -> Result<Form, ApiError> {
    let kind = sent.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if essence(kind) != NDJSON {
        return headers::json_body(sent).map(|()| Form::Json);
    }
    headers::plain_body(sent)?;
    if headers::is_utf8(kind) {
        return Ok(Form::Lines);
    }
    Err(ApiError::invalid("content-type", format!("expected {NDJSON} in UTF-8, found {kind:?}")))
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
        // Read once more, in the way that finds the field.
        Category::Data => match read::<T>(text, Vec::new()) {
            Err(named) if named.code == codes::VALIDATION => named,
            _ => ApiError::invalid("input", error),
        },
        _ => ApiError::body(format!("not JSON: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        a: u8,
    }

    fn many(form: Form, body: &str) -> Vec<(usize, Result<u8, String>)> {
        match one_or_many::<Sample>(form, Vec::new(), body.as_bytes(), 3).unwrap() {
            OneOrMany::One(sample) => panic!("one: {sample:?}"),
            OneOrMany::Many(items) => {
                let item = |item: Item<Sample>| {
                    (item.position, item.input.map(|sample| sample.a).map_err(|error| error.message))
                };
                items.into_iter().map(item).collect()
            }
        }
    }

    #[test]
    fn the_three_forms_are_told_apart() {
        for (kind, expected) in [
            ("application/json", Some(Form::Json)),
            ("application/x-ndjson", Some(Form::Lines)),
            ("Application/X-NDJSON; charset=utf-8", Some(Form::Lines)),
            ("application/x-ndjson; charset=latin1", None),
            ("text/csv", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert("content-length", HeaderValue::from_static("9"));
            assert_eq!(form(&headers).ok(), expected, "{kind}");
        }
        let one = one_or_many(Form::Json, Vec::new(), br#" {"a":1}"#, 3);
        assert!(matches!(one, Ok(OneOrMany::One(Sample { a: 1 }))), "{one:?}");
        let expected = vec![(1, Ok(1)), (2, Ok(2))];
        assert_eq!(many(Form::Json, r#" [{"a":1}, {"a":2}] "#), expected);
        assert_eq!(many(Form::Lines, "{\"a\":1}\r\n{\"a\":2}\n"), expected);
        let skipped = many(Form::Lines, "\n{\"a\":1}\n\n{\"a\":2}");
        assert_eq!(skipped, [(2, Ok(1)), (4, Ok(2))], "lines are counted");
    }

    #[test]
    fn what_is_wrong_with_one_is_said_of_that_one() {
        let found = many(Form::Json, r#"[{"a":1}, [1], {"a":1,"a":2}]"#);
        let reason = |at: usize| found[at].1.clone().unwrap_err();
        assert_eq!(found[0], (1, Ok(1)));
        assert_eq!(reason(1), "expected a JSON object");
        assert!(reason(2).starts_with("input: duplicate field `a`"), "{}", reason(2));
        let found = many(Form::Lines, "{\"a\":1}\n{\"a\":\n{\"b\":1}\n");
        assert_eq!(found[0], (1, Ok(1)));
        assert!(found[1].1.clone().unwrap_err().starts_with("not JSON: EOF"), "{found:?}");
        assert!(found[2].1.clone().unwrap_err().starts_with("b: unknown field `b`"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_taken_apart_is_refused_as_a_whole() {
        let in_query = || vec![("a".to_owned(), "1".to_owned())];
        for (form, query, body, status, reason) in [
            (Form::Json, Vec::new(), "[{\"a\":1}", 400, "the body is not JSON: EOF"),
            (Form::Json, Vec::new(), "[] x", 400, "the body is not JSON: trailing"),
            (Form::Json, Vec::new(), "[]", 400, "expected at least one object"),
            (Form::Lines, Vec::new(), "\n \n", 400, "expected at least one object"),
            (Form::Json, in_query(), "[{\"a\":1}]", 400, "a: stands in the query"),
            (Form::Json, Vec::new(), "[1,2,3,4]", 413, "expected at most 3 objects in one request, found 4"),
        ] {
            let error = one_or_many::<Sample>(form, query, body.as_bytes(), 3).unwrap_err();
            assert_eq!(error.status.as_u16(), status, "{body}");
            assert!(error.message.starts_with(reason), "{body}: {}", error.message);
        }
    }
}
