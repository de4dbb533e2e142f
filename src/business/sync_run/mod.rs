//! Starting a sync, once and alone, and recording how it ended, whatever happens to it.
//!
//! A sync is a task of its own: a caller that hangs up does not stop it. While it runs it holds the lease
//! `sync:<kind>:<organisation>` and gives signs of life; one that panics, is cut off by the shutdown, or whose process is
//! killed is recorded as failed. So many at a time do their work, the others wait for their turn: whatever many
//! organisations ask for at once, the database and the events have room.

mod error;
mod every;
mod progress;
mod run;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use super::organisations::Organisations;
use crate::clock::SharedClock;
use crate::domain::id::ExecutionId;
use crate::domain::statistics::DayRange;
use crate::domain::sync_run::{EVERY_ORGANISATION, NewSyncRun, SyncKind, SyncProgress, SyncRun};
use crate::store::business::lists::Listed;
use crate::store::business::{Store, SyncAdmission};
use crate::store::contention::retry;

pub use crate::store::business::{SyncFilter, SyncMark};
pub use error::{RecordError, StartError, SyncStopped, Unheard};
pub use progress::Progress;

/// Syncs that do their work at the same time, unless the configuration says otherwise.
pub const CONCURRENT: usize = 4;
/// Syncs that run or wait for their turn: each gives signs of life, which are writes.
const TAKEN_ON: usize = 256;

/// Told of every sync that ended.
pub type Observer = Box<dyn Fn(&SyncRun) + Send + Sync>;

/// Which organisations a sync is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This one.
    Organisation(i64),
    /// Every one that has data, one after the other, each with a record of its own.
    Every,
}

impl Scope {
    /// The organisation under which the record is kept.
    pub fn org_id(self) -> i64 {
        match self {
            Self::Organisation(org_id) => org_id,
            Self::Every => EVERY_ORGANISATION,
        }
    }
}

/// Who asks for a sync, for whom, and under which key.
#[derive(Clone, Debug)]
pub struct SyncCaller {
    /// For whom.
    pub scope: Scope,
    /// The subject of the token.
    pub caller: String,
    /// What made the caller ask.
    pub trigger: String,
    /// The caller's key for this request.
    pub idempotency_key: Option<String>,
}

/// What a sync does, for whichever organisation.
#[async_trait]
pub trait SyncWork: Send + Sync + 'static {
    /// Which sync it is.
    fn kind(&self) -> SyncKind;

    /// What is asked, equal for equal requests.
    fn request(&self) -> String;

    /// The days that were asked for.
    fn window(&self) -> Option<DayRange> {
        None
    }

    /// Does it. Before each batch it notes how far it is.
    ///
    /// # Errors
    /// Why it stopped before its end; what was done until then is in `progress`.
    async fn perform(&self, org_id: i64, progress: &mut Progress) -> Result<(), SyncStopped>;
}

/// A sync that was asked for.
#[derive(Debug)]
pub enum Started {
    /// It runs.
    Running(Running),
    /// The same request succeeded before, with this.
    Before(Box<SyncRun>),
}

/// A sync that runs.
#[derive(Debug)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// For whom it runs.
    pub scope: Scope,
    ended: oneshot::Receiver<Result<SyncRun, RecordError>>,
}

impl Running {
    /// Waits for its end. Dropping the future does not stop the sync.
    ///
    /// # Errors
    /// When the record of its end could not be written or read, or the server ended first.
    pub async fn ended(self) -> Result<SyncRun, Unheard> {
        // Whatever stops the work itself is an end that is sent: only the task as a whole can be dropped.
        Ok(self.ended.await.map_err(|_| Unheard::CutOff)??)
    }
}

/// What became of a request for a sync.
enum Admission {
    Admitted(Box<AdmittedSync>),
    /// The same request succeeded before, with this.
    Before(Box<SyncRun>),
}

/// A sync that is recorded as running and holds its lease, by an order that was sent at `taken`.
struct AdmittedSync {
    id: String,
    scope: Scope,
    taken: Instant,
    progress: Progress,
}

