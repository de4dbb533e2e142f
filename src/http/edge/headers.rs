//! Headers that must mean one thing: those that stand once or not at all, and the type of a body.

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::domain::media_type::{essence, is_json};

/// Headers that a request has once at most (RFC 9110 §5.3): whoever stands before this server may take another one of
/// them than it does. `Authorization` is one too, and is looked at where tokens are.
const ONCE: [HeaderName; 4] =
    [HOST, CONTENT_LENGTH, CONTENT_TYPE, HeaderName::from_static("idempotency-key")];

/// Refuses a request in which one of them stands twice.
pub(super) async fn once(request: Request, next: Next) -> Response {
    match ONCE.iter().find(|name| twice(request.headers(), name)) {
        Some(name) => ApiError::invalid(name.as_str(), "the header is given twice").into_response(),
        None => next.run(request).await,
    }
}

/// Whether this header stands in the request more than once.
pub(super) fn twice(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// Refuses a body that says that it is something else than JSON in UTF-8; one of which nothing is said is read as that.
///
/// # Errors
/// What was expected.
pub(super) fn json_body(headers: &HeaderMap) -> Result<(), ApiError> {
    let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let has_body = headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0");
    let Some(named) = headers.get(CONTENT_TYPE).filter(|_| has_body) else { return Ok(()) };
    let text = named.to_str().unwrap_or_default();
    let charset = text.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    let utf8 = charset.is_none_or(|charset| matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii"));
    if is_json(&essence(text)) && utf8 {
        return Ok(());
    }
    let reason = format!("expected application/json in UTF-8, found {text:?}");
    Err(ApiError::invalid("content-type", reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_in_utf_8_or_says_nothing_of_itself() {
        let read = |length: &'static str, kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            json_body(&headers).map_err(|error| error.message)
        };
        for kind in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/vnd.api+json; version=1",
        ] {
            assert_eq!(read("2", kind), Ok(()), "{kind}");
        }
        for kind in [
            "",
            "json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
        ] {
            let expected = format!("content-type: expected application/json in UTF-8, found {kind:?}");
            assert_eq!(read("2", kind), Err(expected));
            assert_eq!(read("0", kind), Ok(()), "there is no body: {kind}");
        }
        assert!(json_body(&HeaderMap::new()).is_ok());
    }
}
