//! The development IAM: `/api/v1/authn/login` in its three dialects, and the keys.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::Input;
use crate::identity::dev_iam::{DevIam, Jwks};
use crate::secret::Secret;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/api/v1/authn/login", post(login))
        .route("/api/v2/authn/login", post(login))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/api/v1/.well-known/jwks.json", get(jwks))
}

/// Every dialect at once: the credentials stand in one of three places. No `Debug`: it holds a password.
#[derive(Deserialize)]
struct Login {
    #[serde(alias = "auth_method")]
    method: Option<String>,
    #[serde(alias = "method_payload")]
    credentials: Option<Credentials>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn login(
    State(api): State<Shared>,
    login: Result<Input<Login>, ApiError>,
) -> Result<Envelope, ApiError> {
    let iam = running(&api)?;
    let login = login.map(|Input(login)| login).map_err(|error| match error {
        // The parser's text could show a password that stands in the wrong place.
        ApiError::Invalid { .. } => ApiError::Body { reason: "the body is no login".to_owned() },
        other => other,
    })?;
    if let Some(method) = login.method.filter(|method| method != "password") {
        let reason = format!("expected \"password\", found {method:?}");
        return Err(ApiError::Invalid { field: "method".to_owned(), reason });
    }
    let credentials = match (login.credentials, login.username, login.password) {
        (Some(credentials), None, None) => credentials,
        (None, Some(username), Some(password)) => Credentials { username, password },
        _ => {
            let reason = "expected credentials, method_payload, or username and password".to_owned();
            return Err(ApiError::Body { reason });
        }
    };
    let granted =
        iam.login(&credentials.username, &Secret::new(credentials.password)).map_err(ApiError::Login)?;
    let data = json!({
        "access_token": granted.access_token.expose(),
        "token_type": "Bearer",
        "expires_in": granted.expires_in,
    });
    Ok(Envelope::success(data).header(CACHE_CONTROL, "no-store"))
}

async fn jwks(State(api): State<Shared>) -> Result<Json<Jwks>, ApiError> {
    Ok(Json(running(&api)?.jwks()))
}

fn running(api: &Shared) -> Result<&Arc<DevIam>, ApiError> {
    api.dev_iam.as_ref().ok_or_else(|| ApiError::NotFound { what: "the development IAM".to_owned() })
}
