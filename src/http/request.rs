//! Around every request: its id, its deadline, its line in the log, and the envelope of its reply.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{HeaderName, HeaderValue, USER_AGENT};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::envelope::Envelope;
use super::error::{ApiError, KEPT};
use super::{Shared, metrics};
use crate::client::trace;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A handler that waits for a sync answers at the deadline itself, so the outer one leaves it a moment.
const MARGIN: Duration = Duration::from_secs(5);

/// Gives the request an id, writes its reply and one line in the log. Neither holds a query, a header or a body.
pub(super) async fn frame(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = metrics::route(request.extensions());
    // Of the highest level, so that every line inside it tells the trace, whatever level is written.
    let span = tracing::error_span!("request", trace_id = trace_id(request.headers()));
    let (mut response, cause) = written(next.run(request).instrument(span.clone()).await, &id);
    api.metrics.request(metrics::method(&method), &route, response.status().as_u16(), started.elapsed());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status();
    let duration_ms = crate::domain::duration::millis(started.elapsed());
    let _entered = span.enter();
    if status.is_server_error() {
        tracing::error!(%method, path, status = status.as_u16(), duration_ms, request_id = id, cause, "request failed");
    } else if matches!(path.as_str(), "/health" | "/ready" | "/metrics") {
        tracing::debug!(%method, path, status = status.as_u16(), duration_ms, request_id = id, "request");
    } else {
        tracing::info!(%method, path, status = status.as_u16(), duration_ms, request_id = id, "request");
    }
    response
}

/// Answers for a handler that takes too long.
pub(super) async fn deadline(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let limit = api.request_timeout.saturating_add(MARGIN);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Deadline.into_response(),
    }
}

fn written(mut response: Response, id: &str) -> (Response, Option<String>) {
    let Some(mut envelope) = response.extensions_mut().remove::<Envelope>() else {
        return (response, None);
    };
    let cause = envelope.cause.take();
    for name in KEPT {
        if let Some(value) = response.headers().get(&name) {
            envelope.headers.insert(name, value.clone());
        }
    }
    (envelope.write(id), cause)
}

/// The trace that the caller's `traceparent` (W3C) belongs to, or a new one.
fn trace_id(headers: &HeaderMap) -> String {
    let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    parent
        .and_then(trace::parse)
        .map_or_else(|| Uuid::new_v4().simple().to_string(), |(trace_id, _)| trace_id)
}

/// The caller's id if it is harmless, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=128).contains(&text.len()))
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// Whether the caller would rather not wait (RFC 7240).
pub(super) fn prefers_async(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

/// What made the caller ask, as the record of a sync has it.
pub(super) fn trigger(headers: &HeaderMap) -> &'static str {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if agent.starts_with("qs-api-call/") { "call" } else { "api" }
}

/// The caller's key for this request: a structured string (`"k"`) or bare.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    if key.is_empty() || key.len() > 255 {
        let reason = "expected 1 to 255 visible ASCII characters".to_owned();
        return Err(ApiError::Invalid { field: "Idempotency-Key".to_owned(), reason });
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn a_harmless_request_id_is_kept() {
        assert_eq!(request_id(&headers("x-request-id", "abc-1.2:3_4")), "abc-1.2:3_4");
        for odd in ["", "a b", "x\"y", &"a".repeat(129)] {
            assert_eq!(request_id(&headers("x-request-id", odd)).len(), 36, "{odd:?}");
        }
    }

    #[test]
    fn preferences_and_keys_are_read_as_their_standards_write_them() {
        assert!(prefers_async(&headers("prefer", "wait=10, Respond-Async")));
        assert!(!prefers_async(&headers("prefer", "return=minimal")));
        for (written, key) in [("k-1", "k-1"), ("\"k-1\"", "k-1"), ("\"", "\"")] {
            assert_eq!(idempotency_key(&headers("idempotency-key", written)).unwrap().unwrap(), key);
        }
        assert!(idempotency_key(&headers("idempotency-key", "\"\"")).is_err());
        assert!(idempotency_key(&HeaderMap::new()).unwrap().is_none());
    }
}
