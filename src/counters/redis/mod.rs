//! The Redis adapter: the counters that existing workers write, with a revision beside each.
//!
//! One server, with replicas if you like, but no cluster: an event changes several keys in one step. The keys must not
//! be evicted: `maxmemory-policy noeviction` or one of the `volatile` ones.

mod eviction;
mod keys;
mod page;
mod script;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use redis::{ScriptInvocation, Value, pipe};

use self::eviction::Eviction;
use self::page::{ReadHash, new_generation};
use self::script::Scripts;
use super::{Counted, Counter, Counters, CountersError, Cursor, During, Mark, Page, Touched};
use crate::domain::statistics::{DailyCount, DailyKey, Days, MAX_VALUES, StatisticsEvent};
use crate::redis::Link;
use crate::secret::Secret;

/// Counters of one pipeline.
const FOUND: usize = 500;

/// Counters that one script restores: the server does nothing else meanwhile.
const RESTORED: usize = 200;

/// Events that one script counts: the same holds.
const COUNTED: usize = 64;

/// Keys that one step of a scan for organisations looks at.
const SCANNED: u32 = 5_000;

/// Longer than any event is sent again; the server refuses what would end after its calendar.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// Counters in Redis.
pub struct RedisCounters {
    link: Link,
    scripts: Scripts,
    remember: Duration,
    eviction: Eviction,
}

impl fmt::Debug for RedisCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCounters").field("place", &self.link.place()).finish_non_exhaustive()
    }
}

impl RedisCounters {
    /// Connects. The ids of events are remembered as long as given.
    ///
    /// # Errors
    /// When the URL is none of Redis, or nothing answers there. The text never holds the URL.
    pub async fn connect(url: &Secret, remember: Duration) -> Result<Self, CountersError> {
        let link = Link::connect(url).await.during("connect")?;
        let remember = remember.clamp(Duration::from_millis(1), LONGEST);
        let eviction = Eviction::default();
        eviction.ask(&link).await;
        Ok(Self { link, scripts: Scripts::new(), remember, eviction })
    }
}

impl RedisCounters {
    /// What became of each of so few events that one script counts them.
    async fn count_part(
        &self,
        org_id: i64,
        events: &[StatisticsEvent],
    ) -> Result<Vec<Result<Counted, CountersError>>, CountersError> {
        let mut call = self.scripts.count.key(keys::GENERATION);
        call.key(keys::revision(org_id)).key(keys::touched(org_id)).key(keys::ORGANISATIONS);
        let remember = u64::try_from(self.remember.as_millis()).unwrap_or(u64::MAX);
        call.arg(remember).arg(new_generation()).arg(org_id).arg(MAX_VALUES);
        for event in events {
            let counts = event.increments();
            call.key(keys::mark(org_id, &event.event_id)).arg(event.date.to_string()).arg(counts.len());
            for count in counts {
                call.key(keys::counter(org_id, &count.key));
                add_fields(&mut call, &count);
            }
        }
        let answers: Vec<(i64, Vec<u8>)> = self.link.invoke(&call).await.during("count")?;
        if answers.len() != events.len() {
            return Err(self.link.unexpected()).during("count");
        }
        let outcomes = events.iter().zip(answers).map(|(event, (answer, key))| match answer {
            1 => Ok(Counted::New),
            0 => Ok(Counted::Before),
            -2 => Ok(Counted::Full(named(org_id, event, &key)?)),
            _ => Err(match named(org_id, event, &key) {
                Ok(counter) => CountersError::Stuck { key: counter, why: unaddable(&key) },
                // It is none of the event: a key of ours beside the counters.
                Err(_) => unwritable("count", &key),
            }),
        });
        Ok(outcomes.collect())
    }
}

#[async_trait]
impl Counters for RedisCounters {
    async fn count(
        &self,
        org_id: i64,
        events: Vec<StatisticsEvent>,
        _now: Timestamp,
    ) -> Vec<Result<Counted, CountersError>> {
        let mut outcomes = Vec::with_capacity(events.len());
        for part in events.chunks(COUNTED) {
            match self.count_part(org_id, part).await {
                Ok(counted) => outcomes.extend(counted),
                // The server does not answer: nothing more is asked of it.
                Err(error) => {
                    outcomes.resize(events.len(), Err(error));
                    break;
                }
            }
        }
        outcomes
    }

    async fn mark(&self, org_id: i64) -> Result<Mark, CountersError> {
        let mut ask = pipe();
        ask.atomic().cmd("SET").arg(keys::GENERATION).arg(new_generation()).arg("NX").ignore();
        ask.cmd("GET").arg(keys::GENERATION).cmd("GET").arg(keys::revision(org_id));
        let (generation, revision): (String, Option<i64>) = self.link.query(&ask).await.during("mark")?;
        Ok(Mark { generation, revision: revision.unwrap_or(0) })
    }

    async fn touched(&self, org_id: i64, since: Option<&Mark>) -> Result<Touched, CountersError> {
        let mut call = self.scripts.touched.key(keys::GENERATION);
        call.key(keys::revision(org_id)).key(keys::touched(org_id)).arg(new_generation());
        call.arg(since.map_or("", |since| &since.generation)).arg(since.map_or(0, |since| since.revision));
        let (generation, revision, days): (String, i64, Vec<String>) =
            self.link.invoke(&call).await.during("touched")?;
        let days = days.iter().map(|day| day.parse::<Date>()).collect::<Result<_, _>>();
        let expected = |_| format!("{}: expected days", keys::touched(org_id));
        let days = days.map_err(expected).corrupt("touched")?;
        Ok(Touched { days, mark: Mark { generation, revision } })
    }

