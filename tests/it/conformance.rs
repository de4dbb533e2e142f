//! What every adapter of a port must do, whatever is below it.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use qs_scheduler::counters::embedded::EmbeddedCounters;
use qs_scheduler::counters::{Counters, CountersError, Cursor};
use qs_scheduler::domain::statistics::{DailyCount, DayRange, EventType, StatisticType, StatisticsEvent};
use qs_scheduler::domain::sync_run::{ItemError, NewSyncRun, SyncKind, SyncProgress, SyncStatus};
use qs_scheduler::store::sqlite::SqliteStore;
use qs_scheduler::store::{Begun, Store, StoreError};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

/// A database file of its own for each test.
pub(crate) async fn database(dir: &tempfile::TempDir) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("t.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    SqlitePool::connect_with(options).await.unwrap()
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn days(start: &str, end: &str) -> DayRange {
    DayRange { start: day(start), end: day(end) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn count(date: &str, key: &str, submissions: i64, completions: i64) -> DailyCount {
    let statistic = StatisticType::Questionnaire;
    DailyCount { date: day(date), statistic, key: key.to_owned(), submissions, completions }
}

fn event(id: &str, event_type: EventType, date: &str, keys: &[&str]) -> StatisticsEvent {
    let subjects = keys.iter().map(|key| (StatisticType::Questionnaire, (*key).to_owned())).collect();
    StatisticsEvent { event_id: id.to_owned(), event_type, occurred_at: at(0), date: day(date), subjects }
}

fn new_run(id: &str, caller: &str, key: Option<&str>) -> NewSyncRun {
    NewSyncRun {
        id: id.to_owned(),
        kind: SyncKind::Daily,
        org_id: 1,
        trigger: "api",
        caller: caller.to_owned(),
        idempotency_key: key.map(str::to_owned),
        request: "daily".to_owned(),
        window: Some(days("2026-01-01", "2026-01-02")),
        started_at: at(1_000),
    }
}

#[tokio::test]
async fn stores_conform() {
    let dir = tempfile::tempdir().unwrap();
    let pool = database(&dir).await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(pool.clone()).await.unwrap());
    store.ping().await.unwrap();
    daily_rows(&*store).await;
    sync_runs(&*store).await;
    // Opening it again changes nothing; a newer schema is refused.
    SqliteStore::open(pool.clone()).await.unwrap();
    sqlx::query("update store_migrations set version = 99 where version = 2").execute(&pool).await.unwrap();
    let refused = SqliteStore::open(pool).await.unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { version: 99 }), "{refused}");
}

async fn daily_rows(store: &dyn Store) {
    let rows = vec![
        count("2026-01-01", "a", 3, 1),
        count("2026-01-01", "b:*?[%_'\"", 5, 0),
        count("2026-01-03", "a", 1, 1),
    ];
    assert_eq!(store.put_daily(1, &rows, at(1)).await.unwrap(), 3, "all are new");
    assert_eq!(store.put_daily(1, &rows, at(2)).await.unwrap(), 0, "all are the same");
    assert_eq!(store.put_daily(2, &rows, at(2)).await.unwrap(), 3, "another organisation has its own rows");
    assert_eq!(store.put_daily(1, &[], at(2)).await.unwrap(), 0);

    let zero = [count("2026-01-01", "a", 0, 0), count("2026-01-03", "a", 1, 1)];
    assert_eq!(
        store.put_daily(1, &zero, at(3)).await.unwrap(),
        1,
        "zero is written, the other one is the same"
    );
    let read = store.daily(1, days("2026-01-01", "2026-01-02"), 10).await.unwrap();
    assert_eq!(read, [count("2026-01-01", "a", 0, 0), rows[1].clone()]);
    assert_eq!(store.daily(1, days("2026-01-01", "2026-01-03"), 2).await.unwrap().len(), 2);

    let many: Vec<_> = (0..2_500).map(|n| count("2026-02-01", &format!("k{n}"), n, 0)).collect();
    assert_eq!(store.put_daily(1, &many, at(4)).await.unwrap(), 2_500, "more rows than one statement holds");
}

