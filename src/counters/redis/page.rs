//! Reading: steps of `SCAN` that notice when the ground moves, and hashes that become counters.

use std::collections::BTreeMap;

use redis::{Pipeline, Value, pipe};
use uuid::Uuid;

use super::keys;
use crate::counters::{Counter, CountersError, Cursor, During, Page};
use crate::domain::statistics::{DailyCount, DailyKey, Days, Distribution};
use crate::domain::sync_run::ItemError;
use crate::redis::{Link, LinkError};

/// The most keys that one step looks at: the server does nothing else meanwhile.
const MAX_STEP: u32 = 10_000;

const EMPTIED: &str = "the counters were emptied or replaced while they were read";
const RESTARTED: &str = "the server was restarted or replaced while the counters were read";

/// Random text for a generation that begins now.
pub(super) fn new_generation() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Where a scan is. The cursor of `SCAN` means something to one process of the server only, and says nothing about keys
/// that have gone: a scan that goes on elsewhere, or after a flush, would miss counters and call that success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    at: u64,
    /// The process of the server; empty where it does not tell.
    run: String,
    generation: String,
}

impl Position {
    fn to_cursor(&self) -> Cursor {
        Cursor(format!("{}:{}:{}", self.at, self.run, self.generation))
    }

    fn read(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.0.splitn(3, ':');
        let at = parts.next()?.parse().ok()?;
        Some(Self { at, run: parts.next()?.to_owned(), generation: parts.next()?.to_owned() })
    }
}

/// One step of a scan: keys, each once, and where the next step begins.
pub(super) async fn scan(
    link: &Link,
    verb: &'static str,
    from: Option<&Position>,
    pattern: &str,
    count: u32,
) -> Result<(Vec<Vec<u8>>, Position, bool), CountersError> {
    let mut step = pipe();
    step.cmd("INFO").arg("server");
    if from.is_none() {
        // By the first step only: a later one must see that it has gone.
        step.cmd("SET").arg(keys::GENERATION).arg(new_generation()).arg("NX");
    }
    step.cmd("SCAN").arg(from.map_or(0, |from| from.at)).arg("MATCH").arg(pattern);
    step.arg("COUNT").arg(count.clamp(1, MAX_STEP)).cmd("GET").arg(keys::GENERATION);
    let mut answers = link.answers(&step).await.during(verb)?;
    // Whoever may not ask for the process reads nevertheless.
    for answer in answers.iter().skip(1) {
        if let Value::ServerError(error) = answer {
            return Err(link.refused(error)).during(verb);
        }
    }
    let generation = answers.pop().map(|generation| text(&generation)).unwrap_or_default();
    let (at, mut found) =
        answers.pop().and_then(scanned_keys).ok_or_else(|| link.unexpected()).during(verb)?;
    let position = Position { at, run: answers.first().map(run_of).unwrap_or_default(), generation };
    unmoved(verb, from.unwrap_or(&position), &position)?;
    found.sort_unstable();
    found.dedup();
    let done = at == 0;
    Ok((found, position, done))
}

/// Fails when a scan cannot go on here.
fn unmoved(verb: &'static str, before: &Position, now: &Position) -> Result<(), CountersError> {
    if now.generation.is_empty() || now.generation != before.generation {
        return Err(EMPTIED).during(verb);
    }
    if now.run == before.run { Ok(()) } else { Err(RESTARTED).during(verb) }
}

/// A page of the counters of one organisation.
pub(super) async fn page(
    link: &Link,
    org_id: i64,
    days: &Days,
    cursor: Option<Cursor>,
    limit: u32,
) -> Result<Page, CountersError> {
    let from = cursor.map(|cursor| Position::read(&cursor).ok_or("a cursor of another adapter"));
    let from = from.transpose().corrupt("page")?;
    let prefix = keys::prefix(org_id);
    // The organisation is a number: nothing in the pattern can be taken for a wildcard.
    let (found, position, done) = scan(link, "page", from.as_ref(), &format!("{prefix}*"), limit).await?;

    let mut page = Page { next: (!done).then(|| position.to_cursor()), ..Page::default() };
    let mut wanted: Vec<(Vec<u8>, DailyKey)> = Vec::with_capacity(found.len());
    for key in found {
        match named(&prefix, &key, days) {
            Ok(Some(daily)) => wanted.push((key, daily)),
            Ok(None) => {}
            Err(message) => page.unreadable.push(ItemError { item: keys::shown(&key), message }),
        }
    }
    if wanted.is_empty() {
        return Ok(page);
    }

    // The server reads one part while the answers to another one are taken apart.
    let (front, back) = wanted.split_at(wanted.len() / 2);
    let (first, second) = front.split_at(front.len() / 2);
    let (third, fourth) = back.split_at(back.len() / 2);
    let part = |keys| part(link, &position, keys);
    let parts = tokio::try_join!(part(first), part(second), part(third), part(fourth))?;
    let answers = [parts.0, parts.1, parts.2, parts.3].into_iter().flatten();
    page.counters.reserve(wanted.len());
    for ((key, daily), answer) in wanted.into_iter().zip(answers) {
        match counter(link, daily, answer).during("page")? {
            ReadHash::Counter(counter) => page.counters.push(counter),
            ReadHash::Missing => {}
            ReadHash::Unreadable(message) => {
                page.unreadable.push(ItemError { item: keys::shown(&key), message });
            }
        }
    }
    Ok(page)
}

