//! Another connection holds rows that a sync wants.

use qs_scheduler::sql::{Tx, sql};
use reqwest::StatusCode;

use super::{FEW, Rig, SYNC, count, filled, number, truthful};
use crate::support::wait::until;

/// Counters of three batches.
const SOME: i64 = 7_000;

const IMPATIENT: [&str; 1] = ["--innodb-lock-wait-timeout=1"];

/// Locks one row, found by the whole of its key so that no other one is looked at.
async fn hold(rig: &Rig, tx: &mut Tx, key: &str) {
    let query =
        sql("select id from qs.statistics_daily where org_id = 1 and statistic_type = 'questionnaire' \
                     and statistic_key = ? and stat_date = ? for update");
    let query = query.bind(key).bind(rig.today.to_string());
    assert_eq!(tx.fetch_all(query).await.unwrap().len(), 1);
}

/// A counter of the server itself.
async fn status(rig: &Rig, name: &str) -> i64 {
    let query = sql("select cast(variable_value as signed) from information_schema.global_status \
                     where variable_name = ?");
    number(&rig.db, query.bind(name)).await.unwrap()
}

async fn until_somebody_waits(rig: &Rig) {
    until("a sync waits for a row", async || {
        (status(rig, "Innodb_row_lock_current_waits").await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_released_in_time_is_written() {
    let Some(rig) = Rig::start_with("a row is locked for a while", "3s", &IMPATIENT).await else { return };
    let server = rig.server().await;
    rig.fill(1, FEW);
    server.sync().await;
    rig.fill(2, FEW);
    let mut tx = rig.db.begin().await.unwrap();
    hold(&rig, &mut tx, "k00005").await;
    let before = status(&rig, "Innodb_row_lock_waits").await;
    let location = server.begin().await;
    until("the first attempt has failed", async || {
        (status(&rig, "Innodb_row_lock_waits").await >= before + 2).then_some(())
    })
    .await;
    tx.commit().await.unwrap();
    let run = server.ended(&location).await;
    truthful(&run);
    assert_eq!((run["status"].as_str(), count(&run, "written")), (Some("succeeded"), FEW), "{run}");
    assert_eq!(rig.table().await, filled(rig.today, 2, FEW));
}

#[tokio::test]
async fn a_row_that_stays_locked_is_counted_as_failed_and_the_rest_is_written() {
    let Some(rig) = Rig::start_with("a row stays locked", "3s", &IMPATIENT).await else { return };
    let server = rig.server().await;
    rig.fill(1, SOME);
    server.sync().await;
    rig.fill(2, SOME);
    let mut tx = rig.db.begin().await.unwrap();
    hold(&rig, &mut tx, "k00005").await;
    let reply = server.post(SYNC, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::INTERNAL_SERVER_ERROR, 110_001), "{reply:?}");
    let run = reply.data();
    truthful(run);
    assert_eq!((count(run, "scanned"), count(run, "written")), (SOME, rig.rows(2).await), "{run}");
    assert!((1..SOME).contains(&count(run, "failed")), "{run}");
    let [error] = run["errors"].as_array().unwrap().as_slice() else { panic!("{run}") };
    assert!(error["message"].as_str().unwrap().contains("Lock wait timeout exceeded"), "{run}");
    assert!(error["item"].as_str().unwrap().contains(" … "), "{run}");

    drop(tx);
    let repeated = server.sync().await;
    assert_eq!(count(&repeated, "written"), count(run, "failed"), "{repeated}");
    assert_eq!(rig.table().await, filled(rig.today, 2, SOME));
}

#[tokio::test]
async fn the_victim_of_a_deadlock_is_tried_again() {
    let Some(rig) = Rig::start_with("a deadlock", "3s", &IMPATIENT).await else { return };
    let server = rig.server().await;
    rig.fill(1, FEW);
    server.sync().await;
    rig.fill(2, FEW);
    // Much to undo, so that the sync is the cheaper victim.
    rig.db.execute(sql("create table qs.heavy (n int primary key) engine = innodb")).await.unwrap();
    let mut tx = rig.db.begin().await.unwrap();
    tx.execute(sql("insert into qs.heavy select seq from qs.seq_1_to_20000")).await.unwrap();
    hold(&rig, &mut tx, "k00099").await;
    let before = status(&rig, "Innodb_deadlocks").await;
    let location = server.begin().await;
    until_somebody_waits(&rig).await;
    // A batch is written in the order of its keys: the sync has the first one and waits for the last one.
    hold(&rig, &mut tx, "k00000").await;
    assert!(status(&rig, "Innodb_deadlocks").await > before, "there was no deadlock");
    tx.commit().await.unwrap();
    let run = server.ended(&location).await;
    truthful(&run);
    assert_eq!((run["status"].as_str(), count(&run, "written")), (Some("succeeded"), FEW), "{run}");
    assert_eq!(rig.table().await, filled(rig.today, 2, FEW));
}

#[tokio::test]
async fn a_frozen_server_does_not_keep_its_rows() {
    let Some(rig) = Rig::start("a server is frozen in a transaction", "1s").await else { return };
    let (frozen, other) = (rig.server().await, rig.server().await);
    rig.fill(1, FEW);
    frozen.sync().await;
    rig.fill(2, FEW);
    let mut tx = rig.db.begin().await.unwrap();
    hold(&rig, &mut tx, "k00099").await;
    let location = frozen.begin().await;
    until_somebody_waits(&rig).await;
    frozen.server.signal("-STOP");
    // Its statement goes on, and nobody ends its transaction.
    tx.commit().await.unwrap();
    let taken_over = until("the lease has run out", async || {
        let reply = other.post(SYNC, "").await;
        (reply.status != StatusCode::CONFLICT).then_some(reply)
    });
    let taken_over = taken_over.await;
    assert_eq!(taken_over.status, StatusCode::OK, "{taken_over:?}");
    assert_eq!(count(taken_over.data(), "written"), FEW, "{taken_over:?}");
    frozen.server.signal("-CONT");
    let run = frozen.ended(&location).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(rig.table().await, filled(rig.today, 2, FEW));
    frozen.sync().await;
}
