//! Identifiers. Time and randomness are passed in, so the same inputs give the same id.

use std::fmt;

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// One run of a task, or one request: a UUID of version 7, so ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl RunId {
    /// Builds the id of something that starts at `now`; `random` must differ between processes.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The sixteen bytes of the id: a trace id is made of them.
    pub fn bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ_by_randomness() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let (first, second) = (RunId::new(at(1_000), [7; 10]), RunId::new(at(1_001), [0; 10]));
        assert!(first.to_string() < second.to_string());
        assert_ne!(RunId::new(at(1_000), [8; 10]), first);
        assert_eq!(first.to_string().len(), 36);
        assert_eq!(Uuid::parse_str(&first.to_string()).unwrap().get_version_num(), 7);
    }
}
