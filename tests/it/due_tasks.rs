//! The scheduled work on plan tasks, in every database, and by several callers at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use qs_scheduler::business::due_tasks::{DueRequest, DueTasks, ScheduleError};
use qs_scheduler::business::organisations::Organisations;
use qs_scheduler::business::plan::PlanError;
use qs_scheduler::business::sync_run::{Scope, Started, SyncCaller, SyncRuns};
use qs_scheduler::clock::{Clock, Simulated, SystemClock};
use qs_scheduler::counters::embedded::EmbeddedCounters;
use qs_scheduler::domain::entry::EntryBase;
use qs_scheduler::domain::plan_task::{PlanTask, TaskStatus};
use qs_scheduler::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun, SyncStatus};
use qs_scheduler::sql::sql;
use qs_scheduler::store::business::Store;
use qs_scheduler::store::business::due_tasks::{Batch, Due, Opening};
use qs_scheduler::store::contention::retry;
use serde_json::json;

use crate::plans::{at, plan, task};
use crate::support::apiserver::{ACCOUNT, Server};
use crate::support::databases::TestDatabase;
use crate::support::services::PrivateRedis;
use crate::support::world::World;

const NOW: &str = "2026-11-21T08:00:00Z";

/// One process: a pool, a store and a service of its own.
struct Process {
    store: Arc<dyn Store>,
    due: DueTasks,
    _counters: TestDatabase,
}

async fn process(database: &TestDatabase, base: Option<&str>) -> Process {
    let store = database.store_in("UTC").await;
    let file = TestDatabase::sqlite();
    let db = file.connect().await;
    EmbeddedCounters::migrate(&db).await.unwrap();
    let counters = Arc::new(EmbeddedCounters::open(db).await.unwrap());
    let clock = Simulated::new(at(NOW));
    let organisations = Organisations::new(store.clone(), counters);
    let long = Duration::from_secs(600);
    let runs = Arc::new(SyncRuns::new(store.clone(), organisations, clock.clone(), long, Box::new(|_| {})));
    let base = base.map(|base| EntryBase::new(base).unwrap());
    let due = DueTasks::new(store.clone(), runs, clock, base, Duration::from_hours(168));
    Process { store, due, _counters: file }
}

const BASE: Option<&str> = Some("https://c.example/entry");

impl Process {
    async fn schedule(&self, request: DueRequest) -> SyncRun {
        let caller = SyncCaller {
            scope: Scope::Organisation(1),
            caller: "cron".to_owned(),
            trigger: "call".to_owned(),
            idempotency_key: None,
        };
        match self.due.schedule(caller, request).await.unwrap() {
            Started::Running(running) => running.ended().await.unwrap(),
            Started::Before(run) => panic!("{run:?}"),
        }
    }

    async fn status(&self, id: i64) -> TaskStatus {
        self.store.find_task(1, id).await.unwrap().unwrap().status
    }
}

fn stats(run: &SyncRun) -> serde_json::Value {
    run.progress.detail.as_ref().unwrap()["stats"].clone()
}

fn counts(pending: u64, opened: u64, expired: u64, canceled: u64, failed: u64) -> serde_json::Value {
    json!({ "pending_count": pending, "opened_count": opened, "expired_count": expired,
        "canceled_count": canceled, "failed_count": failed, "expire_failed_count": 0 })
}

/// Three tasks that are due, one that is overdue, one of a paused plan, one of another organisation.
async fn fill(store: &dyn Store, database: &TestDatabase) {
    let (active, paused, other) = (plan(1, 1), plan(2, 1), plan(3, 2));
    for plan in [&active, &paused, &other] {
        store.insert_plan(plan, at(NOW)).await.unwrap();
    }
    let overdue = task(14, &active, 8, 1);
    store.enrol(&[11, 12, 13].map(|id| task(id, &active, 7, 1)), at(NOW)).await.unwrap();
    store.enrol(std::slice::from_ref(&overdue), at(NOW)).await.unwrap();
    store.enrol(&[task(21, &paused, 7, 1)], at(NOW)).await.unwrap();
    store.enrol(&[task(31, &other, 7, 1)], at(NOW)).await.unwrap();
    let opened = PlanTask { status: TaskStatus::Opened, expire_at: Some(at(NOW)), ..overdue };
    store.move_task(TaskStatus::Pending, &opened, at(NOW)).await.unwrap();
    let db = database.connect().await;
    db.execute(sql("update assessment_plan set status = 'paused' where id = 2")).await.unwrap();
}

