//! The ledger on every database: what is planned, claimed and ended, and that ledger ∪ missed = plan.

mod engine;
mod plan;
mod verbs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use qs_scheduler::domain::backoff::TaskRetry;
use qs_scheduler::domain::catch_up::CatchUp;
use qs_scheduler::domain::execution::{Delivery, SessionId};
use qs_scheduler::domain::overlap::Overlap;
use qs_scheduler::domain::schedule::{Every, Schedule};
use qs_scheduler::domain::spread::Spread;
use qs_scheduler::domain::task::{Definition, Source, TaskPolicy};
use qs_scheduler::store::scheduler::sql::SqlLedger;
use qs_scheduler::store::scheduler::{ExecutionFilter, History, Ledger, NewSession, Tasks, Wanted};

use crate::support::databases::TestDatabase;

/// When the tests begin.
pub const BEGIN: &str = "2026-11-20T12:00:00Z";

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// So many milliseconds after the beginning.
pub fn after(millis: i64) -> Timestamp {
    at(BEGIN) + SignedDuration::from_millis(millis)
}

pub async fn open(database: &TestDatabase) -> Arc<SqlLedger> {
    let db = database.connect().await;
    SqlLedger::migrate(&db).await.unwrap();
    Arc::new(SqlLedger::open(db).await.unwrap())
}

pub async fn session(ledger: &SqlLedger, id: i64, alone: bool) -> SessionId {
    let session = NewSession {
        id: SessionId(id),
        name: format!("node-{id}"),
        version: "1".to_owned(),
        started_at: at(BEGIN),
    };
    ledger.begin_session(&session, alone).await.unwrap();
    session.id
}

pub fn policy() -> TaskPolicy {
    TaskPolicy {
        delivery: Delivery::AtLeastOnce,
        overlap: Overlap::Parallel,
        catch_up: CatchUp::default(),
        retry: TaskRetry::default(),
        timeout: Duration::from_secs(10),
        spread: Spread::default(),
        priority: 0,
    }
}

pub fn every(seconds: u64) -> Schedule {
    Schedule::Every(Every::new(Duration::from_secs(seconds), at("2026-01-01T00:00:00Z")).unwrap())
}

pub fn wanted(key: &str, schedule: Option<Schedule>, policy: TaskPolicy) -> Wanted {
    let definition = Definition {
        schedule,
        handler: "nothing".to_owned(),
        target: "{}".to_owned(),
        queue: "default".to_owned(),
        policy,
    };
    Wanted { key: key.to_owned(), name: key.to_owned(), definition }
}

pub async fn import(ledger: &SqlLedger, wanted: &[Wanted], now: Timestamp) {
    ledger.import(Source::Crontab, "test", wanted, now).await.unwrap();
}

/// What is in the ledger of each task: the times of its executions, and how often each is there.
pub async fn planned(ledger: &SqlLedger) -> BTreeMap<(String, Timestamp), usize> {
    let mut all = BTreeMap::new();
    for one in ledger.executions(&ExecutionFilter::default()).await.unwrap() {
        if let Some(at) = one.row.scheduled_for {
            *all.entry((one.task, at)).or_default() += 1;
        }
    }
    all
}
