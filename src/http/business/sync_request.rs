//! A request for a sync: who asks, under which key, and the replies that its start and end give.

use std::fmt::Display;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use axum::http::request::Parts;
use utoipa::{IntoParams, IntoResponses};

use super::sync_replies::{SyncAccepted, SyncInTheWay, SyncReply};
use super::{Api, codes, schema};
use crate::business::sync_run::{RecordError, Running, Scope, StartError, Started, SyncCaller, Unheard};
use crate::domain::quoted::outside_quotes;
use crate::domain::statistics::{MAX_KEY, check_key};
use crate::domain::sync_run::{EVERY_ORGANISATION, SyncKind, SyncRun, SyncStatus};
use crate::http::edge::error::STORE_PAUSE;
use crate::http::edge::error::codes::DATABASE;
use crate::http::edge::fields::{NumberOrText, exact};
use crate::http::edge::{Answer, ApiError, Caller, Reply};
use crate::identity::{Identity, Permission};

/// When it is worth asking again for a sync that another one stands in the way of.
const PAUSE: Duration = Duration::from_secs(1);

/// The preference not to wait.
const RESPOND_ASYNC: &str = "respond-async";

/// The same for a server that has taken on as many as it can.
const CROWDED: Duration = Duration::from_secs(5);

/// The headers that a request for a sync may have.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documents what `SyncRequest` reads")]
pub(super) struct SyncHeaders {
    /// A repeat with the same key and the same input is answered with what the first one did, if that succeeded; if it
    /// failed, the repeat runs, and its `retry_of` names the first one.
    #[param(rename = "Idempotency-Key", schema_with = schema::idempotency_key, required = false)]
    key: Option<String>,
    /// `respond-async` does not wait for the end.
    #[param(rename = "Prefer", required = false, nullable = false)]
    prefer: Option<String>,
}

/// The answers to a request for a sync.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents what `SyncRequest::answer` and `ApiError` write")]
pub(super) enum SyncReplies {
    /// Everything was done.
    #[response(status = 200, headers(
        ("Idempotent-Replayed" = String, description = "`true`: an earlier request with this key did it."),
    ))]
    Ended(SyncReply),
    /// The sync goes on: `Location` says where to ask how it stands.
    #[response(status = 202, headers(
        ("Location" = String, description = "The record of the sync."),
        ("Preference-Applied" = String, description = "`respond-async`, if that was preferred."),
    ))]
    Accepted(SyncAccepted),
    /// Another sync of this kind, or the first request with this key, is in progress.
    #[response(status = 409, headers(("Retry-After")))]
    Busy(SyncInTheWay),
    /// The Idempotency-Key was used for another request.
    #[response(status = 422)]
    KeyReused,
    /// Something was not done: `data` is the record of the sync, if one was started.
    #[response(status = 500)]
    Failed(SyncReply),
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        let (status, code) = match error {
            StartError::Busy { .. } => (StatusCode::CONFLICT, codes::SYNC_BUSY),
            StartError::InProgress { .. } => (StatusCode::CONFLICT, codes::KEY_IN_PROGRESS),
            StartError::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, codes::KEY_REUSED),
            StartError::Store(source) if source.may_pass() => return Self::unavailable(source),
            StartError::Ending => return ending(error),
            StartError::Crowded => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Self::new(status, codes::SYNCS_CROWDED, error.to_string()).retry_after(CROWDED);
            }
            StartError::Store(source) => {
                let (status, message) = (StatusCode::INTERNAL_SERVER_ERROR, "nothing was started");
                return Self::new(status, DATABASE, message).cause(source);
            }
        };
        let refusal = Self::new(status, code, error.to_string());
        match SyncInTheWay::of(&error) {
            Some(sync) => refusal.data(sync).retry_after(PAUSE),
            None => refusal,
        }
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        if error.may_pass() { Self::unavailable(error) } else { Self::database(error) }
    }
}

/// A server that is started again, or another one, does it.
fn ending(error: impl Display) -> ApiError {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    ApiError::new(status, codes::ENDING, error.to_string()).retry_after(CROWDED)
}

/// A request for a sync, without its fields.
pub(super) struct SyncRequest {
    caller: Caller,
    headers: HeaderMap,
}

impl FromRequestParts<Api> for SyncRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        Ok(Self { caller, headers: parts.headers.clone() })
    }
}

impl SyncRequest {
    /// Goes on if the caller may do this.
    pub(super) fn require(&self, needed: Permission) -> Result<&Identity, ApiError> {
        self.caller.require(needed)
    }

    /// The request of this caller, and for whom it asks.
    pub(super) fn by(&self, caller: &Identity, org: Option<NumberOrText>) -> Result<SyncCaller, ApiError> {
        Ok(SyncCaller {
            scope: scope(caller, org)?,
            caller: caller.subject.clone(),
            trigger: trigger(&self.headers).to_owned(),
            idempotency_key: idempotency_key(&self.headers)?,
        })
    }

