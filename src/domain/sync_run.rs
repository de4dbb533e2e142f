//! The record of one sync: what was asked, what was done, how it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::statistics::DayRange;
use super::word::words;

/// Items that a record names; more are counted, not listed.
pub const ERRORS_LISTED: usize = 20;

words! {
    /// Which work of an organisation.
    pub enum SyncKind: "sync kind" {
        /// Counters to `statistics_daily`.
        Daily = "daily",
        /// `statistics_daily` to `statistics_accumulated`.
        Accumulated = "accumulated",
        /// `assessment_task` to `statistics_plan`.
        Plan = "plan",
        /// Both sides of all three compared.
        Validate = "validate",
        /// Due plan tasks opened, overdue ones expired.
        Schedule = "schedule",
    }
}

impl SyncKind {
    /// The name of the exclusive right that it needs.
    pub fn lease(self, org_id: i64) -> String {
        format!("sync:{self}:{org_id}")
    }
}

words! {
    /// How a sync stands.
    pub enum SyncStatus: "sync status" {
        /// Not over.
        Running = "running",
        /// Everything was done.
        Succeeded = "succeeded",
        /// Something was not done.
        Failed = "failed",
    }
}

/// The organisation of a sync that stands for one in every organisation.
pub const EVERY_ORGANISATION: i64 = 0;

/// Something that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemError {
    /// Which items.
    pub item: String,
    /// Why.
    pub message: String,
}

/// What a sync has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncProgress {
    /// Items that were read.
    pub scanned: u64,
    /// Rows inserted or changed.
    pub written: u64,
    /// Rows that were right already.
    pub unchanged: u64,
    /// Items left out on purpose.
    pub skipped: u64,
    /// Items that were not done.
    pub failed: u64,
    /// The first [`ERRORS_LISTED`] of them.
    pub errors: Vec<ItemError>,
    /// Why the sync stopped before its end.
    pub error: Option<String>,
    /// Whether it stopped because a store could not be reached. Known to whoever did the work; the record does not keep it.
    pub store_lost: bool,
    /// What only this kind has to tell: differences, tasks by state.
    pub detail: Option<Value>,
    /// The days that it covered, once they are known.
    pub window: Option<DayRange>,
    /// Up to where the source is covered; only a sync without a window of its own moves it.
    pub mark: Option<String>,
}

impl SyncProgress {
    /// Notes items that were not done.
    pub fn fail(&mut self, items: u64, item: String, message: String) {
        self.failed += items;
        if self.errors.len() < ERRORS_LISTED {
            self.errors.push(ItemError { item, message });
        }
    }

    /// Adds what was done in one part of the whole.
    pub fn add(&mut self, part: &str, other: &SyncProgress) {
        self.scanned += other.scanned;
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.failed += other.failed;
        for error in &other.errors {
            self.fail(0, format!("{part}: {}", error.item), error.message.clone());
        }
        if let Some(error) = &other.error {
            self.fail(1, part.to_owned(), error.clone());
        }
    }

    /// The one rule: a partial sync is never a success.
    pub fn status(&self) -> SyncStatus {
        if self.failed == 0 && self.error.is_none() { SyncStatus::Succeeded } else { SyncStatus::Failed }
    }
}

/// A sync before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSyncRun {
    /// Identity.
    pub id: String,
    /// Which sync.
    pub kind: SyncKind,
    /// Whose counts.
    pub org_id: i64,
    /// What made it start: `call` (`qs-api-call`), `api`, or `organisations` (the sync of every organisation).
    pub trigger: String,
    /// Who asked: the subject of the token.
    pub caller: String,
    /// The caller's key for this request.
    pub idempotency_key: Option<String>,
    /// What was asked, in a form that is equal for equal requests.
    pub request: String,
    /// First and last day.
    pub window: Option<DayRange>,
    /// The exclusive right that it needs.
    pub lease: String,
    /// How long it may go on without a sign of life.
    pub lease_until: Timestamp,
    /// When it started.
    pub started_at: Timestamp,
}

/// The record of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRun {
    /// Identity.
    pub id: String,
    /// Which sync.
    pub kind: SyncKind,
    /// Whose counts.
    pub org_id: i64,
    /// What made it start.
    pub trigger: String,
    /// Who asked.
    pub caller: String,
    /// The caller's key for the request.
    pub idempotency_key: Option<String>,
    /// The first sync with this key, if that one failed and this is a repeat of it.
    pub retry_of: Option<String>,
    /// What was asked.
    pub request: String,
    /// First and last day.
    pub window: Option<DayRange>,
    /// How it stands.
    pub status: SyncStatus,
    /// What was done.
    pub progress: SyncProgress,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl SyncRun {
    /// How long it took, once it is over.
    pub fn duration_ms(&self) -> Option<i64> {
        Some((self.finished_at?.as_millisecond() - self.started_at.as_millisecond()).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_needs_the_lease_of_its_organisation() {
        assert_eq!(SyncKind::Daily.lease(7), "sync:daily:7");
        assert_eq!(SyncKind::Schedule.lease(7), "sync:schedule:7");
    }

    #[test]
    fn partial_work_is_never_a_success() {
        let mut progress = SyncProgress { written: 5, ..SyncProgress::default() };
        assert_eq!(progress.status(), SyncStatus::Succeeded);
        for n in 0..30 {
            progress.fail(2, format!("batch {n}"), "disk full".to_owned());
        }
        assert_eq!((progress.status(), progress.failed, progress.errors.len()), (SyncStatus::Failed, 60, 20));
        let stopped =
            SyncProgress { error: Some("counters unreachable".to_owned()), ..SyncProgress::default() };
        assert_eq!(stopped.status(), SyncStatus::Failed);
    }
}
