//! L4 · The HTTP API: one file per resource with its own `router()`. It speaks to `business` and `identity`, never to
//! a store.

mod auth;
mod dev_iam;
mod envelope;
mod error;
mod health;
mod input;
mod metrics;
mod openapi;
mod plan_input;
mod plan_replies;
mod plan_tasks;
mod plans;
pub mod rate_limit;
mod request;
mod statistics;
mod statistics_replies;
mod sync_replies;
mod sync_runs;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, http::Uri};
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::business::due_tasks::DueTasks;
use crate::business::plan::Plans;
use crate::business::readiness::Readiness;
use crate::business::statistics::Statistics;
use crate::business::sync_run::SyncRuns;
use crate::identity::Verifier;
use crate::identity::dev_iam::DevIam;
use crate::metrics::Metrics;

pub use error::codes;
use rate_limit::RateLimiter;

/// Everything that the routes need.
#[derive(Debug)]
pub struct Api {
    /// Events and syncs.
    pub statistics: Arc<Statistics>,
    /// Plans and their tasks.
    pub plans: Arc<Plans>,
    /// The scheduled work on tasks.
    pub due_tasks: Arc<DueTasks>,
    /// The record of each sync.
    pub runs: Arc<SyncRuns>,
    /// Whether the stores can be reached.
    pub readiness: Readiness,
    /// Who calls.
    pub verifier: Verifier,
    /// How often each caller may ask.
    pub limiter: RateLimiter,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The IAM for development, if it runs.
    pub dev_iam: Option<Arc<DevIam>>,
    /// Whether the listener is on a loopback address: then document and metrics need no token.
    pub open: bool,
    /// Deadline of a request.
    pub request_timeout: Duration,
    /// Largest request body, in bytes.
    pub max_body: usize,
}

/// What the handlers share.
type Shared = Arc<Api>;

/// The OpenAPI document of a server that other machines can reach, with the routes of the development IAM.
pub fn document() -> Value {
    openapi::complete(routes(true).get_openapi(), false)
}

fn routes(dev_iam: bool) -> OpenApiRouter<Shared> {
    let mut routes = OpenApiRouter::with_openapi(openapi::base());
    for prefix in ["/api/v1", "/internal/v1"] {
        routes = routes.nest(
            prefix,
            statistics::router()
                .merge(sync_runs::router())
                .merge(plans::router())
                .merge(plan_tasks::router()),
        );
    }
    if dev_iam {
        routes = routes.merge(dev_iam::router());
    }
    routes.merge(health::router()).merge(metrics::router()).merge(openapi::serve::router())
}

/// The whole API.
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let (routes, collected) = routes(api.dev_iam.is_some()).split_for_parts();
    let document = openapi::complete(&collected, api.open).to_string();
    routes
        .fallback(|uri: Uri| async move { error::ApiError::NotFound { what: uri.path().to_owned() } })
        .method_not_allowed_fallback(|| async { error::ApiError::Method })
        .layer(Extension(openapi::serve::Document(document.into())))
        .layer(DefaultBodyLimit::max(api.max_body))
        .layer(from_fn_with_state(Arc::clone(&api), request::deadline))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&api), request::frame))
        .with_state(api)
}

/// The panic itself is on stderr; its text may hold anything, so it is not sent.
fn panicked(_panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    error::ApiError::Internal { cause: "a handler panicked".to_owned() }.into_response()
}
