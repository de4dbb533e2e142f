//! What has to be done now and then: give up syncs that nobody carries on, forget what is old.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::sync_run::SyncRuns;
use crate::clock::periodic::Periodic;
use crate::counters::Counters;
use crate::store::business::Store;

/// How often old records are looked for.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);

/// Does it, a step at a time.
pub struct Housekeeper {
    store: Arc<dyn Store>,
    counters: Arc<dyn Counters>,
    runs: Arc<SyncRuns>,
    retention: Retention,
    swept: Option<Timestamp>,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Records of syncs, after their end.
    pub records: Duration,
    /// Ids of events, after they were counted.
    pub events: Duration,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Syncs that were given up.
    pub abandoned: u64,
    /// Records that were forgotten.
    pub records: u64,
    /// Ids of events that were forgotten.
    pub events: u64,
}

impl Housekeeper {
    /// Cleans these stores.
    pub fn new(
        store: Arc<dyn Store>,
        counters: Arc<dyn Counters>,
        runs: Arc<SyncRuns>,
        retention: Retention,
    ) -> Self {
        Self { store, counters, runs, retention, swept: None }
    }
}

#[async_trait]
impl Periodic for Housekeeper {
    type Report = Cleaned;

    async fn tick(&mut self, now: Timestamp) -> Result<Cleaned, String> {
        let abandoned = self.runs.recover(now).await.map_err(|error| error.to_string())?;
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return Ok(Cleaned { abandoned, ..Cleaned::default() });
        }
        let records = self.store.forget(before(now, self.retention.records)).await;
        let events = self.counters.forget(before(now, self.retention.events)).await;
        let cleaned = Cleaned {
            abandoned,
            records: records.map_err(|error| error.to_string())?,
            events: events.map_err(|error| error.to_string())?,
        };
        self.swept = Some(now);
        Ok(cleaned)
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    SignedDuration::try_from(age).ok().and_then(|age| now.checked_sub(age).ok()).unwrap_or(Timestamp::MIN)
}