#[tokio::test]
async fn without_before_what_is_due_now_is_opened() {
    for database in TestDatabase::every().await {
        let here = process(&database, BASE).await;
        fill(&*here.store, &database).await;
        let dry = here.schedule(DueRequest { dry_run: true, ..DueRequest::default() }).await;
        assert_eq!(
            (dry.status, dry.progress.scanned, dry.progress.skipped, dry.progress.written),
            (SyncStatus::Succeeded, 5, 5, 0)
        );
        assert_eq!(stats(&dry), counts(3, 3, 1, 1, 0));
        assert_eq!(here.status(11).await, TaskStatus::Pending);

        let run = here.schedule(DueRequest::default()).await;
        assert_eq!(
            (run.status, run.progress.scanned, run.progress.written),
            (SyncStatus::Succeeded, 5, 5),
            "{run:?}"
        );
        assert_eq!(stats(&run), counts(0, 3, 1, 1, 0));
        let opened = here.store.find_task(1, 12).await.unwrap().unwrap();
        assert_eq!((opened.status, opened.expire_at), (TaskStatus::Opened, Some(at("2026-11-28T08:00:00Z"))));
        let token = opened.entry_token.unwrap();
        assert_eq!(opened.entry_url.unwrap(), format!("https://c.example/entry?token={token}&task_id=12"));
        let again = here.schedule(DueRequest::default()).await;
        assert_eq!(stats(&again), counts(0, 0, 0, 0, 0));
    }
}

#[tokio::test]
async fn overdue_tasks_expire_and_a_limit_holds() {
    for database in TestDatabase::every().await {
        let here = process(&database, BASE).await;
        fill(&*here.store, &database).await;
        let run = here.schedule(DueRequest { limit: Some(2), ..DueRequest::default() }).await;
        assert_eq!(stats(&run), counts(1, 2, 1, 1, 0));
        assert_eq!(
            (here.status(14).await, here.status(21).await),
            (TaskStatus::Expired, TaskStatus::Canceled)
        );
    }
}

/// A line of a crontab with a wrong number would otherwise succeed for ever.
#[tokio::test]
async fn a_plan_that_does_not_exist_is_no_work_well_done() {
    for database in TestDatabase::every().await {
        let here = process(&database, BASE).await;
        fill(&*here.store, &database).await;
        let ask = async |scope, plan| {
            let caller = SyncCaller {
                scope,
                caller: "cron".to_owned(),
                trigger: "call".to_owned(),
                idempotency_key: None,
            };
            here.due.schedule(caller, DueRequest { plan_id: Some(plan), ..DueRequest::default() }).await
        };
        let refused = async |scope, plan| match ask(scope, plan).await {
            Err(ScheduleError::Plan(error)) => error,
            Err(error) => panic!("{error:?}"),
            Ok(_) => panic!("{} {plan} was taken", database.name),
        };
        for plan in [99, 3] {
            let error = refused(Scope::Organisation(1), plan).await;
            assert!(matches!(error, PlanError::NotFound { .. }), "{}: {error:?}", database.name);
            assert_eq!(error.to_string(), format!("plan {plan} does not exist"));
        }
        let every = refused(Scope::Every, 1).await;
        assert!(matches!(&every, PlanError::Invalid(invalid) if invalid.field == "plan_id"), "{every:?}");
        assert!(matches!(ask(Scope::Organisation(1), 1).await, Ok(Started::Running(_))));

        if database.name == "MySQL" {
            continue;
        }
        let mut env = ACCOUNT.to_vec();
        env.push(("QS_DATABASE__URL", &database.url));
        let server = Server::start(&env);
        let token = server.token().await;
        for (query, status) in
            [("plan_id=99", 404), ("plan_id=3", 404), ("plan_id=1&org=all", 400), ("plan_id=1", 200)]
        {
            let path = format!("/api/v1/plans/tasks/schedule?dry_run=true&{query}");
            let reply = server.post(&token, &path, "").await;
            assert_eq!(reply.status, status, "{} {query}: {reply:?}", database.name);
        }
    }
}

