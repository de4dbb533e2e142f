//! L2 · The truth: what was synced and the record of each sync. The verbs are transitions, not create, read, update.
//!
//! `business` sees only the traits; `app` chooses the adapter. One conformance suite (`tests/it/conformance.rs`) goes
//! through every adapter.

pub mod sqlite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::statistics::{DailyCount, DayRange};
use crate::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun};

/// What a verb answers.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a verb did nothing. A verb that fails has changed nothing.
#[derive(Debug)]
pub enum StoreError {
    /// The database did not do it.
    Database {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row holds what this program never writes.
    Corrupt {
        /// The verb.
        verb: &'static str,
        /// What was found.
        found: String,
    },
    /// The schema was made by a newer program.
    NewerSchema {
        /// Its version, unknown here.
        version: i64,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { verb, source } => write!(f, "{verb}: {source}"),
            Self::Corrupt { verb, found } => write!(f, "{verb}: unreadable row: {found}"),
            Self::NewerSchema { version } => {
                write!(f, "the database has schema version {version} of a newer program")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database { source, .. } => Some(source.as_ref()),
            Self::Corrupt { .. } | Self::NewerSchema { .. } => None,
        }
    }
}

/// The table `statistics_daily`.
pub trait StatisticsStore: Send + Sync {
    /// Makes the rows say exactly this, zero included, in one transaction. Answers how many rows were inserted or
    /// changed; the others said it already.
    fn put_daily<'a>(&'a self, org_id: i64, counts: &'a [DailyCount], now: Timestamp) -> Answer<'a, u64>;

    /// The rows of these days, in the order of day, type and key; at most `limit`.
    fn daily(&self, org_id: i64, days: DayRange, limit: u32) -> Answer<'_, Vec<DailyCount>>;
}

/// What became of a sync that wanted to start.
#[derive(Debug)]
pub enum Begun {
    /// It is recorded as running, and no other of its kind and organisation is.
    Started,
    /// Another one of this kind and organisation is running.
    Busy(SyncRun),
    /// This caller has used the idempotency key before.
    Known(SyncRun),
}

/// The table `sync_run`.
pub trait SyncRunStore: Send + Sync {
    /// Records a sync as running, unless its key is known or another one is running.
    fn begin(&self, run: NewSyncRun) -> Answer<'_, Begun>;

    /// Records how a running sync ended. Answers whether it was running.
    fn finish<'a>(&'a self, id: &'a str, progress: &'a SyncProgress, now: Timestamp) -> Answer<'a, bool>;

    /// Records every running sync as failed for this reason: nobody carries it on. Answers how many.
    fn abandon<'a>(&'a self, reason: &'a str, now: Timestamp) -> Answer<'a, u64>;

    /// The record.
    fn find<'a>(&'a self, org_id: i64, id: &'a str) -> Answer<'a, Option<SyncRun>>;

    /// The highest mark of the succeeded syncs of this kind.
    fn last_mark(&self, org_id: i64, kind: SyncKind) -> Answer<'_, Option<i64>>;
}

/// Everything that an adapter must do.
pub trait Store: StatisticsStore + SyncRunStore {
    /// Whether it can be reached.
    fn ping(&self) -> Answer<'_, ()>;
}

/// A day as tables have it.
fn parse_date(verb: &'static str, text: &str) -> Result<Date, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt { verb, found: text.to_owned() })
}

/// An instant as tables have it.
fn parse_instant(verb: &'static str, text: &str) -> Result<Timestamp, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt { verb, found: text.to_owned() })
}
