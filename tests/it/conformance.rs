//! What every adapter of the store must do, whatever database is below it.

use jiff::Timestamp;
use jiff::civil::Date;
use qs_scheduler::domain::statistics::{
    Accumulated, DailyCount, DailyKey, DayRange, Distribution, PlanCounts, StatisticType, Subject,
};
use qs_scheduler::domain::sync_run::{ItemError, NewSyncRun, SyncKind, SyncProgress, SyncRun, SyncStatus};
use qs_scheduler::sql::{MigrationError, sql};
use qs_scheduler::store::business::lists::{Entry, Listed};
use qs_scheduler::store::business::sql::SqlStore;
use qs_scheduler::store::business::{Store, SyncAdmission, SyncFilter, SyncMark};

use crate::support::databases::TestDatabase;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn days(start: &str, end: &str) -> DayRange {
    DayRange { start: day(start), end: day(end) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn subject(key: &str) -> Subject {
    Subject { statistic: StatisticType::Questionnaire, key: key.to_owned() }
}

fn key(date: &str, which: &str) -> DailyKey {
    DailyKey { subject: subject(which), date: day(date) }
}

fn count(date: &str, which: &str, submissions: i64, completions: i64) -> DailyCount {
    let distribution = Distribution::default();
    DailyCount { key: key(date, which), submissions, completions, distribution }
}

pub fn new_run(id: &str, caller: &str, key: Option<&str>) -> NewSyncRun {
    NewSyncRun {
        id: id.to_owned(),
        kind: SyncKind::Daily,
        org_id: 1,
        trigger: "api".to_owned(),
        caller: caller.to_owned(),
        idempotency_key: key.map(str::to_owned),
        request: "daily".to_owned(),
        window: Some(days("2026-01-01", "2026-01-02")),
        lease: SyncKind::Daily.lease(1),
        lease_until: at(1_100),
        started_at: at(1_000),
    }
}

#[tokio::test]
async fn stores_conform() {
    for database in TestDatabase::every().await {
        let store = database.store().await;
        store.ready().await.unwrap();
        daily_rows(&*store).await;
        accumulated_rows(&*store).await;
        plan_rows(&*store).await;
        sync_runs(&*store).await;
        forgetting(&*store).await;
        retries(&*store).await;
        assert_eq!(store.organisations().await.unwrap().into_iter().collect::<Vec<_>>(), [1, 2]);
    }
}

#[tokio::test]
async fn a_schema_is_made_once_and_a_newer_one_is_refused() {
    for database in TestDatabase::every().await {
        let db = database.connect().await;
        let pending = SqlStore::pending(&db).await.unwrap();
        assert!(pending > 0);
        let early = SqlStore::open(db.clone(), jiff::tz::TimeZone::UTC).await.unwrap_err();
        assert!(matches!(early, MigrationError::Pending { steps } if steps == pending), "{early}");
        let store = database.store().await;
        SqlStore::migrate(&db).await.unwrap();
        assert_eq!(SqlStore::pending(&db).await.unwrap(), 0);
        db.execute(sql("update qs_store_migrations set version = 99 where version = 2")).await.unwrap();
        for refused in [
            SqlStore::migrate(&db).await.unwrap_err(),
            SqlStore::open(db.clone(), jiff::tz::TimeZone::UTC).await.unwrap_err(),
        ] {
            assert!(matches!(refused, MigrationError::Newer { version: 99 }), "{refused}");
        }
        assert!(store.ready().await.is_err(), "a server that runs sees it too");
    }
}

async fn daily_rows(store: &dyn Store) {
    let risk = [("high".to_owned(), 2), ("low\"é".to_owned(), 1)].into();
    let rows = vec![
        count("2026-01-01", "a", 3, 1),
        DailyCount {
            distribution: Distribution { risk, ..Distribution::default() },
            ..count("2026-01-03", "a", 1, 1)
        },
        count("2026-01-01", "b:*?[%_'\"\\é语", 5, 0),
    ];
    assert_eq!(store.put_daily(1, &rows, at(1)).await.unwrap(), 3, "all are new");
    assert_eq!(store.put_daily(1, &rows, at(2)).await.unwrap(), 0, "all are the same");
    assert_eq!(store.put_daily(2, &rows, at(2)).await.unwrap(), 3, "another organisation has its own rows");
    assert_eq!(store.put_daily(1, &[], at(2)).await.unwrap(), 0);
    let page = store.daily_page(1, None, 10).await.unwrap();
    assert_eq!(page.iter().map(|row| row.count.clone()).collect::<Vec<_>>(), rows, "type, key, day");
    assert!(page.iter().all(|row| row.updated_at == at(1)), "an equal row is not touched");
    let after = store.daily_page(1, Some(rows[1].key.clone()), 10).await.unwrap();
    assert_eq!(after.len(), 1);

    let changed = [count("2026-01-01", "a", 0, 0), rows[1].clone(), count("2026-01-09", "c", 1, 0)];
    let written = store.put_daily(1, &changed, at(3)).await.unwrap();
    assert_eq!(written, 2, "zero is written, one is new, the other one is the same");
    let keys = [key("2026-01-09", "c"), key("2026-01-01", "a"), key("2026-01-02", "a")];
    let mut read = store.daily_of(1, &keys).await.unwrap();
    read.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(read, [changed[0].clone(), changed[2].clone()]);
    assert!(store.daily_of(1, &[]).await.unwrap().is_empty());

    let many: Vec<_> = (0..5_000).map(|n| count("2026-02-01", &format!("k{n}"), n, 0)).collect();
    assert_eq!(store.put_daily(1, &many, at(4)).await.unwrap(), 5_000, "more rows than one statement holds");
    let keys: Vec<DailyKey> = many.iter().map(|count| count.key.clone()).collect();
    assert_eq!(store.daily_of(1, &keys).await.unwrap().len(), 5_000);
    let (mut seen, mut after) = (0, None);
    loop {
        let page = store.daily_page(1, after, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.count.key.clone());
        seen += page.len();
    }
    assert_eq!(seen, 5_004, "the pages are the whole");
}

async fn accumulated_rows(store: &dyn Store) {
    let total = |which: &str, submissions| {
        let mut total = Accumulated::empty(subject(which));
        let distribution =
            Distribution { origin: [("plan".to_owned(), 1)].into(), ..Distribution::default() };
        total.add(
            &DailyCount { distribution, ..count("2026-01-01", which, submissions, 1) },
            day("2026-01-05"),
        );
        total
    };
    let rows = vec![total("a", 3), total("nothing behind it", 4)];
    assert_eq!(store.put_accumulated(1, &rows, at(1)).await.unwrap(), 2);
    assert_eq!(store.put_accumulated(1, &rows, at(2)).await.unwrap(), 0);
    let mut read =
        store.accumulated_of(1, &[subject("a"), subject("nothing behind it"), subject("b")]).await.unwrap();
    read.sort_by(|a, b| a.subject.cmp(&b.subject));
    assert_eq!(read, rows);
    let by_day =
        async |which| store.accumulated_by_day(1, &subject(which), days("2026-01-02", "2026-01-31")).await;
    assert_eq!(by_day("a").await.unwrap(), Some((rows[0].clone(), vec![(day("2026-01-03"), 1)])));
    assert_eq!(by_day("nothing behind it").await.unwrap(), Some((rows[1].clone(), vec![])));
    assert_eq!(by_day("A").await.unwrap(), None, "another one");
    assert_eq!(store.orphans(1, None, 10).await.unwrap(), [subject("nothing behind it")]);
    assert!(store.orphans(1, Some(subject("nothing behind it")), 10).await.unwrap().is_empty());
    let zero = Accumulated::empty(subject("nothing behind it"));
    assert_eq!(
        store.put_accumulated(1, std::slice::from_ref(&zero), at(3)).await.unwrap(),
        1,
        "zero is written"
    );
    assert_eq!(store.accumulated_of(1, std::slice::from_ref(&zero.subject)).await.unwrap(), [zero]);
    assert_eq!(store.accumulated_sum(1, StatisticType::Questionnaire).await.unwrap(), [2, 3, 1]);
    assert_eq!(store.accumulated_sum(7, StatisticType::Questionnaire).await.unwrap(), [0, 0, 0]);
}

async fn plan_rows(store: &dyn Store) {
    let counts = |pending_tasks| PlanCounts {
        plan_id: 9_007_199_254_740_993,
        total_tasks: 4,
        completed_tasks: 1,
        pending_tasks,
        expired_tasks: 0,
        enrolled_testees: 2,
        active_testees: 1,
    };
    assert_eq!(store.put_plans(1, &[counts(3)], at(1)).await.unwrap(), 1);
    assert_eq!(store.put_plans(1, &[counts(3)], at(2)).await.unwrap(), 0);
    assert_eq!(store.put_plans(1, &[counts(0)], at(3)).await.unwrap(), 1, "zero is written");
    assert_eq!(store.plans_of(1, &[counts(0).plan_id, 5]).await.unwrap(), [counts(0)]);
    assert!(store.plans_of(1, &[]).await.unwrap().is_empty());
    assert!(store.plan_totals(1, None, None, 10).await.unwrap().is_empty(), "there is no such plan");
}

fn run_id(entry: &Entry<SyncRun, SyncMark>) -> &str {
    &entry.read.as_ref().unwrap().id
}

async fn sync_runs(store: &dyn Store) {
    let daily = [SyncKind::Daily];
    assert!(store.last_marked(1, &daily, at(9_999)).await.unwrap().is_none());
    let begun = store.begin(&new_run("r1", "u1", Some("k"))).await.unwrap();
    assert!(matches!(begun, SyncAdmission::Admitted), "{begun:?}");
    let begun = store.begin(&new_run("r2", "u2", None)).await.unwrap();
    assert!(
        matches!(&begun, SyncAdmission::LeaseHeld(run) if run.id == "r1" && run.caller == "u1"),
        "{begun:?}"
    );
    let begun = store.begin(&new_run("r2", "u1", Some("k"))).await.unwrap();
    assert!(matches!(&begun, SyncAdmission::KeyUsed(run) if run.status == SyncStatus::Running), "{begun:?}");
    let other_org =
        NewSyncRun { org_id: 2, lease: SyncKind::Daily.lease(2), ..new_run("r9", "u2", Some("k")) };
    assert!(matches!(store.begin(&other_org).await.unwrap(), SyncAdmission::Admitted));
    let free = NewSyncRun {
        lease: SyncKind::Schedule.lease(1),
        kind: SyncKind::Schedule,
        ..new_run("r8", "u2", None)
    };
    assert!(
        matches!(store.begin(&free).await.unwrap(), SyncAdmission::Admitted),
        "another kind is not in its way"
    );

    let second = NewSyncRun { id: "r7".to_owned(), ..free };
    assert!(
        matches!(store.begin(&second).await.unwrap(), SyncAdmission::LeaseHeld(run) if run.id == "r8"),
        "one schedule of an organisation at a time"
    );

    let so_far = SyncProgress { scanned: 7, ..SyncProgress::default() };
    assert!(store.renew("r1", &so_far, at(1_200)).await.unwrap());
    assert_eq!(store.find(1, "r1").await.unwrap().unwrap().progress.scanned, 7);
    let errors = vec![ItemError { item: "x".to_owned(), message: "disk full".to_owned() }];
    let failed = SyncProgress {
        scanned: 9,
        failed: 2,
        errors,
        mark: Some("g:50".to_owned()),
        detail: Some(serde_json::json!({"a": [1, "é"]})),
        window: Some(days("2026-01-03", "2026-01-04")),
        ..SyncProgress::default()
    };
    assert!(store.finish("r1", &failed, at(1_002)).await.unwrap());
    assert!(!store.finish("r1", &SyncProgress::default(), at(1_003)).await.unwrap(), "it is over");
    assert!(!store.renew("r1", &so_far, at(9_000)).await.unwrap(), "it is over");
    let run = store.find(1, "r1").await.unwrap().unwrap();
    assert_eq!((run.status, &run.progress, run.duration_ms()), (SyncStatus::Failed, &failed, Some(2_000)));
    assert_eq!((run.window, run.idempotency_key.as_deref()), (failed.window, Some("k")));
    assert_eq!(store.find(2, "r1").await.unwrap(), None, "another organisation does not see it");
    assert!(store.last_marked(1, &daily, at(9_999)).await.unwrap().is_none(), "a failed sync leaves no mark");

    let next = NewSyncRun { started_at: at(1_003), ..new_run("r3", "u2", Some("k")) };
    assert!(matches!(store.begin(&next).await.unwrap(), SyncAdmission::Admitted), "the place is free");
    let done = SyncProgress { mark: Some("g:7".to_owned()), ..SyncProgress::default() };
    store.finish("r3", &done, at(1_004)).await.unwrap();
    assert_eq!(store.last_marked(1, &daily, at(1_003)).await.unwrap().unwrap().id, "r3");
    let ahead = store.last_marked(1, &daily, at(1_002)).await.unwrap();
    assert!(ahead.is_none(), "a clock that was ahead has left a record that does not count yet");

    assert!(matches!(store.begin(&new_run("r4", "u2", None)).await.unwrap(), SyncAdmission::Admitted));
    assert_eq!(store.abandon("killed", at(1_099)).await.unwrap(), 0, "every lease is held");
    let late = NewSyncRun { started_at: at(1_100), lease_until: at(1_150), ..new_run("r5", "u3", None) };
    assert!(
        matches!(store.begin(&late).await.unwrap(), SyncAdmission::Admitted),
        "a lease that ran out is anybody's"
    );
    let run = store.find(1, "r4").await.unwrap().unwrap();
    assert_eq!(run.status, SyncStatus::Failed);
    assert!(run.progress.error.unwrap().contains("stopped before"));
    assert_eq!(
        store.abandon("killed", at(1_100)).await.unwrap(),
        2,
        "r8 and r9, whatever their organisation"
    );
    let kinds =
        store.recent(1, &SyncFilter { kind: Some(SyncKind::Daily), before: None }, None, 2).await.unwrap();
    assert_eq!(kinds.iter().map(run_id).collect::<Vec<_>>(), ["r5", "r3"]);
    let earlier =
        store.recent(1, &SyncFilter { kind: None, before: Some(at(1_003)) }, None, 10).await.unwrap();
    assert_eq!(earlier.iter().map(run_id).collect::<Vec<_>>(), ["r8", "r4", "r1"]);
    store.finish("r5", &SyncProgress::default(), at(1_101)).await.unwrap();
}

async fn forgetting(store: &dyn Store) {
    assert_eq!(store.forget(at(1_003)).await.unwrap(), 1, "r1");
    assert_eq!(store.forget(at(9_999)).await.unwrap(), 4, "r4, r5, r8, r9; the newest mark is kept");
    assert!(store.find(1, "r3").await.unwrap().is_some());
}

/// Only what runs or has succeeded holds its key.
async fn retries(store: &dyn Store) {
    let run = |id: &str, second| NewSyncRun {
        org_id: 3,
        lease: SyncKind::Daily.lease(3),
        started_at: at(second),
        lease_until: at(second + 100),
        ..new_run(id, "u", Some("once"))
    };
    let failed = SyncProgress { error: Some("no".to_owned()), ..SyncProgress::default() };
    let begin = async |run: NewSyncRun| store.begin(&run).await.unwrap();
    assert!(matches!(begin(run("t1", 2_000)).await, SyncAdmission::Admitted));
    assert!(matches!(begin(run("t2", 2_001)).await, SyncAdmission::KeyUsed(first) if first.id == "t1"));
    store.finish("t1", &failed, at(2_002)).await.unwrap();
    let other = NewSyncRun { request: "daily of another week".to_owned(), ..run("t2", 2_003) };
    assert!(
        matches!(begin(other).await, SyncAdmission::KeyUsed(first) if first.id == "t1"),
        "the key belongs to what was asked first, also when that failed"
    );
    assert!(matches!(begin(run("t2", 2_003)).await, SyncAdmission::Admitted), "a failed one is repeated");
    // Its process is killed: once its lease has run out, the next repeat runs.
    assert!(matches!(begin(run("t3", 2_050)).await, SyncAdmission::KeyUsed(held) if held.id == "t2"));
    assert!(matches!(begin(run("t3", 2_103)).await, SyncAdmission::Admitted));
    assert_eq!(store.find(3, "t2").await.unwrap().unwrap().status, SyncStatus::Failed);
    store.finish("t3", &SyncProgress::default(), at(2_104)).await.unwrap();
    let replayed = begin(run("t4", 2_500)).await;
    assert!(
        matches!(&replayed, SyncAdmission::KeyUsed(done) if done.id == "t3" && done.status == SyncStatus::Succeeded),
        "{replayed:?}"
    );
    let mut links = Vec::new();
    for id in ["t1", "t2", "t3"] {
        links.push(store.find(3, id).await.unwrap().unwrap().retry_of);
    }
    assert_eq!(links, [None, Some("t1".to_owned()), Some("t1".to_owned())]);
}

#[tokio::test]
async fn of_many_that_repeat_a_failed_sync_at_once_one_starts() {
    for database in TestDatabase::every().await {
        let store = database.store().await;
        store.begin(&new_run("first", "u", Some("k"))).await.unwrap();
        let failed = SyncProgress { error: Some("no".to_owned()), ..SyncProgress::default() };
        store.finish("first", &failed, at(1_001)).await.unwrap();
        let mut tasks = Vec::new();
        for n in 0..8 {
            let store = database.store().await;
            // Kinds and leases differ, so that the key alone keeps them apart.
            let lease = format!("sync:test:{n}");
            let run =
                NewSyncRun { lease, started_at: at(1_002), ..new_run(&format!("r{n}"), "u", Some("k")) };
            tasks.push(tokio::spawn(async move { store.begin(&run).await }));
        }
        let mut started = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(SyncAdmission::Admitted) => started += 1,
                Ok(SyncAdmission::KeyUsed(run)) if run.status == SyncStatus::Running => {}
                Err(qs_scheduler::store::StoreError::Contended { .. }) => {}
                other => panic!("on {}: {other:?}", database.name),
            }
        }
        assert_eq!(started, 1, "on {}", database.name);
    }
}

