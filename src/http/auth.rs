//! The caller as a handler parameter: a protected route cannot forget to ask.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::Shared;
use super::error::ApiError;
use crate::identity::{Identity, Role};

/// Who sent a valid token.
pub(super) struct Caller(pub(super) Identity);

impl Caller {
    /// Goes on if the caller has one of these roles.
    pub(super) fn require(self, roles: &[Role]) -> Result<Identity, ApiError> {
        if self.0.has_any(roles) { Ok(self.0) } else { Err(ApiError::Forbidden) }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).ok_or(ApiError::AuthMissing)?;
        let header = header.to_str().map_err(|_| ApiError::AuthHeader)?.trim();
        if header.is_empty() {
            return Err(ApiError::AuthMissing);
        }
        let (scheme, token) = header.split_once(' ').ok_or(ApiError::AuthHeader)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::AuthHeader);
        }
        api.verifier.verify(token.trim()).await.map(Caller).map_err(ApiError::Token)
    }
}
