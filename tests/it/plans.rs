//! Plans and their tasks in every database.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use qs_scheduler::domain::entry::EntryBase;
use qs_scheduler::domain::plan::{AssessmentPlan, PlanStatus};
use qs_scheduler::domain::plan_schedule::{PlanSchedule, first_instant};
use qs_scheduler::domain::plan_task::{PlanTask, TaskEntry, TaskEvent, TaskStatus};
use qs_scheduler::sql::sql;
use qs_scheduler::store::business::due_tasks::{Batch, Due, Opening, Sweep};
use qs_scheduler::store::business::lists::{Page, Part};
use qs_scheduler::store::business::plans::{Inserted, Moved, PlanFilter, TaskFilter};

use crate::support::databases::TestDatabase;

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-11-21T08:00:00Z";
const ALL: Page = Page { number: 1, size: 100 };

pub fn plan(id: i64, org_id: i64) -> AssessmentPlan {
    AssessmentPlan {
        id,
        org_id,
        scale_code: "PHQ9".to_owned(),
        schedule: PlanSchedule::ByDay { interval: 1, times: 3 },
        status: PlanStatus::Active,
    }
}

/// A task that was due on the day before.
pub fn task(id: i64, plan: &AssessmentPlan, testee_id: i64, seq: u32) -> PlanTask {
    PlanTask {
        id,
        plan_id: plan.id,
        seq,
        org_id: plan.org_id,
        testee_id,
        scale_code: plan.scale_code.clone(),
        planned_at: at("2026-11-20T00:00:00Z"),
        open_at: None,
        expire_at: None,
        completed_at: None,
        status: TaskStatus::Pending,
        assessment_id: None,
        entry_token: None,
        entry_url: None,
    }
}

fn due() -> Due {
    Due { before: at(NOW), now: at(NOW), plan_id: None, testee_ids: None }
}

fn batch(due: &Due, limit: u32) -> Batch<'_> {
    Batch { due, after: None, limit }
}

fn entry(id: i64) -> TaskEntry {
    EntryBase::new("https://c.example/e").unwrap().entry(id, format!("token-{id}"))
}

const OPENING: Opening<'static> = Opening { expire_at: Timestamp::constant(1_796_000_000, 0), entry: &entry };

#[tokio::test]
async fn a_plan_is_read_back_as_it_was_written() {
    for database in TestDatabase::every().await {
        let store = database.store_in("Asia/Shanghai").await;
        let dates = ["2026-01-01", "2026-02-28"].map(|day| day.parse().unwrap());
        let schedules = [
            PlanSchedule::ByWeek { interval: 2, times: 4 },
            PlanSchedule::ByDay { interval: 1, times: 100 },
            PlanSchedule::FixedDate(dates.to_vec()),
            PlanSchedule::Custom(vec![2, 4, 8, 12]),
        ];
        for (id, schedule) in (1i64..).zip(schedules) {
            let plan = AssessmentPlan { schedule, ..plan(id, 1) };
            assert!(store.insert_plan(&plan, at(NOW)).await.unwrap());
            assert_eq!(store.find_plan(1, id).await.unwrap().as_ref(), Some(&plan), "{}", database.name);
            assert!(!store.insert_plan(&plan, at(NOW)).await.unwrap(), "an id is given once");
            assert_eq!(store.find_plan(2, id).await.unwrap(), None, "another organisation's");
        }
        store
            .insert_plan(&AssessmentPlan { scale_code: "GAD7".to_owned(), ..plan(9, 1) }, at(NOW))
            .await
            .unwrap();
        store.enrol(&[task(90, &plan(9, 1), 7, 1)], at(NOW)).await.unwrap();
        let ids = async |org, filter: PlanFilter, page| {
            let found = store.plans(org, &filter, Part::Page(page)).await.unwrap();
            (found.items.iter().map(|plan| plan.id).collect::<Vec<_>>(), found.total.unwrap())
        };
        let none = PlanFilter::default;
        assert_eq!(ids(1, none(), Page { number: 2, size: 2 }).await, (vec![3, 2], 5));
        assert_eq!(ids(2, none(), ALL).await, (vec![], 0));
        assert_eq!(ids(1, PlanFilter { scale_code: Some("GAD7".to_owned()), ..none() }, ALL).await.0, [9]);
        assert_eq!(ids(1, PlanFilter { status: Some(PlanStatus::Paused), ..none() }, ALL).await.1, 0);
        assert_eq!(ids(1, PlanFilter { testee_id: Some(7), ..none() }, ALL).await.0, [9]);
    }
}

