//! The scheduled work on plan tasks: those of inactive plans are canceled, overdue ones expire, due ones are opened.
//!
//! One at a time of an organisation does it, as of every sync: more would only be in each other's way, and in the way of
//! events. That each task is changed once does not hang on it: every batch claims its rows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::plan::PlanError;
use super::sync_run::{Progress, Scope, StartError, Started, SyncCaller, SyncRuns, SyncStopped, SyncWork};
use crate::clock::SharedClock;
use crate::domain::entry::EntryBase;
use crate::domain::invalid::Invalid;
use crate::domain::sync_run::SyncKind;
use crate::store::StoreError;
use crate::store::business::Store;
use crate::store::business::due_tasks::{Batch, Due, Opening, Position, Sweep};
use crate::store::contention::retry;

/// Tasks of one transaction.
const BATCH: u32 = 500;
/// The pause between two batches: SQLite has one writer at a time, and those that wait only look now and then.
const PAUSE: Duration = Duration::from_millis(10);
/// Tasks that one call opens, unless it says otherwise, and at most.
pub const DEFAULT_LIMIT: u32 = 2_000;
/// See [`DEFAULT_LIMIT`].
pub const MAX_LIMIT: u32 = 100_000;
/// Testees that one call may name.
pub const MAX_TESTEES: usize = 1_000;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueRequest {
    /// Tasks that were planned until then; unset means now.
    pub before: Option<Timestamp>,
    /// Of this plan alone.
    pub plan_id: Option<i64>,
    /// Of these testees alone.
    pub testee_ids: Option<Vec<i64>>,
    /// Open at most so many.
    pub limit: Option<u32>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Why the work did not start.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The plan that it was to be done for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Any sync's reasons.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// The scheduled work of every organisation.
#[derive(Clone)]
pub struct DueTasks {
    store: Arc<dyn Store>,
    runs: Arc<SyncRuns>,
    clock: SharedClock,
    entries: Option<EntryBase>,
    ttl: Duration,
}

impl DueTasks {
    /// Opens tasks with entries below `entries`, for as long as `ttl`.
    pub fn new(
        store: Arc<dyn Store>,
        runs: Arc<SyncRuns>,
        clock: SharedClock,
        entries: Option<EntryBase>,
        ttl: Duration,
    ) -> Self {
        Self { store, runs, clock, entries, ttl }
    }

    /// Starts the work. The request was checked: `limit` is from 1 to [`MAX_LIMIT`].
    ///
    /// # Errors
    /// Why nothing was started.
    pub async fn schedule(&self, sync: SyncCaller, request: DueRequest) -> Result<Started, ScheduleError> {
        if let Some(plan) = request.plan_id {
            self.check_plan(sync.scope, plan).await?;
        }
        let work = DueSweep {
            tasks: self.clone(),
            limit: request.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT),
            request,
        };
        Ok(self.runs.start(sync, Arc::new(work)).await?)
    }

    /// A plan that does not exist has nothing to be done, and a line with a wrong number would succeed for ever.
    async fn check_plan(&self, scope: Scope, plan: i64) -> Result<(), PlanError> {
        let Scope::Organisation(org_id) = scope else {
            return Err(Invalid::new("plan_id", "belongs to one organisation, so org cannot be all").into());
        };
        let missing = || PlanError::NotFound { what: format!("plan {plan}") };
        self.store.find_plan(org_id, plan).await?.map(drop).ok_or_else(missing)
    }
}

/// One request for the scheduled work.
struct DueSweep {
    tasks: DueTasks,
    limit: u32,
    request: DueRequest,
}

#[async_trait]
impl SyncWork for DueSweep {
    fn kind(&self) -> SyncKind {
        SyncKind::Schedule
    }

    fn request(&self) -> String {
        let r = &self.request;
        let before = r.before.map_or_else(|| "now".to_owned(), |at| at.to_string());
        let plan = r.plan_id.map_or_else(|| "all".to_owned(), |id| id.to_string());
        // A thousand ids would not fit the record; equal lists have equal digests.
        let testees = r.testee_ids.as_ref().map_or_else(|| "all".to_owned(), |ids| digest(ids));
        format!(
            "schedule before={before} plan={plan} testees={testees} limit={} dry_run={}",
            self.limit, r.dry_run
        )
    }

    async fn perform(&self, org_id: i64, progress: &mut Progress) -> Result<(), SyncStopped> {
        let now = self.tasks.clock.now();
        let due = Due {
            before: self.request.before.unwrap_or(now),
            now,
            plan_id: self.request.plan_id,
            testee_ids: self.request.testee_ids.clone(),
        };
        let none = Count::default();
        let mut tally =
            Tally { org_id, due, progress, canceled: none, expired: none, opened: none, pending: None };
        let ended = self.sweeps(&mut tally).await;
        let detail = self.detail(&tally);
        progress.detail = Some(detail);
        ended
    }
}

fn digest(ids: &[i64]) -> String {
    let text = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    crate::domain::hex::hex(&digest.as_ref()[..16])
}

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    done: u64,
    failed: u64,
}

/// One run of the work.
struct Tally<'a> {
    org_id: i64,
    due: Due,
    progress: &'a mut Progress,
    canceled: Count,
    expired: Count,
    opened: Count,
    pending: Option<u64>,
}

