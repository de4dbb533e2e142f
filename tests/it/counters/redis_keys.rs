//! What stands in Redis: the keys of existing workers and ours, what others have written, and what happens to a counter
//! that is none.

use std::time::{Duration, Instant};

use qs_scheduler::counters::redis::RedisCounters;
use qs_scheduler::counters::{Counters, CountersError};
use qs_scheduler::domain::statistics::{DailyCount, DayRange, Days, Distribution, StatisticsEvent};
use qs_scheduler::secret::Secret;

use super::redis_server::{BACK, REMEMBER, connect, fill};
use super::{all, at, day, key, submitted};
use crate::support::counting::CountOne;
use crate::support::services::PrivateRedis;

#[tokio::test]
async fn the_keys_are_those_of_existing_workers() {
    let Some(redis) = PrivateRedis::start("the keys of redis counters") else { return };
    let counters = connect(&redis).await;
    let event =
        StatisticsEvent { origin: Some("plan".to_owned()), ..submitted("e:1", "2026-01-01", &["a:b"]) };
    counters.count_one(1, &event, at(1)).await.unwrap();
    counters.count_one(7, &event, at(1)).await.unwrap();

    let hash: Vec<(String, String)> = redis.run(&["HGETALL", "stats:daily:1:questionnaire:a:b:2026-01-01"]);
    let hash: Vec<(&str, &str)> =
        hash.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect();
    let expected = [("submission_count", "1"), ("completion_count", "0"), ("origin:plan", "1"), ("rev", "1")];
    assert_eq!(hash, expected);
    for mark in ["event:processed:e:1", "event:processed@7:e:1"] {
        assert_eq!(redis.run::<String>(&["GET", mark]), "1");
        let left: u64 = redis.run(&["TTL", mark]);
        assert!(
            (REMEMBER.as_secs() - 60..=REMEMBER.as_secs()).contains(&left),
            "{mark} is forgotten in {left} s"
        );
    }
    assert_eq!(counters.forget(at(9)).await.unwrap(), 0, "the server forgets by itself");
    let mut names: Vec<String> = redis.run(&["KEYS", "qs:*"]);
    names.sort();
    let own = ["generation", "organisations", "revision:1", "revision:7", "touched:1", "touched:7"];
    assert_eq!(names, own.map(|name| format!("qs:counters:{name}")));

    // An event that a worker has marked was counted by it.
    redis.run::<()>(&["SET", "event:processed:theirs", "1"]);
    assert!(!counters.count_one(1, &submitted("theirs", "2026-01-01", &["a"]), at(2)).await.unwrap());
}

#[tokio::test]
async fn an_event_is_new_again_when_its_time_is_over() {
    let Some(redis) = PrivateRedis::start("redis counters forget events") else { return };
    let counters = RedisCounters::connect(&Secret::new(redis.url()), Duration::ZERO).await.unwrap();
    let event = submitted("e", "2026-01-01", &["a"]);
    assert!(counters.count_one(1, &event, at(1)).await.unwrap());
    let deadline = Instant::now() + BACK;
    while !counters.count_one(1, &event, at(1)).await.unwrap() {
        assert!(Instant::now() < deadline, "it is never forgotten");
    }
    assert_eq!(counters.mark(1).await.unwrap().revision, 2);
}

#[tokio::test]
async fn counters_of_another_program_are_read_and_counted_on() {
    let Some(redis) = PrivateRedis::start("redis counters of another program") else { return };
    let counters = connect(&redis).await;
    redis.run::<()>(&[
        "HSET",
        "stats:daily:9:questionnaire:a:2026-01-01",
        "submission_count",
        "5",
        "theirs",
        "x",
    ]);
    redis.run::<()>(&["SET", "stats:window:8:questionnaire:a:last7d", "5"]);
    redis.run::<()>(&["HSET", "stats:daily:09:questionnaire:a:2026-01-01", "submission_count", "5"]);
    assert_eq!(counters.organisations().await.unwrap(), [9].into());
    let found = all(&counters, 9, &Days::All, 10).await;
    let counter = &found[&key("2026-01-01", "a")];
    assert_eq!((counter.count.submissions, counter.count.completions, counter.revision), (5, 0, None));
    assert!(counters.touched(9, None).await.unwrap().days.is_empty(), "nobody knows when it changed");

    counters.count_one(9, &submitted("e", "2026-01-01", &["a"]), at(1)).await.unwrap();
    let found = counters.find(9, &[key("2026-01-01", "a")]).await.unwrap();
    let counter = found[0].as_ref().unwrap();
    assert_eq!((counter.count.submissions, counter.revision), (6, Some(1)));
    assert_eq!(counters.touched(9, None).await.unwrap().days, [day("2026-01-01")].into());
}

