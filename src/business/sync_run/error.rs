//! Why a sync did not start, stopped before its end, or nobody knows how it ended.

use jiff::Timestamp;

use crate::business::organisations::Unlisted;
use crate::counters::CountersError;
use crate::store::StoreError;

/// Why a sync did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one of this kind and organisation is running.
    #[error("a sync is in progress: {run_id}, started by {holder} at {since}")]
    Busy {
        /// Its id.
        run_id: String,
        /// Who asked for it.
        holder: String,
        /// When it started.
        since: Timestamp,
    },
    /// The first request with this key is not answered yet.
    #[error("the first request with this Idempotency-Key is still in progress: {run_id}")]
    InProgress {
        /// The sync that it started.
        run_id: String,
    },
    /// The key belongs to a request that asked for something else.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// As many syncs as this server takes on are running or waiting.
    #[error("as many syncs as this server takes on are running or waiting")]
    Crowded,
    /// The server ends, so nothing is started.
    #[error("the server is ending: nothing was started")]
    Ending,
    /// The record cannot be written, so nothing was started.
    #[error("nothing was started: {0}")]
    Store(#[from] StoreError),
}

/// The record of a sync could not be read or written: what the sync did is then unknown here.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RecordError(#[from] StoreError);

impl RecordError {
    /// Whether it is no matter of this record: a repeat may succeed.
    pub fn may_pass(&self) -> bool {
        self.0.may_pass()
    }
}

/// Why nobody who waits for a sync hears what it did.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// The server ended before the sync did. Its record says how far it came.
    #[error("the server is ending and has cut the sync off; a repeat does the rest")]
    CutOff,
    /// It ended, and how is unknown.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a sync stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum SyncStopped {
    /// It cannot go on without the counters.
    #[error("the counters could not be read: {0}")]
    Counters(#[from] CountersError),
    /// It cannot go on without the tables.
    #[error("the tables could not be read: {0}")]
    Tables(#[from] StoreError),
    /// A sync of every organisation does not know them.
    #[error("the organisations could not be listed: {0}")]
    Organisations(#[from] Unlisted),
    /// The work itself says what a store that cannot be reached has kept it from.
    #[error("{0}")]
    StoreLost(String),
    /// What is wrong is said by the work itself.
    #[error("{0}")]
    Other(String),
}

impl SyncStopped {
    /// Why work stopped that says so itself, after this answer of the store.
    pub fn after(error: &StoreError, reason: String) -> Self {
        match error {
            StoreError::Unreachable { .. } => Self::StoreLost(reason),
            _ => Self::Other(reason),
        }
    }

    /// Whether a store could not be reached: the same may succeed later.
    pub fn store_is_lost(&self) -> bool {
        matches!(
            self,
            Self::Counters(CountersError::Unreachable { .. })
                | Self::Tables(StoreError::Unreachable { .. })
                | Self::Organisations(
                    Unlisted::Store(StoreError::Unreachable { .. })
                        | Unlisted::Counters(CountersError::Unreachable { .. })
                )
                | Self::StoreLost(_)
        )
    }
}

impl From<String> for SyncStopped {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}