#[tokio::test]
async fn another_organisation_is_left_alone() {
    for database in TestDatabase::every().await {
        let here = process(&database, BASE).await;
        fill(&*here.store, &database).await;
        here.schedule(DueRequest::default()).await;
        assert_eq!(here.store.find_task(2, 31).await.unwrap().unwrap().status, TaskStatus::Pending);
    }
}

#[tokio::test]
async fn without_an_address_nothing_is_changed_and_the_key_is_named() {
    let database = TestDatabase::sqlite();
    let here = process(&database, None).await;
    fill(&*here.store, &database).await;
    let run = here.schedule(DueRequest::default()).await;
    assert_eq!((run.status, run.progress.written), (SyncStatus::Failed, 0));
    assert!(run.progress.error.unwrap().contains("plan.entry_base_url"));
    assert_eq!((here.status(11).await, here.status(14).await), (TaskStatus::Pending, TaskStatus::Opened));
}

#[tokio::test]
async fn a_batch_that_fails_is_counted_and_stepped_over() {
    let database = TestDatabase::sqlite();
    let here = process(&database, BASE).await;
    let plan = plan(1, 1);
    here.store.insert_plan(&plan, at(NOW)).await.unwrap();
    for id in 1..=700 {
        here.store.enrol(&[task(id, &plan, id, 1)], at(NOW)).await.unwrap();
    }
    let db = database.connect().await;
    let trap = "create trigger trap before update on assessment_task when new.id = 3 begin select raise(abort, 'no'); end";
    db.execute(sql(trap)).await.unwrap();
    let run = here.schedule(DueRequest::default()).await;
    assert_eq!((run.status, run.progress.failed, run.progress.written), (SyncStatus::Failed, 500, 200));
    assert_eq!(run.progress.errors[0].item, "open 500 tasks from 1 to 500");
    assert_eq!(stats(&run), counts(500, 200, 0, 0, 500));
}

