//! `statistics/runs`: how syncs stand, and the replies that their starts and ends give.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, LOCATION};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, IntoResponses};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::envelope::Envelope;
use super::error::{ApiError, codes};
use super::input::{Input, NumberOrText, Segment, exact, instant};
use super::openapi::schema;
use super::sync_replies::{SyncAccepted, SyncInTheWay, SyncList, SyncReply};
use super::{Shared, request};
use crate::business::sync_run::{Asker, Running, Scope, Started};
use crate::domain::sync_run::{EVERY_ORGANISATION, SyncKind, SyncRun, SyncStatus};
use crate::identity::{Identity, Permission};

/// Records of one page.
const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// The headers that a request for a sync may have.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documents what `request` reads")]
pub(super) struct SyncHeaders {
    /// A repeat with the same key and the same input is answered with what the first one did.
    #[param(rename = "Idempotency-Key", schema_with = schema::idempotency_key, required = false)]
    key: Option<String>,
    /// `respond-async` does not wait for the end.
    #[param(rename = "Prefer", required = false, nullable = false)]
    prefer: Option<String>,
}

/// The answers to a request for a sync.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents what `answer` and `ApiError` write")]
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
    #[response(status = 409)]
    Busy(SyncInTheWay),
    /// The Idempotency-Key was used for another request.
    #[response(status = 422)]
    KeyReused,
    /// Something was not done: `data` is the record of the sync, if one was started.
    #[response(status = 500, headers(
        ("Idempotent-Replayed" = String, description = "`true`: an earlier request with this key did it."),
    ))]
    Failed(SyncReply),
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only syncs of this kind.
    #[param(schema_with = schema::kind, required = false)]
    kind: Option<String>,
    /// Only syncs that started before; takes the `started_at` of the last one to go on.
    #[param(schema_with = schema::instant, required = false)]
    before: Option<String>,
    /// Records of one page.
    #[param(schema_with = schema::limit, required = false)]
    limit: Option<String>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[param(schema_with = schema::org, required = false)]
    org: Option<NumberOrText>,
}

/// The records of syncs, the newest first.
#[utoipa::path(
    get, path = "/statistics/runs", operation_id = "list_syncs", tag = "syncs", params(Filter),
    responses((status = 200, description = "A page of records.", body = SyncList))
)]
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
    let before: Option<Timestamp> = filter.before.map(|at| instant("before", &at)).transpose()?;
    let limit: Option<u32> = filter
        .limit
        .map(|text| exact(&text).ok_or_else(|| invalid("limit", "expected a whole number".to_owned())))
        .transpose()?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid("limit", format!("must be from 1 to {MAX_LIMIT}")));
    }
    let runs = api.runs.recent(scope.org_id(), kind, before, limit).await?;
    let items = runs.iter().map(SyncReply::from).collect();
    Ok(Envelope::success(SyncList { items }))
}

/// The record of a sync, however it ended: `status` tells.
#[utoipa::path(
    get, path = "/statistics/runs/{id}", operation_id = "show_sync", tag = "syncs",
    params(("id" = String, Path, description = "The run_id of the sync.")),
    responses(
        (status = 200, description = "The record.", body = SyncReply),
        (status = 404, description = "No such sync in this organisation."),
    )
)]
async fn show(
    State(api): State<Shared>,
    caller: Caller,
    Segment(id): Segment<String>,
) -> Result<Envelope, ApiError> {
    let caller = caller.require(Permission::Read)?;
    let mut run = api.runs.find(caller.org_id, &id).await?;
    if run.is_none() && caller.may(Permission::EveryOrganisation) {
        run = api.runs.find(EVERY_ORGANISATION, &id).await?;
    }
    let run = run.ok_or_else(|| ApiError::NotFound { what: format!("sync {id}") })?;
    Ok(Envelope::success(SyncReply::from(&run)))
}

/// For whom the caller asks, by the field `org`: the caller's own organisation, unless an admin names another one or every one.
pub(super) fn scope(caller: &Identity, org: Option<NumberOrText>) -> Result<Scope, ApiError> {
    let wrong = || ApiError::Invalid {
        field: "org".to_owned(),
        reason: "expected the number of an organisation, or all".to_owned(),
    };
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
        return Err(ApiError::Forbidden { needed: Permission::EveryOrganisation });
    }
    Ok(scope)
}

/// Who asks, as the request tells.
pub(super) fn asker(
    caller: Identity,
    org: Option<NumberOrText>,
    headers: &HeaderMap,
) -> Result<Asker, ApiError> {
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
    Envelope::success(SyncAccepted::new(id))
        .status(StatusCode::ACCEPTED)
        .header(LOCATION, &format!("/api/v1/statistics/runs/{id}"))
}

/// The reply to the request that a sync was started by: a partial sync is never a success.
fn ended(run: &SyncRun) -> Envelope {
    if run.status == SyncStatus::Succeeded {
        return Envelope::success(SyncReply::from(run));
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
    let mut envelope =
        Envelope::error(StatusCode::INTERNAL_SERVER_ERROR, code, message).data(SyncReply::from(run));
    envelope.cause = progress.errors.first().map(|error| format!("{}: {}", error.item, error.message));
    envelope
}
