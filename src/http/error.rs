//! What can go wrong with a request: the one place that gives it a status, a stable code and a message.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};

use super::envelope::Envelope;
use super::sync_replies::SyncInTheWay;
use crate::business::plan::PlanError;
use crate::business::statistics::StatisticsError;
use crate::business::sync_run::{RecordError, StartError};
use crate::identity::dev_iam::LoginError;
use crate::identity::{Permission, Role, VerifyError};

/// The stable codes of replies. Those below 110000 are the ones of the system that this replaces.
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
    /// No token could be made.
    pub const TOKEN_UNSIGNED: u32 = 100_208;
    /// No such account, or the wrong password.
    pub const CREDENTIALS: u32 = 102_001;
    /// The account is locked.
    pub const LOCKED: u32 = 102_302;
    /// A sync did not do everything; `data` says what it did.
    pub const SYNC_FAILED: u32 = 110_001;
    /// Another sync of this kind is in progress.
    pub const SYNC_BUSY: u32 = 110_002;
    /// The first request with this Idempotency-Key is in progress.
    pub const KEY_IN_PROGRESS: u32 = 110_003;
    /// The Idempotency-Key belongs to another request.
    pub const KEY_REUSED: u32 = 110_004;
    /// A validation found differences that were not repaired; `data` lists the first of them.
    pub const DIFFERENCES: u32 = 110_005;
    /// The state of the plan or task forbids it.
    pub const STATE: u32 = 110_010;
    /// The path exists, the method does not.
    pub const METHOD: u32 = 110_405;
    /// The body is too large.
    pub const TOO_LARGE: u32 = 110_413;
    /// The caller asks too often.
    pub const RATE_LIMITED: u32 = 110_429;
    /// No answer within the deadline of the server.
    pub const DEADLINE: u32 = 110_503;
    /// The keys of the IAM could not be fetched, so nobody knows whether the token is good.
    pub const KEYS_UNAVAILABLE: u32 = 110_504;
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No token was sent.
    AuthMissing,
    /// The header is no bearer token.
    AuthHeader,
    /// The token does not count.
    Token(VerifyError),
    /// The caller's roles are not enough.
    Forbidden { needed: Permission },
    /// The caller asks too often.
    RateLimited { retry_after: Duration },
    /// The login was refused.
    Login(LoginError),
    /// The body cannot be read.
    Body { reason: String },
    /// The body is too large.
    TooLarge,
    /// A field does not make sense.
    Invalid { field: String, reason: String },
    /// Nothing is here.
    NotFound { what: String },
    /// The state of what was meant forbids it.
    State { message: String },
    /// The method does not exist here.
    Method,
    /// No answer in time.
    Deadline,
    /// No sync was started.
    Start(StartError),
    /// The database did not do it.
    Store { cause: String },
    /// Anything else; the cause goes to the log alone.
    Internal { cause: String },
}

impl From<StatisticsError> for ApiError {
    fn from(error: StatisticsError) -> Self {
        match error {
            StatisticsError::Invalid { field, reason } => Self::Invalid { field: field.to_owned(), reason },
            StatisticsError::NotFound { what } => Self::NotFound { what },
            StatisticsError::Counters(source) => Self::Internal { cause: source.to_string() },
            StatisticsError::Store(source) => Self::Store { cause: source.to_string() },
            StatisticsError::Start(source) => Self::Start(source),
        }
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Invalid(invalid) => {
                Self::Invalid { field: invalid.field.to_owned(), reason: invalid.reason }
            }
            PlanError::NotFound { what } => Self::NotFound { what },
            PlanError::Store(source) => Self::Store { cause: source.to_string() },
            forbidden => Self::State { message: forbidden.to_string() },
        }
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        Self::Store { cause: error.to_string() }
    }
}

impl ApiError {
    fn envelope(self) -> Envelope {
        let (status, code) = self.status();
        match self {
            Self::AuthMissing => unauthorized(code, "the header Authorization is missing".to_owned()),
            Self::AuthHeader => {
                unauthorized(code, "the header Authorization is not of the form: Bearer TOKEN".to_owned())
            }
            Self::Token(reason @ VerifyError::KeysUnavailable { retry_after }) => {
                let message = format!("the token could not be verified: {reason}");
                Envelope::error(status, code, message).header(RETRY_AFTER, &whole_seconds(retry_after))
            }
            Self::Token(reason) => unauthorized(code, format!("token verification failed: {reason}")),
            Self::Login(reason) => refused_login(status, code, reason),
            Self::Start(reason) => not_started(status, code, reason),
            Self::Forbidden { needed } => Envelope::error(status, code, forbidden(needed)),
            Self::RateLimited { retry_after } => {
                Envelope::error(status, code, "the caller sends too many requests".to_owned())
                    .header(RETRY_AFTER, &whole_seconds(retry_after))
            }
            Self::Body { reason } => Envelope::error(status, code, reason),
            Self::TooLarge => Envelope::error(status, code, "the body is too large".to_owned()),
            Self::Invalid { field, reason } => Envelope::error(status, code, format!("{field}: {reason}")),
            Self::NotFound { what } => Envelope::error(status, code, format!("not found: {what}")),
            Self::State { message } => Envelope::error(status, code, message),
            Self::Method => Envelope::error(status, code, "this path does not know the method".to_owned()),
            Self::Deadline => {
                Envelope::error(status, code, "no answer within the deadline of the server".to_owned())
                    .header(RETRY_AFTER, "5")
            }
            Self::Store { cause } => hidden(status, code, "the database did not answer", cause),
            Self::Internal { cause } => hidden(status, code, "internal server error", cause),
        }
    }

