//! A sync of every organisation, one after the other: each has its own record, lease and failure.

use std::sync::Arc;

use super::{Progress, Scope, Started, SyncCaller, SyncRuns, SyncStopped, SyncWork};

impl SyncRuns {
    /// Does the same work in every organisation, for the sync `id` that all of them belong to.
    pub(super) async fn every(
        self: &Arc<Self>,
        id: &str,
        work: &Arc<dyn SyncWork>,
        progress: &mut Progress,
    ) -> Result<(), SyncStopped> {
        progress.window = work.window();
        let organisations = self.organisations.all().await;
        let organisations =
            organisations.map_err(|error| format!("the organisations could not be listed: {error}"))?;
        let mut runs = Vec::new();
        for org_id in organisations {
            progress.note();
            let request = SyncCaller {
                scope: Scope::Organisation(org_id),
                caller: format!("sync {id}"),
                trigger: "organisations".to_owned(),
                idempotency_key: None,
            };
            let ended = match self.start(request, Arc::clone(work)).await {
                Ok(Started::Running(running)) => running.ended().await.map_err(|error| error.to_string()),
                Ok(Started::Before(_)) => Err("was answered before".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let item = format!("organisation {org_id}");
            match ended {
                Ok(run) => {
                    let status = run.status.as_str();
                    runs.push(serde_json::json!({ "org_id": org_id, "run_id": run.id, "status": status }));
                    progress.add(&item, &run.progress);
                }
                Err(error) => progress.fail(1, item, error),
            }
        }
        progress.detail = Some(serde_json::json!({ "organisations": runs }));
        Ok(())
    }
}
