//! What a server can do to its clients: a flush, an end, a replica, a password, a certificate. Each test has a server of
//! its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use qs_scheduler::counters::redis::RedisCounters;
use qs_scheduler::counters::{Counters, CountersError, Cursor, Mark};
use qs_scheduler::domain::statistics::{DailyCount, Days, Distribution};
use qs_scheduler::secret::Secret;

use super::{all, at, day, key, submitted};
use crate::support::counting::CountOne;
use crate::support::services::{self, PrivateRedis};
use crate::support::tls::Authority;

/// How long the programs remember events here.
pub(super) const REMEMBER: Duration = Duration::from_secs(7 * 86_400);

/// How long a server may be missed after it has come back.
pub(super) const BACK: Duration = Duration::from_secs(20);

pub(super) async fn connect(redis: &PrivateRedis) -> RedisCounters {
    RedisCounters::connect(&Secret::new(redis.url()), REMEMBER).await.unwrap()
}

/// Counts `number` subjects of one day.
pub(super) async fn fill(counters: &RedisCounters, org_id: i64, number: usize) {
    let names: Vec<String> = (0..number).map(|number| format!("k{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let event = submitted(&format!("fill{number}"), "2026-01-01", &names);
    assert!(counters.count_one(org_id, &event, at(1)).await.unwrap());
}

async fn first_page(counters: &RedisCounters) -> Cursor {
    counters.page(1, &Days::All, None, 10).await.unwrap().next.expect("more than one page")
}

/// Asks until the server is back on the same handle.
async fn back(counters: &RedisCounters) {
    let deadline = Instant::now() + BACK;
    while let Err(error) = counters.ready().await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_flush_while_pages_are_read_is_an_error() {
    let Some(redis) = PrivateRedis::start("redis counters are flushed") else { return };
    let counters = connect(&redis).await;
    fill(&counters, 1, 500).await;
    let old = counters.mark(1).await.unwrap();
    let known = [DailyCount {
        key: key("2026-01-01", "k0"),
        submissions: 3,
        completions: 0,
        distribution: Distribution::default(),
    }];
    assert_eq!(counters.restore(1, &known, None).await.unwrap(), 1);
    let emptied = |error: CountersError| {
        let text = "page: the counters were emptied or replaced while they were read";
        assert_eq!(error.to_string(), text);
    };
    let cursor = first_page(&counters).await;
    redis.flush();
    emptied(counters.page(1, &Days::All, Some(cursor.clone()), 10).await.unwrap_err());
    fill(&counters, 1, 500).await;
    emptied(counters.page(1, &Days::All, Some(cursor), 10).await.unwrap_err());
    assert_eq!(all(&counters, 1, &Days::All, 10).await.len(), 500, "a new beginning reads them");

    let new = counters.mark(1).await.unwrap();
    assert_ne!(old.generation, new.generation);
    assert_eq!(counters.touched(1, Some(&old)).await.unwrap().days, [day("2026-01-01")].into());
    assert_eq!(counters.restore(1, &known, None).await.unwrap(), 1, "once in each generation");
    assert_eq!(counters.restore(1, &known, None).await.unwrap(), 0);
}

#[tokio::test]
async fn whenever_the_flush_comes_pages_are_whole_or_an_error() {
    let Some(redis) = PrivateRedis::start("redis counters are flushed at any moment") else { return };
    let counters = connect(&redis).await;
    let mut failed = 0;
    for round in 0..40 {
        redis.flush();
        fill(&counters, 1, 1_000).await;
        let flush = async {
            for _ in 0..round * 2 {
                tokio::task::yield_now().await;
            }
            counters.mark(2).await.unwrap();
            redis.flush();
        };
        let (read, ()) = tokio::join!(try_all(&counters), flush);
        match read {
            Ok(read) => assert!(read == 0 || read == 1_000, "{read} of 1000 without an error"),
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 0, "no flush came in the middle");
}

/// How many counters the pages have.
async fn try_all(counters: &RedisCounters) -> Result<usize, CountersError> {
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = counters.page(1, &Days::All, cursor, 100).await?;
        found.extend(page.counters.into_iter().map(|counter| counter.count.key));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found.len());
        }
    }
}

#[tokio::test]
async fn a_mark_that_the_server_has_lost_is_none() {
    let Some(redis) = PrivateRedis::start("redis counters lose their last writes") else { return };
    let counters = connect(&redis).await;
    fill(&counters, 1, 1).await;
    let mark = counters.mark(1).await.unwrap();
    let future = Mark { revision: mark.revision + 5, ..mark.clone() };
    assert!(counters.touched(1, Some(&mark)).await.unwrap().days.is_empty());
    assert_eq!(counters.touched(1, Some(&future)).await.unwrap().days, [day("2026-01-01")].into());
}

#[tokio::test]
async fn a_server_that_ends_and_comes_back() {
    let Some(mut redis) = PrivateRedis::start("redis ends and comes back") else { return };
    let counters = connect(&redis).await;
    fill(&counters, 1, 500).await;
    let mark = counters.mark(1).await.unwrap();
    let cursor = first_page(&counters).await;
    redis.run::<()>(&["SAVE"]);
    redis.kill();
    for _ in 0..2 {
        let error = counters.count_one(1, &submitted("e", "2026-01-01", &["a"]), at(1)).await.unwrap_err();
        assert!(matches!(&error, CountersError::Unreachable { verb: "count", .. }), "{error}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{}", redis.port())), "{error}");
    }
    counters.ready().await.unwrap_err();
    redis.restart();
    back(&counters).await;
    assert_eq!(counters.mark(1).await.unwrap(), mark, "the counters are the same ones");
    let error = counters.page(1, &Days::All, Some(cursor), 10).await.unwrap_err();
    let text = "page: the server was restarted or replaced while the counters were read";
    assert_eq!(error.to_string(), text, "the cursor meant nothing to the new process");
    assert_eq!(all(&counters, 1, &Days::All, 10).await.len(), 500);
}

