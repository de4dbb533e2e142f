//! A sync of every organisation, one after the other: each has its own record, lease and failure.

use std::pin::Pin;
use std::sync::Arc;

use super::{
    Admission, AdmittedSync, Progress, RecordError, Scope, SyncCaller, SyncRuns, SyncStopped, SyncWork,
};
use crate::domain::sync_run::SyncRun;

impl SyncRuns {
    /// Does the same work in every organisation, for the sync `id` that all of them belong to.
    pub(super) async fn every(
        self: &Arc<Self>,
        id: &str,
        work: &Arc<dyn SyncWork>,
        progress: &mut Progress,
    ) -> Result<(), SyncStopped> {
        progress.window = work.window();
        let organisations = self.organisations.all().await?;
        let mut runs = Vec::new();
        for org_id in organisations {
            progress.note();
            let request = SyncCaller {
                scope: Scope::Organisation(org_id),
                caller: format!("sync {id}"),
                trigger: "organisations".to_owned(),
                idempotency_key: None,
            };
            let ended = match self.admit(request, &**work).await {
                Ok(Admission::Admitted(sync)) => {
                    self.run_part(*sync, Arc::clone(work)).await.map_err(|error| error.to_string())
                }
                Ok(Admission::Before(_)) => Err("was answered before".to_owned()),
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

    /// A part runs inside the whole, so that a shutdown which cuts off the whole cuts off the part with it. Boxed,
    /// because a whole is run by the function that runs its parts.
    fn run_part<'a>(
        self: &'a Arc<Self>,
        sync: AdmittedSync,
        work: Arc<dyn SyncWork>,
    ) -> Pin<Box<dyn Future<Output = Result<SyncRun, RecordError>> + Send + 'a>> {
        Box::pin(self.run(sync, work))
    }
}