/// What an earlier version recorded is kept; its keys stay used where the sync succeeded and become free where it failed.
#[tokio::test]
async fn records_of_an_earlier_version_keep_their_keys() {
    for database in TestDatabase::every().await {
        let db = database.connect().await;
        let [before, change] = match database.name {
            "SQLite" => [
                include_str!("../../src/store/business/sql/migrations/sqlite/0003_sync_run.sql"),
                include_str!("../../src/store/business/sql/migrations/sqlite/0005_sync_retry.sql"),
            ],
            _ => [
                include_str!("../../src/store/business/sql/migrations/mysql/0003_sync_run.sql"),
                include_str!("../../src/store/business/sql/migrations/mysql/0005_sync_retry.sql"),
            ],
        };
        db.execute(sql(before)).await.unwrap();
        for (id, key, status) in
            [("a", Some("done"), "succeeded"), ("b", Some("no"), "failed"), ("c", None, "failed")]
        {
            let query = sql(
                "insert into qs_sync_run (id, kind, org_id, trigger_type, caller, idempotency_key, request, \
                 status, errors, started_at, finished_at) values (?, 'daily', 1, 'api', 'u', ?, 'daily', ?, '[]', 1, 2)",
            );
            db.execute(query.bind(id).bind(key).bind(status)).await.unwrap();
        }
        db.execute(sql(change)).await.unwrap();
        let kept = sql("select id, idempotency_key, held_key, retry_of from qs_sync_run order by id");
        let read = |columns: &mut qs_scheduler::sql::Columns| {
            let id = columns.text()?;
            Ok((id, [columns.optional_text()?, columns.optional_text()?, columns.optional_text()?]))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            db.read_all(kept, read).await.unwrap(),
            [
                ("a".to_owned(), [text("done"), text("done"), None]),
                ("b".to_owned(), [text("no"), None, None]),
                ("c".to_owned(), [None, None, None]),
            ],
            "{}",
            database.name
        );
    }
}

