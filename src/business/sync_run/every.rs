//! A sync of every organisation, one after the other: each has its own record, lease and failure.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Progress, Scope, Started, SyncCaller, SyncRuns, SyncStopped, SyncWork};
use crate::domain::statistics::DayRange;
use crate::domain::sync_run::SyncKind;

/// The same work in every organisation.
pub(super) struct EveryOrganisation {
    pub(super) runs: Arc<SyncRuns>,
    /// The sync that all of them belong to.
    pub(super) id: String,
    pub(super) work: Arc<dyn SyncWork>,
}

#[async_trait]
impl SyncWork for EveryOrganisation {
    fn kind(&self) -> SyncKind {
        self.work.kind()
    }

    fn request(&self) -> String {
        self.work.request()
    }

    fn window(&self) -> Option<DayRange> {
        self.work.window()
    }

    async fn perform(&self, _: i64, progress: &mut Progress) -> Result<(), SyncStopped> {
        progress.window = self.window();
        let organisations = self.runs.organisations.all().await;
        let organisations =
            organisations.map_err(|error| format!("the organisations could not be listed: {error}"))?;
        let mut runs = Vec::new();
        for org_id in organisations {
            progress.note();
            let request = SyncCaller {
                scope: Scope::Organisation(org_id),
                caller: format!("sync {}", self.id),
                trigger: "organisations".to_owned(),
                idempotency_key: None,
            };
            let item = format!("organisation {org_id}");
            let running = match self.runs.start(request, Arc::clone(&self.work)).await {
                Ok(Started::Running(running)) => running,
                Ok(Started::Before(_)) => {
                    progress.fail(1, item, "was answered before".to_owned());
                    continue;
                }
                Err(error) => {
                    progress.fail(1, item, error.to_string());
                    continue;
                }
            };
            match running.ended().await {
                Ok(run) => {
                    let status = run.status.as_str();
                    runs.push(serde_json::json!({ "org_id": org_id, "run_id": run.id, "status": status }));
                    progress.add(&item, &run.progress);
                }
                Err(error) => progress.fail(1, item, error.to_string()),
            }
        }
        progress.detail = Some(serde_json::json!({ "organisations": runs }));
        Ok(())
    }
}
