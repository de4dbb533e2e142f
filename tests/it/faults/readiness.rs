//! `/ready` writes: a store that answers and takes no writes is not ready, and the reason is in the log.

use std::path::Path;

use qs_scheduler::sql::sql;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::disk::SmallDisk;
use super::{EVENTS, Rig, Signed, number};
use crate::support::apiserver::Reply;
use crate::support::services::PrivateRedis;
use crate::support::wait::until;

async fn ready(server: &Signed) -> Reply {
    server.server.send(Method::GET, "/ready", &[], "").await
}

/// Waits until both are called this: an answer counts for a second.
async fn until_they_are(server: &Signed, store: &str, counters: &str) {
    let expected = json!({"store": store, "counters": counters});
    until(&format!("they are {expected}"), async || {
        let reply = ready(server).await;
        let all = store == "ok" && counters == "ok";
        let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let found = reply.body["checks"] == expected;
        assert!(!found || reply.status == status, "{reply:?}");
        found.then_some(())
    })
    .await;
}

/// A request that must write is refused in a way that says when to come again, and the log says why.
async fn event_is_refused(server: &Signed, reason: &str) {
    let event = json!({"event_id": "e", "type": "submitted", "questionnaire_code": "q"});
    let reply = server.post(EVENTS, &event.to_string()).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_506), "{reply:?}");
    assert_eq!(reply.headers["retry-after"], "2");
    assert!(!reply.body.to_string().contains(reason), "the reason is for the log: {reply:?}");
    // The log is written beside the requests.
    for what in ["request failed", "not ready"] {
        until(what, async || {
            let told = |line: &str| line.contains(what) && line.contains(reason);
            server.server.log().lines().any(told).then_some(())
        })
        .await;
    }
}

