//! One sync from its record to its end: the work, the signs of life beside it, and how it ended.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::{Asker, Hold, RecordError, Scope, StartError, Work};
use crate::business::organisations::Organisations;
use crate::clock::SharedClock;
use crate::domain::id::ExecutionId;
use crate::domain::sync_run::{NewSyncRun, SyncProgress, SyncRun};
use crate::store::StoreError;
use crate::store::business::{Store, SyncAdmission};
use crate::store::contention::retry;

/// How often the end of a sync is offered to a store that does not take it, and how long in between.
const ATTEMPTS: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(500);

/// Told of every sync that ended.
pub type Observer = Box<dyn Fn(&SyncRun) + Send + Sync>;

/// What every sync needs on its way.
pub(super) struct Carrier {
    pub(super) store: Arc<dyn Store>,
    pub(super) organisations: Organisations,
    pub(super) clock: SharedClock,
    /// How long a lease is held without a sign of life.
    pub(super) lease: Duration,
    pub(super) observer: Observer,
    /// The syncs of this process that are not over.
    pub(super) running: Mutex<HashMap<String, Hold>>,
}

impl Carrier {
    /// Records the sync as running: its id, or the answer to the same request before.
    pub(super) async fn begin(
        &self,
        asker: Asker,
        work: &dyn Work,
    ) -> Result<Result<String, Box<SyncRun>>, StartError> {
        let run = self.record(asker, work);
        let (id, request) = (run.id.clone(), run.request.clone());
        let begun = retry(|| self.store.begin(&run)).await;
        match begun.map_err(StartError::Store)? {
            SyncAdmission::KeyUsed(known) if known.request != request => Err(StartError::KeyReused),
            SyncAdmission::KeyUsed(known) if known.finished_at.is_none() => {
                Err(StartError::InProgress { run_id: known.id })
            }
            SyncAdmission::KeyUsed(known) => Ok(Err(Box::new(known))),
            SyncAdmission::LeaseHeld(holder) => {
                Err(StartError::Busy { run_id: holder.id, holder: holder.caller, since: holder.started_at })
            }
            SyncAdmission::Admitted => {
                // From here on the shutdown knows it.
                self.hold(&id);
                Ok(Ok(id))
            }
        }
    }

    /// Does the work of a sync that has begun, and records its end.
    pub(super) async fn carry_out(
        self: Arc<Self>,
        id: &str,
        scope: Scope,
        work: Arc<dyn Work>,
    ) -> Result<SyncRun, RecordError> {
        let hold = self.hold(id);
        match scope {
            Scope::Organisation(org_id) => self.carry(id, org_id, run(work, org_id, hold)).await,
            Scope::Every => {
                let all = every(Arc::clone(&self), id.to_owned(), work, hold);
                self.carry(id, scope.org_id(), all).await
            }
        }
    }

    async fn carry(
        &self,
        id: &str,
        org_id: i64,
        work: impl Future<Output = SyncProgress> + Send + 'static,
    ) -> Result<SyncRun, RecordError> {
        let hold = self.hold(id);
        let mut tasks = JoinSet::from_iter([work]);
        let mut trusted = self.until(self.clock.now());
        let progress = loop {
            tokio::select! {
                ended = tasks.join_next() => break match ended {
                    Some(Ok(progress)) => progress,
                    _ => SyncProgress {
                        error: Some("a defect stopped the sync".to_owned()),
                        ..hold.progress()
                    },
                },
                () = tokio::time::sleep(self.lease / 3) => trusted = self.renew(id, &hold, trusted).await,
            }
        };
        let ended = self.finish(org_id, id, &progress).await;
        self.running().remove(id);
        ended
    }

    fn hold(&self, id: &str) -> Hold {
        self.running().entry(id.to_owned()).or_default().clone()
    }

    /// Records the syncs that were cut off as failed, with what they had done.
    pub(super) async fn record_cut_off(&self) -> Result<(), RecordError> {
        let cut: Vec<_> = self.running().drain().collect();
        for (id, hold) in cut {
            let error = Some("the server was stopped before the sync ended".to_owned());
            let progress = SyncProgress { error, mark: None, ..hold.progress() };
            self.store.finish(&id, &progress, self.clock.now()).await?;
        }
        Ok(())
    }

