//! `/metrics`: what the server counts about itself.

use axum::extract::{MatchedPath, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Extensions, Method};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Observer;
use super::error::ApiError;
use crate::identity::VerifyError;
use crate::metrics;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// The metrics of this process.
#[utoipa::path(
    get, path = "/metrics", tag = "observation",
    responses((
        status = 200, description = "OpenMetrics.", body = String,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn metrics(State(api): State<Shared>, _observer: Observer) -> Result<Response, ApiError> {
    let text = api.metrics.text().map_err(|error| ApiError::Internal { cause: error.to_string() })?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE), (CACHE_CONTROL, "no-store")], text).into_response())
}

/// The template of the path that was asked for. What nobody knows is one route: its path may be anything.
pub(super) fn route(extensions: &Extensions) -> String {
    extensions.get::<MatchedPath>().map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned())
}

/// The method, as long as it is one of the usual ones: a method may be any word.
pub(super) fn method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS
        | Method::PATCH => method.as_str(),
        _ => "other",
    }
}

/// Counts a request that was refused because of who sent it.
pub(super) fn refused(metrics: &metrics::Metrics, error: &ApiError) {
    match error {
        ApiError::RateLimited { .. } => metrics.rate_limited(),
        ApiError::AuthMissing => metrics.auth_failure("missing"),
        ApiError::AuthHeader => metrics.auth_failure("header"),
        ApiError::Token(VerifyError::Expired) => metrics.auth_failure("expired"),
        ApiError::Token(VerifyError::Signature) => metrics.auth_failure("signature"),
        ApiError::Token(VerifyError::KeysUnavailable { .. }) => metrics.auth_failure("keys_unavailable"),
        ApiError::Token(_) => metrics.auth_failure("invalid"),
        _ => {}
    }
}
