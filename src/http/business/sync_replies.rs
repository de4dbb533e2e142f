//! What the replies about syncs hold.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::schema;
use super::unreadable::UnreadableReply;
use crate::business::sync_run::StartError;
use crate::domain::sync_run::{EVERY_ORGANISATION, SyncRun, SyncStatus};

/// The record of a sync.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncReply {
    /// Its id.
    run_id: String,
    /// Which sync.
    #[schema(schema_with = schema::kind)]
    kind: &'static str,
    /// How it stands.
    #[schema(schema_with = schema::status)]
    status: &'static str,
    /// Whose counts; null stands for every organisation.
    #[schema(required)]
    org_id: Option<i64>,
    /// What made it start: `call`, `api`, or `organisations`.
    trigger: String,
    /// Who asked: the subject of the token.
    caller: String,
    /// The caller's key for the request.
    #[schema(required)]
    idempotency_key: Option<String>,
    /// The first sync with this key, which failed and of which this is a repeat.
    #[schema(required)]
    retry_of: Option<String>,
    /// The days that it covered, once they are known.
    #[schema(required)]
    window: Option<WindowReply>,
    /// Items that were read.
    scanned: u64,
    /// Rows inserted or changed.
    written: u64,
    /// Rows that were right already.
    unchanged: u64,
    /// Items left out on purpose.
    skipped: u64,
    /// Items that were not done.
    failed: u64,
    /// The first of them.
    errors: Vec<ItemReply>,
    /// Why the sync stopped before its end.
    #[schema(required)]
    error: Option<String>,
    /// What only this kind has to tell.
    #[schema(required)]
    detail: Option<Value>,
    /// When it started.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ended.
    #[schema(required, format = DateTime)]
    finished_at: Option<String>,
    /// How long it took, once it is over.
    #[schema(required)]
    duration_ms: Option<i64>,
}

/// First and last day.
#[derive(Serialize, ToSchema)]
pub(super) struct WindowReply {
    /// The first day.
    #[schema(format = Date)]
    start_date: String,
    /// The last day.
    #[schema(format = Date)]
    end_date: String,
}

/// Something that was not done.
#[derive(Serialize, ToSchema)]
pub(super) struct ItemReply {
    /// Which items.
    item: String,
    /// Why.
    message: String,
}

/// A sync that goes on.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncAccepted {
    run_id: String,
    #[schema(schema_with = schema::running)]
    status: &'static str,
}

/// The newest records first.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncList {
    pub(super) items: Vec<SyncReply>,
    /// What belongs on the page and cannot be read.
    pub(super) unreadable: Vec<UnreadableReply>,
    /// What `after` takes to go on; not on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next: Option<String>,
}

/// The sync that stands in the way.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncInTheWay {
    /// Its id.
    run_id: String,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    holder: Option<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    since: Option<String>,
}

impl SyncAccepted {
    pub(super) fn new(id: &str) -> Self {
        Self { run_id: id.to_owned(), status: SyncStatus::Running.as_str() }
    }
}

impl SyncInTheWay {
    /// The sync that kept another one from starting, if that was the reason.
    pub(super) fn of(error: &StartError) -> Option<Self> {
        match error {
            StartError::Busy { run_id, holder, since } => Some(Self {
                run_id: run_id.clone(),
                holder: Some(holder.clone()),
                since: Some(since.to_string()),
            }),
            StartError::InProgress { run_id } => {
                Some(Self { run_id: run_id.clone(), holder: None, since: None })
            }
            StartError::KeyReused | StartError::Crowded | StartError::Ending | StartError::Store(_) => None,
        }
    }
}

impl From<&SyncRun> for SyncReply {
    fn from(run: &SyncRun) -> Self {
        let p = &run.progress;
        let item = |error: &crate::domain::sync_run::ItemError| ItemReply {
            item: error.item.clone(),
            message: error.message.clone(),
        };
        Self {
            run_id: run.id.clone(),
            kind: run.kind.as_str(),
            status: run.status.as_str(),
            org_id: (run.org_id != EVERY_ORGANISATION).then_some(run.org_id),
            trigger: run.trigger.clone(),
            caller: run.caller.clone(),
            idempotency_key: run.idempotency_key.clone(),
            retry_of: run.retry_of.clone(),
            window: run.window.map(|window| WindowReply {
                start_date: window.start.to_string(),
                end_date: window.end.to_string(),
            }),
            scanned: p.scanned,
            written: p.written,
            unchanged: p.unchanged,
            skipped: p.skipped,
            failed: p.failed,
            errors: p.errors.iter().map(item).collect(),
            error: p.error.clone(),
            detail: p.detail.clone(),
            started_at: run.started_at.to_string(),
            finished_at: run.finished_at.map(|at| at.to_string()),
            duration_ms: run.duration_ms(),
        }
    }
}
