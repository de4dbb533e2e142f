//! Why a request was not done: status, stable code and message, and what goes to the log alone.
//!
//! Here are the errors of every program; those of its own a program makes where its resources are.

use std::fmt::Display;
use std::time::Duration;

use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::envelope::Contents;
use crate::identity::{Permission, Role, VerifyError};

/// The stable codes of every program. Those below 110000 are the ones of the system that this replaces.
pub mod codes {
    /// A defect or an unreachable part of this server.
    pub const INTERNAL: u32 = 100_002;
    /// The body is no JSON of the expected form.
    pub const BIND: u32 = 100_003;
    /// A field does not make sense.
    pub const VALIDATION: u32 = 100_004;
    /// The token does not count.
    pub const TOKEN_INVALID: u32 = 100_005;
    /// Nothing is here.
    pub const NOT_FOUND: u32 = 100_006;
    /// The database did not do it.
    pub const DATABASE: u32 = 100_101;
    /// The signature of the token is wrong.
    pub const SIGNATURE: u32 = 100_202;
    /// The token has expired.
    pub const TOKEN_EXPIRED: u32 = 100_203;
    /// The header `Authorization` is no bearer token.
    pub const AUTH_HEADER: u32 = 100_204;
    /// The header `Authorization` is missing.
    pub const AUTH_MISSING: u32 = 100_205;
    /// The caller may not do this.
    pub const FORBIDDEN: u32 = 100_207;
    /// The body did not arrive in time.
    pub const BODY_LATE: u32 = 110_408;
    /// The path exists, the method does not.
    pub const METHOD: u32 = 110_405;
    /// The body is packed in a way that this server does not unpack.
    pub const CONTENT_CODING: u32 = 110_415;
    /// The body is sent in a coding that this server does not undo.
    pub const TRANSFER_CODING: u32 = 110_501;
    /// The body is too large.
    pub const TOO_LARGE: u32 = 110_413;
    /// The caller asks too often.
    pub const RATE_LIMITED: u32 = 110_429;
    /// No answer within the deadline of the server.
    pub const DEADLINE: u32 = 110_503;
    /// A store of this server cannot be used now: it is down, too busy, or takes no writes.
    pub const STORE_UNAVAILABLE: u32 = 110_506;
    /// The IAM has given no key that can be used, so nobody knows whether the token is good.
    pub const KEYS_UNAVAILABLE: u32 = 110_504;
    /// Too many bodies are under way.
    pub const BUSY: u32 = 110_505;
}

/// When it is worth asking again for what needs a store that cannot be used now.
pub const STORE_PAUSE: Duration = Duration::from_secs(2);

/// Why a request was not done.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// Programs may rely on it.
    pub code: u32,
    /// What was wrong and where, for people.
    pub message: String,
    /// What was done all the same, or what stands in the way.
    pub data: Option<Box<Value>>,
    /// Headers of the reply.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log, never for the caller.
    pub cause: Option<String>,
}

impl ApiError {
    /// An error that says no more than this.
    pub fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), data: None, headers: Vec::new(), cause: None }
    }

    /// The body cannot be read.
    pub fn body(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, codes::BIND, reason)
    }

    /// A field does not make sense.
    pub fn invalid(field: &str, reason: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, codes::VALIDATION, format!("{field}: {reason}"))
    }

    /// Nothing is here.
    pub fn not_found(what: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, codes::NOT_FOUND, format!("not found: {what}"))
    }

    /// There is no token that counts.
    pub fn unauthorized(code: u32, message: impl Into<String>) -> Self {
        let scheme = HeaderValue::from_static("Bearer");
        Self::new(StatusCode::UNAUTHORIZED, code, message).header(WWW_AUTHENTICATE, scheme)
    }

    /// The caller's roles are not enough.
    pub fn forbidden(needed: Permission) -> Self {
        let roles: Vec<&str> = needed.roles().map(Role::as_str).collect();
        let roles = roles.join(", ");
        let message =
            format!("the caller's roles do not allow to {needed} (hint: that takes one of {roles})");
        Self::new(StatusCode::FORBIDDEN, codes::FORBIDDEN, message)
    }

    /// The database did not do what was asked; why goes to the log alone.
    pub fn database(cause: impl Display) -> Self {
        let message = "the database did not do it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, codes::DATABASE, message).cause(cause)
    }

    /// A store cannot be used now; the same may succeed later. Why goes to the log alone.
    pub fn unavailable(cause: impl Display) -> Self {
        let message = "a store of this server cannot be used now; try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, codes::STORE_UNAVAILABLE, message)
            .retry_after(STORE_PAUSE)
            .cause(cause)
    }

    /// A defect, or an unreachable part of this server; why goes to the log alone.
    pub fn internal(cause: impl Display) -> Self {
        let message = "internal server error";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, codes::INTERNAL, message).cause(cause)
    }

    /// With this beside the message.
    #[must_use]
    pub fn data(mut self, data: impl Serialize) -> Self {
        // What is sent are plain structures of ours, which always have a JSON form.
        self.data = serde_json::to_value(data).ok().map(Box::new);
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Another attempt makes sense then. Rounded up, so that whoever obeys does not come too early.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        self.header(RETRY_AFTER, seconds.into())
    }

    /// With this in the log.
    #[must_use]
    pub fn cause(mut self, cause: impl Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl From<VerifyError> for ApiError {
    fn from(error: VerifyError) -> Self {
        let code = match error {
            VerifyError::KeysUnavailable { retry_after } => {
                let message = format!("the token could not be verified: {error}");
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, codes::KEYS_UNAVAILABLE, message)
                    .retry_after(retry_after);
            }
            VerifyError::Expired => codes::TOKEN_EXPIRED,
            VerifyError::Signature => codes::SIGNATURE,
            _ => codes::TOKEN_INVALID,
        };
        Self::unauthorized(code, format!("token verification failed: {error}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, data, headers, cause } = self;
        let contents = Contents { code, message, data: data.map(|data| *data), cause };
        (status, AppendHeaders(headers), Extension(contents)).into_response()
    }
}