#[tokio::test]
async fn a_replica_is_not_ready() {
    let Some(redis) = PrivateRedis::start("redis becomes a replica") else { return };
    let counters = connect(&redis).await;
    fill(&counters, 1, 1).await;
    redis.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = counters.ready().await.unwrap_err();
    assert!(error.to_string().contains("READONLY"), "{error}");
    redis.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    counters.ready().await.unwrap();
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let options = ["--requirepass", "hunter2secret"];
    let Some(redis) = PrivateRedis::start_with("redis with a password", &options) else { return };
    let url = |password: &str| Secret::new(format!("redis://:{password}@127.0.0.1:{}/0", redis.port()));
    let refused = RedisCounters::connect(&url("wrong2secret"), REMEMBER).await.unwrap_err();
    let expected = format!("connect: Redis at 127.0.0.1:{}: user name or password was refused", redis.port());
    assert_eq!(refused.to_string(), expected);
    for bad in
        ["http://:wrong2secret@127.0.0.1", "redis://:wrong2secret@host:port", "redis://:wrong2/secret@x:1:2"]
    {
        let error = RedisCounters::connect(&Secret::new(bad), REMEMBER).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("wrong2"), "{error:?}");
    }
    let none = RedisCounters::connect(&Secret::new(redis.url()), REMEMBER).await.unwrap();
    assert!(none.ready().await.unwrap_err().to_string().contains("NOAUTH"));

    let counters = RedisCounters::connect(&url("hunter2secret"), REMEMBER).await.unwrap();
    counters.ready().await.unwrap();
    assert!(!format!("{counters:?} {refused:?}").contains("2secret"), "{counters:?} {refused:?}");

    // A password that is wrong for a while does not spoil the handle.
    let admin = url("hunter2secret");
    let mut admin = redis::Client::open(admin.expose()).unwrap().get_connection().unwrap();
    let mut set = |password: &str| {
        redis::cmd("CONFIG").arg(&["SET", "requirepass", password]).exec(&mut admin).unwrap();
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).exec(&mut admin).unwrap();
    };
    set("another");
    for _ in 0..3 {
        let error = counters.ready().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("2secret"), "{error:?}");
    }
    set("hunter2secret");
    back(&counters).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.write(dir.path());
    let (certificate, key) = authority.write_client(dir.path());
    let port = services::free_port().to_string();
    let [ca, certificate, key] = [&ca, &certificate, &key].map(|path| path.to_str().unwrap());
    let options = [
        "--tls-port",
        &port,
        "--tls-ca-cert-file",
        ca,
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
    ];
    let Some(_redis) = PrivateRedis::start_with("redis with TLS", &options) else { return };
    let url = Secret::new(format!("rediss://127.0.0.1:{port}"));
    let error = RedisCounters::connect(&url, REMEMBER).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
