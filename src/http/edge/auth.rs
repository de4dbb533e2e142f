//! The caller as a handler parameter: a protected route can forget neither to ask nor to count.
//!
//! The token is taken from the header `Authorization` alone. The system that this replaces also read a query parameter
//! and a cookie; a query ends up in access logs and in the history of browsers, and a cookie is sent by pages of others.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

use super::error::{ApiError, codes};
use super::limit::Traffic;
use super::{Edge, headers, metrics};
use crate::identity::{Identity, Permission};

/// Who sent a valid token, within the limit of requests.
#[derive(Debug)]
pub struct Caller(Identity);

impl Caller {
    /// Goes on if one of the caller's roles has this permission.
    pub fn require(&self, needed: Permission) -> Result<&Identity, ApiError> {
        if self.0.may(needed) { Ok(&self.0) } else { Err(ApiError::forbidden(needed)) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Arc<Edge>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let edge = Arc::<Edge>::from_ref(state);
        identify(&parts.headers, &edge, Traffic::Requests).await.map(Caller)
    }
}

/// Who sent a valid token to a route that programs call whenever something happens: counted apart from the requests of
/// people, so that the limit meant for these does not hold it up.
#[derive(Debug)]
pub struct IntakeCaller(Caller);

impl IntakeCaller {
    /// See [`Caller::require`].
    pub fn require(&self, needed: Permission) -> Result<&Identity, ApiError> {
        self.0.require(needed)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IntakeCaller
where
    Arc<Edge>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let edge = Arc::<Edge>::from_ref(state);
        identify(&parts.headers, &edge, Traffic::Intake).await.map(|identity| Self(Caller(identity)))
    }
}

/// Verifies and counts; a refusal is seen in the metrics.
async fn identify(sent: &HeaderMap, edge: &Edge, traffic: Traffic) -> Result<Identity, ApiError> {
    let identity = verified(sent, edge, traffic).await;
    identity.inspect_err(|error| metrics::refused(&edge.metrics, error.code))
}

async fn verified(sent: &HeaderMap, edge: &Edge, traffic: Traffic) -> Result<Identity, ApiError> {
    if headers::twice(sent, &AUTHORIZATION) {
        let message = "the header Authorization is given twice";
        return Err(ApiError::unauthorized(codes::AUTH_HEADER, message));
    }
    let header = sent.get(AUTHORIZATION).ok_or_else(missing)?;
    let header = header.to_str().map_err(|_| malformed())?.trim();
    if header.is_empty() {
        return Err(missing());
    }
    let (scheme, token) = header.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed());
    }
    let identity = edge.verifier.verify(token.trim()).await?;
    // Whoever may bring nothing in is counted like everybody else.
    let traffic = if identity.may(Permission::RecordEvents) { traffic } else { Traffic::Requests };
    // After verification: a forged token must not use up what belongs to somebody else.
    edge.limiter.check(identity.org_id, &identity.subject, traffic).map_err(|wait| {
        let message = "the caller sends too many requests";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, codes::RATE_LIMITED, message).retry_after(wait)
    })?;
    Ok(identity)
}

fn missing() -> ApiError {
    ApiError::unauthorized(codes::AUTH_MISSING, "the header Authorization is missing")
}

fn malformed() -> ApiError {
    let message = "the header Authorization is not of the form: Bearer TOKEN";
    ApiError::unauthorized(codes::AUTH_HEADER, message)
}

/// Someone who may see the document and the metrics: on a loopback address everyone, elsewhere whoever may read.
#[derive(Debug)]
pub struct Observer;

impl<S: Send + Sync> FromRequestParts<S> for Observer
where
    Arc<Edge>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if !Arc::<Edge>::from_ref(state).open {
            Caller::from_request_parts(parts, state).await?.require(Permission::Read)?;
        }
        Ok(Observer)
    }
}
