//! The accumulated sync: `statistics_daily` to totals and sliding windows in `statistics_accumulated`.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use super::batch::{Batches, span};
use super::context::Context;
use crate::business::sync_run::{Progress, SyncStopped, SyncWork};
use crate::domain::statistics::{Accumulated, DailyKey, DayRange};
use crate::domain::sync_run::SyncKind;
use crate::store::StoreError;
use crate::store::business::DailyRow;
use crate::store::contention::retry;

/// Daily rows that are read at a time, and totals that are written at a time.
const PAGE: u32 = 5_000;
const BATCH: usize = 1_000;

/// Adds up every daily row of an organisation.
pub(super) struct AccumulatedSync {
    pub(super) context: Arc<Context>,
}

#[async_trait]
impl SyncWork for AccumulatedSync {
    fn kind(&self) -> SyncKind {
        SyncKind::Accumulated
    }

    fn request(&self) -> String {
        "accumulated".to_owned()
    }

    async fn perform(&self, org_id: i64, progress: &mut Progress) -> Result<(), SyncStopped> {
        // What changes from here on is not covered.
        let began = self.context.clock.now();
        let as_of = self.context.today();
        progress.window = Some(DayRange { start: as_of, end: as_of });
        let mut batches = Batches::default();
        let mut totals = Totals::new(Arc::clone(&self.context), org_id, as_of);
        loop {
            progress.note();
            let batch = totals.next(BATCH).await?;
            if batch.is_empty() {
                break;
            }
            let batch: Vec<Accumulated> = batch.into_iter().map(|total| total.total).collect();
            self.write(org_id, &batch, &mut batches, progress).await?;
        }
        self.empty_orphans(org_id, &mut batches, progress).await?;
        if progress.failed == 0 {
            progress.mark = Some(began.to_string());
        }
        Ok(())
    }
}

impl AccumulatedSync {
    /// Totals that no daily row stands behind are zero.
    async fn empty_orphans(
        &self,
        org_id: i64,
        batches: &mut Batches,
        progress: &mut Progress,
    ) -> Result<(), SyncStopped> {
        let mut after = None;
        loop {
            progress.note();
            let subjects = self.context.store.orphans(org_id, after, PAGE).await?;
            let Some(last) = subjects.last() else { return Ok(()) };
            after = Some(last.clone());
            let zeros: Vec<Accumulated> = subjects.into_iter().map(Accumulated::empty).collect();
            self.write(org_id, &zeros, batches, progress).await?;
        }
    }

    async fn write(
        &self,
        org_id: i64,
        batch: &[Accumulated],
        batches: &mut Batches,
        progress: &mut Progress,
    ) -> Result<(), SyncStopped> {
        let size = batch.len() as u64;
        progress.scanned += size;
        let store = &self.context.store;
        let written = retry(|| store.put_accumulated(org_id, batch, self.context.clock.now())).await;
        batches.written(progress, size, || span(batch, |total| total.subject.to_string()), written)
    }
}

/// What the daily rows of one subject add up to, and when the last of them changed.
pub(super) struct Total {
    pub(super) total: Accumulated,
    pub(super) changed_at: Timestamp,
}

/// Adds up the daily rows of an organisation, one subject after the other: the rows come in the order of the subjects.
pub(super) struct Totals {
    context: Arc<Context>,
    org_id: i64,
    as_of: Date,
    after: Option<DailyKey>,
    rows: std::vec::IntoIter<DailyRow>,
    open: Option<Total>,
    ended: bool,
}

impl Totals {
    /// Seen from the day `as_of`.
    pub(super) fn new(context: Arc<Context>, org_id: i64, as_of: Date) -> Self {
        let rows = Vec::new().into_iter();
        Self { context, org_id, as_of, after: None, rows, open: None, ended: false }
    }

    /// The next subjects, at most `limit`; none at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Vec<Total>, StoreError> {
        let mut done = Vec::new();
        while done.len() < limit {
            let Some(row) = self.row().await? else {
                done.extend(self.open.take());
                break;
            };
            done.extend(self.add(&row));
        }
        Ok(done)
    }

    async fn row(&mut self) -> Result<Option<DailyRow>, StoreError> {
        if let Some(row) = self.rows.next() {
            return Ok(Some(row));
        }
        if self.ended {
            return Ok(None);
        }
        let page = self.context.store.daily_page(self.org_id, self.after.take(), PAGE).await?;
        self.after = page.last().map(|row| row.count.key.clone());
        self.ended = page.is_empty();
        self.rows = page.into_iter();
        Ok(self.rows.next())
    }

    /// Adds a row. Answers the subject before it when another one begins.
    fn add(&mut self, row: &DailyRow) -> Option<Total> {
        let subject = &row.count.key.subject;
        let before = self.open.take_if(|open| open.total.subject != *subject);
        let open = self.open.get_or_insert_with(|| Total {
            total: Accumulated::empty(subject.clone()),
            changed_at: row.updated_at,
        });
        open.total.add(&row.count, self.as_of);
        open.changed_at = open.changed_at.max(row.updated_at);
        before
    }
}
