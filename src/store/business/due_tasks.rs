//! The scheduled work on plan tasks: which are due, and the batches that change them.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::plan_task::TaskEntry;
use crate::store::error::Answer;

/// One of the three things that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sweep {
    /// A task that is not over, of a plan that is not active, is canceled.
    Cancel,
    /// An opened task whose time is over expires.
    Expire,
    /// A pending task whose time has come is opened.
    Open,
}

/// Which tasks are considered. A plan that is gone is not active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Tasks that were planned until then are canceled or opened.
    pub before: Timestamp,
    /// Tasks that were to be filled in until then expire.
    pub now: Timestamp,
    /// Of this plan alone.
    pub plan_id: Option<i64>,
    /// Of these testees alone.
    pub testee_ids: Option<Vec<i64>>,
}

/// Where a task is in the order in which a sweep goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When it is due.
    pub at: Timestamp,
    /// Its id.
    pub id: i64,
}

/// A part of a sweep: the first `limit` tasks after a position.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Which tasks.
    pub due: &'a Due,
    /// Those after this one.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: u32,
}

/// How tasks are opened.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Until when they can be filled in.
    pub expire_at: Timestamp,
    /// Makes the entry of the task with this id.
    pub entry: &'a (dyn Fn(i64) -> TaskEntry + Send + Sync),
}

/// The due tasks of `assessment_task`.
///
/// The batches are one transaction each: it claims rows, leaving out those that another transaction has claimed, and
/// changes them. So two callers never change one task, and an empty batch means that nothing is left or that others
/// are at it.
#[async_trait]
pub trait DueTaskStore: Send + Sync {
    /// Opens due tasks of active plans. Answers their ids.
    async fn open_due(&self, org_id: i64, batch: Batch<'_>, opening: Opening<'_>) -> Answer<Vec<i64>>;

    /// Opened tasks of active plans whose time is over expire. Answers their ids.
    async fn expire_overdue(&self, org_id: i64, batch: Batch<'_>) -> Answer<Vec<i64>>;

    /// Cancels tasks of plans that are not active. Answers their ids.
    async fn cancel_of_inactive(&self, org_id: i64, batch: Batch<'_>) -> Answer<Vec<i64>>;

    /// What a batch would consist of. Changes nothing.
    async fn batch(&self, org_id: i64, sweep: Sweep, batch: Batch<'_>) -> Answer<Vec<Position>>;

    /// How many tasks a sweep would change. Changes nothing.
    async fn count_due(&self, org_id: i64, sweep: Sweep, due: &Due) -> Answer<u64>;
}
