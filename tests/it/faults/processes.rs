//! Servers that are killed, frozen, or not alone.

use std::time::Instant;

use qs_scheduler::sql::sql;
use reqwest::StatusCode;

use super::{MANY, Rig, SYNC, Signed, count, filled, number, truthful};
use crate::support::wait::until;

/// A refusal because another sync is running.
fn is_refused(reply: &crate::support::apiserver::Reply, location: &str) -> bool {
    if reply.status != StatusCode::CONFLICT {
        return false;
    }
    let data = reply.data();
    assert_eq!((reply.code(), &data["holder"]), (110_002, &serde_json::json!("1")), "{reply:?}");
    assert!(location.ends_with(data["run_id"].as_str().unwrap()), "{reply:?}");
    data["since"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    true
}

#[tokio::test]
async fn a_killed_server_leaves_a_failed_sync_and_the_next_one_finishes() {
    let Some(rig) = Rig::start("a server is killed in mid-sync", "3s").await else { return };
    rig.fill(1, MANY);
    let mut server = rig.server().await;
    let location = server.begin().await;
    rig.middle(1).await;
    server.server.kill();
    let killed = Instant::now();

    let server = rig.server().await;
    let reply = server.post(SYNC, "").await;
    if killed.elapsed().as_secs() < 2 {
        assert!(is_refused(&reply, &location), "the lease is held: {reply:?}");
    }
    let run = server.ended(&location).await;
    assert_eq!(
        (&run["status"], &run["error"]),
        (&"failed".into(), &"the server stopped before the sync ended".into())
    );
    assert!(count(&run, "written") <= rig.rows(1).await, "{run}");
    truthful(&run);

    let run = server.sync().await;
    assert_eq!(count(&run, "scanned"), MANY, "{run}");
    assert_eq!(rig.table().await, rig.counters());
    assert_eq!(rig.table().await, filled(rig.today, 1, MANY));
    server.validate().await;
}

/// Stops a server in the middle of a sync, which is seen afterwards: a fast sync may be over before the signal arrives.
/// Where the record of that sync is, and its round.
async fn freeze(rig: &Rig, server: &Signed) -> (String, i64) {
    for round in 1..=5 {
        rig.fill(round, MANY);
        let location = server.begin().await;
        until("a sync has begun to write", async || (rig.rows(round).await > 0).then_some(())).await;
        server.server.signal("-STOP");
        let running = sql("select count(*) from qs.qs_sync_run where status = 'running'");
        if number(&rig.db, running).await == Some(1) {
            return (location, round);
        }
        server.server.signal("-CONT");
        server.ended(&location).await;
    }
    panic!("each sync was over before it could be stopped");
}

#[tokio::test]
async fn a_frozen_server_loses_its_lease_and_stops_writing() {
    let Some(rig) = Rig::start("a server is frozen in mid-sync", "3s").await else { return };
    let (frozen, other) = (rig.server().await, rig.server().await);
    let (location, round) = freeze(&rig, &frozen).await;
    let stopped = Instant::now();
    let reply = other.post(SYNC, "").await;
    if stopped.elapsed().as_secs() < 2 {
        assert!(is_refused(&reply, &location), "the lease is held: {reply:?}");
    }

    let reply = until("the lease has run out", async || {
        let reply = other.post(SYNC, "").await;
        (!is_refused(&reply, &location)).then_some(reply)
    });
    let reply = reply.await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    truthful(reply.data());
    assert_eq!(count(reply.data(), "scanned"), MANY);
    assert_eq!(rig.table().await, rig.counters());
    let before = rig.rows(round).await;

    frozen.server.signal("-CONT");
    until("it notices", async || frozen.server.log().contains("given up").then_some(())).await;
    let run = frozen.ended(&location).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "the server stopped before the sync ended");
    truthful(&run);
    assert_eq!((rig.rows(round).await, rig.table().await), (before, rig.counters()));
    frozen.validate().await;
    assert_eq!(count(&frozen.sync().await, "unchanged"), MANY, "it serves as before");
}