    fn status(&self) -> (StatusCode, u32) {
        match self {
            Self::AuthMissing => (StatusCode::UNAUTHORIZED, codes::AUTH_MISSING),
            Self::AuthHeader => (StatusCode::UNAUTHORIZED, codes::AUTH_HEADER),
            Self::Token(VerifyError::Expired) => (StatusCode::UNAUTHORIZED, codes::TOKEN_EXPIRED),
            Self::Token(VerifyError::Signature) => (StatusCode::UNAUTHORIZED, codes::SIGNATURE),
            Self::Token(VerifyError::KeysUnavailable { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, codes::KEYS_UNAVAILABLE)
            }
            Self::Token(_) => (StatusCode::UNAUTHORIZED, codes::TOKEN_INVALID),
            Self::Forbidden { .. } => (StatusCode::FORBIDDEN, codes::FORBIDDEN),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, codes::RATE_LIMITED),
            Self::Login(LoginError::Invalid) => (StatusCode::UNAUTHORIZED, codes::CREDENTIALS),
            Self::Login(LoginError::Locked { .. }) => (StatusCode::LOCKED, codes::LOCKED),
            Self::Login(LoginError::Unsigned) => (StatusCode::INTERNAL_SERVER_ERROR, codes::TOKEN_UNSIGNED),
            Self::Body { .. } => (StatusCode::BAD_REQUEST, codes::BIND),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, codes::TOO_LARGE),
            Self::Invalid { .. } => (StatusCode::BAD_REQUEST, codes::VALIDATION),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, codes::NOT_FOUND),
            Self::State { .. } => (StatusCode::CONFLICT, codes::STATE),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, codes::METHOD),
            Self::Deadline => (StatusCode::SERVICE_UNAVAILABLE, codes::DEADLINE),
            Self::Start(StartError::Busy { .. }) => (StatusCode::CONFLICT, codes::SYNC_BUSY),
            Self::Start(StartError::InProgress { .. }) => (StatusCode::CONFLICT, codes::KEY_IN_PROGRESS),
            Self::Start(StartError::KeyReused) => (StatusCode::UNPROCESSABLE_ENTITY, codes::KEY_REUSED),
            Self::Start(StartError::Store(_)) | Self::Store { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, codes::DATABASE)
            }
            Self::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, codes::INTERNAL),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.envelope().into_response()
    }
}

fn unauthorized(code: u32, message: String) -> Envelope {
    Envelope::error(StatusCode::UNAUTHORIZED, code, message).header(WWW_AUTHENTICATE, "Bearer")
}

fn forbidden(needed: Permission) -> String {
    let roles: Vec<&str> = needed.roles().map(Role::as_str).collect();
    format!("the caller's roles do not allow to {needed} (hint: that takes one of {})", roles.join(", "))
}

/// The value of `Retry-After`: rounded up, so that whoever obeys it does not come too early.
fn whole_seconds(wait: Duration) -> String {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1).to_string()
}

fn refused_login(status: StatusCode, code: u32, reason: LoginError) -> Envelope {
    let envelope = Envelope::error(status, code, reason.to_string());
    match reason {
        LoginError::Locked { retry_after } => envelope.header(RETRY_AFTER, &whole_seconds(retry_after)),
        _ => envelope,
    }
}

fn not_started(status: StatusCode, code: u32, reason: StartError) -> Envelope {
    let envelope = Envelope::error(status, code, reason.to_string());
    if let Some(sync) = SyncInTheWay::of(&reason) {
        return envelope.data(sync).header(RETRY_AFTER, "1");
    }
    match reason {
        StartError::Store(source) => hidden(status, code, "nothing was started", source.to_string()),
        _ => envelope,
    }
}

/// Says what matters to the caller; the rest goes to the log.
fn hidden(status: StatusCode, code: u32, message: &str, cause: String) -> Envelope {
    let mut envelope = Envelope::error(status, code, message.to_owned());
    envelope.cause = Some(cause);
    envelope
}

/// Headers of an empty reply that the envelope must keep.
pub(super) const KEPT: [HeaderName; 1] = [ALLOW];
