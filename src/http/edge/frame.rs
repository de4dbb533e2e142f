//! Around every request: its id, its deadline, its line in the log, and the envelope of its reply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::error::{ApiError, codes};
use super::{Edge, envelope, metrics};
use crate::domain::trace;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A handler that waits for work which goes on without it answers at the deadline itself; the outer one comes later.
const MARGIN: Duration = Duration::from_secs(5);

/// When a request that was not answered in time may come again.
const PAUSE: Duration = Duration::from_secs(5);

/// Gives the request an id, writes its reply and one line in the log. Neither holds a query, a header or a body.
pub(super) async fn frame(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = metrics::route(request.extensions());
    // Of the highest level, so that every line inside it tells the trace, whatever level is written.
    let span = tracing::error_span!("request", trace_id = trace_id(request.headers()));
    let mut response = next.run(request).instrument(span.clone()).await;
    let cause = envelope::write(&mut response, &id);
    edge.metrics.request(metrics::method(&method), &route, response.status().as_u16(), started.elapsed());
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
pub(super) async fn deadline(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let limit = edge.request_timeout.saturating_add(MARGIN);
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let message = "no answer within the deadline of the server";
        let late = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, codes::DEADLINE, message);
        late.retry_after(PAUSE).into_response()
    })
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
}
