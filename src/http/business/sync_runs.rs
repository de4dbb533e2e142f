//! `statistics/runs`: how syncs stand.

use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::cursor::Cursor;
use super::sync_replies::{SyncList, SyncReply};
use super::sync_request::scope;
use super::unreadable::UnreadableReply;
use super::{Api, schema};
use crate::business::sync_run::SyncFilter;
use crate::domain::sync_run::{EVERY_ORGANISATION, SyncKind};
use crate::http::edge::fields::{NumberOrText, exact, instant};
use crate::http::edge::{Answer, ApiError, Caller, Input, Reply, Segment};
use crate::identity::Permission;

/// Records of one page.
const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_syncs)).routes(routes!(show_sync))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only syncs of this kind.
    #[param(schema_with = schema::kind, required = false)]
    kind: Option<String>,
    /// Only syncs that started before.
    #[param(schema_with = schema::instant, required = false)]
    before: Option<String>,
    /// Records of one page.
    #[param(schema_with = schema::page_size, required = false)]
    limit: Option<String>,
    /// Goes on after the `next` of a page; empty begins.
    #[param(schema_with = schema::cursor, required = false)]
    after: Option<String>,
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[param(schema_with = schema::org, required = false)]
    org: Option<NumberOrText>,
}

/// The records of syncs, the newest first.
#[utoipa::path(
    get, path = "/statistics/runs", tag = "syncs", params(Filter),
    responses((status = 200, description = "A page of records.", body = SyncList))
)]
async fn list_syncs(State(api): State<Api>, caller: Caller, filter: Input<Filter>) -> Answer {
    let caller = caller.require(Permission::Read)?;
    let filter = filter.read(caller).await?;
    let scope = scope(caller, filter.org)?;
    let kind: Option<SyncKind> = filter
        .kind
        .map(|kind| {
            kind.parse().map_err(|_| ApiError::invalid("kind", format!("unknown sync kind {kind:?}")))
        })
        .transpose()?;
    let before: Option<Timestamp> = filter.before.map(|at| instant("before", &at)).transpose()?;
    let limit = match filter.limit {
        Some(text) => exact(&text).ok_or_else(|| ApiError::invalid("limit", "expected a whole number"))?,
        None => DEFAULT_LIMIT,
    };
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid("limit", format!("must be from 1 to {MAX_LIMIT}")));
    }
    let after = filter.after.as_deref().map(Cursor::read).transpose()?.flatten();
    let filter = SyncFilter { kind, before };
    let found = api.runs.recent(scope.org_id(), &filter, after.as_ref(), limit).await?;
    let items = found.items.iter().map(SyncReply::from).collect();
    let unreadable = UnreadableReply::all(&found.unreadable);
    Ok(Reply::new(SyncList { items, unreadable, next: found.next.as_ref().map(Cursor::write) }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// An organisation other than the caller's, or `all`: takes the role admin.
    #[param(schema_with = schema::org, required = false)]
    org: Option<NumberOrText>,
}

/// The record of a sync, however it ended: `status` tells.
#[utoipa::path(
    get, path = "/statistics/runs/{id}", tag = "syncs",
    params(("id" = String, Path, description = "The run_id of the sync."), Whose),
    responses(
        (status = 200, description = "The record.", body = SyncReply),
        (status = 404, description = "No such sync in this organisation."),
    )
)]
async fn show_sync(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<String>,
    whose: Input<Whose>,
) -> Answer {
    let caller = caller.require(Permission::Read)?;
    let scope = scope(caller, whose.read(caller).await?.org)?;
    // Ids are compared as texts, and databases differ in what they overlook: what is no id is not looked for.
    if id.parse().map(|id: Uuid| id.to_string()).as_ref() != Ok(&id) {
        return Err(ApiError::not_found(format!("sync {id}")));
    }
    let mut run = api.runs.find(scope.org_id(), &id).await?;
    if run.is_none() && caller.may(Permission::EveryOrganisation) {
        run = api.runs.find(EVERY_ORGANISATION, &id).await?;
    }
    let run = run.ok_or_else(|| ApiError::not_found(format!("sync {id}")))?;
    Ok(Reply::new(SyncReply::from(&run)))
}
