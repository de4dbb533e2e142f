//! The daily sync: counters to `statistics_daily`.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::batch::{Batches, span};
use super::context::{Context, interruption};
use crate::business::sync_run::{Progress, SyncStopped, SyncWork};
use crate::clock::patience::patiently;
use crate::counters::{CountersError, Mark, Page, Touched};
use crate::domain::statistics::{DailyCount, DayRange, Days};
use crate::domain::sync_run::SyncKind;
use crate::store::StoreError;
use crate::store::contention::retry;

/// Counters that are read and written at a time: bounds memory and the time that rows are locked.
pub(super) const BATCH: u32 = 3_000;

/// Syncs the days of `window`, or today, yesterday and every day that was touched since the last sync.
pub(super) struct DailySync {
    pub(super) context: Arc<Context>,
    pub(super) window: Option<DayRange>,
}

#[async_trait]
impl SyncWork for DailySync {
    fn kind(&self) -> SyncKind {
        SyncKind::Daily
    }

    fn request(&self) -> String {
        self.window
            .map_or_else(|| "daily".to_owned(), |window| format!("daily {} {}", window.start, window.end))
    }

    fn window(&self) -> Option<DayRange> {
        self.window
    }

    async fn perform(&self, org_id: i64, progress: &mut Progress) -> Result<(), SyncStopped> {
        let since = self.context.last_mark(org_id).await?;
        let touched = self.context.counters.touched(org_id, since.as_ref()).await?;
        let mark = touched.mark.clone();
        if let Some(why) = since.and_then(|since| interruption(&mark, &since)) {
            return Err(why.into());
        }
        let ranges = self.window.map_or_else(|| self.due_days(touched), |window| vec![window]);
        progress.window =
            ranges.first().zip(ranges.last()).map(|(a, b)| DayRange { start: a.start, end: b.end });
        self.write_days(org_id, Days::Ranges(ranges), progress).await?;
        self.check_continued(org_id, &mark).await?;
        if progress.failed == 0 && self.window.is_none() {
            progress.mark = Some(mark.to_string());
        }
        Ok(())
    }
}

impl DailySync {
    fn due_days(&self, touched: Touched) -> Vec<DayRange> {
        let today = self.context.today();
        let mut days: BTreeSet<Date> = touched.days;
        days.extend([Some(today), today.yesterday().ok()].into_iter().flatten());
        DayRange::covering(&days)
    }

    /// Pages are read while others are written. What is under way is waited for and counted, whatever ends the reading.
    async fn write_days(&self, org_id: i64, days: Days, progress: &mut Progress) -> Result<(), SyncStopped> {
        let mut writes = Writes::default();
        let read = self.write_pages(org_id, days, &mut writes, progress).await;
        let written = writes.finish(progress).await;
        read.and(written)
    }

    /// Stops at the first page that cannot be read. The reader ends with this function: a set aborts its tasks when it is
    /// dropped.
    async fn write_pages(
        &self,
        org_id: i64,
        days: Days,
        writes: &mut Writes,
        progress: &mut Progress,
    ) -> Result<(), SyncStopped> {
        let (send, mut pages) = mpsc::channel(1);
        let mut reader = JoinSet::from_iter([patiently(read(Arc::clone(&self.context), org_id, days, send))]);
        while let Some(page) = pages.recv().await {
            progress.note();
            let Page { counters, unreadable, .. } = page?;
            for error in unreadable {
                progress.scanned += 1;
                progress.fail(1, error.item, error.message);
            }
            let counts: Vec<DailyCount> = counters.into_iter().map(|counter| counter.count).collect();
            writes.make_room(self.context.store.writers(), progress).await?;
            writes.under_way.spawn(patiently(write(Arc::clone(&self.context), org_id, counts)));
        }
        // The pages end with the last one, or with a reader that broke down.
        match reader.join_next().await {
            Some(Ok(())) => Ok(()),
            _ => Err("a defect stopped the reading of the counters".to_owned().into()),
        }
    }

    /// Counters that were emptied or set back while they were read would look like a sync of everything.
    async fn check_continued(&self, org_id: i64, mark: &Mark) -> Result<(), SyncStopped> {
        let now = self.context.counters.mark(org_id).await?;
        interruption(&now, mark).map_or(Ok(()), |why| Err(why.into()))
    }
}

/// A batch and what became of it.
type Write = (Vec<DailyCount>, Result<u64, StoreError>);

/// Two pages may hold one counter, when the counters were rearranged meanwhile. Whichever is written last, a counter that
/// was counted between the two is touched after the mark of this sync, and so one of the days of the next.
async fn write(context: Arc<Context>, org_id: i64, counts: Vec<DailyCount>) -> Write {
    let written = retry(|| context.store.put_daily(org_id, &counts, context.clock.now())).await;
    (counts, written)
}

/// The batches of one sync. One is counted as scanned when it is over: what is said meanwhile adds up.
#[derive(Default)]
struct Writes {
    under_way: JoinSet<Write>,
    batches: Batches,
}

impl Writes {
    /// Waits until fewer than `most` are under way.
    async fn make_room(&mut self, most: usize, progress: &mut Progress) -> Result<(), SyncStopped> {
        while self.under_way.len() >= most.max(1) {
            self.count_next(progress).await?;
        }
        Ok(())
    }

    /// Waits for all of them, also after one that stops the sync.
    async fn finish(mut self, progress: &mut Progress) -> Result<(), SyncStopped> {
        let mut ended = Ok(());
        while !self.under_way.is_empty() {
            ended = ended.and(self.count_next(progress).await);
        }
        ended
    }

    async fn count_next(&mut self, progress: &mut Progress) -> Result<(), SyncStopped> {
        let Some(Ok((counts, written))) = self.under_way.join_next().await else {
            return Err("a defect stopped the writing of the counters".to_owned().into());
        };
        let size = counts.len() as u64;
        progress.scanned += size;
        let name = || span(&counts, |count| count.key.to_string());
        let counted = self.batches.written(progress, size, name, written);
        progress.note();
        counted
    }
}

/// Sends every page, and the error that ends them.
async fn read(
    context: Arc<Context>,
    org_id: i64,
    days: Days,
    pages: mpsc::Sender<Result<Page, CountersError>>,
) {
    let mut cursor = None;
    loop {
        let page = context.counters.page(org_id, &days, cursor.take(), BATCH).await;
        let next = page.as_ref().ok().and_then(|page| page.next.clone());
        // Nobody listens any more when the sync has stopped.
        if pages.send(page).await.is_err() || next.is_none() {
            return;
        }
        cursor = next;
    }
}