/// Rows that another program wrote are named, and the lists have the others.
#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_take_the_list_with_it() {
    for database in TestDatabase::every().await {
        let (store, db) = (database.store_in("UTC").await, database.connect().await);
        for id in [1, 2] {
            store.insert_plan(&plan(id, 1), at(NOW)).await.unwrap();
            store.enrol(&[task(id * 10, &plan(id, 1), 7, 1)], at(NOW)).await.unwrap();
        }
        for statement in [
            "update assessment_plan set status = 'strange' where id = 1",
            "update assessment_task set status = 'strange' where id = 10",
        ] {
            db.execute(sql(statement)).await.unwrap();
        }
        let plans = store.plans(1, &PlanFilter::default(), Part::Page(ALL)).await.unwrap();
        assert_eq!((plans.items.len(), plans.items[0].id, plans.total), (1, 2, Some(2)), "{}", database.name);
        let tasks = store.tasks(1, TaskFilter::default(), Part::Page(ALL)).await.unwrap();
        assert_eq!(
            (tasks.items.len(), tasks.items[0].id, tasks.total),
            (1, 20, Some(2)),
            "{}",
            database.name
        );
        for (found, id) in [(&plans.unreadable, "1"), (&tasks.unreadable, "10")] {
            let [row] = &found[..] else { panic!("{found:?}") };
            assert!(row.id == id && row.reason.contains("strange"), "{row:?}");
        }
        if database.name == "MySQL" {
            let huge = "update assessment_task set status = 'pending', testee_id = 18446744073709551615 where id = 10";
            db.execute(sql(huge)).await.unwrap();
            let tasks = store.tasks(1, TaskFilter::default(), Part::Page(ALL)).await.unwrap();
            assert!(tasks.unreadable[0].reason.contains("18446744073709551615"), "{tasks:?}");
        }
    }
}

