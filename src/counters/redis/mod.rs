//! The Redis adapter: the counters that existing workers write, with a revision beside each.
//!
//! One server, with replicas if you like, but no cluster: an event changes several keys in one step. The keys must not
//! be evicted: `maxmemory-policy noeviction` or one of the `volatile` ones.

mod keys;
mod link;
mod page;
mod script;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use redis::{ScriptInvocation, pipe};

use self::link::{Link, LinkError};
use self::page::new_generation;
use self::script::Scripts;
use super::{Answer, Counter, Counters, CountersError, Cursor, Mark, Page, Touched};
use crate::domain::statistics::{DailyCount, DailyKey, Days, StatisticsEvent};
use crate::secret::Secret;

/// Counters of one pipeline.
const FOUND: usize = 500;

/// Counters that one script restores: the server does nothing else meanwhile.
const RESTORED: usize = 200;

/// Keys that one step of a scan for organisations looks at.
const SCANNED: u32 = 5_000;

/// Longer than any event is sent again; the server refuses what would end after its calendar.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// Counters in Redis.
pub struct RedisCounters {
    link: Link,
    scripts: Scripts,
    remember: Duration,
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
        let link = Link::connect(url).await.map_err(failed("connect"))?;
        let remember = remember.clamp(Duration::from_millis(1), LONGEST);
        Ok(Self { link, scripts: Scripts::new(), remember })
    }
}

impl Counters for RedisCounters {
    fn count<'a>(&'a self, org_id: i64, event: &'a StatisticsEvent, _now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut call = self.scripts.count.key(keys::mark(org_id, &event.event_id));
            call.key(keys::GENERATION).key(keys::revision(org_id)).key(keys::touched(org_id));
            call.key(keys::ORGANISATIONS);
            let remember = u64::try_from(self.remember.as_millis()).unwrap_or(u64::MAX);
            call.arg(remember).arg(new_generation()).arg(org_id);
            for count in event.increments() {
                call.key(keys::counter(org_id, &count.key)).arg(count.key.date.to_string());
                add_fields(&mut call, &count);
            }
            let (counted, key): (i64, Vec<u8>) = self.link.invoke(&call).await.map_err(failed("count"))?;
            if counted < 0 { Err(unwritable("count", &key)) } else { Ok(counted == 1) }
        })
    }

    fn mark(&self, org_id: i64) -> Answer<'_, Mark> {
        Box::pin(async move {
            let mut ask = pipe();
            ask.atomic().cmd("SET").arg(keys::GENERATION).arg(new_generation()).arg("NX").ignore();
            ask.cmd("GET").arg(keys::GENERATION).cmd("GET").arg(keys::revision(org_id));
            let (generation, revision): (String, Option<i64>) =
                self.link.query(&ask).await.map_err(failed("mark"))?;
            Ok(Mark { generation, revision: revision.unwrap_or(0) })
        })
    }

    fn touched<'a>(&'a self, org_id: i64, since: Option<&'a Mark>) -> Answer<'a, Touched> {
        Box::pin(async move {
            let mut call = self.scripts.touched.key(keys::GENERATION);
            call.key(keys::revision(org_id)).key(keys::touched(org_id)).arg(new_generation());
            call.arg(since.map_or("", |since| &since.generation))
                .arg(since.map_or(0, |since| since.revision));
            let (generation, revision, days): (String, i64, Vec<String>) =
                self.link.invoke(&call).await.map_err(failed("touched"))?;
            let day = |text: &String| {
                let found = || format!("{}: expected days", keys::touched(org_id));
                text.parse::<Date>().map_err(|_| CountersError::Corrupt { verb: "touched", found: found() })
            };
            let days = days.iter().map(day).collect::<Result<_, _>>()?;
            Ok(Touched { days, mark: Mark { generation, revision } })
        })
    }

    /// A counter that `SCAN` finds twice in one page is in it once; it may be in two pages. Looking for few days takes
    /// as long as for all: the server has no order of days. It fails when the counters were emptied, or the server was
    /// restarted, since the first page.
    fn page<'a>(
        &'a self,
        org_id: i64,
        days: &'a Days,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Answer<'a, Page> {
        Box::pin(page::page(&self.link, org_id, days, cursor, limit))
    }

    fn find<'a>(&'a self, org_id: i64, keys: &'a [DailyKey]) -> Answer<'a, Vec<Option<Counter>>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(keys.len());
            for chunk in keys.chunks(FOUND) {
                let names: Vec<String> = chunk.iter().map(|key| keys::counter(org_id, key)).collect();
                let read = page::hashes(names.iter().map(String::as_bytes));
                let answers = self.link.answers(&read).await.map_err(failed("find"))?;
                for (key, answer) in chunk.iter().zip(answers) {
                    let counter = page::counter(&self.link, key.clone(), answer).map_err(failed("find"))?;
                    let corrupt =
                        |why| CountersError::Corrupt { verb: "find", found: format!("{key}: {why}") };
                    found.push(counter.map_err(corrupt)?);
                }
            }
            Ok(found)
        })
    }

    fn restore<'a>(&'a self, org_id: i64, known: &'a [DailyCount]) -> Answer<'a, u64> {
        Box::pin(async move {
            let (mut changed, mut began) = (0, None);
            for chunk in known.chunks(RESTORED) {
                let mut call = self.scripts.restore.key(keys::GENERATION);
                call.arg(new_generation());
                for count in chunk {
                    call.key(keys::counter(org_id, &count.key));
                    add_fields(&mut call, count);
                }
                let (number, text): (i64, Vec<u8>) =
                    self.link.invoke(&call).await.map_err(failed("restore"))?;
                changed += u64::try_from(number).map_err(|_| unwritable("restore", &text))?;
                if *began.get_or_insert_with(|| text.clone()) != text {
                    let source = "the counters were emptied or replaced while they were restored".into();
                    return Err(CountersError::Backend { verb: "restore", source });
                }
            }
            Ok(changed)
        })
    }

    fn organisations(&self) -> Answer<'_, BTreeSet<i64>> {
        Box::pin(async move {
            let mut counted = pipe();
            counted.cmd("SMEMBERS").arg(keys::ORGANISATIONS);
            let (mut found,): (BTreeSet<i64>,) =
                self.link.query(&counted).await.map_err(failed("organisations"))?;
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
        })
    }

    /// The server forgets them by itself.
    fn forget(&self, _counted_before: Timestamp) -> Answer<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn ready(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            // A write that changes nothing most of the time: a replica, a server that loads, and a full one refuse it.
            let mut ask = pipe();
            ask.cmd("PING").ignore();
            ask.cmd("SET").arg(keys::GENERATION).arg(new_generation()).arg("NX").ignore();
            self.link.query(&ask).await.map_err(failed("ready"))
        })
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

fn failed(verb: &'static str) -> impl Fn(LinkError) -> CountersError {
    move |source| CountersError::Backend { verb, source: Box::new(source) }
}

fn unwritable(verb: &'static str, key: &[u8]) -> CountersError {
    let found = format!("{}: expected a value that can be counted on", keys::shown(key));
    CountersError::Corrupt { verb, found }
}
