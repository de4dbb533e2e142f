//! MariaDB is killed, or cuts its connections.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{MANY, Rig, Signed, count, truthful};
use crate::support::wait::until;
use qs_scheduler::sql::sql;

/// Waits until the store is called this: an answer counts for a second.
async fn until_store_is(server: &Signed, store: &str) {
    until("the store is ready or not", async || {
        let reply = server.server.send(Method::GET, "/ready", &[], "").await;
        assert_eq!(reply.status == StatusCode::OK, reply.body["checks"]["store"] == "ok");
        (reply.body["checks"] == json!({"store": store, "counters": "ok"})).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_database_is_a_failure_with_true_counts() {
    let Some(mut rig) = Rig::start("MariaDB is killed in mid-sync", "2s").await else { return };
    rig.fill(1, MANY);
    let mut server = rig.server().await;
    until_store_is(&server, "ok").await;
    let location = server.begin().await;
    rig.middle(1).await;
    rig.mariadb.kill();
    until_store_is(&server, "unreachable").await;
    let health = server.server.send(Method::GET, "/health", &[], "").await;
    assert_eq!(health.status, StatusCode::OK);

    rig.mariadb.restart();
    let run = server.ended(&location).await;
    truthful(&run);
    assert_eq!(run["status"], "failed", "{run}");
    assert!(count(&run, "written") <= rig.rows(1).await, "{run}");
    assert!(server.server.lives());
    until_store_is(&server, "ok").await;
    let run = server.sync().await;
    assert_eq!(count(&run, "scanned"), MANY, "{run}");
    assert_eq!(rig.table().await, rig.counters());
    server.validate().await;
}

#[tokio::test]
async fn cut_connections_are_a_failure_with_true_counts() {
    let Some(rig) = Rig::start("MariaDB cuts its connections", "2s").await else { return };
    let server = rig.server().await;
    // A cut between two transactions goes unnoticed, as it should: then there is another round.
    for round in 1..=10 {
        rig.fill(round, MANY);
        let location = server.begin().await;
        rig.middle(round).await;
        rig.writing().await;
        let query = sql("select id from information_schema.processlist where db = 'qs'");
        for row in rig.db.fetch_all(query).await.unwrap() {
            let kill = format!("kill connection {}", row.columns().int().unwrap());
            // It may have ended by itself.
            let _ = rig.db.execute(sql(kill)).await;
        }
        let run = server.ended(&location).await;
        truthful(&run);
        assert!(count(&run, "written") <= rig.rows(round).await, "{run}");
        if run["status"] == "failed" {
            assert!(!run["errors"].as_array().unwrap().is_empty(), "{run}");
            server.sync().await;
            assert_eq!(rig.table().await, rig.counters());
            return;
        }
        assert_eq!(rig.table().await, rig.counters());
    }
    panic!("no cut came in the middle of a transaction");
}
