//! `statistics_daily` against the counters, and back.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::context::interruption;
use super::super::daily::BATCH;
use super::{Comparison, DAILY, disagreement};
use crate::business::sync_run::SyncStopped;
use crate::counters::{Counter, Mark, Page, Since};
use crate::domain::statistics::{DailyCount, DailyKey, Days};
use crate::store::StoreError;

impl Comparison<'_> {
    pub(super) async fn daily(&mut self) -> Result<(), SyncStopped> {
        let since = self.context.last_mark(self.org_id).await?;
        let now = self.context.counters.mark(self.org_id).await?;
        let interrupted = since.as_ref().and_then(|since| interruption(&now, since));
        if let Some(why) = &interrupted
            && !self.repairs()
        {
            self.differs(DAILY, "counters", why.clone());
            return Ok(());
        }
        match since.as_ref().map(|since| now.since(since)) {
            None | Some(Since::Continued) => {}
            Some(Since::Replaced) => self.give_back(Lacking::Everything).await?,
            Some(Since::WentBack) => self.give_back(Lacking::Behind).await?,
        }
        if interrupted.is_some() {
            // From here on these are the counters that the next sync continues; all that they remember is due again.
            self.progress.mark = Some(Mark { generation: now.generation, revision: 0 }.to_string());
        }
        let since = since.filter(|_| interrupted.is_none());
        let mut cursor = None;
        loop {
            self.progress.note();
            let page = self.context.counters.page(self.org_id, &Days::All, cursor.take(), BATCH).await;
            let Page { counters, unreadable, next } = page?;
            for error in unreadable {
                self.progress.scanned += 1;
                self.progress.fail(1, error.item, error.message);
            }
            self.compare(counters, since.as_ref()).await?;
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        self.give_back(Lacking::Missing).await
    }

    /// Counters against their rows.
    async fn compare(&mut self, counters: Vec<Counter>, since: Option<&Mark>) -> Result<(), SyncStopped> {
        let keys: Vec<DailyKey> = counters.iter().map(|counter| counter.count.key.clone()).collect();
        let rows = self.context.store.daily_of(self.org_id, &keys).await?;
        let rows: HashMap<DailyKey, DailyCount> =
            rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        let mut suspects = Vec::new();
        for counter in counters {
            if rows.get(&counter.count.key) == Some(&counter.count) {
                self.equal();
            } else {
                suspects.push(counter);
            }
        }
        self.settle(suspects, &rows, since).await
    }

    /// Whether the next sync of all due days carries this counter anyway.
    fn is_pending(&self, counter: &Counter, row: Option<&DailyCount>, since: Option<&Mark>) -> bool {
        match (counter.revision, since) {
            (_, None) => true,
            (Some(revision), Some(since)) if revision > 0 => revision > since.revision,
            // Another program wrote it and left no revision. What has grown on a day that the next sync covers is new.
            _ => {
                let today = self.context.today();
                let covered = counter.count.key.date >= today.yesterday().unwrap_or(today);
                let (submissions, completions) = row.map_or((0, 0), |row| (row.submissions, row.completions));
                covered
                    && counter.count.submissions >= submissions
                    && counter.count.completions >= completions
            }
        }
    }

    /// A counter that changes while its row is read proves nothing: it is read again.
    async fn settle(
        &mut self,
        suspects: Vec<Counter>,
        rows: &HashMap<DailyKey, DailyCount>,
        since: Option<&Mark>,
    ) -> Result<(), SyncStopped> {
        if suspects.is_empty() {
            return Ok(());
        }
        let keys: Vec<DailyKey> = suspects.iter().map(|counter| counter.count.key.clone()).collect();
        let again = self.context.counters.find(self.org_id, &keys).await?;
        let mut repairs = Vec::new();
        for (counter, again) in suspects.into_iter().zip(again) {
            if again.as_ref() != Some(&counter) {
                self.pending(false);
                continue;
            }
            let row = rows.get(&counter.count.key);
            if self.is_pending(&counter, row, since) {
                // Before the first sync everything is pending, and a repair makes the rows that are missing.
                let first = since.is_none();
                self.pending(first);
                if first {
                    repairs.push(counter.count);
                }
                continue;
            }
            self.differs(DAILY, &counter.count.key, describe(&counter.count, row));
            repairs.push(counter.count);
        }
        let (context, org_id) = (Arc::clone(&self.context), self.org_id);
        let write = || context.store.put_daily(org_id, &repairs, context.clock.now());
        self.repair(DAILY, repairs.len(), write).await;
        Ok(())
    }

    /// Counters that lack what their row knows are given it back, rather than the row be lowered.
    async fn give_back(&mut self, lacking: Lacking) -> Result<(), SyncStopped> {
        let repair = (lacking == Lacking::Behind).then(|| Uuid::new_v4().simple().to_string());
        let mut after = None;
        loop {
            self.progress.note();
            let rows = self.context.store.daily_page(self.org_id, after.take(), BATCH).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.count.key.clone());
            let rows: Vec<DailyCount> = rows.into_iter().map(|row| row.count).collect();
            let missing = match lacking {
                Lacking::Everything => rows,
                Lacking::Behind | Lacking::Missing => self.lacking(rows, lacking).await?,
            };
            for row in &missing {
                let why = match lacking {
                    Lacking::Behind => "the counters have less than the table",
                    Lacking::Everything | Lacking::Missing => "the table has a row, the counters have none",
                };
                self.differs(DAILY, &row.key, why.to_owned());
            }
            let (context, org_id) = (Arc::clone(&self.context), self.org_id);
            let restore = || async {
                let restored = context.counters.restore(org_id, &missing, repair.as_deref()).await;
                restored.map_err(|error| StoreError::Database { verb: "restore", source: Box::new(error) })
            };
            self.repair(DAILY, missing.len(), restore).await;
        }
    }

    /// What the counters of these rows lack.
    async fn lacking(&self, rows: Vec<DailyCount>, lacking: Lacking) -> Result<Vec<DailyCount>, SyncStopped> {
        let keys: Vec<DailyKey> = rows.iter().map(|row| row.key.clone()).collect();
        let counters = self.context.counters.find(self.org_id, &keys).await?;
        let missing = rows.into_iter().zip(counters).filter_map(|(row, counter)| match counter {
            None => Some(row),
            Some(counter) if lacking == Lacking::Behind => Some(row.beyond(&counter.count)),
            Some(_) => None,
        });
        Ok(missing.filter(|row| !row.is_zero()).collect())
    }
}

/// What counters lack that their rows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacking {
    /// All of it: every counter was lost, and those that are there have only counted since.
    Everything,
    /// What they are behind: an older copy of them was brought back.
    Behind,
    /// A counter here and there is missing.
    Missing,
}

fn describe(truth: &DailyCount, row: Option<&DailyCount>) -> String {
    match row {
        None => "the counters have it, the table has no row".to_owned(),
        Some(row) => disagreement(
            "the counters",
            &[
                ("submissions", truth.submissions, row.submissions),
                ("completions", truth.completions, row.completions),
            ],
        ),
    }
}
