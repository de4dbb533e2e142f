//! The engine as a whole, on the real clock: what is due runs, and whatever a handler does is a record and no end.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use qs_scheduler::clock::{Clock, SystemClock};
use qs_scheduler::domain::backoff::{Backoff, TaskRetry};
use qs_scheduler::domain::execution::{Delivery, Execution, ExecutionState, SessionId};
use qs_scheduler::domain::overlap::Overlap;
use qs_scheduler::domain::schedule::Schedule;
use qs_scheduler::domain::task::{Source, TaskPolicy};
use qs_scheduler::scheduler::engine::{Engine, Parts};
use qs_scheduler::scheduler::handler::{Again, End, Handler, Performed, Work};
use qs_scheduler::scheduler::runner::Handlers;
use qs_scheduler::store::scheduler::sql::SqlLedger;
use qs_scheduler::store::scheduler::{ExecutionFilter, History, Ledger, Tasks, Wanted};

use super::{every, open, policy, wanted};
use crate::support::databases::TestDatabase;
use crate::support::wait::until;

/// Does what its task is called.
#[derive(Default)]
struct Played {
    calls: Mutex<Vec<(String, u32, uuid::Uuid)>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

fn end(outcome: &str) -> End {
    End { outcome: outcome.to_owned(), message: format!("it was {outcome}"), exit: None }
}

#[async_trait]
impl Handler for Played {
    async fn perform(&self, work: Work) -> Performed {
        self.calls.lock().unwrap().push((work.task.clone(), work.attempt, work.idempotency_key));
        let mut stop = work.stop.clone();
        match work.task.as_str() {
            "panics" => panic!("at the disco"),
            "fails" => Performed::Failed(end("failed"), Again::ByPolicy),
            "fatal" => Performed::Failed(end("fatal"), Again::Never),
            "stops" => {
                stop.told().await;
                Performed::Stopped(end("stopped"))
            }
            "unknown" => Performed::Unknown(end("unknown")),
            "one_by_one" => {
                let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_at_once.fetch_max(now, Ordering::SeqCst);
                tokio::task::yield_now().await;
                self.at_once.fetch_sub(1, Ordering::SeqCst);
                Performed::Done(end("done"))
            }
            _ => Performed::Done(end("done")),
        }
    }
}

async fn engine(ledger: &Arc<SqlLedger>, handler: Arc<Played>, alone: bool) -> Engine {
    let handlers: Handlers = HashMap::from([("nothing".to_owned(), handler as Arc<dyn Handler>)]);
    let parts = Parts {
        ledger: ledger.clone(),
        tasks: ledger.clone(),
        handlers,
        clock: Arc::new(SystemClock),
        node: "test".to_owned(),
        alone,
        lease: Duration::from_secs(1),
        queues: BTreeMap::from([("default".to_owned(), 16)]),
        keep: Duration::from_hours(24),
    };
    Engine::start(parts).await.unwrap()
}

/// The ledger knows no shorter time.
fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap()
}

async fn all(ledger: &SqlLedger) -> BTreeMap<String, Vec<Execution>> {
    let mut all = BTreeMap::<String, Vec<Execution>>::new();
    for one in ledger.executions(&ExecutionFilter::default()).await.unwrap() {
        all.entry(one.task).or_default().push(one.row);
    }
    all
}

