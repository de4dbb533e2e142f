//! Identifiers. Time and randomness are passed in, so the same inputs give the same id.

use std::fmt;

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// One run of a task, or one request: a UUID of version 7, so ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionId(Uuid);

impl ExecutionId {
    /// Builds the id of something that starts at `now`; `random` must differ between processes.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The sixteen bytes of the id: a trace id is made of them.
    pub fn bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The id that has these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Random bits at the low end of a [`RowId`].
const ROW_RANDOM_BITS: u32 = 21;

/// The key of a row in a table that others number too: 63 bits, so that it is positive everywhere, the upper 42 of them
/// the milliseconds since 1970. Ids sort by time and last until the year 2109.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(i64);

impl RowId {
    /// Builds the id of a row that is made at `now`; `random` must differ between processes.
    pub fn new(now: Timestamp, random: u32) -> Self {
        let millis = now.as_millisecond().clamp(0, (1 << 42) - 1);
        let random = i64::from(random & ((1 << ROW_RANDOM_BITS) - 1));
        Self((millis << ROW_RANDOM_BITS) | random)
    }

    /// The ids of rows that are made together, in order: two of them never collide.
    pub fn run(self) -> impl Iterator<Item = i64> {
        self.0..=i64::MAX
    }

    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ_by_randomness() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let (first, second) = (ExecutionId::new(at(1_000), [7; 10]), ExecutionId::new(at(1_001), [0; 10]));
        assert!(first.to_string() < second.to_string());
        assert_ne!(ExecutionId::new(at(1_000), [8; 10]), first);
        assert_eq!(first.to_string().len(), 36);
        assert_eq!(Uuid::parse_str(&first.to_string()).unwrap().get_version_num(), 7);
    }
    #[test]
    fn row_ids_are_positive_and_sort_by_time() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let now = 1_795_250_000_000;
        assert!(RowId::new(at(now), u32::MAX) < RowId::new(at(now + 1), 0));
        assert_ne!(RowId::new(at(now), 1), RowId::new(at(now), 2));
        assert_eq!(RowId::new(at(now), 5), RowId::new(at(now), 5 | 1 << 21));
        assert!(RowId::new(at(-5), 0).get() >= 0 && RowId::new(Timestamp::MAX, u32::MAX).get() > 0);
        let first = RowId::new(at(now), 7);
        assert_eq!(first.run().take(3).collect::<Vec<_>>(), [0, 1, 2].map(|n| first.get() + n));
    }
}
