//! Counting a single event, as most tests do.

use jiff::Timestamp;
use qs_scheduler::counters::{Counted, Counters, CountersError};
use qs_scheduler::domain::statistics::StatisticsEvent;

pub trait CountOne {
    /// Whether it was new. Its counter must have room.
    async fn count_one(
        &self,
        org_id: i64,
        event: &StatisticsEvent,
        now: Timestamp,
    ) -> Result<bool, CountersError>;
}

impl<T: Counters + ?Sized> CountOne for T {
    async fn count_one(
        &self,
        org_id: i64,
        event: &StatisticsEvent,
        now: Timestamp,
    ) -> Result<bool, CountersError> {
        let outcomes = self.count(org_id, vec![event.clone()], now).await;
        let [outcome] = <[_; 1]>::try_from(outcomes).expect("one answer for one event");
        outcome.map(|counted| match counted {
            Counted::New => true,
            Counted::Before => false,
            Counted::Full(key) => panic!("{key} is full"),
        })
    }
}