async fn sync_runs(store: &dyn Store) {
    assert_eq!(store.last_mark(1, SyncKind::Daily).await.unwrap(), None);
    let begun = store.begin(new_run("r1", "u1", Some("k"))).await.unwrap();
    assert!(matches!(begun, Begun::Started), "{begun:?}");
    let begun = store.begin(new_run("r2", "u2", None)).await.unwrap();
    assert!(matches!(&begun, Begun::Busy(run) if run.id == "r1" && run.caller == "u1"), "{begun:?}");
    let begun = store.begin(new_run("r2", "u1", Some("k"))).await.unwrap();
    assert!(matches!(&begun, Begun::Known(run) if run.status == SyncStatus::Running), "{begun:?}");
    let other_org = NewSyncRun { org_id: 2, ..new_run("r9", "u2", Some("k")) };
    assert!(matches!(store.begin(other_org).await.unwrap(), Begun::Started));

    let errors = vec![ItemError { item: "x".to_owned(), message: "disk full".to_owned() }];
    let failed = SyncProgress { scanned: 9, failed: 2, errors, mark: Some(50), ..SyncProgress::default() };
    assert!(store.finish("r1", &failed, at(1_002)).await.unwrap());
    assert!(!store.finish("r1", &SyncProgress::default(), at(1_003)).await.unwrap(), "it is over");
    let run = store.find(1, "r1").await.unwrap().unwrap();
    assert_eq!((run.status, &run.progress, run.duration_ms()), (SyncStatus::Failed, &failed, Some(2_000)));
    assert_eq!(run.window, Some(days("2026-01-01", "2026-01-02")));
    assert_eq!(store.find(2, "r1").await.unwrap(), None, "another organisation does not see it");
    assert_eq!(store.last_mark(1, SyncKind::Daily).await.unwrap(), None, "a failed sync leaves no mark");

    assert!(matches!(store.begin(new_run("r3", "u2", Some("k"))).await.unwrap(), Begun::Started));
    let done = SyncProgress { mark: Some(7), ..SyncProgress::default() };
    store.finish("r3", &done, at(1_004)).await.unwrap();
    assert_eq!(store.last_mark(1, SyncKind::Daily).await.unwrap(), Some(7));

    assert!(matches!(store.begin(new_run("r4", "u2", None)).await.unwrap(), Begun::Started));
    assert_eq!(store.abandon("killed", at(2_000)).await.unwrap(), 2, "of both organisations");
    let run = store.find(1, "r4").await.unwrap().unwrap();
    assert_eq!((run.status, run.progress.error.as_deref()), (SyncStatus::Failed, Some("killed")));
    assert!(matches!(store.begin(new_run("r5", "u2", None)).await.unwrap(), Begun::Started));
}

#[tokio::test]
async fn of_many_that_begin_at_once_one_starts() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(database(&dir).await).await.unwrap());
    let begin = |n: usize| {
        let store = Arc::clone(&store);
        async move { store.begin(new_run(&format!("r{n}"), "u", None)).await.unwrap() }
    };
    let tasks: Vec<_> = (0..16).map(|n| tokio::spawn(begin(n))).collect();
    let mut started = 0;
    for task in tasks {
        started += usize::from(matches!(task.await.unwrap(), Begun::Started));
    }
    assert_eq!(started, 1);
}

#[tokio::test]
async fn counters_conform() {
    let dir = tempfile::tempdir().unwrap();
    let pool = database(&dir).await;
    let counters: Arc<dyn Counters> = Arc::new(EmbeddedCounters::open(pool.clone()).await.unwrap());
    counters.ping().await.unwrap();
    counting(&*counters).await;
    paging(&*counters).await;
    sqlx::query("update counters_migrations set version = 7").execute(&pool).await.unwrap();
    let refused = EmbeddedCounters::open(pool).await.unwrap_err();
    assert!(matches!(refused, CountersError::NewerSchema { version: 7 }), "{refused}");
}

async fn counting(counters: &dyn Counters) {
    let empty = counters.touched(1, None).await.unwrap();
    assert!(empty.days.is_empty());
    let submitted = event("e1", EventType::Submitted, "2026-01-01", &["a", "b:c*"]);
    assert!(counters.count(1, &submitted, at(1)).await.unwrap());
    assert!(!counters.count(1, &submitted, at(2)).await.unwrap(), "an id counts once");
    assert!(counters.count(2, &submitted, at(2)).await.unwrap(), "in each organisation");
    let interpreted = event("e2", EventType::Interpreted, "2026-01-01", &["a"]);
    assert!(counters.count(1, &interpreted, at(3)).await.unwrap());

    let read = counters.page(1, days("2026-01-01", "2026-01-01"), None, 10).await.unwrap();
    assert_eq!(read, [count("2026-01-01", "a", 1, 1), count("2026-01-01", "b:c*", 1, 0)]);

    let touched = counters.touched(1, None).await.unwrap();
    assert_eq!(touched.days.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-01-01"]);
    let later = counters.touched(1, Some(touched.mark)).await.unwrap();
    assert!(later.days.is_empty() && later.mark == touched.mark, "nothing since");
    counters.count(1, &event("e3", EventType::Submitted, "2025-06-01", &["a"]), at(4)).await.unwrap();
    let later = counters.touched(1, Some(touched.mark)).await.unwrap();
    assert_eq!(later.days.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2025-06-01"]);
    assert!(later.mark > touched.mark);
}

async fn paging(counters: &dyn Counters) {
    let range = days("2027-01-01", "2027-01-03");
    for n in 0..25 {
        let date = range.start.checked_add(SignedDuration::from_hours(24 * (n % 4))).unwrap().to_string();
        let event = event(&format!("p{n}"), EventType::Submitted, &date, &[&format!("k{n:02}")]);
        counters.count(3, &event, at(5)).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = counters.page(3, range, cursor, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(Cursor::of(last));
        seen.extend(page);
    }
    let whole = counters.page(3, range, None, 100).await.unwrap();
    assert_eq!(seen, whole, "the pages are the whole");
    assert_eq!(whole.len(), 19, "the fourth day is outside");
    assert!(whole.is_sorted_by_key(|count| (count.date, count.statistic.as_str(), count.key.clone())));
}