/// The hashes of these keys.
async fn part(
    link: &Link,
    position: &Position,
    keys: &[(Vec<u8>, DailyKey)],
) -> Result<Vec<Value>, CountersError> {
    let mut read = hashes(keys.iter().map(|(key, _)| key.as_slice()));
    // After the last hash: a flush before it has been noticed, one after it takes nothing from what was read.
    read.cmd("GET").arg(keys::GENERATION);
    let mut answers = link.answers(&read).await.during("page")?;
    let generation = answers.pop().map(|generation| text(&generation)).unwrap_or_default();
    unmoved("page", position, &Position { generation, ..position.clone() })?;
    Ok(answers)
}

/// What a key names, if it is of one of these days.
fn named(prefix: &str, key: &[u8], days: &Days) -> Result<Option<DailyKey>, String> {
    let date = keys::date(key)?;
    if !days.contains(date) {
        return Ok(None);
    }
    Ok(Some(DailyKey { subject: keys::subject(prefix, key)?, date }))
}

/// Reads each of these.
pub(super) fn hashes<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>) -> Pipeline {
    let mut read = Pipeline::with_capacity(keys.len() + 1);
    for key in keys {
        read.cmd("HGETALL").arg(key);
    }
    read
}

/// What became of the hash of a counter.
pub(super) enum ReadHash {
    Counter(Counter),
    /// The key does not exist.
    Missing,
    /// Why it cannot be read.
    Unreadable(String),
}

/// The counter that a hash holds.
pub(super) fn counter(link: &Link, key: DailyKey, answer: Value) -> Result<ReadHash, LinkError> {
    let count = DailyCount { key, submissions: 0, completions: 0, distribution: Distribution::default() };
    let mut counter = Counter { count, revision: None };
    let read = match answer {
        Value::ServerError(error) if error.code() == "WRONGTYPE" => {
            Err("expected a hash, found a value of another kind".to_owned())
        }
        Value::ServerError(error) => return Err(link.refused(&error)),
        Value::Array(fields) if fields.is_empty() => return Ok(ReadHash::Missing),
        Value::Map(fields) if fields.is_empty() => return Ok(ReadHash::Missing),
        Value::Array(fields) => {
            fields.chunks_exact(2).try_for_each(|pair| take(&mut counter, &pair[0], &pair[1]))
        }
        Value::Map(fields) => fields.iter().try_for_each(|(field, value)| take(&mut counter, field, value)),
        _ => return Err(link.unexpected()),
    };
    let negative = || match counter.count.negative() {
        Some(field) => Err(format!("expected no number below 0 in the field {field}")),
        None => Ok(()),
    };
    Ok(match read.and_then(|()| negative()) {
        Ok(()) => ReadHash::Counter(counter),
        Err(why) => ReadHash::Unreadable(why),
    })
}

/// Takes one field of the hash. Fields that other programs may add are theirs.
fn take(counter: &mut Counter, field: &Value, value: &Value) -> Result<(), String> {
    let (Value::BulkString(field), Value::BulkString(value)) = (field, value) else {
        return Err("expected fields of text".to_owned());
    };
    let number = || {
        let number = std::str::from_utf8(value).ok().and_then(|value| value.parse::<i64>().ok());
        number.ok_or_else(|| format!("expected a whole number in the field {}", keys::shown(field)))
    };
    let into = |values: &mut BTreeMap<String, i64>, name: &[u8]| {
        let name = std::str::from_utf8(name).map_err(|_| "expected field names of UTF-8 text".to_owned())?;
        values.insert(name.to_owned(), number()?);
        Ok(())
    };
    match field.as_slice() {
        b"submission_count" => counter.count.submissions = number()?,
        b"completion_count" => counter.count.completions = number()?,
        b"rev" => counter.revision = Some(number()?),
        [b'o', b'r', b'i', b'g', b'i', b'n', b':', name @ ..] => {
            return into(&mut counter.count.distribution.origin, name);
        }
        [b'r', b'i', b's', b'k', b':', name @ ..] => return into(&mut counter.count.distribution.risk, name),
        _ => {}
    }
    Ok(())
}

/// Cursor and keys of an answer to `SCAN`.
fn scanned_keys(answer: Value) -> Option<(u64, Vec<Vec<u8>>)> {
    let Value::Array(parts) = answer else { return None };
    let [at, Value::Array(keys)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let keys = keys.into_iter().map(|key| match key {
        Value::BulkString(key) => Some(key),
        _ => None,
    });
    Some((text(&at).parse().ok()?, keys.collect::<Option<_>>()?))
}

/// The process that answered `INFO`; empty where it does not tell, or may not.
fn run_of(info: &Value) -> String {
    let info = text(info);
    info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim().to_owned()
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::BulkString(text) => String::from_utf8_lossy(text).into_owned(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}
