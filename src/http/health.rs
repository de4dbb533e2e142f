//! `/health`: the process answers. `/ready`: so does what it needs. Neither is wrapped.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;

pub(super) fn router() -> OpenApiRouter<Shared> {
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
    /// What it needs: `ok` or `unreachable`.
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

/// What the server needs answers too.
#[utoipa::path(
    get, path = "/ready", tag = "health", security(()),
    responses(
        (status = 200, description = "It does.", body = Ready),
        (status = 503, description = "Something cannot be reached.", body = Ready),
    ),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn ready(State(api): State<Shared>) -> (StatusCode, Json<Ready>) {
    let found = api.readiness.check().await;
    let ready = found.iter().all(|check| check.error.is_none());
    let mut checks = BTreeMap::new();
    for check in found {
        // This route is open, so the reason stays in the log.
        if let Some(error) = &check.error {
            tracing::error!(check = check.name, %error, "not ready");
        }
        checks.insert(check.name, if check.error.is_none() { "ok" } else { "unreachable" });
    }
    let (status, word) =
        if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (status, Json(Ready { status: word, checks }))
}