/// The syncs of this process.
pub struct SyncRuns {
    store: Arc<dyn Store>,
    organisations: Organisations,
    clock: SharedClock,
    /// How long a lease is held without a sign of life.
    lease: Duration,
    observer: Observer,
    /// Whose turn it is to work.
    turns: Semaphore,
    /// Who may run or wait.
    places: Arc<Semaphore>,
    /// What the syncs noted that are not over.
    running: Mutex<HashMap<String, watch::Receiver<SyncProgress>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl SyncRuns {
    /// Keeps its records in this store. A lease that is not renewed for `lease` is anybody's.
    pub fn new(
        store: Arc<dyn Store>,
        organisations: Organisations,
        clock: SharedClock,
        lease: Duration,
        observer: Observer,
    ) -> Self {
        let (running, tasks) = (Mutex::default(), Mutex::default());
        let (turns, places) = (Semaphore::new(CONCURRENT), Arc::new(Semaphore::new(TAKEN_ON)));
        Self { store, organisations, clock, lease, observer, turns, places, running, tasks }
    }

    /// So many syncs do their work at the same time.
    #[must_use]
    pub fn concurrent(mut self, syncs: u32) -> Self {
        self.turns = Semaphore::new(usize::try_from(syncs).unwrap_or(Semaphore::MAX_PERMITS));
        self
    }

    /// Starts `work` unless the request was seen before or another one is running.
    ///
    /// # Errors
    /// Why nothing was started.
    pub async fn start(
        self: &Arc<Self>,
        request: SyncCaller,
        work: Arc<dyn SyncWork>,
    ) -> Result<Started, StartError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => StartError::Crowded,
            TryAcquireError::Closed => StartError::Ending,
        })?;
        match self.admit(request, &*work).await? {
            Admission::Admitted(sync) => Ok(Started::Running(self.launch(*sync, work, place))),
            Admission::Before(run) => Ok(Started::Before(run)),
        }
    }

    /// Records the sync as running, unless the request was seen before or another one is running. From here on the
    /// shutdown knows it.
    async fn admit(&self, request: SyncCaller, work: &dyn SyncWork) -> Result<Admission, StartError> {
        let (scope, taken) = (request.scope, Instant::now());
        let run = self.new_run(request, work);
        match retry(|| self.store.begin(&run)).await? {
            SyncAdmission::Admitted => {
                let progress = Progress::new();
                self.running().insert(run.id.clone(), progress.noted());
                let id = run.id;
                Ok(Admission::Admitted(Box::new(AdmittedSync { id, scope, taken, progress })))
            }
            SyncAdmission::LeaseHeld(holder) => {
                Err(StartError::Busy { run_id: holder.id, holder: holder.caller, since: holder.started_at })
            }
            SyncAdmission::KeyUsed(first) if first.request != run.request => Err(StartError::KeyReused),
            SyncAdmission::KeyUsed(first) if first.finished_at.is_none() => {
                Err(StartError::InProgress { run_id: first.id })
            }
            SyncAdmission::KeyUsed(first) => Ok(Admission::Before(Box::new(first))),
        }
    }

    fn new_run(&self, request: SyncCaller, work: &dyn SyncWork) -> NewSyncRun {
        let now = self.clock.now();
        let (kind, org_id) = (work.kind(), request.scope.org_id());
        NewSyncRun {
            id: ExecutionId::new(now, std::array::from_fn(|_| fastrand::u8(..))).to_string(),
            kind,
            org_id,
            trigger: request.trigger,
            caller: request.caller,
            idempotency_key: request.idempotency_key,
            request: work.request(),
            window: work.window(),
            lease: kind.lease(org_id),
            lease_until: self.lease_until(now),
            started_at: now,
        }
    }

    /// Runs a sync that was admitted as a task of its own, which gives its place back in the end.
    fn launch(
        self: &Arc<Self>,
        sync: AdmittedSync,
        work: Arc<dyn SyncWork>,
        place: OwnedSemaphorePermit,
    ) -> Running {
        let (send, ended) = oneshot::channel();
        let scope = sync.scope;
        let (runs, id, run_id) = (Arc::clone(self), sync.id.clone(), sync.id.clone());
        // A child of the request that asked: its lines tell the same trace.
        let span = tracing::error_span!("sync", run_id);
        let task = async move {
            let ended = runs.run(sync, work).await;
            drop(place);
            if let Err(error) = &ended {
                tracing::error!(run_id, %error, "the end of a sync could not be recorded");
            }
            // A caller that has hung up does not wait for the end; the record has it.
            let _ = send.send(ended);
        };
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task.instrument(span));
        Running { id, scope, ended }
    }

    /// The record of a sync of this organisation.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, org_id: i64, id: &str) -> Result<Option<SyncRun>, RecordError> {
        Ok(self.store.find(org_id, id).await?)
    }

    /// The newest records of an organisation; see the store's verb.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn recent(
        &self,
        org_id: i64,
        filter: &SyncFilter,
        after: Option<&SyncMark>,
        limit: u32,
    ) -> Result<Listed<SyncRun, SyncMark>, RecordError> {
        let found = self.store.recent(org_id, filter, after, limit.saturating_add(1)).await?;
        Ok(Listed::cut(found, limit, None))
    }

    /// Records the syncs of processes that were killed as failed, as soon as their leases have run out.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn recover(&self, now: Timestamp) -> Result<u64, RecordError> {
        Ok(self.store.abandon("the server stopped before the sync ended", now).await?)
    }

    /// Starts no more syncs and waits for the running ones; those that are not over after `grace` are cut off and recorded
    /// as failed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn drain(&self, grace: Duration) -> Result<usize, RecordError> {
        self.places.close();
        let mut tasks = std::mem::take(&mut *self.tasks());
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_ok() {
            return Ok(0);
        }
        let cut = tasks.len();
        tasks.shutdown().await;
        self.record_cut_off().await?;
        Ok(cut)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<SyncProgress>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