    /// A sign of life; answers until when the right is held. When the store has not taken one for so long that the next
    /// could come too late, the right is given up before anybody else can take it.
    async fn renew(&self, id: &str, hold: &Hold, trusted: Timestamp) -> Timestamp {
        let until = self.until(self.clock.now());
        let progress = hold.progress();
        let answer = self.store.renew(id, &progress, until);
        let problem = match tokio::time::timeout(self.lease / 3, answer).await {
            Ok(Ok(true)) => return until,
            Ok(Ok(false)) => {
                hold.lose();
                "another process has recorded this sync as given up".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        let margin = SignedDuration::try_from(self.lease / 3).unwrap_or(SignedDuration::MAX);
        if trusted.duration_since(self.clock.now()) <= margin {
            hold.lose();
        }
        tracing::warn!(run_id = id, problem, "a sign of life was not recorded");
        trusted
    }

    /// Records the end and reads the record back: the reply and the record cannot differ.
    async fn finish(&self, org_id: i64, id: &str, progress: &SyncProgress) -> Result<SyncRun, RecordError> {
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
        let run = run.ok_or_else(missing)?;
        if !recorded {
            tracing::warn!(run_id = id, "another process has recorded this sync as given up");
        }
        report(&run);
        (self.observer)(&run);
        Ok(run)
    }

    fn record(&self, asker: Asker, work: &dyn Work) -> NewSyncRun {
        let now = self.clock.now();
        let (kind, org_id) = (work.kind(), asker.scope.org_id());
        NewSyncRun {
            id: ExecutionId::new(now, std::array::from_fn(|_| fastrand::u8(..))).to_string(),
            kind,
            org_id,
            trigger: asker.trigger,
            caller: asker.caller,
            idempotency_key: asker.idempotency_key,
            request: work.request(),
            window: work.window(),
            lease: kind.lease(org_id),
            lease_until: self.until(now),
            started_at: now,
        }
    }

    fn until(&self, now: Timestamp) -> Timestamp {
        let lease = SignedDuration::try_from(self.lease).unwrap_or(SignedDuration::MAX);
        now.checked_add(lease).unwrap_or(Timestamp::MAX)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Hold>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work in one organisation, to its end or to where it stopped.
async fn run(work: Arc<dyn Work>, org_id: i64, hold: Hold) -> SyncProgress {
    let mut progress = SyncProgress::default();
    if let Err(error) = work.carry_out(org_id, &hold, &mut progress).await {
        progress.error = Some(error);
    }
    progress
}

/// The same work in every organisation, one after the other: each has its own record, lease and failure.
async fn every(carrier: Arc<Carrier>, parent: String, work: Arc<dyn Work>, hold: Hold) -> SyncProgress {
    let mut sum = SyncProgress { window: work.window(), ..SyncProgress::default() };
    let organisations = match carrier.organisations.all().await {
        Ok(organisations) => organisations,
        Err(error) => {
            sum.error = Some(format!("the organisations could not be listed: {error}"));
            return sum;
        }
    };
    let mut runs = Vec::new();
    for org_id in organisations {
        if let Err(error) = hold.check(&sum) {
            sum.error = Some(error);
            break;
        }
        let asker = Asker {
            scope: Scope::Organisation(org_id),
            caller: format!("sync {parent}"),
            trigger: "organisations".to_owned(),
            idempotency_key: None,
        };
        let item = format!("organisation {org_id}");
        match carrier.begin(asker, &*work).await {
            Ok(Ok(id)) => {
                let one = run(Arc::clone(&work), org_id, carrier.hold(&id));
                match carrier.carry(&id, org_id, one).await {
                    Ok(run) => {
                        runs.push(serde_json::json!({ "org_id": org_id, "run_id": run.id, "status": run.status.as_str() }));
                        sum.add(&item, &run.progress);
                    }
                    Err(error) => sum.fail(1, item, error.to_string()),
                }
            }
            Ok(Err(_)) => sum.fail(1, item, "was answered before".to_owned()),
            Err(error) => sum.fail(1, item, error.to_string()),
        }
    }
    sum.detail = Some(serde_json::json!({ "organisations": runs }));
    sum
}

fn report(run: &SyncRun) {
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
