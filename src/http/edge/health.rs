//! `/health`: the process answers. `/ready`: so does what it needs, and takes writes. Neither is wrapped.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Edge;

/// What a program needs in order to work.
#[async_trait]
pub trait Readiness: Debug + Send + Sync {
    /// Each thing that it needs, and what is wrong with it.
    async fn check(&self) -> Vec<(&'static str, Option<NotReady>)>;
}

/// What is wrong with something that a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// For everybody who asks.
    pub word: &'static str,
    /// For the log.
    pub reason: String,
}

pub(super) fn router() -> OpenApiRouter<Arc<Edge>> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready))
}

/// The process answers.
#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    version: &'static str,
}

/// Whether it can work.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `ready` or `not ready`.
    status: &'static str,
    /// What it needs: `ok`, `unreachable`, `not writable` (it answers and takes no writes) or `unusable` (another schema).
    checks: BTreeMap<&'static str, &'static str>,
}

/// The process answers.
#[utoipa::path(
    get, path = "/health", tag = "health", security(()),
    responses((status = 200, description = "It does.", body = Health)),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn health() -> Json<Health> {
    Json(Health { status: "healthy", version: env!("CARGO_PKG_VERSION") })
}

/// What the server needs answers too, and takes writes.
#[utoipa::path(
    get, path = "/ready", tag = "health", security(()),
    responses(
        (status = 200, description = "It does.", body = Ready),
        (status = 503, description = "Something cannot be used.", body = Ready),
    ),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn ready(State(edge): State<Arc<Edge>>) -> (StatusCode, Json<Ready>) {
    let mut reply = (StatusCode::OK, Json(Ready { status: "ready", checks: BTreeMap::new() }));
    let (status, Json(ready)) = &mut reply;
    for (name, problem) in edge.readiness.check().await {
        ready.checks.insert(name, problem.as_ref().map_or("ok", |problem| problem.word));
        // This route is open, so the reason stays in the log.
        if let Some(NotReady { word, reason }) = problem {
            tracing::error!(check = name, is = word, error = reason, "not ready");
            (*status, ready.status) = (StatusCode::SERVICE_UNAVAILABLE, "not ready");
        }
    }
    reply
}
