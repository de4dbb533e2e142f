//! What the API of every program has: who calls and how often, one form for replies and errors, deadlines, a document,
//! and what can be seen of it from outside. Generic over the program: nothing here knows what its routes do.
//!
//! A program has a state of its own, in which the extractors find the [`Edge`] (`FromRef`). It collects its routes with
//! their documentation and gives them to [`router`].

mod auth;
mod batch;
mod body;
mod envelope;
pub mod error;
pub mod fields;
mod frame;
mod headers;
mod health;
mod input;
mod limit;
mod metrics;
pub mod openapi;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::{StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::Modify;
use utoipa_axum::router::OpenApiRouter;

use crate::identity::Verifier;
use crate::metrics::Metrics;

pub use auth::{Caller, IntakeCaller, Observer};
pub use batch::{Item, Many, OneOrMany};
pub use body::BodyRoom;
pub use envelope::{Answer, Reply};
pub use error::ApiError;
pub use health::{NotReady, Readiness};
pub use input::{Body, Input, Segment, Unread};
pub use limit::RateLimiter;

/// What every program's routes need.
#[derive(Debug)]
pub struct Edge {
    /// Who calls.
    pub verifier: Verifier,
    /// How often each caller may ask.
    pub limiter: RateLimiter,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the program can work.
    pub readiness: Box<dyn Readiness>,
    /// Whether the listener is on a loopback address: then document and metrics need no token.
    pub open: bool,
    /// Deadline of a request.
    pub request_timeout: Duration,
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// The bodies that are under way.
    pub bodies: BodyRoom,
}

/// The OpenAPI document of a program with these routes. `open`: what observes it needs no token.
pub fn document<S>(routes: &OpenApiRouter<S>, open: bool) -> Value
where
    S: Clone + Send + Sync + 'static,
{
    let mut document = routes.get_openapi().clone();
    document.merge(own_routes().into_openapi());
    openapi::Completion { open }.modify(&mut document);
    // Maps with texts as their keys: they always have a JSON form.
    serde_json::to_value(document).unwrap_or_default()
}

/// The whole API of a program: its routes and those that every program has.
pub fn router<S>(routes: OpenApiRouter<S>, state: S) -> Router
where
    S: Clone + Send + Sync + 'static,
    Arc<Edge>: FromRef<S>,
{
    let edge = Arc::<Edge>::from_ref(&state);
    let document = document(&routes, edge.open);
    Router::from(routes)
        .merge(Router::from(own_routes()).with_state(Arc::clone(&edge)))
        .fallback(|uri: Uri| async move { ApiError::not_found(uri.path()) })
        .method_not_allowed_fallback(|| async { no_such_method() })
        .layer(Extension(openapi::Served(document.to_string().into())))
        .layer(DefaultBodyLimit::max(edge.max_body))
        .layer(from_fn(headers::one_meaning))
        .layer(from_fn_with_state(Arc::clone(&edge), frame::deadline))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(edge, frame::frame))
        .with_state(state)
}

/// The routes that every program has.
fn own_routes() -> OpenApiRouter<Arc<Edge>> {
    health::router().merge(metrics::router()).merge(openapi::router())
}

fn no_such_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, error::codes::METHOD, "this path does not know the method")
}

/// The panic itself is in the log; its text may hold anything, so it is not sent.
fn panicked(_panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    ApiError::internal("a handler panicked").into_response()
}
