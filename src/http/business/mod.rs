//! The API of `qs-apiserver`: one file per resource with its own `router()` and the errors that only it knows.

pub mod codes;
mod cursor;
mod dev_iam;
mod event_replies;
mod events;
mod fields;
mod openapi;
mod plan_replies;
mod plan_tasks;
mod plans;
mod schema;
mod statistics;
mod statistics_replies;
mod sync_replies;
mod sync_request;
mod sync_runs;
mod unreadable;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::FromRef;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

use super::edge::{self, Edge};
use crate::business::due_tasks::DueTasks;
use crate::business::plan::Plans;
use crate::business::readiness::StoreReadiness;
use crate::business::statistics::Statistics;
use crate::business::sync_run::SyncRuns;
use crate::identity::dev_iam::DevIam;

/// Everything that the routes need.
#[derive(Clone)]
pub struct Api {
    /// What the API of every program has.
    pub edge: Arc<Edge>,
    /// Events and syncs.
    pub statistics: Arc<Statistics>,
    /// Plans and their tasks.
    pub plans: Arc<Plans>,
    /// The scheduled work on tasks.
    pub due_tasks: Arc<DueTasks>,
    /// The record of each sync.
    pub runs: Arc<SyncRuns>,
    /// The IAM for development, if it runs.
    pub dev_iam: Option<Arc<DevIam>>,
}

impl FromRef<Api> for Arc<Edge> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.edge)
    }
}

#[async_trait]
impl edge::Readiness for StoreReadiness {
    async fn check(&self) -> Vec<(&'static str, Option<edge::NotReady>)> {
        let not_ready = |(word, reason)| edge::NotReady { word, reason };
        let checks = StoreReadiness::check(self).await.into_iter();
        checks.map(|check| (check.name, check.problem.map(not_ready))).collect()
    }
}

/// The OpenAPI document of a server that other machines can reach, with the routes of the development IAM.
pub fn document() -> Value {
    edge::document(&routes(true), false)
}

/// The whole API.
pub fn router(api: Api) -> Router {
    edge::router(routes(api.dev_iam.is_some()), api)
}

fn routes(dev_iam: bool) -> OpenApiRouter<Api> {
    let resources = || {
        let statistics = statistics::router().merge(events::router()).merge(sync_runs::router());
        statistics.merge(plans::router()).merge(plan_tasks::router())
    };
    // The alias is served, not documented: the document shows each route once.
    let alias = Router::from(resources());
    let mut routes = OpenApiRouter::with_openapi(openapi::base())
        .nest("/api/v1", resources())
        .nest("/internal/v1", alias.into());
    if dev_iam {
        routes = routes.merge(dev_iam::router());
    }
    openapi::rules(routes.get_openapi_mut());
    routes
}