/// A row that another program wrote is named, and the list has the others.
#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_take_the_list_with_it() {
    for database in TestDatabase::every().await {
        let (store, db) = (database.store().await, database.connect().await);
        for id in ["r1", "r2"] {
            store.begin(&new_run(id, "u", None)).await.unwrap();
            store.finish(id, &SyncProgress::default(), at(1_001)).await.unwrap();
        }
        db.execute(sql("update qs_sync_run set kind = 'strange' where id = 'r1'")).await.unwrap();
        let list = store.recent(1, &SyncFilter::default(), None, 10).await.unwrap();
        let list = Listed::cut(list, 10, None);
        assert_eq!(list.items.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["r2"]);
        let [row] = &list.unreadable[..] else { panic!("{list:?}") };
        assert_eq!(row.id, "r1");
        assert!(row.reason.contains("strange"), "{}", row.reason);
    }
}

#[tokio::test]
async fn of_many_that_begin_at_once_one_starts() {
    for database in TestDatabase::every().await {
        // Each has connections of its own, as processes have.
        database.store().await;
        let mut tasks = Vec::new();
        for n in 0..8 {
            let store = database.store().await;
            tasks.push(tokio::spawn(async move { store.begin(&new_run(&format!("r{n}"), "u", None)).await }));
        }
        let mut started = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(SyncAdmission::Admitted) => started += 1,
                Ok(SyncAdmission::LeaseHeld(_)) | Err(qs_scheduler::store::StoreError::Contended { .. }) => {}
                other => panic!("on {}: {other:?}", database.name),
            }
        }
        assert_eq!(started, 1, "on {}", database.name);
    }
}