    /// A counter that `SCAN` finds twice in one page is in it once; it may be in two pages. Looking for few days takes
    /// as long as for all: the server has no order of days. It fails when the counters were emptied, or the server was
    /// restarted, since the first page.
    async fn page(
        &self,
        org_id: i64,
        days: &Days,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page, CountersError> {
        page::page(&self.link, org_id, days, cursor, limit).await
    }

    async fn find(&self, org_id: i64, keys: &[DailyKey]) -> Result<Vec<Option<Counter>>, CountersError> {
        let mut found = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(FOUND) {
            let names: Vec<String> = chunk.iter().map(|key| keys::counter(org_id, key)).collect();
            let read = page::hashes(names.iter().map(String::as_bytes));
            let answers = self.link.answers(&read).await.during("find")?;
            for (key, answer) in chunk.iter().zip(answers) {
                found.push(match page::counter(&self.link, key.clone(), answer).during("find")? {
                    ReadHash::Counter(counter) => Some(counter),
                    ReadHash::Missing => None,
                    ReadHash::Unreadable(why) => return Err(format!("{key}: {why}")).corrupt("find"),
                });
            }
        }
        Ok(found)
    }

    async fn restore(
        &self,
        org_id: i64,
        known: &[DailyCount],
        repair: Option<&str>,
    ) -> Result<u64, CountersError> {
        let (mut changed, mut began) = (0, None);
        for chunk in known.chunks(RESTORED) {
            let mut call = self.scripts.restore.key(keys::GENERATION);
            call.arg(new_generation()).arg(repair.unwrap_or_default());
            for count in chunk {
                call.key(keys::counter(org_id, &count.key));
                add_fields(&mut call, count);
            }
            let (number, text): (i64, Vec<u8>) = self.link.invoke(&call).await.during("restore")?;
            changed += u64::try_from(number).map_err(|_| unwritable("restore", &text))?;
            if *began.get_or_insert_with(|| text.clone()) != text {
                let why = "the counters were emptied or replaced while they were restored";
                return Err(why).during("restore");
            }
        }
        Ok(changed)
    }

    async fn organisations(&self) -> Result<BTreeSet<i64>, CountersError> {
        let mut counted = pipe();
        counted.cmd("SMEMBERS").arg(keys::ORGANISATIONS);
        let (mut found,): (BTreeSet<i64>,) = self.link.query(&counted).await.during("organisations")?;
        // Other programs do not write down whose counters they make.
        let (mut from, pattern) = (None, keys::every_counter());
        loop {
            let step = page::scan(&self.link, "organisations", from.as_ref(), &pattern, SCANNED);
            let (counters, position, done) = step.await?;
            found.extend(counters.iter().filter_map(|key| keys::organisation(key)));
            if done {
                return Ok(found);
            }
            from = Some(position);
        }
    }

    /// The server forgets them by itself.
    async fn forget(&self, _counted_before: Timestamp) -> Result<u64, CountersError> {
        Ok(0)
    }

    async fn ready(&self) -> Result<(), CountersError> {
        // A write that changes nothing most of the time: a replica, a server that loads, and a full one refuse it.
        let mut ask = pipe();
        ask.cmd("PING").cmd("SET").arg(keys::GENERATION).arg(new_generation()).arg("NX");
        ask.cmd("INFO").arg("memory");
        let mut answers = self.link.answers(&ask).await.during("ready")?;
        if let Some(memory) = answers.pop() {
            self.eviction.tell(&self.link, &memory);
        }
        // Whoever may not ask for the memory is ready nevertheless.
        for answer in &answers {
            if let Value::ServerError(error) = answer {
                return Err(self.link.refused(error)).during("ready");
            }
        }
        Ok(())
    }
}

/// How many fields of its hash a counter adds to, and these with what is added.
fn add_fields(call: &mut ScriptInvocation<'_>, count: &DailyCount) {
    let distribution = &count.distribution;
    call.arg(2 + distribution.origin.len() + distribution.risk.len());
    call.arg("submission_count").arg(count.submissions).arg("completion_count").arg(count.completions);
    for (what, values) in [("origin", &distribution.origin), ("risk", &distribution.risk)] {
        for (value, number) in values {
            call.arg(format!("{what}:{value}")).arg(*number);
        }
    }
}

/// The counter of this event that has this key.
fn named(org_id: i64, event: &StatisticsEvent, name: &[u8]) -> Result<DailyKey, CountersError> {
    let mut keys = event.increments().into_iter().map(|count| count.key);
    let found = keys.find(|key| keys::counter(org_id, key).as_bytes() == name);
    found.ok_or_else(|| format!("{}: no counter of this event", keys::shown(name))).corrupt("count")
}

fn unwritable(verb: &'static str, key: &[u8]) -> CountersError {
    CountersError::Corrupt { verb, found: unaddable(key) }
}

fn unaddable(key: &[u8]) -> String {
    format!("{}: expected a hash of whole numbers of at most 18 digits", keys::shown(key))
}
