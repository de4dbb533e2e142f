//! The caller as a handler parameter: a protected route can forget neither to ask nor to count.
//!
//! The token is taken from the header `Authorization` alone. The system that this replaces also read a query parameter
//! and a cookie; a query ends up in access logs and in the history of browsers, and a cookie is sent by pages of others.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::error::ApiError;
use super::{Shared, metrics};
use crate::identity::{Identity, Permission};

/// Who sent a valid token, within the limit of requests.
pub(super) struct Caller(pub(super) Identity);

impl Caller {
    /// Goes on if one of the caller's roles has this permission.
    pub(super) fn require(self, needed: Permission) -> Result<Identity, ApiError> {
        if self.0.may(needed) { Ok(self.0) } else { Err(ApiError::Forbidden { needed }) }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, ApiError> {
        let caller = identify(parts, api).await;
        caller.inspect_err(|error| metrics::refused(&api.metrics, error))
    }
}

async fn identify(parts: &Parts, api: &Shared) -> Result<Caller, ApiError> {
    let header = parts.headers.get(AUTHORIZATION).ok_or(ApiError::AuthMissing)?;
    let header = header.to_str().map_err(|_| ApiError::AuthHeader)?.trim();
    if header.is_empty() {
        return Err(ApiError::AuthMissing);
    }
    let (scheme, token) = header.split_once(' ').ok_or(ApiError::AuthHeader)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::AuthHeader);
    }
    let identity = api.verifier.verify(token.trim()).await.map_err(ApiError::Token)?;
    // After verification: a forged token must not use up what belongs to somebody else.
    api.limiter
        .check(identity.org_id, &identity.subject)
        .map_err(|retry_after| ApiError::RateLimited { retry_after })?;
    Ok(Caller(identity))
}

/// Someone who may see the document and the metrics: on a loopback address everyone, elsewhere whoever may read.
pub(super) struct Observer;

impl FromRequestParts<Shared> for Observer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, ApiError> {
        if !api.open {
            Caller::from_request_parts(parts, api).await?.require(Permission::Read)?;
        }
        Ok(Observer)
    }
}
