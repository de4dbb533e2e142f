//! Starting a sync, once and alone, and recording how it ended, whatever happens to it.
//!
//! A sync is a task of its own: a caller that hangs up does not stop it. While it runs it holds the lease
//! `sync:<kind>:<organisation>` and gives signs of life; one that panics, is cut off by the shutdown, or whose process is
//! killed is recorded as failed.

mod carrier;
mod hold;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::Instrument;

use self::carrier::Carrier;
use super::organisations::Organisations;
use crate::clock::SharedClock;
use crate::domain::statistics::DayRange;
use crate::domain::sync_run::{EVERY_ORGANISATION, SyncKind, SyncProgress, SyncRun};
use crate::store::StoreError;
use crate::store::business::Store;

pub use carrier::Observer;
pub use hold::Hold;

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
pub struct Asker {
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
pub trait Work: Send + Sync + 'static {
    /// Which sync it is.
    fn kind(&self) -> SyncKind;

    /// What is asked, equal for equal requests.
    fn request(&self) -> String;

    /// The days that were asked for.
    fn window(&self) -> Option<DayRange> {
        None
    }

    /// Does it. Before each batch it tells the hold how far it is, and asks whether it may go on.
    ///
    /// # Errors
    /// Why it stopped before its end; what was done until then is in `progress`.
    fn carry_out<'a>(&'a self, org_id: i64, hold: &'a Hold, progress: &'a mut SyncProgress) -> Doing<'a>;
}

/// The work of one sync, under way.
pub type Doing<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

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
    carrier: Arc<Carrier>,
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
        let carrier = Carrier { store, organisations, clock, lease, observer, running: Mutex::default() };
        Self { carrier: Arc::new(carrier), tasks: Mutex::default() }
    }

    /// Starts `work` unless the request was seen before or another one is running.
    ///
    /// # Errors
    /// Why nothing was started.
    pub async fn start(&self, asker: Asker, work: Arc<dyn Work>) -> Result<Started, StartError> {
        let scope = asker.scope;
        let id = match self.carrier.begin(asker, &*work).await? {
            Ok(id) => id,
            Err(before) => return Ok(Started::Before(before)),
        };
        let (send, ended) = oneshot::channel();
        let (carrier, run_id) = (Arc::clone(&self.carrier), id.clone());
        let task = async move {
            let ended = carrier.carry_out(&run_id, scope, work).await;
            if let Err(error) = &ended {
                tracing::error!(run_id, %error, "the end of a sync could not be recorded");
            }
            // A caller that has hung up does not wait for the end; the record has it.
            let _ = send.send(ended);
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        // A child of the request that asked: its lines tell the same trace.
        let span = tracing::error_span!("sync", run_id = id);
        tasks.spawn(task.instrument(span));
        Ok(Started::Running(Running { id, ended }))
    }

    /// The record of a sync of this organisation.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, org_id: i64, id: &str) -> Result<Option<SyncRun>, RecordError> {
        Ok(self.carrier.store.find(org_id, id).await?)
    }

    /// The newest records of an organisation; see the store's verb.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn recent(
        &self,
        org_id: i64,
        kind: Option<SyncKind>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<SyncRun>, RecordError> {
        Ok(self.carrier.store.recent(org_id, kind, before, limit).await?)
    }

    /// Records the syncs of processes that were killed as failed, as soon as their leases have run out.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn recover(&self) -> Result<u64, RecordError> {
        let now = self.carrier.clock.now();
        Ok(self.carrier.store.abandon("the server stopped before the sync ended", now).await?)
    }

    /// Waits for the running syncs; those that are not over after `grace` are cut off and recorded as failed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn drain(&self, grace: Duration) -> Result<usize, RecordError> {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_ok() {
            return Ok(0);
        }
        let cut = tasks.len();
        tasks.shutdown().await;
        self.carrier.record_cut_off().await?;
        Ok(cut)
    }
}

impl fmt::Debug for SyncRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncRuns").field("lease", &self.carrier.lease).finish_non_exhaustive()
    }
}
