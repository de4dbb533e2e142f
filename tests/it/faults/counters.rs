//! Redis is killed, comes back empty, or is flushed.

use reqwest::StatusCode;
use serde_json::json;

use super::{EVENTS, MANY, Rig, SYNC, Signed, VALIDATE, count, filled, truthful};

async fn counted(server: &Signed, id: &str, questionnaire: &str) {
    let event = json!({"event_id": id, "type": "submitted", "questionnaire_code": questionnaire});
    let reply = server.post(EVENTS, &event.to_string()).await;
    assert_eq!((reply.status, &reply.data()["counted"]), (StatusCode::OK, &json!(true)), "{reply:?}");
}

/// A refusal because the counters are not those of the last sync.
#[track_caller]
fn refused(reply: &crate::support::apiserver::Reply) {
    assert_eq!((reply.status, reply.code()), (StatusCode::INTERNAL_SERVER_ERROR, 110_001), "{reply:?}");
    assert!(reply.message().contains("emptied or replaced"), "{reply:?}");
    assert_eq!((count(reply.data(), "written"), count(reply.data(), "scanned")), (0, 0));
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_noticed_and_repaired() {
    let Some(mut rig) = Rig::start("Redis is killed in mid-sync", "3s").await else { return };
    let server = rig.server().await;
    rig.fill(1, MANY);
    server.sync().await;
    rig.fill(2, MANY);
    let location = server.begin().await;
    rig.middle(2).await;
    rig.redis.kill();
    let run = server.ended(&location).await;
    truthful(&run);
    assert_eq!(run["status"], "failed");
    assert!(run["error"].as_str().unwrap().contains("the counters could not be read"), "{run}");
    assert_eq!(count(&run, "written"), rig.rows(2).await, "{run}");
    let known = rig.table().await;
    let marks = rig.marks().await;

    rig.redis.restart();
    assert!(rig.counters().is_empty());
    refused(&server.post(SYNC, "").await);
    counted(&server, "late-1", "k00007").await;
    counted(&server, "late-2", "new:*").await;
    refused(&server.post(SYNC, "").await);
    let reply = server.post(VALIDATE, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::INTERNAL_SERVER_ERROR, 110_005), "{reply:?}");
    assert!(reply.data()["errors"][0]["message"].as_str().unwrap().contains("emptied or replaced"));
    assert_eq!((rig.table().await, rig.marks().await), (known.clone(), marks), "nothing has changed");

    let reply = server.post(VALIDATE, r#"{"mode":"repair"}"#).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, 200), "{reply:?}");
    truthful(reply.data());
    let mut expected = known;
    expected.get_mut(&format!("questionnaire:k00007:{}", rig.today)).unwrap().0 += 1;
    expected.insert(format!("questionnaire:new:*:{}", rig.today), (1, 0));
    assert_eq!(rig.counters(), expected, "what was known, and the events on top");
    let repaired = server.post(VALIDATE, r#"{"mode":"repair"}"#).await;
    assert_eq!(repaired.status, StatusCode::OK, "{repaired:?}");
    server.sync().await;
    server.validate().await;
    assert_eq!(rig.counters(), expected, "once");
    assert_eq!(rig.table().await, expected);
    let again = json!({"event_id": "late-1", "type": "submitted", "questionnaire_code": "k00007"});
    assert_eq!(server.post(EVENTS, &again.to_string()).await.data()["counted"], false);
}

#[tokio::test]
async fn a_redis_that_comes_back_older_is_noticed_and_raised_to_what_the_table_knows() {
    let Some(mut rig) = Rig::start("Redis comes back from an old snapshot", "3s").await else { return };
    let server = rig.server().await;
    for (id, key) in [("1", "a"), ("2", "a"), ("3", "b")] {
        counted(&server, id, key).await;
    }
    server.sync().await;
    rig.redis.run::<()>(&["SAVE"]);
    for (id, key) in [("4", "a"), ("5", "c"), ("6", "a")] {
        counted(&server, id, key).await;
    }
    server.sync().await;
    let known = rig.table().await;

    rig.redis.restart();
    for _ in 0..2 {
        let reply = server.post(SYNC, "").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::INTERNAL_SERVER_ERROR, 110_001), "{reply:?}");
        assert!(reply.message().contains("went back: the last sync carried 6 events, now they know 3"));
        let reply = server.post(VALIDATE, "").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::INTERNAL_SERVER_ERROR, 110_005), "{reply:?}");
    }
    assert_eq!(rig.table().await, known, "no row was lowered");

    let reply = server.post(VALIDATE, r#"{"mode":"repair"}"#).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, 200), "{reply:?}");
    truthful(reply.data());
    assert_eq!(rig.counters(), known, "raised, and none twice");
    counted(&server, "7", "a").await;
    server.sync().await;
    server.validate().await;
    let mut expected = known;
    expected.get_mut(&format!("questionnaire:a:{}", rig.today)).unwrap().0 += 1;
    assert_eq!((rig.table().await, rig.counters()), (expected.clone(), expected));
}

#[tokio::test]
async fn a_connection_that_was_cut_while_it_was_idle_is_made_anew() {
    let Some(rig) = Rig::start("idle connections to Redis are cut", "3s").await else { return };
    let server = rig.server().await;
    for round in 0..3 {
        rig.redis.run::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        match round {
            0 => counted(&server, "1", "a").await,
            1 => drop(server.sync().await),
            _ => server.validate().await,
        }
    }
    rig.redis.run::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    assert_eq!(server.get("/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_flush_in_mid_sync_is_never_a_success() {
    let Some(rig) = Rig::start("Redis is flushed in mid-sync", "3s").await else { return };
    let server = rig.server().await;
    // The first sync has no mark before it, the second one has.
    for round in 1..=2 {
        rig.fill(round, MANY);
        let marks = rig.marks().await;
        let location = server.begin().await;
        rig.middle(round).await;
        rig.redis.flush();
        let run = server.ended(&location).await;
        truthful(&run);
        assert_eq!(run["status"], "failed", "{run}");
        assert!(run["error"].as_str().unwrap().contains("emptied or replaced"), "{run}");
        assert_eq!(rig.marks().await, marks, "no mark moved");
        if round == 1 {
            rig.fill(1, MANY);
            server.sync().await;
            assert_eq!(rig.table().await, filled(rig.today, 1, MANY));
        }
    }
    refused(&server.post(SYNC, "").await);
}
