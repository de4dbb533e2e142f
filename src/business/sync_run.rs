//! Starting a sync, once and alone, and recording how it ended, whatever happens to it.
//!
//! A sync is a task of its own: a caller that hangs up does not stop it. One that panics or is cut off by the shutdown
//! is recorded as failed.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::domain::id::RunId;
use crate::domain::statistics::DayRange;
use crate::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun};
use crate::store::{Begun, Store, StoreError};

/// A sync that somebody asks for.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// Which sync.
    pub kind: SyncKind,
    /// Whose counts.
    pub org_id: i64,
    /// Who asks.
    pub caller: String,
    /// The caller's key for this request.
    pub idempotency_key: Option<String>,
    /// What is asked, equal for equal requests.
    pub request: String,
    /// First and last day.
    pub window: Option<DayRange>,
}

/// Why a sync did not start.
#[derive(Debug)]
pub enum StartError {
    /// Another one of this kind and organisation is running.
    Busy {
        /// Its id.
        run_id: String,
        /// Who asked for it.
        holder: String,
        /// When it started.
        since: Timestamp,
    },
    /// The first request with this key is not answered yet.
    InProgress {
        /// The sync that it started.
        run_id: String,
    },
    /// The key belongs to a request that asked for something else.
    KeyReused,
    /// The record cannot be written, so nothing was started.
    Store(StoreError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { run_id, holder, since } => {
                write!(f, "a sync is in progress: {run_id}, started by {holder} at {since}")
            }
            Self::InProgress { run_id } => {
                write!(f, "the first request with this Idempotency-Key is still in progress: {run_id}")
            }
            Self::KeyReused => f.write_str("this Idempotency-Key was used for another request"),
            Self::Store(source) => write!(f, "nothing was started: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(source) => Some(source),
            _ => None,
        }
    }
}

/// The record of a sync could not be read or written: what the sync did is then unknown here.
#[derive(Debug)]
pub struct RecordError(StoreError);

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl From<StoreError> for RecordError {
    fn from(source: StoreError) -> Self {
        Self(source)
    }
}

/// A sync that was asked for.
#[derive(Debug)]
pub enum Started {
    /// It runs.
    Running(Running),
    /// The same request was answered before, with this.
    Before(Box<SyncRun>),
}

/// A sync that runs.
#[derive(Debug)]
pub struct Running {
    /// Its id.
    pub id: String,
    ended: oneshot::Receiver<Result<SyncRun, RecordError>>,
}

impl Running {
    /// Waits for its end. Dropping the future does not stop the sync.
    ///
    /// # Errors
    /// When the record of its end could not be written or read: what it did is then unknown here.
    pub async fn ended(self) -> Result<SyncRun, RecordError> {
        self.ended.await.unwrap_or_else(|_| {
            Err(StoreError::Corrupt { verb: "finish", found: "the sync ended without a record".to_owned() }
                .into())
        })
    }
}

/// The syncs of this process.
pub struct SyncRuns {
    store: Arc<dyn Store>,
    clock: SharedClock,
    tasks: Mutex<JoinSet<()>>,
}

impl SyncRuns {
    /// Keeps its records in this store.
    pub fn new(store: Arc<dyn Store>, clock: SharedClock) -> Self {
        Self { store, clock, tasks: Mutex::default() }
    }

    /// Starts `work` unless the request was seen before or another one is running.
    ///
    /// # Errors
    /// Why nothing was started.
    pub async fn start<W>(&self, request: SyncRequest, work: W) -> Result<Started, StartError>
    where
        W: Future<Output = SyncProgress> + Send + 'static,
    {
        let run = self.record(request);
        let (id, org_id, request) = (run.id.clone(), run.org_id, run.request.clone());
        match self.store.begin(run).await.map_err(StartError::Store)? {
            Begun::Known(known) if known.request != request => Err(StartError::KeyReused),
            Begun::Known(known) if known.finished_at.is_none() => {
                Err(StartError::InProgress { run_id: known.id })
            }
            Begun::Known(known) => Ok(Started::Before(Box::new(known))),
            Begun::Busy(holder) => {
                Err(StartError::Busy { run_id: holder.id, holder: holder.caller, since: holder.started_at })
            }
            Begun::Started => Ok(Started::Running(self.spawn(id, org_id, work))),
        }
    }

    /// The record of a sync of this organisation.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, org_id: i64, id: &str) -> Result<Option<SyncRun>, RecordError> {
        Ok(self.store.find(org_id, id).await?)
    }

    /// Records the syncs of a process that was killed as failed: nobody carries them on.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn recover(&self) -> Result<u64, RecordError> {
        Ok(self.store.abandon("the server stopped before the sync ended", self.clock.now()).await?)
    }

    /// Waits for the running syncs; those that are not over after `grace` are cut off and recorded as failed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn drain(&self, grace: Duration) -> Result<u64, RecordError> {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_ok() {
            return Ok(0);
        }
        tasks.shutdown().await;
        Ok(self.store.abandon("the server was stopped before the sync ended", self.clock.now()).await?)
    }

    fn record(&self, request: SyncRequest) -> NewSyncRun {
        let now = self.clock.now();
        NewSyncRun {
            id: RunId::new(now, std::array::from_fn(|_| fastrand::u8(..))).to_string(),
            kind: request.kind,
            org_id: request.org_id,
            trigger: "api",
            caller: request.caller,
            idempotency_key: request.idempotency_key,
            request: request.request,
            window: request.window,
            started_at: now,
        }
    }

    fn spawn<W>(&self, id: String, org_id: i64, work: W) -> Running
    where
        W: Future<Output = SyncProgress> + Send + 'static,
    {
        let (send, ended) = oneshot::channel();
        let (store, clock, run_id) = (Arc::clone(&self.store), Arc::clone(&self.clock), id.clone());
        let task = async move {
            let mut work = JoinSet::from_iter([work]);
            let progress = match work.join_next().await {
                Some(Ok(progress)) => progress,
                _ => {
                    SyncProgress { error: Some("a defect stopped the sync".to_owned()), ..Default::default() }
                }
            };
            let ended = finish(&*store, org_id, &run_id, &progress, clock.now()).await;
            if let Err(error) = &ended {
                tracing::error!(run_id, %error, "the end of a sync could not be recorded");
            }
            // A caller that has hung up does not wait for the end; the record has it.
            let _ = send.send(ended);
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
        Running { id, ended }
    }
}

impl fmt::Debug for SyncRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncRuns").finish_non_exhaustive()
    }
}

/// Records the end and reads the record back: the reply and the record cannot differ.
async fn finish(
    store: &dyn Store,
    org_id: i64,
    id: &str,
    progress: &SyncProgress,
    now: Timestamp,
) -> Result<SyncRun, RecordError> {
    store.finish(id, progress, now).await?;
    let run = store.find(org_id, id).await?;
    let run = run.ok_or_else(|| StoreError::Corrupt { verb: "finish", found: format!("no sync {id}") })?;
    tracing::info!(
        run_id = run.id,
        kind = %run.kind,
        org_id,
        status = run.status.as_str(),
        scanned = run.progress.scanned,
        written = run.progress.written,
        unchanged = run.progress.unchanged,
        failed = run.progress.failed,
        duration_ms = run.duration_ms(),
        "sync ended"
    );
    Ok(run)
}
