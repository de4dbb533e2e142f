//! The development IAM: `/api/v1/authn/login` in its three dialects, and the keys.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, codes};
use crate::http::edge::{Answer, ApiError, Body, Reply};
use crate::identity::dev_iam::{DevIam, LoginError};
use crate::secret::Secret;

pub(super) fn router() -> OpenApiRouter<Api> {
    let keys = || OpenApiRouter::new().routes(routes!(jwks));
    let login = || OpenApiRouter::new().routes(routes!(login));
    let v1 = identified("api_jwks", keys()).merge(login());
    keys().nest("/api/v1", v1).nest("/api/v2", identified("login_v2", login()))
}

/// The same handler answers at several paths; an operation id stands for one of them.
fn identified(id: &str, mut routes: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.operation_id = Some(id.to_owned());
        }
    }
    routes
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        let message = error.to_string();
        match error {
            LoginError::Invalid => Self::new(StatusCode::UNAUTHORIZED, codes::CREDENTIALS, message),
            LoginError::Locked { retry_after } => {
                Self::new(StatusCode::LOCKED, codes::LOCKED, message).retry_after(retry_after)
            }
            LoginError::Unsigned => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, codes::TOKEN_UNSIGNED, message)
            }
        }
    }
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
        (status = 423, description = "The account is locked after too many wrong passwords.", headers(("Retry-After"))),
    )
)]
async fn login(State(api): State<Api>, Body(body): Body) -> Answer {
    let iam = running(&api)?;
    // The parser's text could show a password that stands in the wrong place.
    let login: Login = serde_json::from_value(body).map_err(|_| ApiError::body("the body is no login"))?;
    if let Some(method) = login.method.filter(|method| method != "password") {
        return Err(ApiError::invalid("method", format!("expected \"password\", found {method:?}")));
    }
    let credentials = match (login.credentials, login.username, login.password) {
        (Some(credentials), None, None) => credentials,
        (None, Some(username), Some(password)) => Credentials { username, password },
        _ => return Err(ApiError::body("expected credentials, method_payload, or username and password")),
    };
    let granted = iam.login(&credentials.username, &Secret::new(credentials.password))?;
    let grant = Grant {
        access_token: granted.access_token.expose().to_owned(),
        token_type: "Bearer",
        expires_in: granted.expires_in,
    };
    Ok(Reply::new(grant).header(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// The public keys of the tokens, as RFC 7517 writes them.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "development", security(()),
    responses((status = 200, description = "A JSON Web Key Set.", body = KeySet)),
    extensions(("x-unwrapped" = json!(true)))
)]
async fn jwks(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(running(&api)?.jwks()))
}

fn running(api: &Api) -> Result<&DevIam, ApiError> {
    api.dev_iam.as_deref().ok_or_else(|| ApiError::not_found("the development IAM"))
}