async fn import_now(ledger: &SqlLedger, tasks: &[Wanted]) {
    ledger.import(Source::Crontab, "test", tasks, SystemClock.now()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_handler_does_is_recorded_and_the_engine_goes_on() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        let due = whole_millis(SystemClock.now()) + jiff::SignedDuration::from_secs(1);
        let once = Schedule::Once { at: due };
        let retry = TaskRetry {
            max_attempts: 3.try_into().unwrap(),
            delay: Duration::from_millis(20),
            backoff: Backoff::Fixed,
            ..TaskRetry::default()
        };
        let patient = TaskPolicy { retry, ..policy() };
        let hasty = TaskPolicy { timeout: Duration::from_millis(100), ..policy() };
        let once_only = TaskPolicy { delivery: Delivery::AtMostOnce, ..hasty.clone() };
        let mut lost = wanted("lost", Some(once.clone()), policy());
        lost.definition.handler = "nobody".to_owned();
        let mut tasks = vec![
            wanted("panics", Some(once.clone()), patient.clone()),
            wanted("fails", Some(once.clone()), patient.clone()),
            wanted("fatal", Some(once.clone()), patient),
            wanted("unknown", Some(once.clone()), once_only),
            wanted("works", Some(once.clone()), policy()),
            lost,
        ];
        let mut stops = wanted("stops", Some(once.clone()), hasty);
        stops.key = "stops".to_owned();
        tasks.push(stops);
        import_now(&ledger, &tasks).await;
        let handler = Arc::<Played>::default();
        let engine = engine(&ledger, Arc::clone(&handler), database.name == "SQLite").await;
        let ended = until("each of them is over", async || {
            let all = all(&ledger).await;
            let over = all.values().flatten().filter(|one| one.state.is_over()).count();
            (over == tasks.len()).then_some(all)
        })
        .await;
        engine.pulse().check().unwrap();
        engine.stop(Duration::from_secs(5)).await.unwrap();
        assert!(ledger.sessions().await.unwrap().is_empty(), "{}", database.name);
        let of = |task: &str| {
            let found = &ended[task][0];
            (found.state, found.attempt, found.failures, found.outcome.clone().unwrap_or_default())
        };
        let expected =
            |state, attempt, failures, outcome: &str| (state, attempt, failures, outcome.to_owned());
        assert_eq!(of("works"), expected(ExecutionState::Completed, 1, 0, "done"));
        assert_eq!(of("fails"), expected(ExecutionState::Failed, 3, 3, "failed"));
        assert_eq!(of("fatal"), expected(ExecutionState::Failed, 1, 1, "fatal"));
        assert_eq!(of("panics"), expected(ExecutionState::Failed, 1, 1, "panicked"));
        assert_eq!(ended["panics"][0].message.as_deref(), Some("the handler panicked: at the disco"));
        assert_eq!(of("stops"), expected(ExecutionState::Failed, 1, 1, "stopped"));
        assert_eq!(of("unknown"), expected(ExecutionState::Lost, 1, 0, "unknown"));
        assert_eq!(of("lost"), expected(ExecutionState::Failed, 1, 1, "unknown_handler"));
        // Every attempt of an execution has the same key and another number.
        let calls = handler.calls.lock().unwrap().clone();
        let of_fails: Vec<_> = calls.iter().filter(|(task, ..)| task == "fails").collect();
        assert_eq!(of_fails.iter().map(|(_, attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(of_fails.iter().all(|(_, _, key)| *key == of_fails[0].2));
        // Nothing started before its time.
        assert!(ended.values().flatten().all(|one| one.started_at >= Some(due)), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_engine_held_is_done_by_the_next_one_and_no_failure_is_charged() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        let due = SystemClock.now();
        import_now(
            &ledger,
            &[wanted("works", Some(every(1)), TaskPolicy { overlap: Overlap::Sequential, ..policy() })],
        )
        .await;
        // A session that plans and claims and is never heard of again.
        let alone = database.name == "SQLite";
        let dead = super::session(&ledger, 77, alone).await;
        let handler = Arc::<Played>::default();
        let first = engine(&ledger, Arc::clone(&handler), false).await;
        until("something is planned", async || (!all(&ledger).await.is_empty()).then_some(())).await;
        first.stop(Duration::from_secs(5)).await.unwrap();
        let order = qs_scheduler::store::scheduler::ClaimOrder {
            queue: "default".to_owned(),
            most: 1,
            now: due + jiff::SignedDuration::from_secs(60),
            blocked: Vec::new(),
        };
        let held = ledger.claim(dead, order).await.unwrap();
        assert_eq!(held.len(), 1, "{}", database.name);
        let second = engine(&ledger, Arc::clone(&handler), alone).await;
        let recovered = until("what the dead session held is done", async || {
            let all = all(&ledger).await;
            all["works"].iter().find(|one| one.losses == 1 && one.state == ExecutionState::Completed).cloned()
        })
        .await;
        assert_eq!((recovered.attempt, recovered.failures), (2, 0));
        second.stop(Duration::from_secs(5)).await.unwrap();
        let held_by = |session: SessionId| ledger.held(session);
        assert!(held_by(dead).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_task_runs_at_a_time_and_all_of_them_run() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        let sequential = TaskPolicy { overlap: Overlap::Sequential, ..policy() };
        import_now(&ledger, &[wanted("one_by_one", None, sequential)]).await;
        let task = ledger.catalog(SystemClock.now()).await.unwrap().tasks[0].task.id;
        for number in 0..50 {
            let mut one = super::verbs::asked(number, task, true);
            one.run_at = SystemClock.now();
            assert!(ledger.enqueue(one).await.unwrap());
        }
        let handler = Arc::<Played>::default();
        let engine = engine(&ledger, Arc::clone(&handler), database.name == "SQLite").await;
        until("all of them are done", async || {
            let done = all(&ledger).await;
            let done = done["one_by_one"].iter().filter(|one| one.state == ExecutionState::Completed).count();
            (done == 50).then_some(())
        })
        .await;
        engine.stop(Duration::from_secs(5)).await.unwrap();
        assert_eq!(handler.most_at_once.load(Ordering::SeqCst), 1, "{}", database.name);
    }
}
