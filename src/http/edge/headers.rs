//! Headers that must mean one thing: those that stand once or not at all, the host, and the codings and type of a body.

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, TRANSFER_ENCODING,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, codes};
use crate::domain::media_type::{essence, is_json};

/// Headers that a request has once at most (RFC 9110 §5.3): whoever stands before this server may take another one of
/// them than it does. `Authorization` is one too, and is looked at where tokens are.
const ONCE: [HeaderName; 4] =
    [HOST, CONTENT_LENGTH, CONTENT_TYPE, HeaderName::from_static("idempotency-key")];

/// Refuses a request that another server could understand as another one.
pub(super) async fn one_meaning(request: Request, next: Next) -> Response {
    match check(request.version(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(version: Version, headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(name) = ONCE.iter().find(|name| twice(headers, name)) {
        return Err(ApiError::invalid(name.as_str(), "the header is given twice"));
    }
    host(version, headers)?;
    transfer_coding(headers)
}

/// RFC 9112 §3.2: a request of HTTP/1.1 has a `Host`, which may be empty, and names an authority.
fn host(version: Version, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(host) = headers.get(HOST) else {
        let required = version >= Version::HTTP_11;
        return if required { Err(ApiError::invalid("host", "the header is required")) } else { Ok(()) };
    };
    let host = host.as_bytes();
    if host.is_empty() || Authority::try_from(host).is_ok() && !host.contains(&b'@') {
        return Ok(());
    }
    Err(ApiError::invalid("host", "expected the name or address of a host, perhaps with a port"))
}

/// RFC 9112 §6.1 and §6.3: of codings for the transfer this server undoes `chunked` alone, which stands once, and which
/// leaves no room for a length. The library has refused those of which it is not the last one.
fn transfer_coding(headers: &HeaderMap) -> Result<(), ApiError> {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(ApiError::invalid("content-length", "the header stands beside transfer-encoding"));
    }
    let mut chunked = 0;
    for coding in codings(headers, &TRANSFER_ENCODING) {
        if !coding.eq_ignore_ascii_case("chunked") {
            let message = format!("transfer-encoding: expected chunked, found {coding:?}");
            return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, codes::TRANSFER_CODING, message));
        }
        chunked += 1;
    }
    if chunked == 1 { Ok(()) } else { Err(ApiError::invalid("transfer-encoding", "expected chunked once")) }
}

/// The codings of a list in one header or several.
fn codings<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"));
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| !coding.is_empty())
}

/// Whether this header stands in the request more than once.
pub(super) fn twice(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// Whether a body follows.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}

/// Refuses a body that is packed (RFC 9110 §8.4): what it would be unpacked has no bound.
///
/// # Errors
/// What was expected.
pub(super) fn plain_body(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut codings = codings(headers, &CONTENT_ENCODING).filter(|_| has_body(headers));
    let Some(coding) = codings.find(|coding| !coding.eq_ignore_ascii_case("identity")) else { return Ok(()) };
    let message = format!("content-encoding: expected a body as it is, found {coding:?}");
    let refused = ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::CONTENT_CODING, message);
    Err(refused.header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

/// Refuses a body that says that it is something else than JSON in UTF-8; one of which nothing is said is read as that.
///
/// # Errors
/// What was expected.
pub(super) fn json_body(headers: &HeaderMap) -> Result<(), ApiError> {
    plain_body(headers)?;
    let Some(named) = headers.get(CONTENT_TYPE).filter(|_| has_body(headers)) else { return Ok(()) };
    let text = named.to_str().unwrap_or_default();
    if is_json(&essence(text)) && is_utf8(text) {
        return Ok(());
    }
    let reason = format!("expected application/json in UTF-8, found {text:?}");
    Err(ApiError::invalid("content-type", reason))
}

/// Whether the type of a body says that it is UTF-8, or nothing.
pub(super) fn is_utf8(media_type: &str) -> bool {
    let charset = media_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    charset.is_none_or(|charset| matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii"))
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
