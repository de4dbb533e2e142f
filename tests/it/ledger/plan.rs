//! Planning: the watermark, gaps, edits, pauses and deletions, compared with a walk that knows nothing of the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use qs_scheduler::domain::catch_up::{CatchUp, CatchUpMode, MissReason};
use qs_scheduler::domain::execution::{ExecutionState, Trigger};
use qs_scheduler::scheduler::catalog::Catalog;
use qs_scheduler::scheduler::planner::Planner;
use qs_scheduler::store::scheduler::sql::SqlLedger;
use qs_scheduler::store::scheduler::{ExecutionFilter, History, Ledger, Tasks};
use tokio::sync::Notify;

use super::{after, every, import, open, planned, policy, session, wanted};
use crate::support::databases::TestDatabase;

async fn planner(ledger: &Arc<SqlLedger>, id: i64) -> Planner {
    let session = session(ledger, id, false).await;
    let catalog = Arc::new(Catalog::new(ledger.clone()));
    Planner::new(session, ledger.clone(), catalog, Arc::new(Notify::new()))
}

/// The times of a period after the beginning of the test, both in milliseconds; the first excluded.
fn times(period: i64, from: i64, to: i64) -> Vec<Timestamp> {
    (from + 1..=to).filter(|at| at % (period * 1_000) == 0).map(after).collect()
}

/// Every time of each task is in the ledger once, or within what was missed of it, and nothing else is in either.
async fn assert_ledger_is_plan(ledger: &SqlLedger, plan: &BTreeMap<&str, BTreeSet<Timestamp>>) {
    let planned = planned(ledger).await;
    assert!(planned.values().all(|count| *count == 1), "{planned:?}");
    let missed = ledger.missed().await.unwrap();
    for (task, expected) in plan {
        let rows: BTreeSet<Timestamp> =
            planned.keys().filter(|(name, _)| name == task).map(|(_, at)| *at).collect();
        let mut left = expected.clone();
        for at in &rows {
            assert!(left.remove(at), "{task}: {at} is in the ledger and not in the plan");
        }
        for row in missed.iter().filter(|row| row.task == *task) {
            let (from, to) = (row.row.missed.from, row.row.missed.to);
            let within: Vec<Timestamp> = left.range(from..=to).copied().collect();
            assert_eq!(within.len() as u64, row.row.missed.count, "{task}: {row:?} of {within:?}");
            left.retain(|at| !within.contains(at));
        }
        assert!(left.is_empty(), "{task}: neither in the ledger nor missed: {left:?}");
    }
    let tasks: BTreeSet<&str> = planned.keys().map(|(task, _)| task.as_str()).collect();
    assert!(tasks.iter().all(|task| plan.contains_key(task)), "{tasks:?}");
}

fn plan_of(tasks: &[(&'static str, Vec<Timestamp>)]) -> BTreeMap<&'static str, BTreeSet<Timestamp>> {
    tasks.iter().map(|(task, times)| (*task, times.iter().copied().collect())).collect()
}

#[tokio::test]
async fn every_time_is_planned_once_by_whoever_plans() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        ledger.planner(after(0)).await.unwrap();
        import(
            &ledger,
            &[wanted("a", Some(every(1)), policy()), wanted("b", Some(every(6)), policy())],
            after(0),
        )
        .await;
        let (mut one, mut two) = (planner(&ledger, 1).await, planner(&ledger, 2).await);
        for second in 0..40 {
            let (first, other) = tokio::join!(
                one.plan(after(second * 1_000) + SignedDuration::from_nanos(456_789)),
                two.plan(after(second * 1_000 + 1))
            );
            first.unwrap();
            other.unwrap();
        }
        let through = 39_001 + 2_000;
        assert_ledger_is_plan(&ledger, &plan_of(&[("a", times(1, 0, through)), ("b", times(6, 0, through))]))
            .await;
        assert_eq!(ledger.planner(after(0)).await.unwrap().planned_through, after(through));
    }
}

#[tokio::test]
async fn what_was_missed_is_caught_up_as_the_policy_says_and_the_rest_is_told() {
    let hour = 3_600_000;
    let mode = |mode, max_count| CatchUp { mode, max_count, ..CatchUp::default() };
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        ledger.planner(after(0)).await.unwrap();
        let task = |key: &str, catch_up| {
            wanted(key, Some(every(60)), qs_scheduler::domain::task::TaskPolicy { catch_up, ..policy() })
        };
        let tasks = [
            task("once", mode(CatchUpMode::Once, 100)),
            task("all", mode(CatchUpMode::All, 5)),
            task("skip", mode(CatchUpMode::Skip, 100)),
            task(
                "old",
                CatchUp { max_age: std::time::Duration::from_secs(600), ..mode(CatchUpMode::All, 100) },
            ),
        ];
        import(&ledger, &tasks, after(0)).await;
        let mut planner = planner(&ledger, 1).await;
        planner.plan(after(0)).await.unwrap();
        // Nobody plans for three hours.
        let end = 3 * hour + 1;
        planner.plan(after(end)).await.unwrap();
        let all = times(60, 0, end + 2_000);
        let plan: Vec<(&str, Vec<Timestamp>)> =
            ["once", "all", "skip", "old"].iter().map(|task| (*task, all.clone())).collect();
        assert_ledger_is_plan(&ledger, &plan_of(&plan)).await;
        let rows = ledger.executions(&ExecutionFilter::default()).await.unwrap();
        let caught_up = |task: &str| {
            rows.iter().filter(|one| one.task == task && one.row.trigger == Trigger::CatchUp).count()
        };
        // The grace of a minute holds one, which is on time.
        assert_eq!(["once", "all", "skip", "old"].map(caught_up), [1, 5, 0, 9], "{}", database.name);
        let missed = ledger.missed().await.unwrap();
        let reasons = |task: &str| {
            missed.iter().filter(|row| row.task == task).map(|row| row.row.missed.reason).collect::<Vec<_>>()
        };
        assert_eq!(reasons("once"), [MissReason::Down]);
        assert_eq!(reasons("skip"), [MissReason::SkippedByPolicy]);
        assert_eq!(reasons("old"), [MissReason::TooOld]);
    }
}

