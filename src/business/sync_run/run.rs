//! A sync that was admitted: its work under the lease, and the record of its end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{AdmittedSync, Progress, RecordError, Scope, SyncRuns, SyncStopped, SyncWork};
use crate::clock::patience::patiently;
use crate::domain::sync_run::{SyncProgress, SyncRun};
use crate::lease::{Lease, WorkEnd, keep};
use crate::store::StoreError;

/// How often the end of a sync is offered to a store that does not take it, and how long in between.
const ATTEMPTS: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(500);

/// What the log says of a sync whose lease another process took.
const GIVEN_UP: &str = "another process has recorded this sync as given up";

/// The lease of a running sync: in its record, which also says how far it is.
struct SyncLease<'a> {
    runs: &'a SyncRuns,
    id: &'a str,
    noted: watch::Receiver<SyncProgress>,
}

#[async_trait]
impl Lease for SyncLease<'_> {
    async fn renew(&self) -> Result<bool, String> {
        let until = self.runs.lease_until(self.runs.clock.now());
        let progress = self.noted.borrow().clone();
        let held = self.runs.store.renew(self.id, &progress, until).await;
        if let Ok(false) = held {
            self.not_renewed(GIVEN_UP);
        }
        held.map_err(|error| error.to_string())
    }

    fn not_renewed(&self, problem: &str) {
        tracing::warn!(run_id = self.id, problem, "a sign of life was not recorded");
    }
}

impl SyncRuns {
    /// Does the work of a sync that was admitted, and records its end.
    pub(super) async fn run(
        self: &Arc<Self>,
        sync: AdmittedSync,
        work: Arc<dyn SyncWork>,
    ) -> Result<SyncRun, RecordError> {
        let AdmittedSync { id, scope, taken, progress } = sync;
        let id = id.as_str();
        let noted = progress.noted();
        let lease = SyncLease { runs: self, id, noted: noted.clone() };
        let stopped = |error: &str| SyncProgress { error: Some(error.to_owned()), ..noted.borrow().clone() };
        let work = patiently(perform(Arc::clone(self), id.to_owned(), scope, work, progress));
        let progress = match keep(&lease, self.lease, taken, work).await {
            WorkEnd::Done(progress) => progress,
            WorkEnd::Panicked => stopped("a defect stopped the sync"),
            WorkEnd::LeaseLost => SyncProgress {
                store_lost: true,
                ..stopped("the lease was lost: the store did not take a sign of life in time")
            },
        };
        let ended = self.record_end(scope.org_id(), id, &progress).await;
        self.running().remove(id);
        ended
    }

    /// Records the end and reads the record back: the reply and the record cannot differ.
    async fn record_end(
        &self,
        org_id: i64,
        id: &str,
        progress: &SyncProgress,
    ) -> Result<SyncRun, RecordError> {
        let mut attempt = 1;
        let recorded = loop {
            match self.store.finish(id, progress, self.clock.now()).await {
                Ok(recorded) => break recorded,
                Err(error) if attempt == ATTEMPTS => return Err(error.into()),
                Err(error) => tracing::warn!(run_id = id, %error, attempt, "the end is not recorded yet"),
            }
            attempt += 1;
            tokio::time::sleep(BETWEEN).await;
        };
        let run = self.store.find(org_id, id).await?;
        let missing = || StoreError::Corrupt { verb: "finish", found: format!("no sync {id}") };
        let mut run = run.ok_or_else(missing)?;
        run.progress.store_lost = progress.store_lost;
        if !recorded {
            tracing::warn!(run_id = id, "{GIVEN_UP}");
        }
        log_end(&run);
        (self.observer)(&run);
        Ok(run)
    }

    /// Records the syncs that were cut off as failed, with what they had done.
    pub(super) async fn record_cut_off(&self) -> Result<(), RecordError> {
        let cut: Vec<_> = self.running().drain().collect();
        for (id, noted) in &cut {
            let error = Some("the server was stopped before the sync ended".to_owned());
            let progress = SyncProgress { error, mark: None, ..noted.borrow().clone() };
            self.store.finish(id, &progress, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Until when a lease is held whose sign of life is sent now.
    pub(super) fn lease_until(&self, now: Timestamp) -> Timestamp {
        let lease = SignedDuration::try_from(self.lease).unwrap_or(SignedDuration::MAX);
        now.checked_add(lease).unwrap_or(Timestamp::MAX)
    }
}

/// The work in one organisation or in every one, to its end or to where it stopped.
async fn perform(
    runs: Arc<SyncRuns>,
    id: String,
    scope: Scope,
    work: Arc<dyn SyncWork>,
    mut progress: Progress,
) -> SyncProgress {
    let ended = match scope {
        Scope::Organisation(org_id) => in_turn(&runs, org_id, &*work, &mut progress).await,
        Scope::Every => runs.every(&id, &work, &mut progress).await,
    };
    let mut progress = progress.into_counts();
    if let Err(error) = ended {
        progress.store_lost = error.store_is_lost();
        progress.error = Some(error.to_string());
    }
    progress
}

/// The work in one organisation, when it is its turn. A sync of every organisation has no turn of its own, only its parts
/// have: else the whole could keep the turn that its part waits for.
async fn in_turn(
    runs: &SyncRuns,
    org_id: i64,
    work: &dyn SyncWork,
    progress: &mut Progress,
) -> Result<(), SyncStopped> {
    let turn = runs.turns.acquire().await.map_err(|error| error.to_string())?;
    let ended = work.perform(org_id, progress).await;
    drop(turn);
    ended
}

fn log_end(run: &SyncRun) {
    tracing::info!(
        run_id = run.id,
        kind = %run.kind,
        org_id = run.org_id,
        status = run.status.as_str(),
        scanned = run.progress.scanned,
        written = run.progress.written,
        unchanged = run.progress.unchanged,
        failed = run.progress.failed,
        duration_ms = run.duration_ms(),
        error = run.progress.error,
        "sync ended"
    );
}
