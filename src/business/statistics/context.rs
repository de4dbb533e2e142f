//! What the parts of the statistics share: stores and clock, and how far the last syncs came.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::SharedClock;
use crate::counters::{Counters, Mark, Since};
use crate::domain::sync_run::{SyncKind, SyncRun};
use crate::store::business::Store;

/// What every part of the statistics needs.
pub(super) struct Context {
    pub(super) store: Arc<dyn Store>,
    pub(super) counters: Arc<dyn Counters>,
    pub(super) clock: SharedClock,
    pub(super) zone: TimeZone,
}

impl Context {
    pub(super) fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    pub(super) fn today(&self) -> Date {
        self.day(self.clock.now())
    }

    /// How far the counters were carried by the last sync of all due days, or given back by a repair.
    pub(super) async fn last_mark(&self, org_id: i64) -> Result<Option<Mark>, String> {
        let kinds = [SyncKind::Daily, SyncKind::Validate];
        let run = self
            .store
            .last_marked(org_id, &kinds, self.clock.now())
            .await
            .map_err(|error| error.to_string())?;
        run.and_then(|run| run.progress.mark).map(|mark| mark.parse()).transpose()
    }

    /// The last sync of this kind that covered everything, and when it began to read.
    pub(super) async fn last_began(
        &self,
        org_id: i64,
        kind: SyncKind,
    ) -> Result<Option<(SyncRun, Timestamp)>, String> {
        let run = self
            .store
            .last_marked(org_id, &[kind], self.clock.now())
            .await
            .map_err(|error| error.to_string())?;
        let began = |run: SyncRun| {
            let mark = run.progress.mark.as_deref().unwrap_or_default();
            let began = mark.parse().map_err(|_| format!("no mark of a sync: {mark:?}"))?;
            Ok((run, began))
        };
        run.map(began).transpose()
    }
}

/// Why counters do not continue those of the mark, if they do not.
pub(super) fn interruption(now: &Mark, since: &Mark) -> Option<String> {
    match now.since(since) {
        Since::Continued => None,
        Since::Replaced => Some(lost()),
        Since::WentBack => Some(went_back(now, since)),
    }
}

/// What is said when an older copy of the counters was brought back.
fn went_back(now: &Mark, since: &Mark) -> String {
    format!(
        "the counters went back: the last sync carried {} events, now they know {}, as after a restart from an older \
         snapshot or a fail-over to a replica that lagged. The tables know more: POST statistics/validate with \
         mode=repair raises the counters to what the tables know; events that neither has must be sent again",
        since.revision, now.revision
    )
}

/// What is said when the counters do not continue those of the last sync.
fn lost() -> String {
    "the counters were emptied or replaced since the last sync, so the tables know more than they do: POST \
     statistics/validate with mode=repair gives them back what the tables know"
        .to_owned()
}
