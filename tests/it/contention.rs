//! What plans and syncs answer when somebody else is in the way: for a moment, or for good.

use std::sync::Arc;

use jiff::tz::TimeZone;
use qs_scheduler::business::plan::{NewPlan, PlanError, Plans};
use qs_scheduler::clock::Simulated;
use qs_scheduler::domain::plan::PlanEvent;
use qs_scheduler::domain::plan_schedule::{ScheduleFields, ScheduleType};
use qs_scheduler::domain::plan_task::TaskEvent;
use qs_scheduler::sql::{Db, sql};
use qs_scheduler::store::StoreError;
use qs_scheduler::store::business::Store;

use crate::plans::at;
use crate::support::business::{Business, Job};
use crate::support::databases::TestDatabase;

fn plans(store: Arc<dyn Store>) -> Plans {
    Plans::new(store, Simulated::new(at("2026-11-21T08:00:00Z")), TimeZone::UTC)
}

/// One task for everybody.
fn once() -> NewPlan {
    let fields = ScheduleFields { interval: Some(1), total_times: Some(1), ..ScheduleFields::default() };
    NewPlan { scale_code: "PHQ9".to_owned(), schedule_type: ScheduleType::ByDay, fields }
}

/// Rows of these tables stay as they are, as if another caller were always quicker. Each round has triggers of its own:
/// a connection that has not heard of a dropped one refuses another of that name.
async fn freeze(db: &Db, round: u32) {
    for table in ["assessment_plan", "assessment_task"] {
        let trigger = format!(
            "create trigger frozen_{table}_{round} before update on {table} begin select raise(ignore); end"
        );
        db.execute(sql(trigger)).await.unwrap();
    }
}

async fn thaw(db: &Db, round: u32) {
    for table in ["assessment_plan", "assessment_task"] {
        db.execute(sql(format!("drop trigger frozen_{table}_{round}"))).await.unwrap();
    }
}

#[tokio::test]
async fn what_keeps_changing_is_a_state_and_no_lack_of_ids() {
    let database = TestDatabase::sqlite();
    let (plans, db) = (plans(database.store().await), database.connect().await);
    let start = "2026-11-21".parse().unwrap();
    let plan = plans.create(1, once()).await.unwrap().id;
    let task = plans.enrol(1, plan, 7, start).await.unwrap()[0].id;
    let changing = |error: PlanError, what: &str| {
        assert!(matches!(error, PlanError::State { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("{what} keeps changing"));
    };
    freeze(&db, 1).await;
    changing(plans.stop(1, plan, PlanEvent::Pause).await.unwrap_err(), &format!("plan {plan}"));
    changing(plans.apply(1, task, TaskEvent::Cancel).await.unwrap_err(), &format!("task {task}"));
    thaw(&db, 1).await;
    plans.stop(1, plan, PlanEvent::Pause).await.unwrap();
    freeze(&db, 2).await;
    changing(plans.resume(1, plan, [].into()).await.unwrap_err(), &format!("plan {plan}"));
    thaw(&db, 2).await;
    plans.resume(1, plan, [].into()).await.unwrap();

    // As if every id that is drawn were taken.
    let other = plans.create(1, once()).await.unwrap().id;
    plans.enrol(1, other, 7, start).await.unwrap();
    let index = format!("create unique index one on assessment_task (plan_id) where plan_id = {other}");
    db.execute(sql(index)).await.unwrap();
    let taken = plans.enrol(1, other, 8, start).await.unwrap_err();
    assert!(
        matches!(&taken, PlanError::Store(StoreError::Corrupt { found, .. }) if found == "every id was taken"),
        "{taken:?}"
    );
}

/// The next writes to these tables are the victims of deadlocks, so many of them.
async fn deadlocks(db: &Db, number: u32) {
    let Db::MySql(server) = db else { panic!("that is MySQL's way") };
    let pool = &server.pool;
    sqlx::raw_sql("drop table if exists victims").execute(pool).await.unwrap();
    // Not undone with the transactions that fail.
    let victims = format!("create table victims engine = myisam select {number} as remaining");
    sqlx::raw_sql(sqlx::AssertSqlSafe(victims)).execute(pool).await.unwrap();
    for (table, event) in [
        ("assessment_plan", "insert"),
        ("assessment_plan", "update"),
        ("assessment_task", "insert"),
        ("assessment_task", "update"),
        ("qs_sync_run", "insert"),
    ] {
        let name = format!("{table}_{event}");
        let trigger = format!(
            "drop trigger if exists {name}; create trigger {name} before {event} on {table} for each row begin \
             update victims set remaining = remaining - 1; \
             if (select remaining from victims) >= 0 then signal sqlstate '40001' set mysql_errno = 1213; end if; end"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(pool).await.unwrap();
    }
}

async fn left(db: &Db) -> i64 {
    let row = db.fetch_optional(sql("select remaining from victims")).await.unwrap().unwrap();
    row.columns().int().unwrap()
}

#[tokio::test]
async fn who_loses_against_another_transaction_comes_again_and_says_so_when_it_never_ends() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let (plans, db) = (plans(database.store().await), database.connect().await);
    let start = "2026-11-21".parse().unwrap();

    deadlocks(&db, 2).await;
    let plan = plans.create(1, once()).await.unwrap().id;
    deadlocks(&db, 2).await;
    let task = plans.enrol(1, plan, 7, start).await.unwrap()[0].id;
    deadlocks(&db, 2).await;
    plans.apply(1, task, TaskEvent::Cancel).await.unwrap();
    deadlocks(&db, 2).await;
    plans.stop(1, plan, PlanEvent::Pause).await.unwrap();
    deadlocks(&db, 2).await;
    plans.resume(1, plan, [].into()).await.unwrap();
    deadlocks(&db, 2).await;
    assert_eq!(plans.terminate(1, plan, 7).await.unwrap(), 1);
    assert!(left(&db).await < 0, "every one was met");

    deadlocks(&db, 1_000).await;
    for lost in [
        plans.create(1, once()).await.map(drop),
        plans.enrol(1, plan, 8, start).await.map(drop),
        plans.stop(1, plan, PlanEvent::Pause).await.map(drop),
    ] {
        assert!(matches!(lost, Err(PlanError::Store(StoreError::Contended { .. }))), "{lost:?}");
    }
}

#[tokio::test]
async fn a_sync_starts_although_its_record_lost_against_other_transactions() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let (store, db) = (database.store().await, database.connect().await);
    let file = TestDatabase::sqlite();
    let counters = Business::embedded(&file).await.counters;
    let business = Business::new(database.connect().await, store, counters);
    deadlocks(&db, 2).await;
    business.done(1, Job::Plan).await;
    assert!(left(&db).await < 0, "every one was met");
}