    /// The reply, when the sync ends; before, if the caller would rather not wait or the deadline comes first.
    pub(super) async fn answer(&self, api: &Api, started: Started) -> Answer {
        let running = match started {
            Started::Running(running) => running,
            Started::Before(run) => {
                let (name, value) =
                    (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
                return Ok(ended(&run)?.header(name, value));
            }
        };
        let location = location(&running, self.require(Permission::Read)?)?;
        let accepted = accepted(&running, location.clone());
        if prefers_async(&self.headers) {
            let applied = HeaderName::from_static("preference-applied");
            return Ok(accepted.header(applied, HeaderValue::from_static(RESPOND_ASYNC)));
        }
        match tokio::time::timeout(api.edge.request_timeout, running.ended()).await {
            Ok(Ok(run)) => ended(&run),
            Ok(Err(Unheard::Record(error))) => Err(error.into()),
            Ok(Err(cut_off @ Unheard::CutOff)) => Err(ending(cut_off).header(LOCATION, location)),
            Err(_) => Ok(accepted),
        }
    }
}

/// For whom the caller asks, by the field `org`: the caller's own organisation, unless an admin names another one or
/// every one.
pub(super) fn scope(caller: &Identity, org: Option<NumberOrText>) -> Result<Scope, ApiError> {
    let wrong = || ApiError::invalid("org", "expected the number of an organisation, or all");
    let scope = match org {
        None => return Ok(Scope::Organisation(caller.org_id)),
        Some(NumberOrText::Number(org_id)) => Scope::Organisation(org_id),
        Some(NumberOrText::Text(text)) if text == "all" => Scope::Every,
        Some(NumberOrText::Text(text)) => Scope::Organisation(exact(&text).ok_or_else(wrong)?),
    };
    if matches!(scope, Scope::Organisation(org_id) if org_id <= EVERY_ORGANISATION) {
        return Err(wrong());
    }
    if scope != Scope::Organisation(caller.org_id) && !caller.may(Permission::EveryOrganisation) {
        return Err(ApiError::forbidden(Permission::EveryOrganisation));
    }
    Ok(scope)
}

/// Where the caller asks how a sync stands.
fn location(running: &Running, caller: &Identity) -> Result<HeaderValue, ApiError> {
    let org = match running.scope {
        Scope::Organisation(org_id) if org_id != caller.org_id => format!("?org={org_id}"),
        Scope::Organisation(_) | Scope::Every => String::new(),
    };
    format!("/api/v1/statistics/runs/{}{org}", running.id).try_into().map_err(ApiError::internal)
}

/// The reply to a request whose sync goes on.
fn accepted(running: &Running, location: HeaderValue) -> Reply {
    Reply::new(SyncAccepted::new(&running.id)).status(StatusCode::ACCEPTED).header(LOCATION, location)
}

/// The reply to the request that a sync was started by: a partial sync is never a success.
fn ended(run: &SyncRun) -> Answer {
    if run.status == SyncStatus::Succeeded {
        return Ok(Reply::new(SyncReply::from(run)));
    }
    let progress = &run.progress;
    let (code, message) = match &progress.error {
        Some(error) => (codes::SYNC_FAILED, format!("the sync stopped: {error}")),
        None if run.kind == SyncKind::Validate => {
            (codes::DIFFERENCES, format!("{} of {} rows differ", progress.failed, progress.scanned))
        }
        None => {
            (codes::SYNC_FAILED, format!("{} of {} items were not done", progress.failed, progress.scanned))
        }
    };
    // What is not done for want of a store is done by a repeat; anything else takes somebody who looks.
    let error = if progress.store_lost {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(STORE_PAUSE)
    } else {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, code, message)
    };
    let error = error.data(SyncReply::from(run));
    Err(match progress.errors.first() {
        Some(first) => error.cause(format!("{}: {}", first.item, first.message)),
        None => error,
    })
}

/// Whether the caller would rather not wait (RFC 7240): a preference may have parameters, and an empty value is none.
fn prefers_async(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| outside_quotes(value, ','))
        .filter_map(|preference| outside_quotes(preference, ';').into_iter().next())
        .any(|preference| match preference.split_once('=') {
            None => preference.trim().eq_ignore_ascii_case(RESPOND_ASYNC),
            Some((name, value)) => {
                name.trim().eq_ignore_ascii_case(RESPOND_ASYNC) && matches!(value.trim(), "" | "\"\"")
            }
        })
}

/// What made the caller ask, as the record of a sync has it.
fn trigger(headers: &HeaderMap) -> &'static str {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if agent.starts_with("qs-api-call/") { "call" } else { "api" }
}

/// The caller's key for this request: a structured string (`"k"`) or bare.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let visible = key.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !visible || check_key(key, MAX_KEY).is_err() {
        let reason = "expected 1 to 255 visible ASCII characters without a space at their ends";
        return Err(ApiError::invalid("Idempotency-Key", reason));
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn preferences_and_keys_are_read_as_their_standards_write_them() {
        for prefer in [
            "wait=10, Respond-Async",
            "respond-async;x=1",
            "respond-async; x",
            "respond-async = \"\"",
            "x=\"\\\",\" ; y=\";\" , respond-async",
        ] {
            assert!(prefers_async(&headers("prefer", prefer)), "{prefer}");
        }
        for prefer in
            ["return=minimal", "x=\"a, respond-async\"", "x; respond-async", "respond-async=no", "\""]
        {
            assert!(!prefers_async(&headers("prefer", prefer)), "{prefer}");
        }
        for (written, key) in [("k-1", "k-1"), ("\"k-1\"", "k-1"), ("\"", "\"")] {
            assert_eq!(idempotency_key(&headers("idempotency-key", written)).unwrap().unwrap(), key);
        }
        for refused in ["\"\"", "\" k\"", "\"k \"", "a\tb", &"k".repeat(256)] {
            assert!(idempotency_key(&headers("idempotency-key", refused)).is_err(), "{refused:?}");
        }
        assert!(idempotency_key(&HeaderMap::new()).unwrap().is_none());
    }
}
