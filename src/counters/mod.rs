//! L2 · The counters that events feed and syncs read: per organisation, subject and day.

pub mod embedded;
pub mod redis;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::statistics::{DailyCount, DailyKey, Days, StatisticsEvent};
use crate::domain::sync_run::ItemError;
use crate::redis::LinkError;
use crate::sql::{self, MigrationError, Outage, Trouble};

/// Why a verb did nothing. It can be told to everybody whose event was in one transaction.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CountersError {
    /// The backend did not do it.
    #[error("{verb}: {source}")]
    Backend {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Nothing can be asked of the backend now: it is down, does not let us in, or is too busy.
    #[error("{verb}: {source}")]
    Unreachable {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The backend answers and takes no writes: it is full, or read-only.
    #[error("{verb}: {source}")]
    NotWritable {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A counter holds what this program never writes.
    #[error("{verb}: unreadable counter: {found}")]
    Corrupt {
        /// The verb.
        verb: &'static str,
        /// What was found.
        found: String,
    },
    /// What an event would add to cannot be added to: its counter is at its end, or holds what is no number.
    #[error("the counter {key} cannot be counted on ({why})")]
    Stuck {
        /// Which counter.
        key: DailyKey,
        /// What is wrong with it.
        why: String,
    },
}

impl CountersError {
    /// Whether it is no matter of what was asked: the same may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotWritable { .. } => true,
            Self::Backend { source, .. } => {
                source.downcast_ref::<sqlx::Error>().is_some_and(sql::is_contended)
            }
            Self::Corrupt { .. } | Self::Stuck { .. } => false,
        }
    }
}

/// Says during which verb something failed.
trait During<T>: Sized {
    /// The backend did not do it.
    fn during(self, verb: &'static str) -> Result<T, CountersError>;

    /// What was found is no counter.
    fn corrupt(self, verb: &'static str) -> Result<T, CountersError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> During<T> for Result<T, E> {
    fn during(self, verb: &'static str) -> Result<T, CountersError> {
        self.map_err(|source| {
            let source: Arc<dyn Error + Send + Sync> = plain(source.into()).into();
            match trouble(&*source) {
                Some(Trouble::Unreachable) => CountersError::Unreachable { verb, source },
                Some(Trouble::NotWritable) => CountersError::NotWritable { verb, source },
                None => CountersError::Backend { verb, source },
            }
        })
    }

    fn corrupt(self, verb: &'static str) -> Result<T, CountersError> {
        self.map_err(|found| CountersError::Corrupt { verb, found: found.into().to_string() })
    }
}

/// What an error of a backend says of the backend as a whole.
fn trouble(error: &(dyn Error + Send + Sync + 'static)) -> Option<Trouble> {
    if error.is::<Outage>() {
        return Some(Trouble::Unreachable);
    }
    if let Some(error) = error.downcast_ref::<sqlx::Error>() {
        return sql::trouble(error);
    }
    match error.downcast_ref::<LinkError>()? {
        LinkError::Unreachable { .. } => Some(Trouble::Unreachable),
        LinkError::NotWritable { .. } => Some(Trouble::NotWritable),
        LinkError::Url | LinkError::Server { .. } => None,
    }
}

/// An error of the database without what the driver says around it.
fn plain(error: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
    let error = match error.downcast::<MigrationError>().map(|error| *error) {
        Ok(MigrationError::Database(error)) => error,
        Ok(schema) => return Box::new(schema),
        Err(error) => match error.downcast::<sqlx::Error>() {
            Ok(error) => *error,
            Err(other) => return other,
        },
    };
    sql::outage(error).map_or_else(Box::from, Box::from)
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

/// What counters are to those that an earlier mark was taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// They have counted on.
    Continued,
    /// They are others: emptied or replaced.
    Replaced,
    /// They are the same with fewer events: an older copy of them was brought back.
    WentBack,
}

impl Mark {
    /// What these counters are to those of an earlier mark.
    pub fn since(&self, earlier: &Mark) -> Since {
        if self.generation != earlier.generation {
            Since::Replaced
        } else if self.revision < earlier.revision {
            Since::WentBack
        } else {
            Since::Continued
        }
    }
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

/// What became of an event that was to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It was new, and is counted.
    New,
    /// Its id was counted before: nothing changed.
    Before,
    /// It has an origin or level of risk that is new to this counter, which has
    /// [`MAX_VALUES`](crate::domain::statistics::MAX_VALUES) already: nothing changed.
    Full(DailyKey),
}

/// Daily counters.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Counts each of these events, in this order and each id once, whoever else counts meanwhile. Answers what became of
    /// each, in its place, when it is there to stay. An event that cannot be counted hinders no other one; after an
    /// error it may be counted all the same, and can be sent again under its id.
    async fn count(
        &self,
        org_id: i64,
        events: Vec<StatisticsEvent>,
        now: Timestamp,
    ) -> Vec<Result<Counted, CountersError>>;

    /// Waits until everything is counted that was accepted before, also for callers that have gone.
    async fn settle(&self) {}

    /// How far they have come.
    async fn mark(&self, org_id: i64) -> Result<Mark, CountersError>;

    /// The days of which a counter changed after the mark; without a mark, every day whose change they remember.
    /// A mark of another generation is as good as none.
    async fn touched(&self, org_id: i64, since: Option<&Mark>) -> Result<Touched, CountersError>;

    /// About `limit` counters of these days, each at least once over all pages if it was there the whole time.
    async fn page(
        &self,
        org_id: i64,
        days: &Days,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page, CountersError>;

    /// The counters with these keys, each in the place of its key; none where there is none.
    async fn find(&self, org_id: i64, keys: &[DailyKey]) -> Result<Vec<Option<Counter>>, CountersError>;

    /// Gives lost counters back what the store knows of them, on top of what was counted since: each once in this
    /// generation, or once in the `repair` of that name, however often it is asked. Answers how many it changed.
    async fn restore(
        &self,
        org_id: i64,
        known: &[DailyCount],
        repair: Option<&str>,
    ) -> Result<u64, CountersError>;

    /// Every organisation with a counter.
    async fn organisations(&self) -> Result<BTreeSet<i64>, CountersError>;

    /// Forgets the ids of events that were counted before then. Answers how many.
    async fn forget(&self, counted_before: Timestamp) -> Result<u64, CountersError>;

    /// Whether they can be reached, and their tables are those of this program.
    async fn ready(&self) -> Result<(), CountersError>;
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

    #[test]
    fn an_older_copy_is_told_from_other_counters() {
        let mark = |generation: &str, revision| Mark { generation: generation.to_owned(), revision };
        let earlier = mark("a", 7);
        for (now, since) in [
            (mark("a", 7), Since::Continued),
            (mark("a", 8), Since::Continued),
            (mark("a", 6), Since::WentBack),
            (mark("a", 0), Since::WentBack),
            (mark("b", 9), Since::Replaced),
        ] {
            assert_eq!(now.since(&earlier), since, "{now}");
        }
    }
}