/// Ten thousand due tasks and eight processes, as if each believed to be the only one: each task is opened by one of
/// them, with a token of its own.
#[tokio::test(flavor = "multi_thread")]
async fn eight_callers_open_each_task_once() {
    for database in TestDatabase::every().await {
        let plan = plan(1, 1);
        let store = database.store_in("UTC").await;
        store.insert_plan(&plan, at(NOW)).await.unwrap();
        for testee in 0..100 {
            let tasks: Vec<PlanTask> =
                (1..=100).map(|seq| task(testee * 100 + seq, &plan, testee + 1, 1)).collect();
            store.enrol(&tasks, at(NOW)).await.unwrap();
        }
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = database.store_in("UTC").await;
            calls.spawn(async move {
                let due = Due { before: at(NOW), now: at(NOW), plan_id: None, testee_ids: None };
                let base = EntryBase::new(BASE.unwrap()).unwrap();
                let entry = |id| base.entry(id, uuid::Uuid::new_v4().to_string());
                let opening = Opening { expire_at: at("2026-11-28T08:00:00Z"), entry: &entry };
                let mut opened = 0;
                loop {
                    let batch = Batch { due: &due, after: None, limit: 500 };
                    match retry(|| store.open_due(1, batch, opening)).await.unwrap().len() {
                        0 => return opened,
                        ids => opened += ids,
                    }
                    // SQLite has one writer at a time, and those that wait only look now and then.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        }
        let opened = calls.join_all().await;
        assert_eq!(opened.iter().sum::<usize>(), 10_000, "{}: {opened:?}", database.name);
        assert!(opened.iter().filter(|count| **count > 0).count() >= 2, "{}: {opened:?}", database.name);
        assert_opened_once(&database).await;
    }
}

/// The same through the real server: one does it, and the others are told so.
#[tokio::test(flavor = "multi_thread")]
async fn eight_requests_are_answered_and_open_each_task_once() {
    let redis = PrivateRedis::start("eight requests on MySQL");
    for database in TestDatabase::every().await {
        let plan = plan(1, 1);
        let store = database.store_in("UTC").await;
        store.insert_plan(&plan, at(NOW)).await.unwrap();
        for testee in 0..100 {
            let tasks: Vec<PlanTask> =
                (1..=100).map(|seq| task(testee * 100 + seq, &plan, testee + 1, 1)).collect();
            store.enrol(&tasks, at(NOW)).await.unwrap();
        }
        let mut env = ACCOUNT.to_vec();
        env.push(("QS_DATABASE__URL", &database.url));
        let url = redis.as_ref().map(PrivateRedis::url).unwrap_or_default();
        if database.name == "MySQL" {
            env.push(("QS_REDIS__URL", &url));
        }
        let server = Arc::new(Server::start_in(tempfile::tempdir().unwrap(), &env));
        let token = server.token().await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (server, token) = (Arc::clone(&server), token.clone());
            calls.spawn(async move {
                server.post(&token, "/api/v1/plans/tasks/schedule", r#"{"limit":10000}"#).await
            });
        }
        let replies = calls.join_all().await;
        let opened: Vec<u64> = replies
            .iter()
            .map(|reply| match (reply.status.as_u16(), reply.code()) {
                (200, 200) => {
                    assert_eq!(reply.data()["written"], reply.data()["scanned"], "{reply:?}");
                    reply.data()["written"].as_u64().unwrap()
                }
                busy => {
                    assert_eq!(busy, (409, 110_002), "{}: {reply:?}", database.name);
                    assert!(reply.data()["run_id"].is_string() && reply.headers.contains_key("retry-after"));
                    0
                }
            })
            .collect();
        assert_eq!(opened.iter().sum::<u64>(), 10_000, "{}: {opened:?}", database.name);
        assert_opened_once(&database).await;
    }
}

/// The cron of another host was quicker: a call waits as long as it may, and then leaves the rest to the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_meets_the_schedule_of_another_host_tries_later() {
    let database = TestDatabase::sqlite();
    let store = database.store_in("UTC").await;
    let now = SystemClock.now();
    let elsewhere = NewSyncRun {
        id: "0192c7a8-0000-7000-8000-000000000001".to_owned(),
        kind: SyncKind::Schedule,
        org_id: 1,
        trigger: "call".to_owned(),
        caller: "cron of the other host".to_owned(),
        idempotency_key: None,
        request: "schedule".to_owned(),
        window: None,
        lease: SyncKind::Schedule.lease(1),
        lease_until: now + Duration::from_secs(600),
        started_at: now,
    };
    store.begin(&elsewhere).await.unwrap();
    let mut env = ACCOUNT.to_vec();
    env.push(("QS_DATABASE__URL", &database.url));
    let server = Server::start_in(tempfile::tempdir().unwrap(), &env);
    let world = World::new()
        .set("API_BASE_URL", server.base.clone())
        .set("IAM_BASE_URL", format!("{}/api/v1", server.base))
        .set("IAM_USERNAME", ACCOUNT[0].1)
        .set("IAM_PASSWORD", ACCOUNT[1].1);
    let schedule = ["--retries", "1", "/api/v1/plans/tasks/schedule"];
    let busy = world.run(&schedule);
    busy.assert_failure(75);
    assert!(busy.stderr.contains("in progress"), "{busy:?}");
    store.finish(&elsewhere.id, &SyncProgress::default(), now).await.unwrap();
    world.run(&schedule).assert_silent_success();
}

/// Ten thousand tasks, each changed once, each with a token of its own.
async fn assert_opened_once(database: &TestDatabase) {
    let (mut tokens, mut versions) = (BTreeSet::new(), 0);
    let db = database.connect().await;
    for row in db
        .fetch_all(sql("select entry_token, version from assessment_task where status = 'opened'"))
        .await
        .unwrap()
    {
        let mut columns = row.columns();
        tokens.insert(columns.text().unwrap());
        versions += columns.int().unwrap();
    }
    assert_eq!((tokens.len(), versions), (10_000, 20_000), "{}: each was opened once", database.name);
}