impl Tally<'_> {
    fn of(&mut self, sweep: Sweep) -> &mut Count {
        match sweep {
            Sweep::Cancel => &mut self.canceled,
            Sweep::Expire => &mut self.expired,
            Sweep::Open => &mut self.opened,
        }
    }
}

impl DueSweep {
    async fn sweeps(&self, tally: &mut Tally<'_>) -> Result<(), SyncStopped> {
        if self.request.dry_run {
            return self.count(tally).await;
        }
        let Some(entries) = &self.tasks.entries else {
            let missing =
                "plan.entry_base_url is not set: a task cannot be opened without the address of its entry";
            return Err(missing.to_owned().into());
        };
        // Tasks of inactive plans go first, so that they are neither expired nor opened.
        for sweep in [Sweep::Cancel, Sweep::Expire, Sweep::Open] {
            self.sweep(tally, sweep, entries).await?;
        }
        let pending = self.tasks.store.count_due(tally.org_id, Sweep::Open, &tally.due).await;
        let pending = pending.map_err(|error| {
            SyncStopped::after(&error, format!("what is still due could not be counted: {error}"))
        });
        tally.pending = Some(pending?);
        Ok(())
    }

    fn detail(&self, tally: &Tally) -> serde_json::Value {
        json!({
            "stats": {
                "pending_count": tally.pending,
                "opened_count": tally.opened.done,
                "expired_count": tally.expired.done,
                "canceled_count": tally.canceled.done,
                "failed_count": tally.opened.failed + tally.canceled.failed,
                "expire_failed_count": tally.expired.failed,
            },
            "before": tally.due.before.to_string(),
            "dry_run": self.request.dry_run,
            "limit": self.limit,
        })
    }

    async fn count(&self, tally: &mut Tally<'_>) -> Result<(), SyncStopped> {
        for sweep in [Sweep::Cancel, Sweep::Expire, Sweep::Open] {
            let count = self.tasks.store.count_due(tally.org_id, sweep, &tally.due).await;
            let count = count.map_err(|error| SyncStopped::after(&error, error.to_string()))?;
            tally.of(sweep).done = count;
            tally.progress.scanned += count;
            tally.progress.skipped += count;
        }
        tally.pending = Some(tally.opened.done);
        tally.opened.done = tally.opened.done.min(self.limit.into());
        Ok(())
    }

    /// Batch after batch, until nothing is left. A batch that fails is stepped over.
    async fn sweep(
        &self,
        tally: &mut Tally<'_>,
        sweep: Sweep,
        entries: &EntryBase,
    ) -> Result<(), SyncStopped> {
        let mut after = None;
        let mut left = if sweep == Sweep::Open { self.limit } else { u32::MAX };
        while left > 0 {
            tally.progress.note();
            let due = tally.due.clone();
            let batch = Batch { due: &due, after, limit: left.min(BATCH) };
            let taken = match self.change(tally.org_id, sweep, batch, entries).await {
                Ok(0) => return Ok(()),
                Ok(done) => {
                    tally.of(sweep).done += done;
                    tally.progress.scanned += done;
                    tally.progress.written += done;
                    done
                }
                Err(error) => {
                    let Some((last, failed)) = self.step_over(tally, sweep, batch, &error).await? else {
                        return Ok(());
                    };
                    after = Some(last);
                    failed
                }
            };
            left = left.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn change(
        &self,
        org_id: i64,
        sweep: Sweep,
        batch: Batch<'_>,
        entries: &EntryBase,
    ) -> Result<u64, StoreError> {
        let ttl = SignedDuration::try_from(self.tasks.ttl).unwrap_or(SignedDuration::MAX);
        let expire_at = batch.due.now.checked_add(ttl).unwrap_or(Timestamp::MAX);
        let entry = |id| entries.entry(id, uuid::Uuid::new_v4().to_string());
        let opening = Opening { expire_at, entry: &entry };
        let store = &self.tasks.store;
        let changed = match sweep {
            Sweep::Cancel => retry(|| store.cancel_of_inactive(org_id, batch)).await,
            Sweep::Expire => retry(|| store.expire_overdue(org_id, batch)).await,
            Sweep::Open => retry(|| store.open_due(org_id, batch, opening)).await,
        };
        changed.map(|ids| ids.len() as u64)
    }

    /// Names the tasks of a batch that failed. Answers the last of them and how many there are; nothing, when they are
    /// gone.
    async fn step_over(
        &self,
        tally: &mut Tally<'_>,
        sweep: Sweep,
        batch: Batch<'_>,
        error: &StoreError,
    ) -> Result<Option<(Position, u64)>, SyncStopped> {
        let tasks = self.tasks.store.batch(tally.org_id, sweep, batch).await;
        let tasks = tasks.map_err(|unread| SyncStopped::after(&unread, format!("{error}; {unread}")))?;
        let (Some(first), Some(last)) = (tasks.first().copied(), tasks.last().copied()) else {
            return Ok(None);
        };
        let failed = tasks.len() as u64;
        let what = match sweep {
            Sweep::Cancel => "cancel",
            Sweep::Expire => "expire",
            Sweep::Open => "open",
        };
        let item = format!("{what} {failed} tasks from {} to {}", first.id, last.id);
        tally.of(sweep).failed += failed;
        tally.progress.scanned += failed;
        tally.progress.fail(failed, item, error.to_string());
        Ok(Some((last, failed)))
    }
}
