//! What has to be done now and then: give up syncs that nobody carries on, forget what is old.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::sync_run::SyncRuns;
use crate::clock::SharedClock;
use crate::counters::Counters;
use crate::store::business::Store;

/// How often old records are looked for.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);

/// Does it, a step at a time.
pub struct Housekeeper {
    store: Arc<dyn Store>,
    counters: Arc<dyn Counters>,
    runs: Arc<SyncRuns>,
    clock: SharedClock,
    keep: Keep,
    swept: Option<Timestamp>,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Records of syncs, after their end.
    pub records: Duration,
    /// Ids of events, after they were counted.
    pub events: Duration,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Syncs that were given up.
    pub abandoned: u64,
    /// Records that were forgotten.
    pub records: u64,
    /// Ids of events that were forgotten.
    pub events: u64,
}

impl Housekeeper {
    /// Keeps house here.
    pub fn new(
        store: Arc<dyn Store>,
        counters: Arc<dyn Counters>,
        runs: Arc<SyncRuns>,
        clock: SharedClock,
        keep: Keep,
    ) -> Self {
        Self { store, counters, runs, clock, keep, swept: None }
    }

    /// One step.
    ///
    /// # Errors
    /// What could not be done; the next step tries it again.
    pub async fn tick(&mut self) -> Result<Kept, String> {
        let abandoned = self.runs.recover().await.map_err(|error| error.to_string())?;
        let now = self.clock.now();
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return Ok(Kept { abandoned, ..Kept::default() });
        }
        let records = self.store.forget(before(now, self.keep.records)).await;
        let events = self.counters.forget(before(now, self.keep.events)).await;
        let kept = Kept {
            abandoned,
            records: records.map_err(|error| error.to_string())?,
            events: events.map_err(|error| error.to_string())?,
        };
        self.swept = Some(now);
        Ok(kept)
    }
}

impl std::fmt::Debug for Housekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Housekeeper").field("keep", &self.keep).finish_non_exhaustive()
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    SignedDuration::try_from(age).ok().and_then(|age| now.checked_sub(age).ok()).unwrap_or(Timestamp::MIN)
}
