//! L2 · The counters that events feed and syncs read: per organisation, subject and day.

pub mod embedded;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::statistics::{DailyCount, DayRange, StatisticType, StatisticsEvent};

/// What a verb answers.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CountersError>> + Send + 'a>>;

/// Why a verb did nothing.
#[derive(Debug)]
pub enum CountersError {
    /// The backend did not do it.
    Backend {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A counter holds what this program never writes.
    Corrupt {
        /// The verb.
        verb: &'static str,
        /// What was found.
        found: String,
    },
    /// The schema was made by a newer program.
    NewerSchema {
        /// Its version, unknown here.
        version: i64,
    },
}

impl fmt::Display for CountersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { verb, source } => write!(f, "{verb}: {source}"),
            Self::Corrupt { verb, found } => write!(f, "{verb}: unreadable counter: {found}"),
            Self::NewerSchema { version } => {
                write!(f, "the counters have schema version {version} of a newer program")
            }
        }
    }
}

impl std::error::Error for CountersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Backend { source, .. } => Some(source.as_ref()),
            Self::Corrupt { .. } | Self::NewerSchema { .. } => None,
        }
    }
}

/// The place of a counter: a page of counters ends at one and the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The day.
    pub date: Date,
    /// What is counted.
    pub statistic: StatisticType,
    /// Which one.
    pub key: String,
}

impl Cursor {
    /// The place of this counter.
    pub fn of(count: &DailyCount) -> Self {
        Self { date: count.date, statistic: count.statistic, key: count.key.clone() }
    }
}

/// Which days have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The days.
    pub days: BTreeSet<Date>,
    /// Everything up to here is in `days`; ask with it next time.
    pub mark: i64,
}

/// Daily counters.
pub trait Counters: Send + Sync {
    /// Counts an event, once. Answers whether it was new.
    fn count<'a>(&'a self, org_id: i64, event: &'a StatisticsEvent, now: Timestamp) -> Answer<'a, bool>;

    /// The days of which a counter changed after the mark; without a mark, every day that has a counter.
    fn touched(&self, org_id: i64, since: Option<i64>) -> Answer<'_, Touched>;

    /// The counters of these days after `cursor`, in the order of day, type and key; at most `limit`.
    fn page(
        &self,
        org_id: i64,
        days: DayRange,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Answer<'_, Vec<DailyCount>>;

    /// Whether they can be reached.
    fn ping(&self) -> Answer<'_, ()>;
}
