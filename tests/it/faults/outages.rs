//! A store that is down, full or too busy: whoever asks is told soon, when to come again, and the log says the true reason.

use std::time::{Duration, Instant};

use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, Tx, sql};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{EVENTS, MANY, Rig, SYNC, Signed, truthful};
use crate::support::apiserver::{Reply, refused};
use crate::support::services::{PrivateRedis, free_port};
use crate::support::wait::until;

const PLANS: &str = "/api/v1/plans";
const SCHEDULE: &str = "/api/v1/plans/tasks/schedule";

/// What is promised is two seconds; the machine of a test has other things to do.
const SOON: Duration = Duration::from_secs(5);

#[track_caller]
fn is_refused(reply: &Reply) {
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_506), "{reply:?}");
    assert_eq!(reply.headers["retry-after"], "2", "{reply:?}");
}

/// Everything that needs the database is refused soon, for this reason.
async fn database_is_down(server: &Signed, reason: &str) {
    let event = json!({"event_id": "e", "type": "submitted", "questionnaire_code": "q"}).to_string();
    let before = server.server.log().len();
    for (method, path, body) in [
        (Method::GET, PLANS, ""),
        (Method::GET, "/api/v1/statistics/runs", ""),
        (Method::POST, SYNC, ""),
        (Method::POST, SCHEDULE, ""),
    ] {
        let began = Instant::now();
        let headers = [("authorization", server.bearer.as_str())];
        let reply = server.server.send(method, path, &headers, body).await;
        assert!(began.elapsed() < SOON, "{path}: {:?}", began.elapsed());
        is_refused(&reply);
        assert!(!reply.body.to_string().contains("127.0.0.1"), "{reply:?}");
    }
    let counted = server.post(EVENTS, &event).await;
    assert_eq!(counted.status, StatusCode::OK, "events need the counters alone: {counted:?}");
    // The log is written beside the requests.
    let log = until("the log tells of all", async || {
        let log = server.server.log().split_off(before);
        (log.matches("request failed").count() >= 4).then_some(log)
    })
    .await;
    assert!(!log.contains("pool timed out"), "{log}");
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("request failed")).collect();
    assert!(failed.len() >= 4 && failed.iter().all(|line| line.contains(reason)), "{reason} in {log}");
}

/// Ends every connection of the servers.
async fn cut(rig: &Rig) {
    let query = sql("select id from information_schema.processlist where db = 'qs'");
    for row in rig.db.fetch_all(query).await.unwrap() {
        // It may have ended by itself.
        let _ = rig.db.execute(sql(format!("kill {}", row.columns().int().unwrap()))).await;
    }
}

async fn is_back(server: &Signed) {
    until("it works again", async || (server.get(PLANS).await.status == StatusCode::OK).then_some(())).await;
    server.sync().await;
}