#[tokio::test]
async fn what_cannot_be_read_is_reported_and_hides_nothing() {
    let Some(redis) = PrivateRedis::start("unreadable redis counters") else { return };
    let counters = connect(&redis).await;
    fill(&counters, 1, 3).await;
    let long = format!("stats:daily:1:plan:{}:2026-01-01", "l".repeat(256));
    let hash = |key: &str, field: &str, value: &str| redis.run::<()>(&["HSET", key, field, value]);
    redis.run::<()>(&["SET", "stats:daily:1:plan:text:2026-01-01", "5"]);
    hash("stats:daily:1:plan:words:2026-01-01", "submission_count", "five");
    hash("stats:daily:1:plan:half:2026-01-01", "completion_count", "1.5");
    hash("stats:daily:1:plan:origin:2026-01-01", "origin:adhoc", "-");
    hash("stats:daily:1:plan:rev:2026-01-01", "rev", "99999999999999999999");
    hash("stats:daily:1:plan:below:2026-01-01", "submission_count", "-5");
    hash("stats:daily:1:plan:belowrisk:2026-01-01", "risk:high", "-1");
    hash("stats:daily:1:unheard:a:2026-01-01", "submission_count", "1");
    hash("stats:daily:1:plan:a:2026-02-30", "submission_count", "1");
    hash("stats:daily:1:plan:2026-01-01", "submission_count", "1");
    hash("stats:daily:1:plan::2026-01-01", "submission_count", "1");
    hash("stats:daily:1:plan: padded:2026-01-01", "submission_count", "1");
    hash(&long, "submission_count", "1");
    let raw: [&[u8]; 4] = [b"HSET", b"stats:daily:1:plan:\xff\xfe:2026-01-01", b"submission_count", b"1"];
    redis.run::<()>(&raw);
    let outside = "stats:daily:1:plan:text:2025-12-31";
    redis.run::<()>(&["SET", outside, "5"]);

    let range = DayRange { start: day("2026-01-01"), end: day("2026-01-31") };
    let page = counters.page(1, &Days::Ranges(vec![range]), None, 1_000).await.unwrap();
    assert_eq!((page.counters.len(), page.next), (3, None));
    let mut found: Vec<(String, String)> =
        page.unreadable.into_iter().map(|error| (error.item, error.message)).collect();
    found.sort();
    let expected = [
        ("stats:daily:1:plan: padded:2026-01-01", "the statistic key must not begin or end with a space"),
        ("stats:daily:1:plan:2026-01-01", "expected a key that names type, key and day"),
        ("stats:daily:1:plan::2026-01-01", "the statistic key must not be empty"),
        ("stats:daily:1:plan:a:2026-02-30", "expected a key that ends in :YYYY-MM-DD"),
        ("stats:daily:1:plan:below:2026-01-01", "expected no number below 0 in the field submission_count"),
        ("stats:daily:1:plan:belowrisk:2026-01-01", "expected no number below 0 in the field risk:high"),
        ("stats:daily:1:plan:half:2026-01-01", "expected a whole number in the field completion_count"),
        (&long[..120], "the statistic key must not be longer than 255 characters, has 256"),
        ("stats:daily:1:plan:origin:2026-01-01", "expected a whole number in the field origin:adhoc"),
        ("stats:daily:1:plan:rev:2026-01-01", "expected a whole number in the field rev"),
        ("stats:daily:1:plan:text:2026-01-01", "expected a hash, found a value of another kind"),
        ("stats:daily:1:plan:words:2026-01-01", "expected a whole number in the field submission_count"),
        ("stats:daily:1:plan:\u{fffd}\u{fffd}:2026-01-01", "expected a key of UTF-8 text"),
        ("stats:daily:1:unheard:a:2026-01-01", "unknown statistic type \"unheard\""),
    ];
    let expected = expected.map(|(item, message)| (item.to_owned(), message.to_owned()));
    assert_eq!(found, expected);

    let mut text = key("2026-01-01", "text");
    text.subject.statistic = "plan".parse().unwrap();
    let error = counters.find(1, &[text]).await.unwrap_err();
    assert!(matches!(&error, CountersError::Corrupt { verb: "find", .. }), "{error}");
}

#[tokio::test]
async fn an_event_counts_everywhere_or_nowhere() {
    let Some(redis) = PrivateRedis::start("redis counters count all or nothing") else { return };
    let counters = connect(&redis).await;
    fill(&counters, 1, 2).await;
    for (bad, value) in [("text", "x"), ("full", "9223372036854775807"), ("zeros", "007")] {
        let name = format!("stats:daily:1:questionnaire:{bad}:2026-01-01");
        redis.run::<()>(&["HSET", &name, "submission_count", value]);
        let event = submitted("e", "2026-01-01", &["k0", bad, "k1"]);
        let error = counters.count_one(1, &event, at(1)).await.unwrap_err();
        assert!(matches!(&error, CountersError::Stuck { .. }), "{error}");
        assert!(error.to_string().contains(&name), "{error}");
        let lost = DailyCount {
            key: key("2026-01-01", bad),
            submissions: 1,
            completions: 0,
            distribution: Distribution::default(),
        };
        let fine = DailyCount { key: key("2026-01-01", "k0"), ..lost.clone() };
        let error = counters.restore(1, &[fine, lost], None).await.unwrap_err();
        assert!(matches!(&error, CountersError::Corrupt { verb: "restore", .. }), "{error}");
        redis.run::<()>(&["DEL", &name]);
    }
    redis.run::<()>(&["RENAME", "qs:counters:touched:1", "kept"]);
    redis.run::<()>(&["SET", "qs:counters:touched:1", "x"]);
    counters.count_one(1, &submitted("e", "2026-01-01", &["k0"]), at(1)).await.unwrap_err();
    redis.run::<()>(&["RENAME", "kept", "qs:counters:touched:1"]);

    assert_eq!(counters.mark(1).await.unwrap().revision, 1);
    let found = all(&counters, 1, &Days::All, 10).await;
    assert!(found.len() == 2 && found.values().all(|counter| counter.count.submissions == 1), "{found:?}");
    let event = submitted("e", "2026-01-01", &["k0", "text", "k1"]);
    assert!(counters.count_one(1, &event, at(1)).await.unwrap(), "it was not marked as counted");

    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = submitted("full", "2026-01-01", &["k0"]);
    let error = counters.count_one(1, &full, at(1)).await.unwrap_err();
    assert!(error.to_string().contains("OOM"), "{error}");
    counters.ready().await.unwrap_err();
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    counters.ready().await.unwrap();
    assert!(counters.count_one(1, &full, at(1)).await.unwrap());
}