#[tokio::test]
async fn a_testee_is_enrolled_once_and_only_in_an_active_plan() {
    for database in TestDatabase::every().await {
        let store = database.store_in("UTC").await;
        let plan = plan(1, 1);
        store.insert_plan(&plan, at(NOW)).await.unwrap();
        let tasks = |ids: [i64; 2], testee| [task(ids[0], &plan, testee, 1), task(ids[1], &plan, testee, 2)];
        assert_eq!(store.enrol(&tasks([10, 11], 7), at(NOW)).await.unwrap(), Inserted::Done);
        assert_eq!(store.enrol(&tasks([20, 21], 7), at(NOW)).await.unwrap(), Inserted::Duplicate);
        assert_eq!(store.enrol(&tasks([30, 10], 8), at(NOW)).await.unwrap(), Inserted::IdTaken);
        assert_eq!(store.find_task(1, 30).await.unwrap(), None, "all or nothing");
        assert_eq!(store.terminate(1, 1, 7, at(NOW)).await.unwrap(), Some(2));
        assert_eq!(store.enrol(&tasks([40, 41], 7), at(NOW)).await.unwrap(), Inserted::Done);

        let (active, paused) = (PlanStatus::Active, PlanStatus::Paused);
        assert_eq!(
            store.stop_plan(2, 1, active, paused, at(NOW)).await.unwrap(),
            None,
            "another organisation's"
        );
        assert_eq!(store.stop_plan(1, 1, active, paused, at(NOW)).await.unwrap(), Some(2));
        assert_eq!(store.stop_plan(1, 1, active, paused, at(NOW)).await.unwrap(), None, "it is paused");
        assert_eq!(store.enrol(&tasks([50, 51], 9), at(NOW)).await.unwrap(), Inserted::Stale);
        let enrolments = store.enrolments(1, 1).await.unwrap();
        assert_eq!((enrolments.len(), enrolments[0].completed, enrolments[0].last_seq), (1, 0, 2));
        assert_eq!(store.resume_plan(1, 1, &tasks([60, 10], 7), at(NOW)).await.unwrap(), Inserted::IdTaken);
        assert_eq!(store.find_plan(1, 1).await.unwrap().unwrap().status, paused);
        assert_eq!(store.resume_plan(1, 1, &tasks([60, 61], 7), at(NOW)).await.unwrap(), Inserted::Done);
        assert_eq!(store.resume_plan(1, 1, &[], at(NOW)).await.unwrap(), Inserted::Stale);
        let pending = TaskFilter { status: Some(TaskStatus::Pending), ..TaskFilter::default() };
        let pending = store.tasks(1, pending, Part::Page(ALL)).await.unwrap();
        assert_eq!(pending.items.iter().map(|task| task.id).collect::<Vec<_>>(), [60, 61]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_enrolments_at_once_one_is_a_duplicate() {
    for database in TestDatabase::every().await {
        let plan = plan(1, 1);
        let stores = [database.store_in("UTC").await, database.store_in("UTC").await];
        stores[0].insert_plan(&plan, at(NOW)).await.unwrap();
        for testee in 1..=20 {
            let (a, b) = ([task(testee * 10, &plan, testee, 1)], [task(testee * 10 + 1, &plan, testee, 1)]);
            let (a, b) = tokio::join!(stores[0].enrol(&a, at(NOW)), stores[1].enrol(&b, at(NOW)));
            let mut ends = [a.unwrap(), b.unwrap()];
            ends.sort_by_key(|end| *end != Inserted::Done);
            assert_eq!(ends, [Inserted::Done, Inserted::Duplicate], "{}", database.name);
        }
    }
}

#[tokio::test]
async fn a_task_moves_from_the_state_in_which_it_was_read() {
    for database in TestDatabase::every().await {
        let store = database.store_in("Asia/Shanghai").await;
        let plan = plan(1, 1);
        store.insert_plan(&plan, at(NOW)).await.unwrap();
        store.enrol(&[task(10, &plan, 7, 1), task(11, &plan, 7, 2)], at(NOW)).await.unwrap();
        let pending = store.find_task(1, 10).await.unwrap().unwrap();
        assert_eq!(pending, task(10, &plan, 7, 1));
        assert_eq!(store.find_task(2, 10).await.unwrap(), None);

        let open = TaskEvent::Open { entry: entry(10), expire_at: at("2026-11-28T08:00:00Z") };
        let opened = pending.apply(open, at(NOW)).unwrap();
        assert_eq!(store.move_task(TaskStatus::Pending, &opened, at(NOW)).await.unwrap(), Moved::Done);
        assert_eq!(store.move_task(TaskStatus::Pending, &opened, at(NOW)).await.unwrap(), Moved::Stale);
        assert_eq!(store.find_task(1, 10).await.unwrap().unwrap(), opened, "{}", database.name);

        let complete = TaskEvent::Complete { assessment_id: 5 };
        let completed = opened.apply(complete.clone(), at(NOW)).unwrap();
        assert_eq!(store.move_task(TaskStatus::Opened, &completed, at(NOW)).await.unwrap(), Moved::Done);
        assert_eq!(store.find_task(1, 10).await.unwrap().unwrap(), completed);
        let other = PlanTask { id: 11, ..completed };
        let taken = store.move_task(TaskStatus::Pending, &other, at(NOW)).await.unwrap();
        assert_eq!(taken, Moved::AssessmentTaken);
        assert_eq!(store.enrolments(1, 1).await.unwrap()[0].completed, 1);
    }
}

#[tokio::test]
async fn only_due_tasks_of_active_plans_are_opened_and_the_rest_is_put_away() {
    for database in TestDatabase::every().await {
        let store = database.store_in("UTC").await;
        let (active, paused, other) = (plan(1, 1), plan(2, 1), plan(3, 2));
        for plan in [&active, &paused, &other] {
            store.insert_plan(plan, at(NOW)).await.unwrap();
        }
        let later = PlanTask { planned_at: at("2026-11-21T08:00:00.001Z"), ..task(13, &active, 7, 3) };
        let first = PlanTask { planned_at: at("2026-11-19T00:00:00Z"), ..task(12, &active, 7, 2) };
        store.enrol(&[task(11, &active, 7, 1), first, later], at(NOW)).await.unwrap();
        store.enrol(&[task(21, &paused, 7, 1)], at(NOW)).await.unwrap();
        store.enrol(&[task(31, &other, 7, 1)], at(NOW)).await.unwrap();
        // As the system before left it: it paused plans without their tasks.
        let db = database.connect().await;
        db.execute(sql("update assessment_plan set status = 'paused' where id = 2")).await.unwrap();

        let count = async |sweep, due: &Due| store.count_due(1, sweep, due).await.unwrap();
        assert_eq!((count(Sweep::Cancel, &due()).await, count(Sweep::Open, &due()).await), (1, 2));
        let of_testee = Due { testee_ids: Some(vec![8, 9]), ..due() };
        assert_eq!(count(Sweep::Open, &of_testee).await, 0);
        let of_plan = Due { plan_id: Some(2), ..due() };
        assert_eq!((count(Sweep::Cancel, &of_plan).await, count(Sweep::Open, &of_plan).await), (1, 0));

        let order = store.batch(1, Sweep::Open, batch(&due(), 9)).await.unwrap();
        assert_eq!(order.iter().map(|one| one.id).collect::<Vec<_>>(), [12, 11]);
        let (due, opening) = (due(), OPENING);
        let after = Batch { after: Some(order[0]), ..batch(&due, 9) };
        assert_eq!(store.batch(1, Sweep::Open, after).await.unwrap(), order[1..]);
        assert_eq!(store.cancel_of_inactive(1, batch(&due, 9)).await.unwrap(), [21]);
        assert_eq!(store.open_due(1, batch(&due, 1), opening).await.unwrap(), [12]);
        assert_eq!(store.open_due(1, batch(&due, 9), opening).await.unwrap(), [11]);
        assert!(store.open_due(1, batch(&due, 9), opening).await.unwrap().is_empty());
        assert!(store.cancel_of_inactive(1, batch(&due, 9)).await.unwrap().is_empty());
        let opened = store.find_task(1, 12).await.unwrap().unwrap();
        assert_eq!((opened.status, opened.open_at), (TaskStatus::Opened, Some(at(NOW))), "{}", database.name);
        assert_eq!(opened.entry_url.as_deref(), Some("https://c.example/e?token=token-12&task_id=12"));
        assert_eq!(store.find_task(2, 31).await.unwrap().unwrap().status, TaskStatus::Pending);

        let end = OPENING.expire_at;
        let overdue = |now| Due { before: at(NOW), now, plan_id: None, testee_ids: None };
        let (early, late) = (overdue(end - SignedDuration::from_millis(1)), overdue(end));
        assert!(store.expire_overdue(1, batch(&early, 9)).await.unwrap().is_empty());
        assert_eq!(store.expire_overdue(1, batch(&late, 9)).await.unwrap(), [11, 12]);
        assert_eq!(store.find_task(1, 11).await.unwrap().unwrap().status, TaskStatus::Expired);
    }
}

/// The system before parsed times as UTC and compared them with local ones (P2).
#[tokio::test]
async fn a_day_begins_in_the_zone_whatever_the_zone_of_the_database() {
    for database in TestDatabase::every().await {
        for (zone, id) in [("Asia/Shanghai", 1), ("UTC", 2), ("America/New_York", 3)] {
            let store = database.store_in(zone).await;
            let plan = plan(id, id);
            store.insert_plan(&plan, at(NOW)).await.unwrap();
            let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
            let planned_at = first_instant("2026-11-21".parse().unwrap(), &shanghai).unwrap();
            store.enrol(&[PlanTask { planned_at, ..task(10 + id, &plan, 7, 1) }], at(NOW)).await.unwrap();
            let due = |before| Due { before: at(before), ..due() };
            let count = async |due: &Due| store.count_due(id, Sweep::Open, due).await.unwrap();
            assert_eq!(count(&due("2026-11-20T15:59:59.999Z")).await, 0, "{zone}");
            assert_eq!(count(&due("2026-11-20T16:00:00Z")).await, 1, "{zone}");
            assert_eq!(store.find_task(id, 10 + id).await.unwrap().unwrap().planned_at, planned_at);
        }
    }
}

/// While one caller is between its claim and its commit, another one takes other tasks and does not wait.
#[tokio::test]
async fn two_callers_take_different_tasks() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let database = std::sync::Arc::new(database);
    let second = database.store_in("UTC").await;
    let plan = plan(1, 1);
    second.insert_plan(&plan, at(NOW)).await.unwrap();
    for id in 1..=10 {
        second.enrol(&[task(id, &plan, id, 1)], at(NOW)).await.unwrap();
    }
    let (claimed, is_claimed) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let (may_go_on, is_first) = (std::sync::Mutex::new(may_go_on), std::sync::atomic::AtomicBool::new(true));
    let slow = move |id| {
        if is_first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            claimed.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
        entry(id)
    };
    // A runtime of its own, because its thread waits.
    let there = std::sync::Arc::clone(&database);
    let held = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (due, opening) = (due(), Opening { entry: &slow, ..OPENING });
            there.store_in("UTC").await.open_due(1, batch(&due, 4), opening).await.unwrap()
        })
    });
    tokio::task::spawn_blocking(move || is_claimed.recv().unwrap()).await.unwrap();
    let due = due();
    assert_eq!(second.batch(1, Sweep::Open, batch(&due, 4)).await.unwrap().len(), 4);
    assert_eq!(second.cancel_of_inactive(1, batch(&due, 4)).await.unwrap(), Vec::<i64>::new());
    assert_eq!(second.open_due(1, batch(&due, 4), OPENING).await.unwrap(), [5, 6, 7, 8]);
    assert_eq!(second.open_due(1, batch(&due, 4), OPENING).await.unwrap(), [9, 10]);
    assert_eq!(second.open_due(1, batch(&due, 4), OPENING).await.unwrap(), Vec::<i64>::new());
    // The plan is not locked by whoever opens its tasks.
    second.enrol(&[task(11, &plan, 11, 1)], at(NOW)).await.unwrap();
    go_on.send(()).unwrap();
    assert_eq!(held.join().unwrap(), [1, 2, 3, 4]);
}
