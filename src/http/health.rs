//! `/health`: the process answers. `/ready`: so does what it needs. Neither is wrapped.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/health", get(health)).route("/ready", get(ready))
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "healthy", "version": env!("CARGO_PKG_VERSION") }))
}

async fn ready(State(api): State<Shared>) -> (StatusCode, Json<Value>) {
    let checks = api.readiness.check().await;
    let ready = checks.iter().all(|check| check.error.is_none());
    let mut shown = Map::new();
    for check in checks {
        // This route is open, so the reason stays in the log.
        if let Some(error) = &check.error {
            tracing::error!(check = check.name, %error, "not ready");
        }
        shown.insert(check.name.to_owned(), json!(if check.error.is_none() { "ok" } else { "unreachable" }));
    }
    let (status, word) =
        if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (status, Json(json!({ "status": word, "checks": shown })))
}
