//! `statistics/runs/{id}`: how a sync stands, and the reply that its end gives.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::routing::get;
use serde_json::{Value, json};

use super::Shared;
use super::auth::Caller;
use super::envelope::Envelope;
use super::error::{ApiError, codes};
use crate::domain::sync_run::{SyncRun, SyncStatus};
use crate::identity::Role;

const READERS: [Role; 4] = [Role::Admin, Role::Operator, Role::Caller, Role::Viewer];

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/statistics/runs/{id}", get(show))
}

/// The record of a sync is found, however the sync ended: `status` tells.
async fn show(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(&READERS)?;
    let run = api.runs.find(caller.org_id, &id).await?;
    let run = run.ok_or_else(|| ApiError::NotFound { what: format!("sync {id}") })?;
    Ok(Envelope::success(view(&run)))
}

/// The reply to a request whose sync goes on: where to ask how it stands.
pub(super) fn accepted(id: &str) -> Envelope {
    Envelope::success(json!({ "run_id": id, "status": SyncStatus::Running.as_str() }))
        .status(StatusCode::ACCEPTED)
        .header(LOCATION, &format!("/api/v1/statistics/runs/{id}"))
}

/// The reply to the request that a sync was started by: a partial sync is never a success.
pub(super) fn ended(run: &SyncRun) -> Envelope {
    if run.status == SyncStatus::Succeeded {
        return Envelope::success(view(run));
    }
    let message = match &run.progress.error {
        Some(error) => format!("the sync stopped: {error}"),
        None => format!("{} of {} items were not done", run.progress.failed, run.progress.scanned),
    };
    let mut envelope = Envelope::error(StatusCode::INTERNAL_SERVER_ERROR, codes::SYNC_FAILED, message);
    envelope.data = Some(view(run));
    envelope.cause = run.progress.errors.first().map(|error| format!("{}: {}", error.item, error.message));
    envelope
}

fn view(run: &SyncRun) -> Value {
    let p = &run.progress;
    json!({
        "run_id": run.id,
        "kind": run.kind.as_str(),
        "status": run.status.as_str(),
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
        "started_at": run.started_at.to_string(),
        "finished_at": run.finished_at.map(|at| at.to_string()),
        "duration_ms": run.duration_ms(),
    })
}