#[tokio::test]
async fn a_database_that_refuses_connections() {
    let Some(mut rig) = Rig::start("MariaDB is down", "3s").await else { return };
    let server = rig.server().await;
    rig.mariadb.kill();
    database_is_down(&server, "Connection refused").await;
    let (database, redis) = (rig.mariadb.url(), rig.redis.url());
    let began = Instant::now();
    let (code, stderr) =
        refused(&["serve", "--dev-iam"], &[("QS_DATABASE__URL", &database), ("QS_REDIS__URL", &redis)]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!((code, stderr.lines().count()), (Some(74), 1), "it can be started again: {stderr}");
    assert!(stderr.contains("Connection refused") && !stderr.contains("pool"), "{stderr}");
    rig.mariadb.restart();
    is_back(&server).await;
}

#[tokio::test]
async fn a_database_that_is_silent() {
    let Some(rig) = Rig::start("MariaDB is silent", "3s").await else { return };
    let server = rig.server().await;
    rig.mariadb.signal("-STOP");
    // Its threads stop one after the other.
    until("it is silent", async || (server.get(PLANS).await.status != StatusCode::OK).then_some(())).await;
    database_is_down(&server, "no answer within").await;
    rig.mariadb.signal("-CONT");
    is_back(&server).await;
}

#[tokio::test]
async fn a_database_that_does_not_let_us_in() {
    let Some(rig) = Rig::start("the password was changed", "3s").await else { return };
    for statement in
        ["create user amy@'127.0.0.1' identified by 'pw'", "grant all on qs.* to amy@'127.0.0.1'"]
    {
        rig.db.execute(sql(statement)).await.unwrap();
    }
    let (url, redis) = (rig.mariadb.url_of("amy:pw"), rig.redis.url());
    let server = Signed::start(&[("QS_DATABASE__URL", &url), ("QS_REDIS__URL", &redis)]).await;
    rig.db.execute(sql("set password for amy@'127.0.0.1' = password('other')")).await.unwrap();
    cut(&rig).await;
    database_is_down(&server, "Access denied").await;
    rig.db.execute(sql("set password for amy@'127.0.0.1' = password('pw')")).await.unwrap();
    is_back(&server).await;
}

#[tokio::test]
async fn a_database_with_too_many_connections() {
    let what = "MariaDB has too many connections";
    let Some(rig) = Rig::start_with(what, "3s", &["--max-connections=20"]).await else { return };
    for statement in
        ["create user amy@'127.0.0.1' identified by 'pw'", "grant all on qs.* to amy@'127.0.0.1'"]
    {
        rig.db.execute(sql(statement)).await.unwrap();
    }
    let (url, redis) = (rig.mariadb.url_of("amy:pw"), rig.redis.url());
    let server = Signed::start(&[("QS_DATABASE__URL", &url), ("QS_REDIS__URL", &redis)]).await;
    let mut taken = Vec::new();
    // Those of the server are ended until the others have taken every place.
    until("every place is taken", async || {
        cut(&rig).await;
        let others = rig.mariadb.url_of("root");
        let others = Address::Url(Secret::new(others.trim_end_matches("/qs").to_owned()));
        for _ in 0..25 {
            match Db::connect(&others, 1).await {
                Ok(db) => taken.push(db),
                Err(_) => break,
            }
        }
        (server.get(PLANS).await.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    database_is_down(&server, "Too many connections").await;
    for db in taken {
        db.close().await;
    }
    is_back(&server).await;
}

#[tokio::test]
async fn connections_that_are_all_in_use() {
    let Some(rig) = Rig::start("every connection is in use", "60s").await else { return };
    let (database, redis) = (rig.mariadb.url(), rig.redis.url());
    let env = [
        ("QS_DATABASE__URL", &*database),
        ("QS_REDIS__URL", &*redis),
        ("QS_DATABASE__CONNECTIONS", "2"),
        ("QS_SERVER__REQUEST_TIMEOUT", "60s"),
    ];
    let server = Signed::start(&env).await;
    let mut tx: Tx = rig.db.begin().await.unwrap();
    tx.execute(sql("lock tables qs.assessment_plan write")).await.unwrap();
    let slow = async {
        tokio::join!(server.get(PLANS), server.get(PLANS));
    };
    let quick = async {
        until("both wait for the table", async || {
            let query = sql("select count(*) from information_schema.processlist where db = 'qs' \
                             and state like 'Waiting for table%'");
            (super::number(&rig.db, query).await == Some(2)).then_some(())
        })
        .await;
        database_is_down(&server, "each of its 2 connections has been in use").await;
        tx.execute(sql("unlock tables")).await.unwrap();
    };
    tokio::join!(slow, quick);
    is_back(&server).await;
}

#[tokio::test]
async fn a_redis_that_is_down_or_silent() {
    let Some(mut redis) = PrivateRedis::start("Redis is down") else { return };
    let server = Signed::start(&[("QS_REDIS__URL", &redis.url())]).await;
    let event = |id| json!({"event_id": id, "type": "submitted", "questionnaire_code": "q"}).to_string();
    let counters_are_down = async |reason: &str| {
        // The first request may find the connection cut, and says so.
        until(&format!("the log says {reason}"), async || {
            let began = Instant::now();
            is_refused(&server.post(EVENTS, &event("e")).await);
            assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
            let log = server.server.log();
            log.lines().any(|line| line.contains("request failed") && line.contains(reason)).then_some(())
        })
        .await;
        assert_eq!(server.get(PLANS).await.status, StatusCode::OK, "plans need the database alone");
    };
    redis.signal("-STOP");
    counters_are_down("no answer within").await;
    redis.signal("-CONT");
    until("it works again", async || {
        (server.post(EVENTS, &event("e")).await.status == StatusCode::OK).then_some(())
    })
    .await;

    redis.kill();
    counters_are_down("Connection refused").await;
    // A sync is recorded, and says that it could not go on.
    let reply = server.post(SYNC, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_001), "{reply:?}");
    assert_eq!(reply.headers["retry-after"], "2", "{reply:?}");
    truthful(reply.data());
    assert_eq!(reply.data()["status"], "failed");
    let all = server.post(&format!("{SYNC}?org=all"), "").await;
    assert_eq!(all.status, StatusCode::SERVICE_UNAVAILABLE, "{all:?}");

    let began = Instant::now();
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    let (code, stderr) = refused(&["serve", "--dev-iam"], &[("QS_REDIS__URL", &nowhere)]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!((code, stderr.contains("Connection refused")), (Some(74), true), "{stderr}");
}

#[tokio::test]
async fn a_sync_that_loses_its_counters_says_when_to_come_again() {
    let Some(mut rig) = Rig::start("Redis is killed under a sync that is waited for", "3s").await else {
        return;
    };
    let server = rig.server().await;
    rig.fill(1, MANY);
    let waited = server.post(SYNC, "");
    let disturbed = async {
        rig.middle(1).await;
    };
    tokio::pin!(waited);
    tokio::select! {
        reply = &mut waited => panic!("the sync was over before it could be disturbed: {reply:?}"),
        () = disturbed => {}
    }
    rig.redis.kill();
    let reply = waited.await;
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_001), "{reply:?}");
    assert_eq!(reply.headers["retry-after"], "2", "{reply:?}");
    truthful(reply.data());
    assert!(reply.message().contains("Connection refused") || reply.message().contains("Redis"), "{reply:?}");
}
