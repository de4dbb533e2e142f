//! The demonstration, as a new user runs it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, sql};

use crate::support::databases::service;
use crate::support::services::PrivateRedis;

/// The demonstration in a temporary directory of its own. Without cargo's variables it takes the programs beside it.
fn demo(temporary: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qs-scheduler"));
    command.arg("demo").env("TMPDIR", temporary).env_remove("CARGO").env_remove("CARGO_MANIFEST_DIR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn every_step_comes_out_as_it_must_and_nothing_is_left() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert_steps(&stdout);
    assert!(stdout.contains("embedded data in"), "{stdout}");
    assert!(stdout.contains("] API call successful (HTTP 200") && stdout.contains("code 100101"), "{stdout}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// Eight of business, three rounds of the crontab's five entries, five of things that break.
fn assert_steps(stdout: &str) {
    assert!(stdout.contains("Every step came out as it must"), "{stdout}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with(" ok ")).count(), 8 + 15 + 5, "{stdout}");
}

#[tokio::test]
async fn the_same_runs_on_mysql_and_redis_and_leaves_nothing() {
    let Some(mysql) = service("mysql", "QS_TEST_MYSQL_URL") else { return };
    let Some(redis) = PrivateRedis::start("the demonstration on servers") else { return };
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path())
        .env("QS_DEMO_MYSQL_URL", &mysql)
        .env("QS_DEMO_REDIS_URL", redis.url())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert_steps(&stdout);
    let (_, told) = stdout.split_once("with the database ").unwrap();
    let database = told.split_whitespace().next().unwrap();
    let db = Db::connect(&Address::Url(Secret::new(&mysql)), 2).await.unwrap();
    let left = sql("select 1 from information_schema.schemata where schema_name = ?").bind(database);
    assert!(db.fetch_all(left).await.unwrap().is_empty(), "{database} is left");

    // A Redis that holds something is refused, and nothing in it is touched.
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: i64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 0, "everything was removed");
    let _: () = redis::cmd("SET").arg("mine").arg("1").query_async(&mut connection).await.unwrap();
    let refused = demo(temporary.path())
        .env("QS_DEMO_MYSQL_URL", &mysql)
        .env("QS_DEMO_REDIS_URL", redis.url())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds 1 keys"), "{refused:?}");
    let mine: String = redis::cmd("GET").arg("mine").query_async(&mut connection).await.unwrap();
    assert_eq!(mine, "1");
}

/// What cannot be removed is said, never "everything is removed": by the failure of a demonstration that came to its
/// end, beside the failure of one that was stopped.
#[tokio::test]
async fn what_is_left_is_told() {
    let Some(mysql) = service("mysql", "QS_TEST_MYSQL_URL") else { return };
    let Some(redis) = PrivateRedis::start("a demonstration that cannot clean up") else { return };
    redis.run::<()>(&["ACL", "SETUSER", "default", "-flushdb"]);
    let temporary = tempfile::tempdir().unwrap();
    let on_servers = || {
        let mut demo = demo(temporary.path());
        demo.env("QS_DEMO_MYSQL_URL", &mysql).env("QS_DEMO_REDIS_URL", redis.url());
        demo
    };
    let mut stopped = on_servers().spawn().unwrap();
    let mut line = String::new();
    BufReader::new(stopped.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(Command::new("kill").arg(stopped.id().to_string()).status().unwrap().success());
    let stopped = stopped.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(143), "{line}{told}");
    assert!(told.contains("could not be removed: QS_DEMO_REDIS_URL: "), "{told}");
    assert!(told.contains("stopped by SIGTERM"), "{told}");

    redis.run::<()>(&["FLUSHALL"]);
    let ended = on_servers().output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(74), "{told}");
    assert_eq!(told.matches("could not be removed: QS_DEMO_REDIS_URL: ").count(), 1, "{told}");
    let stdout = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(stdout.lines().filter(|line| line.starts_with(" ok ")).count(), 8 + 15 + 5, "{stdout}");
    assert!(!stdout.contains("removed"), "{stdout}");
    let db = Db::connect(&Address::Url(Secret::new(&mysql)), 2).await.unwrap();
    for text in [line.as_str(), &stdout] {
        let (_, told) = text.split_once("with the database ").unwrap();
        let database = told.split_whitespace().next().unwrap();
        let left = sql("select 1 from information_schema.schemata where schema_name = ?").bind(database);
        assert!(
            db.fetch_all(left).await.unwrap().is_empty(),
            "{database} is left although it could be removed"
        );
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_demonstration_that_is_stopped_cleans_up_too() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = demo(temporary.path()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("qs-apiserver serves on"), "{line}");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap().to_owned();
    let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    // The server goes with it; the kernel may need a moment to close its socket.
    let gone = (0..1_000_000).any(|_| std::net::TcpStream::connect(&address).is_err());
    assert!(gone, "the server still listens on {address}");
}
