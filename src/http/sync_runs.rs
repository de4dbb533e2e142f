//! `statistics/runs`: how syncs stand, and the replies that their starts and ends give.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, LOCATION};
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Caller;
use super::envelope::Envelope;
use super::error::{ApiError, codes};
use super::input::Input;
use super::{Shared, request};
use crate::business::sync_run::{Asker, Running, Scope, Started};
use crate::domain::sync_run::{EVERY_ORGANISATION, SyncKind, SyncRun, SyncStatus};
use crate::identity::{Identity, Permission};

/// Records of one page.
const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/statistics/runs", get(list)).route("/statistics/runs/{id}", get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    kind: Option<String>,
    before: Option<String>,
    limit: Option<String>,
    org: Option<OrgInput>,
}

/// The newest records first; `before` takes the `started_at` of the last one to go on.
async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Input(filter): Input<Filter>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let scope = scope(&caller, filter.org)?;
    let invalid = |field: &str, reason: String| ApiError::Invalid { field: field.to_owned(), reason };
    let kind: Option<SyncKind> =
        filter.kind.map(|kind| kind.parse().map_err(|error| invalid("kind", error))).transpose()?;
    let before: Option<Timestamp> = filter
        .before
        .map(|at| at.parse().map_err(|_| invalid("before", "expected an instant of RFC 3339".to_owned())))
        .transpose()?;
    let limit: Option<u32> = filter
        .limit
        .map(|limit| limit.parse().map_err(|_| invalid("limit", "expected a whole number".to_owned())))
        .transpose()?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid("limit", format!("must be from 1 to {MAX_LIMIT}")));
    }
    let runs = api.runs.recent(scope.org_id(), kind, before, limit).await?;
    let items: Vec<Value> = runs.iter().map(view).collect();
    Ok(Envelope::success(json!({ "items": items })))
}

/// The record of a sync is found, however the sync ended: `status` tells.
async fn show(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let mut run = api.runs.find(caller.org_id, &id).await?;
    if run.is_none() && caller.may(Permission::EveryOrganisation) {
        run = api.runs.find(EVERY_ORGANISATION, &id).await?;
    }
    let run = run.ok_or_else(|| ApiError::NotFound { what: format!("sync {id}") })?;
    Ok(Envelope::success(view(&run)))
}

/// The input field `org`: an organisation's number, or `all`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OrgInput {
    /// As JSON writes it.
    Number(i64),
    /// As the query writes it.
    Text(String),
}

/// For whom the caller asks: the caller's own organisation, unless an admin names another one or every one.
pub(super) fn scope(caller: &Identity, org: Option<OrgInput>) -> Result<Scope, ApiError> {
    let wrong = || ApiError::Invalid {
        field: "org".to_owned(),
        reason: "expected the number of an organisation, or all".to_owned(),
    };
    let scope = match org {
        None => return Ok(Scope::Organisation(caller.org_id)),
        Some(OrgInput::Number(org_id)) => Scope::Organisation(org_id),
        Some(OrgInput::Text(text)) if text == "all" => Scope::Every,
        Some(OrgInput::Text(text)) => Scope::Organisation(text.parse().map_err(|_| wrong())?),
    };
    if matches!(scope, Scope::Organisation(org_id) if org_id <= EVERY_ORGANISATION) {
        return Err(wrong());
    }
    if scope != Scope::Organisation(caller.org_id) && !caller.may(Permission::EveryOrganisation) {
        return Err(ApiError::Forbidden { needed: Permission::EveryOrganisation });
    }
    Ok(scope)
}

/// Who asks, as the request tells.
pub(super) fn asker(caller: Identity, org: Option<OrgInput>, headers: &HeaderMap) -> Result<Asker, ApiError> {
    Ok(Asker {
        scope: scope(&caller, org)?,
        caller: caller.subject,
        trigger: request::trigger(headers).to_owned(),
        idempotency_key: request::idempotency_key(headers)?,
    })
}

/// The reply to a request for a sync.
pub(super) async fn answer(
    api: &Shared,
    started: Started,
    headers: &HeaderMap,
) -> Result<Envelope, ApiError> {
    match started {
        Started::Running(running) => wait(api, running, request::prefers_async(headers)).await,
        Started::Before(run) => {
            Ok(ended(&run).header(HeaderName::from_static("idempotent-replayed"), "true"))
        }
    }
}

/// Waits for the end, unless the caller would rather not or the deadline comes first: then the sync goes on.
async fn wait(api: &Shared, running: Running, prefers_async: bool) -> Result<Envelope, ApiError> {
    let accepted = accepted(&running.id);
    if prefers_async {
        return Ok(accepted.header(HeaderName::from_static("preference-applied"), "respond-async"));
    }
    match tokio::time::timeout(api.request_timeout, running.ended()).await {
        Ok(run) => Ok(ended(&run?)),
        Err(_) => Ok(accepted),
    }
}

/// The reply to a request whose sync goes on: where to ask how it stands.
fn accepted(id: &str) -> Envelope {
    Envelope::success(json!({ "run_id": id, "status": SyncStatus::Running.as_str() }))
        .status(StatusCode::ACCEPTED)
        .header(LOCATION, &format!("/api/v1/statistics/runs/{id}"))
}

/// The reply to the request that a sync was started by: a partial sync is never a success.
fn ended(run: &SyncRun) -> Envelope {
    if run.status == SyncStatus::Succeeded {
        return Envelope::success(view(run));
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
    let mut envelope = Envelope::error(StatusCode::INTERNAL_SERVER_ERROR, code, message);
    envelope.data = Some(view(run));
    envelope.cause = progress.errors.first().map(|error| format!("{}: {}", error.item, error.message));
    envelope
}

fn view(run: &SyncRun) -> Value {
    let p = &run.progress;
    json!({
        "run_id": run.id,
        "kind": run.kind.as_str(),
        "status": run.status.as_str(),
        "org_id": (run.org_id != EVERY_ORGANISATION).then_some(run.org_id),
        "trigger": run.trigger,
        "caller": run.caller,
        "window": run.window.map(|window| {
            json!({ "start_date": window.start.to_string(), "end_date": window.end.to_string() })
        }),
        "scanned": p.scanned,
        "written": p.written,
        "unchanged": p.unchanged,
        "skipped": p.skipped,
        "failed": p.failed,
        "errors": p.errors,
        "error": p.error,
        "detail": p.detail,
        "started_at": run.started_at.to_string(),
        "finished_at": run.finished_at.map(|at| at.to_string()),
        "duration_ms": run.duration_ms(),
    })
}
