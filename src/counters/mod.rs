//! L2 · The counters that events feed and syncs read: per organisation, subject and day.

pub mod embedded;
pub mod redis;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::statistics::{DailyCount, DailyKey, Days, StatisticsEvent};
use crate::domain::sync_run::ItemError;

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
}

impl fmt::Display for CountersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { verb, source } => write!(f, "{verb}: {source}"),
            Self::Corrupt { verb, found } => write!(f, "{verb}: unreadable counter: {found}"),
        }
    }
}

impl std::error::Error for CountersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Backend { source, .. } => Some(source.as_ref()),
            Self::Corrupt { .. } => None,
        }
    }
}

/// How far the counters have come. Every event that is counted makes the revision of its organisation grow. When the
/// counters are emptied or replaced, what comes after has another generation: its numbers do not continue the old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which counters.
    pub generation: String,
    /// How many events of this organisation they have counted.
    pub revision: i64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.generation, self.revision)
    }
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no mark of counters: {text:?}");
        let (generation, revision) = text.rsplit_once(':').ok_or_else(wrong)?;
        Ok(Self { generation: generation.to_owned(), revision: revision.parse().map_err(|_| wrong())? })
    }
}

/// Which days have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The days.
    pub days: BTreeSet<Date>,
    /// Everything up to here is in `days`; ask with it next time.
    pub mark: Mark,
}

/// A counter and the revision that changed it last; none when another program wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What it says.
    pub count: DailyCount,
    /// The revision of its last change.
    pub revision: Option<i64>,
}

/// Where the next page begins. Only the adapter that gave it can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(super) String);

/// Some counters. A page may be empty though others follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The counters.
    pub counters: Vec<Counter>,
    /// Counters that cannot be read: which, and why.
    pub unreadable: Vec<ItemError>,
    /// Where to go on; none at the end.
    pub next: Option<Cursor>,
}

/// Daily counters.
pub trait Counters: Send + Sync {
    /// Counts an event, once. Answers whether it was new.
    fn count<'a>(&'a self, org_id: i64, event: &'a StatisticsEvent, now: Timestamp) -> Answer<'a, bool>;

    /// How far they have come.
    fn mark(&self, org_id: i64) -> Answer<'_, Mark>;

    /// The days of which a counter changed after the mark; without a mark, every day whose change they remember.
    /// A mark of another generation is as good as none.
    fn touched<'a>(&'a self, org_id: i64, since: Option<&'a Mark>) -> Answer<'a, Touched>;

    /// About `limit` counters of these days, each at least once over all pages if it was there the whole time.
    fn page<'a>(
        &'a self,
        org_id: i64,
        days: &'a Days,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Answer<'a, Page>;

    /// The counters with these keys, each in the place of its key; none where there is none.
    fn find<'a>(&'a self, org_id: i64, keys: &'a [DailyKey]) -> Answer<'a, Vec<Option<Counter>>>;

    /// Gives lost counters back what the store knows of them, on top of what was counted since: each once in this
    /// generation, however often it is asked. Answers how many it changed.
    fn restore<'a>(&'a self, org_id: i64, known: &'a [DailyCount]) -> Answer<'a, u64>;

    /// Every organisation with a counter.
    fn organisations(&self) -> Answer<'_, BTreeSet<i64>>;

    /// Forgets the ids of events that were counted before then. Answers how many.
    fn forget(&self, counted_before: Timestamp) -> Answer<'_, u64>;

    /// Whether they can be reached, and their tables are those of this program.
    fn ready(&self) -> Answer<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back() {
        let mark = Mark { generation: "a:b".to_owned(), revision: 7 };
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert!("7".parse::<Mark>().is_err());
    }
}
