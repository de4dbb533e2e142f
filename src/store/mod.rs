//! L2 · The truth: plans and their tasks, the statistics that are read, the record of each sync. The verbs are
//! transitions, not create, read, update.
//!
//! `business` sees only the traits; `app` chooses the adapter. One conformance suite (`tests/it/conformance.rs`) goes
//! through every database.

pub mod plan;
pub mod sql;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

use crate::domain::statistics::{
    Accumulated, DailyCount, DailyKey, DayRange, PlanCounts, StatisticType, Subject,
};
use crate::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun};

pub use plan::{PlanStore, PlanTaskStore};

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
    /// Another transaction was preferred: a deadlock, or a lock that was not given up in time. A repeat may succeed.
    Contended {
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
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { verb, source } | Self::Contended { verb, source } => {
                write!(f, "{verb}: {source}")
            }
            Self::Corrupt { verb, found } => write!(f, "{verb}: unreadable row: {found}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database { source, .. } | Self::Contended { source, .. } => Some(source.as_ref()),
            Self::Corrupt { .. } => None,
        }
    }
}

/// A row of `statistics_daily` with the time of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyRow {
    /// What it says.
    pub count: DailyCount,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What the tasks of a plan add up to, with the time of the last change among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanTotals {
    /// The counts.
    pub counts: PlanCounts,
    /// When the plan or one of its tasks was last changed.
    pub changed_at: Timestamp,
}

/// The table `statistics_daily`. A `put`, here and below, makes the rows say exactly this, zero included, in one
/// transaction, and answers how many were inserted or changed; the others said it already. A page begins after the key
/// that it is given.
pub trait DailyStore: Send + Sync {
    /// Daily counts.
    fn put_daily<'a>(&'a self, org_id: i64, counts: &'a [DailyCount], now: Timestamp) -> Answer<'a, u64>;

    /// The rows with these keys, in any order.
    fn daily_of<'a>(&'a self, org_id: i64, keys: &'a [DailyKey]) -> Answer<'a, Vec<DailyCount>>;

    /// The rows after this key, in the order of type, key and day; at most `limit`.
    fn daily_page(&self, org_id: i64, after: Option<DailyKey>, limit: u32) -> Answer<'_, Vec<DailyRow>>;

    /// The rows of one subject in these days, in the order of the days.
    fn daily_of_subject<'a>(
        &'a self,
        org_id: i64,
        subject: &'a Subject,
        days: DayRange,
    ) -> Answer<'a, Vec<DailyCount>>;

    /// Every organisation that a plan or a row of statistics belongs to.
    fn organisations(&self) -> Answer<'_, BTreeSet<i64>>;
}

/// The table `statistics_accumulated`.
pub trait AccumulatedStore: Send + Sync {
    /// Accumulated counts.
    fn put_accumulated<'a>(
        &'a self,
        org_id: i64,
        totals: &'a [Accumulated],
        now: Timestamp,
    ) -> Answer<'a, u64>;

    /// The rows of these subjects, in any order.
    fn accumulated_of<'a>(&'a self, org_id: i64, subjects: &'a [Subject]) -> Answer<'a, Vec<Accumulated>>;

    /// The subjects of accumulated rows that no daily row stands behind, after this one; at most `limit`.
    fn orphans(&self, org_id: i64, after: Option<Subject>, limit: u32) -> Answer<'_, Vec<Subject>>;

    /// How many subjects of this type have accumulated counts, and the sums of their totals: submissions, completions.
    fn accumulated_sum(&self, org_id: i64, statistic: StatisticType) -> Answer<'_, [i64; 3]>;
}

/// The table `statistics_plan`, and the tasks that it adds up.
pub trait PlanCountStore: Send + Sync {
    /// What the tasks of each plan add up to, in the order of the plans after this one; at most `limit`.
    /// With `only`, of that plan alone.
    fn plan_totals(
        &self,
        org_id: i64,
        only: Option<i64>,
        after: Option<i64>,
        limit: u32,
    ) -> Answer<'_, Vec<PlanTotals>>;

    /// Counts of plans.
    fn put_plans<'a>(&'a self, org_id: i64, counts: &'a [PlanCounts], now: Timestamp) -> Answer<'a, u64>;

    /// The rows of these plans, in any order.
    fn plans_of<'a>(&'a self, org_id: i64, plan_ids: &'a [i64]) -> Answer<'a, Vec<PlanCounts>>;
}

/// What became of a sync that wanted to start.
#[derive(Debug)]
pub enum Begun {
    /// It is recorded as running and holds its lease.
    Started,
    /// Another one holds the lease.
    Busy(SyncRun),
    /// This caller has used the idempotency key before.
    Known(SyncRun),
}

/// The table `qs_sync_run`. A running sync holds its lease until `lease_until`; whoever finds it run out may record the
/// sync as failed, since nobody carries it on.
pub trait SyncRunStore: Send + Sync {
    /// Records a sync as running, unless its key is known or its lease is held.
    fn begin(&self, run: NewSyncRun) -> Answer<'_, Begun>;

    /// A sign of life: how far the sync is, and its lease is held until then. Answers whether it was still running.
    fn renew<'a>(
        &'a self,
        id: &'a str,
        progress: &'a SyncProgress,
        lease_until: Timestamp,
    ) -> Answer<'a, bool>;

    /// Records how a running sync ended. Answers whether it was running.
    fn finish<'a>(&'a self, id: &'a str, progress: &'a SyncProgress, now: Timestamp) -> Answer<'a, bool>;

    /// Records every running sync whose lease ran out before `now` as failed for this reason. Answers how many.
    fn abandon<'a>(&'a self, reason: &'a str, now: Timestamp) -> Answer<'a, u64>;

    /// The record.
    fn find<'a>(&'a self, org_id: i64, id: &'a str) -> Answer<'a, Option<SyncRun>>;

    /// The newest records, of one kind or of all, that started before `before`; at most `limit`.
    fn recent(
        &self,
        org_id: i64,
        kind: Option<SyncKind>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Answer<'_, Vec<SyncRun>>;

    /// The newest succeeded sync of these kinds that has a mark.
    fn last_marked<'a>(&'a self, org_id: i64, kinds: &'a [SyncKind]) -> Answer<'a, Option<SyncRun>>;

    /// Removes the records of syncs that ended before then, but for the newest with a mark of each organisation and
    /// kind. Answers how many.
    fn forget(&self, ended_before: Timestamp) -> Answer<'_, u64>;
}

/// Everything that an adapter must do.
pub trait Store:
    DailyStore + AccumulatedStore + PlanCountStore + PlanStore + PlanTaskStore + SyncRunStore
{
    /// Whether it can be reached, and its tables are those of this program.
    fn ready(&self) -> Answer<'_, ()>;
}
