//! What the business keeps: plans and their tasks, the statistics that are read, the record of each sync. One conformance
//! suite (`tests/it/conformance.rs`) goes through every database.

pub mod due_tasks;
pub mod lists;
pub mod plans;
pub mod sql;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use self::lists::Entry;
use super::error::Answer;
use crate::domain::statistics::{
    Accumulated, DailyCount, DailyKey, DayRange, PlanCounts, StatisticType, Subject,
};
use crate::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun};

pub use crate::sql::Unreadable;
pub use due_tasks::DueTaskStore;
pub use plans::{PlanStore, PlanTaskStore};

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
#[async_trait]
pub trait DailyStore: Send + Sync {
    /// Daily counts.
    async fn put_daily(&self, org_id: i64, counts: &[DailyCount], now: Timestamp) -> Answer<u64>;

    /// The rows with these keys, in any order.
    async fn daily_of(&self, org_id: i64, keys: &[DailyKey]) -> Answer<Vec<DailyCount>>;

    /// The rows after this key, in the order of type, key and day; at most `limit`.
    async fn daily_page(&self, org_id: i64, after: Option<DailyKey>, limit: u32) -> Answer<Vec<DailyRow>>;

    /// Every organisation that a plan or a row of statistics belongs to.
    async fn organisations(&self) -> Answer<BTreeSet<i64>>;
}

/// The table `statistics_accumulated`.
#[async_trait]
pub trait AccumulatedStore: Send + Sync {
    /// Accumulated counts.
    async fn put_accumulated(&self, org_id: i64, totals: &[Accumulated], now: Timestamp) -> Answer<u64>;

    /// The rows of these subjects, in any order.
    async fn accumulated_of(&self, org_id: i64, subjects: &[Subject]) -> Answer<Vec<Accumulated>>;

    /// The row of one subject, and its submissions on each of these days that has a daily row, in any order.
    async fn accumulated_by_day(
        &self,
        org_id: i64,
        subject: &Subject,
        days: DayRange,
    ) -> Answer<Option<(Accumulated, Vec<(Date, i64)>)>>;

    /// The subjects of accumulated rows that no daily row stands behind, after this one; at most `limit`.
    async fn orphans(&self, org_id: i64, after: Option<Subject>, limit: u32) -> Answer<Vec<Subject>>;

    /// How many subjects of this type have accumulated counts, and the sums of their totals: submissions, completions.
    async fn accumulated_sum(&self, org_id: i64, statistic: StatisticType) -> Answer<[i64; 3]>;
}

/// The table `statistics_plan`, and the tasks that it adds up.
#[async_trait]
pub trait PlanCountStore: Send + Sync {
    /// What the tasks of each plan add up to, in the order of the plans after this one; at most `limit`.
    /// With `only`, of that plan alone.
    async fn plan_totals(
        &self,
        org_id: i64,
        only: Option<i64>,
        after: Option<i64>,
        limit: u32,
    ) -> Answer<Vec<PlanTotals>>;

    /// Counts of plans.
    async fn put_plans(&self, org_id: i64, counts: &[PlanCounts], now: Timestamp) -> Answer<u64>;

    /// The rows of these plans, in any order.
    async fn plans_of(&self, org_id: i64, plan_ids: &[i64]) -> Answer<Vec<PlanCounts>>;
}

/// What became of a sync that wanted to start.
#[derive(Debug)]
pub enum SyncAdmission {
    /// It is recorded as running and holds its lease.
    Admitted,
    /// Another one holds the lease.
    LeaseHeld(SyncRun),
    /// This caller's key is held by this sync, which runs or has succeeded, or belongs to another request.
    KeyUsed(SyncRun),
}

/// Which records of syncs; what is unset does not restrict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncFilter {
    /// Of this kind.
    pub kind: Option<SyncKind>,
    /// Started before.
    pub before: Option<Timestamp>,
}

/// Where the record of a sync is in the order of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncMark {
    /// When it started.
    pub started_at: Timestamp,
    /// Its id: several may start in one millisecond.
    pub id: String,
}

/// The table `qs_sync_run`. A running sync holds its lease until `lease_until`; whoever finds it run out may record the
/// sync as failed, since nobody does its work any more.
#[async_trait]
pub trait SyncRunStore: Send + Sync {
    /// Records a sync as running, unless its key is used or its lease is held. A sync that failed does not hold its key:
    /// the same request may repeat it, and its record says so.
    async fn begin(&self, run: &NewSyncRun) -> Answer<SyncAdmission>;

    /// A sign of life: how far the sync is, and its lease is held until then. Answers whether it was still running.
    async fn renew(&self, id: &str, progress: &SyncProgress, lease_until: Timestamp) -> Answer<bool>;

    /// Records how a running sync ended. Answers whether it was running.
    async fn finish(&self, id: &str, progress: &SyncProgress, now: Timestamp) -> Answer<bool>;

    /// Records every running sync whose lease ran out before `now` as failed for this reason. Answers how many.
    async fn abandon(&self, reason: &str, now: Timestamp) -> Answer<u64>;

    /// The record.
    async fn find(&self, org_id: i64, id: &str) -> Answer<Option<SyncRun>>;

    /// The newest records, of one kind or of all, that started before `before`, after this one; at most `limit`.
    async fn recent(
        &self,
        org_id: i64,
        filter: &SyncFilter,
        after: Option<&SyncMark>,
        limit: u32,
    ) -> Answer<Vec<Entry<SyncRun, SyncMark>>>;

    /// The newest succeeded sync of these kinds that has a mark and did not start after `now`: a clock that was ahead
    /// for a while has left records that seem newer than all others.
    async fn last_marked(&self, org_id: i64, kinds: &[SyncKind], now: Timestamp) -> Answer<Option<SyncRun>>;

    /// Removes the records of syncs that ended before then, but for the newest with a mark of each organisation and
    /// kind. Answers how many.
    async fn forget(&self, ended_before: Timestamp) -> Answer<u64>;
}

/// Everything that an adapter must do.
#[async_trait]
pub trait Store:
    DailyStore + AccumulatedStore + PlanCountStore + PlanStore + PlanTaskStore + DueTaskStore + SyncRunStore
{
    /// Whether it can be reached, and its tables are those of this program.
    async fn ready(&self) -> Answer<()>;

    /// How many transactions of one sync it writes fastest at a time.
    fn writers(&self) -> usize;
}
