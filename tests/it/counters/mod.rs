//! What every adapter of the counters must do. Each part has an organisation of its own, so that a server with other
//! users' keys in it will do.

mod group;
mod redis_keys;
mod redis_server;
mod suite;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use qs_scheduler::counters::embedded::EmbeddedCounters;
use qs_scheduler::counters::redis::RedisCounters;
use qs_scheduler::counters::{Counter, Counters};
use qs_scheduler::domain::statistics::{DailyKey, Days, EventType, StatisticType, StatisticsEvent, Subject};
use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, MigrationError};

use self::suite::conform;
use crate::support::counting::CountOne;
use crate::support::services::{self, PrivateRedis};

/// How many organisations [`conform`] uses.
const PARTS: i64 = 10;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(date: &str, key: &str) -> DailyKey {
    let subject = Subject { statistic: StatisticType::Questionnaire, key: key.to_owned() };
    DailyKey { subject, date: day(date) }
}

fn submitted(id: &str, date: &str, keys: &[&str]) -> StatisticsEvent {
    StatisticsEvent {
        event_id: id.to_owned(),
        event_type: EventType::Submitted,
        occurred_at: at(0),
        date: day(date),
        subjects: keys.iter().map(|text| key(date, text).subject).collect(),
        origin: None,
        risk_level: None,
    }
}

/// Every counter of these days, page by page, none of them unreadable.
async fn all(counters: &dyn Counters, org_id: i64, days: &Days, limit: u32) -> BTreeMap<DailyKey, Counter> {
    let (mut found, mut cursor) = (BTreeMap::new(), None);
    for _ in 0..100_000 {
        let page = counters.page(org_id, days, cursor, limit).await.unwrap();
        assert_eq!(page.unreadable, []);
        found.extend(page.counters.into_iter().map(|counter| (counter.count.key.clone(), counter)));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
    panic!("the pages do not end");
}

async fn embedded(dir: &tempfile::TempDir) -> EmbeddedCounters {
    let db = Db::connect(&Address::File(dir.path().join("t.db")), 2).await.unwrap();
    EmbeddedCounters::migrate(&db).await.unwrap();
    EmbeddedCounters::open(db).await.unwrap()
}

#[tokio::test]
async fn embedded_counters_conform() {
    let dir = tempfile::tempdir().unwrap();
    conform(&embedded(&dir).await, 100, 1).await;
}

#[tokio::test]
async fn embedded_counters_want_their_tables() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::connect(&Address::File(dir.path().join("t.db")), 2).await.unwrap();
    let refused = EmbeddedCounters::open(db).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Pending { steps: 1 }), "{refused}");
}

#[tokio::test]
async fn embedded_counters_forget_old_events() {
    let dir = tempfile::tempdir().unwrap();
    let counters = embedded(&dir).await;
    for (id, second) in [("old", 10), ("new", 20)] {
        counters.count_one(1, &submitted(id, "2026-01-01", &["a"]), at(second)).await.unwrap();
    }
    assert_eq!(counters.forget(at(20)).await.unwrap(), 1);
    assert!(counters.count_one(1, &submitted("old", "2026-01-01", &["a"]), at(30)).await.unwrap());
    assert!(!counters.count_one(1, &submitted("new", "2026-01-01", &["a"]), at(30)).await.unwrap());
}

/// Removes what the suite has made on a server that others use. The generation is everybody's.
struct Traces {
    url: String,
    org_id: i64,
}

impl Drop for Traces {
    fn drop(&mut self) {
        for org_id in self.org_id..self.org_id + PARTS {
            let mut names: Vec<Vec<u8>> = Vec::new();
            for pattern in [format!("stats:daily:{org_id}:*"), format!("event:processed@{org_id}:*")] {
                let mut at = "0".to_owned();
                loop {
                    let step = ["SCAN", &at, "MATCH", &pattern, "COUNT", "10000"];
                    let (next, found): (String, Vec<Vec<u8>>) = services::run(&self.url, &step);
                    names.extend(found);
                    at = next;
                    if at == "0" {
                        break;
                    }
                }
            }
            for own in ["revision", "touched"] {
                names.push(format!("qs:counters:{own}:{org_id}").into_bytes());
            }
            names.insert(0, b"DEL".to_vec());
            services::run::<()>(&self.url, &names);
            services::run::<()>(&self.url, &["SREM", "qs:counters:organisations", &org_id.to_string()]);
        }
    }
}

#[tokio::test]
async fn redis_counters_conform() {
    let Some(url) = services::redis_url() else { return };
    let counters =
        RedisCounters::connect(&Secret::new(url.as_str()), Duration::from_secs(600)).await.unwrap();
    let traces = Traces { url, org_id: fastrand::i64(1_000_000_000..2_000_000_000) };
    conform(&counters, traces.org_id, 500).await;
}

#[tokio::test]
async fn redis_counters_conform_page_by_page() {
    let Some(redis) = PrivateRedis::start("redis counters conform page by page") else { return };
    conform(&redis_server::connect(&redis).await, 100, 1).await;
}
