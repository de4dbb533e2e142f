//! The development IAM: `/api/v1/authn/login` in its three dialects, and the keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::Body;
use crate::identity::dev_iam::{DevIam, Jwks};
use crate::secret::Secret;

pub(super) fn router() -> OpenApiRouter<Shared> {
    let keys = || OpenApiRouter::new().routes(routes!(jwks));
    let login = || OpenApiRouter::new().routes(routes!(login));
    keys().nest("/api/v1", keys().merge(login())).nest("/api/v2", login())
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

#[derive(Deserialize, ToSchema)]
struct Credentials {
    username: String,
    password: String,
}

/// The three dialects of a login.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents what `login` reads")]
enum LoginBody {
    /// Name and password beside each other.
    Plain { username: String, password: String },
    /// With the name of the method.
    Method {
        /// `password`.
        method: Option<Method>,
        credentials: Credentials,
    },
    /// The same with other names.
    Payload {
        /// `password`.
        auth_method: Option<Method>,
        method_payload: Credentials,
    },
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "documents what `login` reads")]
enum Method {
    Password,
}

/// A token that was granted. No `Debug`.
#[derive(Serialize, ToSchema)]
struct Grant {
    access_token: String,
    token_type: &'static str,
    /// Its life in seconds.
    expires_in: u64,
}

/// A JSON Web Key Set.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `identity` writes")]
struct KeySet {
    keys: Vec<PublicKey>,
}

/// A public key of P-256.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `identity` writes")]
struct PublicKey {
    kty: String,
    r#use: String,
    alg: String,
    crv: String,
    kid: String,
    x: String,
    y: String,
}

/// Grants a token.
#[utoipa::path(
    post, path = "/authn/login", tag = "development", request_body = LoginBody, security(()),
    responses(
        (status = 200, description = "A token.", body = Grant),
        (status = 401, description = "No such account, or the wrong password."),
        (status = 423, description = "The account is locked after too many wrong passwords."),
    )
)]
async fn login(
    State(api): State<Shared>,
    login: Result<Body<Login>, ApiError>,
) -> Result<Envelope, ApiError> {
    let iam = running(&api)?;
    let login = login.map(|Body(login)| login).map_err(|error| match error {
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
    let grant = Grant {
        access_token: granted.access_token.expose().to_owned(),
        token_type: "Bearer",
        expires_in: granted.expires_in,
    };
    Ok(Envelope::success(grant).header(CACHE_CONTROL, "no-store"))
}

/// The public keys of the tokens, as RFC 7517 writes them.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "development", security(()),
    responses((status = 200, description = "A JSON Web Key Set.", body = KeySet)),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn jwks(State(api): State<Shared>) -> Result<Json<Jwks>, ApiError> {
    Ok(Json(running(&api)?.jwks()))
}

fn running(api: &Shared) -> Result<&Arc<DevIam>, ApiError> {
    api.dev_iam.as_ref().ok_or_else(|| ApiError::NotFound { what: "the development IAM".to_owned() })
}