#[tokio::test]
async fn an_edit_a_pause_and_a_deletion_govern_from_the_watermark_on() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        ledger.planner(after(0)).await.unwrap();
        let tasks = |edited: u64| {
            [
                wanted("edited", Some(every(edited)), policy()),
                wanted("paused", Some(every(1)), policy()),
                wanted("gone", Some(every(1)), policy()),
            ]
        };
        import(&ledger, &tasks(3), after(0)).await;
        let mut planner = planner(&ledger, 1).await;
        for second in 0..10 {
            planner.plan(after(second * 1_000)).await.unwrap();
        }
        // The watermark is at 11 s.
        import(&ledger, &tasks(5), after(9_500)).await;
        ledger.pause("paused", true, "test", after(9_500)).await.unwrap();
        for second in 10..20 {
            planner.plan(after(second * 1_000)).await.unwrap();
        }
        ledger.pause("paused", false, "test", after(19_500)).await.unwrap();
        import(&ledger, &tasks(5)[..2], after(19_500)).await;
        for second in 20..30 {
            planner.plan(after(second * 1_000)).await.unwrap();
        }
        let edited = [times(3, 0, 11_000), times(5, 11_000, 31_000)].concat();
        let plan =
            plan_of(&[("edited", edited), ("paused", times(1, 0, 31_000)), ("gone", times(1, 0, 21_000))]);
        assert_ledger_is_plan(&ledger, &plan).await;
        // What was planned and not begun was taken back.
        let cancelled = ledger
            .executions(&ExecutionFilter { state: Some(ExecutionState::Cancelled), ..Default::default() })
            .await
            .unwrap();
        let of = |task: &str| cancelled.iter().filter(|one| one.task == task).count();
        assert_eq!((of("paused"), of("gone"), of("edited")), (11, 21 - 11 + 11, 0), "{}", database.name);
        let missed = ledger.missed().await.unwrap();
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert_eq!((missed[0].row.missed.reason, missed[0].row.missed.count), (MissReason::Paused, 10));
    }
}

#[tokio::test]
async fn a_file_that_changes_while_nobody_runs_changes_nothing_before() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        ledger.planner(after(0)).await.unwrap();
        let all = CatchUp { mode: CatchUpMode::All, max_count: 1_000, ..CatchUp::default() };
        let policy = qs_scheduler::domain::task::TaskPolicy { catch_up: all, ..policy() };
        import(
            &ledger,
            &[
                wanted("edited", Some(every(60)), policy.clone()),
                wanted("gone", Some(every(60)), policy.clone()),
            ],
            after(0),
        )
        .await;
        planner(&ledger, 1).await.plan(after(0)).await.unwrap();
        let restart = 3_600_000 + 500;
        import(
            &ledger,
            &[wanted("edited", Some(every(30)), policy.clone()), wanted("new", Some(every(30)), policy)],
            after(restart),
        )
        .await;
        planner(&ledger, 2).await.plan(after(restart)).await.unwrap();
        let through = restart + 2_000;
        let edited = [times(60, 0, restart), times(30, restart, through)].concat();
        let plan = plan_of(&[
            ("edited", edited),
            ("gone", times(60, 0, restart)),
            ("new", times(30, restart, through)),
        ]);
        assert_ledger_is_plan(&ledger, &plan).await;
        let missed = ledger.missed().await.unwrap();
        assert!(
            missed.iter().all(|row| row.task == "gone" && row.row.missed.reason == MissReason::Deleted),
            "{missed:?}"
        );
    }
}

#[tokio::test]
async fn a_second_time_without_a_planner_is_a_gap_of_its_own() {
    let minute = 60_000;
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        ledger.planner(after(0)).await.unwrap();
        import(&ledger, &[wanted("a", Some(every(10)), policy())], after(0)).await;
        planner(&ledger, 1).await.plan(after(0)).await.unwrap();
        planner(&ledger, 2).await.plan(after(30 * minute)).await.unwrap();
        planner(&ledger, 3).await.plan(after(90 * minute)).await.unwrap();
        assert_ledger_is_plan(&ledger, &plan_of(&[("a", times(10, 0, 90 * minute + 2_000))])).await;
        let rows = ledger.executions(&ExecutionFilter::default()).await.unwrap();
        assert_eq!(rows.iter().filter(|one| one.row.trigger == Trigger::CatchUp).count(), 2);
        // What was planned ahead of the second one was on time then, and waits no longer.
        let waiting = rows.iter().filter(|one| one.row.state == ExecutionState::Pending);
        let early = after(90 * minute) - SignedDuration::from_secs(60);
        assert!(
            waiting
                .clone()
                .all(|one| one.row.trigger == Trigger::CatchUp || one.row.scheduled_for > Some(early)),
            "{:?}",
            waiting.collect::<Vec<_>>()
        );
    }
}