/// Fills a disk until not one byte more goes in.
fn fill_up(disk: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(disk.join("filler")).unwrap();
    for size in [1 << 16, 1 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test]
async fn a_full_disk_is_not_ready() {
    let Some(disk) = SmallDisk::mount("a full disk is not ready", "4m") else { return };
    let url = format!("sqlite:{}/qs.db", disk.path().display());
    let server = Signed::start(&[("QS_DATABASE__URL", &url)]).await;
    until_they_are(&server, "ok", "ok").await;
    fill_up(&disk.path());
    until_they_are(&server, "not writable", "not writable").await;
    until("the log says why", async || {
        let log = server.server.log();
        (log.contains("No space left on device") || log.contains("is full")).then_some(())
    })
    .await;
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    until_they_are(&server, "ok", "ok").await;
    let left: Vec<_> = std::fs::read_dir(disk.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "nothing but the database and what SQLite puts beside it: {left:?}");
}

#[tokio::test]
async fn a_read_only_file_is_not_ready() {
    let mut first = Signed::start(&[]).await;
    assert_eq!(first.server.terminate("-TERM").0, Some(0));
    let dir = first.server.take_dir();
    let url = format!("sqlite:{}/qs.db?mode=ro", dir.path().display());
    let server = Signed::start(&[("QS_DATABASE__URL", &url)]).await;
    until_they_are(&server, "not writable", "not writable").await;
    event_is_refused(&server, "readonly").await;
}

#[tokio::test]
async fn a_read_only_database_is_not_ready() {
    let Some(rig) = Rig::start("MariaDB becomes read-only", "3s").await else { return };
    for statement in [
        "create user amy@'127.0.0.1' identified by 'pw'",
        "grant create, alter, index, select, insert, update, delete on qs.* to amy@'127.0.0.1'",
    ] {
        rig.db.execute(sql(statement)).await.unwrap();
    }
    let url = rig.mariadb.url_of("amy:pw");
    let redis = rig.redis.url();
    let server = Signed::start(&[("QS_DATABASE__URL", &url), ("QS_REDIS__URL", &redis)]).await;
    until_they_are(&server, "ok", "ok").await;
    rig.db.execute(sql("set global read_only = 1")).await.unwrap();
    until_they_are(&server, "not writable", "ok").await;
    let reply = server.post(super::SYNC, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_506), "{reply:?}");
    assert!(server.server.log().contains("--read-only"), "{}", server.server.log());
    rig.db.execute(sql("set global read_only = 0")).await.unwrap();
    until_they_are(&server, "ok", "ok").await;
    server.sync().await;
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_ready() {
    let server = Signed::start(&[]).await;
    until_they_are(&server, "ok", "ok").await;
    let (file, away) = (server.dir().join("qs.db"), server.dir().join("away"));
    std::fs::rename(&file, &away).unwrap();
    until_they_are(&server, "unreachable", "unreachable").await;
    assert!(!file.exists(), "no connection makes an empty one");
    std::fs::copy(&away, &file).unwrap();
    until("the log says so", async || {
        assert_eq!(ready(&server).await.status, StatusCode::SERVICE_UNAVAILABLE);
        server.server.log().contains("is another file than the one that was opened").then_some(())
    })
    .await;
}

async fn on_redis(what: &str) -> Option<(PrivateRedis, Signed)> {
    let redis = PrivateRedis::start_with(what, &["--save", "3600", "1"])?;
    let server = Signed::start(&[("QS_REDIS__URL", &redis.url())]).await;
    until_they_are(&server, "ok", "ok").await;
    Some((redis, server))
}

#[tokio::test]
async fn a_redis_that_throws_keys_away_is_told_once_at_the_start_and_when_it_begins_to() {
    let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let Some(redis) = PrivateRedis::start_with("a Redis that throws keys away", &options) else { return };
    let url = redis.url();
    let server = Signed::start(&[("QS_REDIS__URL", &url)]).await;
    let told = |words: &str| server.server.log().matches(words).count();
    assert_eq!(told("Redis may throw counters away"), 1, "{}", server.server.log());
    until_they_are(&server, "ok", "ok").await;
    redis.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    until("the change is told", async || {
        ready(&server).await;
        (told("Redis may forget which events were counted") == 1).then_some(())
    })
    .await;
    assert_eq!(told("Redis may throw counters away"), 1);

    // A user who may not ask is no reason for a claim, and ready.
    redis.run::<()>(&["ACL", "SETUSER", "low", "on", ">pw", "~*", "+@all", "-info"]);
    let low = url.replace("redis://", "redis://low:pw@");
    let server = Signed::start(&[("QS_REDIS__URL", &low)]).await;
    until_they_are(&server, "ok", "ok").await;
    assert!(!server.server.log().contains("Redis may"), "{}", server.server.log());
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_is_not_ready() {
    let Some((redis, server)) = on_redis("a Redis that takes no writes").await else { return };
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    until_they_are(&server, "ok", "not writable").await;
    event_is_refused(&server, "OOM").await;
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until_they_are(&server, "ok", "ok").await;

    redis.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    until_they_are(&server, "ok", "not writable").await;
    event_is_refused(&server, "READONLY").await;
    redis.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    until_they_are(&server, "ok", "ok").await;

    // A directory stands where its file shall be.
    let dir: Vec<String> = redis.run(&["CONFIG", "GET", "dir"]);
    std::fs::create_dir(Path::new(&dir[1]).join("dump.rdb")).unwrap();
    redis.run::<()>(&["SET", "x", "y"]);
    redis.run::<()>(&["BGSAVE"]);
    until_they_are(&server, "ok", "not writable").await;
    event_is_refused(&server, "MISCONF").await;
}

#[tokio::test]
async fn many_who_ask_share_one_probe() {
    let mut server = Signed::start(&[]).await;
    let probes = async |server: &Signed| {
        let url = format!("sqlite:{}/qs.db", server.dir().display());
        let address = qs_scheduler::sql::Address::Url(qs_scheduler::secret::Secret::new(url));
        let db = qs_scheduler::sql::Db::look(&address).await.unwrap().unwrap();
        let probes = number(&db, sql("select probes from qs_probe")).await;
        db.close().await;
        probes.unwrap_or(0)
    };
    let before = std::time::Instant::now();
    for _ in 0..200 {
        assert_eq!(ready(&server).await.status, StatusCode::OK);
    }
    let most = i64::try_from(before.elapsed().as_secs()).unwrap() + 1;
    let made = probes(&server).await;
    assert!((1..=most).contains(&made), "{made} probes for 200 who asked, in {:?}", before.elapsed());
    assert!(server.server.lives());
}
