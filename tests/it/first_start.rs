//! First starts that happen together, and first starts that were killed.

use std::process::Child;
use std::time::{Duration, Instant};

use qs_scheduler::sql::{Address, Columns, Db, sql};
use qs_scheduler::store::business::sql::SqlStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

use crate::support::apiserver::{ACCOUNT, Server, command};
use crate::support::databases::TestDatabase;
use crate::support::services::PrivateRedis;

/// Databases that are each begun by several processes.
const ROUNDS: usize = 4;

/// The steps on MySQL, whose changes of tables cannot be undone, in their order.
fn steps() -> Vec<String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/business/sql/migrations/mysql");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn statements(step: &str) -> Vec<&str> {
    step.split(";\n").map(str::trim).filter(|text| !text.is_empty()).collect()
}

/// Two servers and two `migrate`, all at once; each must succeed.
fn begin_together(env: &[(&str, &str)]) {
    let servers = || {
        let env: Vec<(&str, &str)> = [&ACCOUNT, env].concat();
        drop(Server::start(&env));
    };
    let migrate = || {
        let output = command(&tempfile::tempdir().unwrap(), env).arg("migrate").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(servers);
            scope.spawn(migrate);
        }
    });
}

#[test]
fn processes_that_begin_a_file_together_take_turns() {
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        begin_together(&[("QS_DATABASE__URL", &format!("sqlite:{}/shared.db", dir.path().display()))]);
    }
}

#[tokio::test]
async fn a_file_that_another_process_begins_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.db");
    let file = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = file.connect().await.unwrap();
    other.execute("create table begun (id integer primary key)").await.unwrap();
    other.execute("begin immediate").await.unwrap();
    let address = Address::File(path);
    let mut opening = std::pin::pin!(Db::connect(&address, 1));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut opening).await;
    assert!(early.is_err(), "it waits: {early:?}");
    other.execute("rollback").await.unwrap();
    opening.await.unwrap().close().await;
}

#[tokio::test]
async fn processes_that_begin_a_database_together_take_turns() {
    let Some(redis) = PrivateRedis::start("servers that start together") else { return };
    for _ in 0..ROUNDS {
        let Some(database) = TestDatabase::mysql().await else { return };
        begin_together(&[("QS_DATABASE__URL", &database.url), ("QS_REDIS__URL", &redis.url())]);
    }
}

/// Tables, columns, indexes and the history, as lines.
async fn schema(db: &Db) -> Vec<String> {
    let mut lines = Vec::new();
    for query in [
        "select concat_ws(' ', lower(table_name), column_name, column_type, is_nullable, column_default, \
         collation_name, extra) from information_schema.columns where table_schema = database() order by 1",
        "select concat_ws(' ', lower(table_name), index_name, non_unique, seq_in_index, column_name) \
         from information_schema.statistics where table_schema = database() order by 1",
        "select concat_ws(' ', version, description, success, hex(checksum)) from qs_store_migrations order by 1",
    ] {
        lines.extend(db.read_all(sql(query), Columns::text).await.unwrap());
    }
    lines
}

#[tokio::test]
async fn a_step_that_was_begun_is_finished_by_the_next_start() {
    let Some(fresh) = TestDatabase::mysql().await else { return };
    let (complete, name) = (fresh.connect().await, fresh.url.rsplit_once('/').unwrap().1);
    SqlStore::migrate(&complete).await.unwrap();
    let expected = schema(&complete).await;
    let history = "qs_store_migrations";
    let steps = steps();
    assert_eq!(steps.len(), SqlStore::every_change(), "each step is tried here");
    for (unfinished, step) in steps.iter().enumerate() {
        for done in 0..=statements(step).len() {
            let database = TestDatabase::mysql().await.unwrap();
            let db = database.connect().await;
            let earlier = steps[..unfinished].iter().flat_map(|step| statements(step));
            for statement in earlier.chain(statements(step).into_iter().take(done)) {
                db.execute(sql(statement)).await.unwrap();
            }
            let version = i64::try_from(unfinished + 1).unwrap();
            for statement in [
                format!("create table {history} like {name}.{history}"),
                format!("insert into {history} select * from {name}.{history} where version <= {version}"),
                format!("update {history} set success = false where version = {version}"),
            ] {
                db.execute(sql(statement)).await.unwrap();
            }
            let missing = SqlStore::pending(&db).await;
            assert!(matches!(missing, Ok(1..)), "step {version} after {done}: {missing:?}");
            let migrated = SqlStore::migrate(&db).await;
            assert!(migrated.is_ok(), "step {version} after {done}: {migrated:?}");
            assert_eq!(schema(&db).await, expected, "step {version} after {done}");
            db.close().await;
        }
    }
    complete.close().await;
}

/// Kills it as soon as so many tables are there. Whether it still lived.
async fn kill_at(mut child: Child, db: &Db, tables: i64) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    let count = "select count(*) from information_schema.tables where table_schema = database()";
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it takes its steps");
        if db.read_one(sql(count), Columns::int).await.unwrap() >= Some(tables) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

#[tokio::test]
async fn a_start_that_was_killed_is_no_obstacle_to_the_next_one() {
    let Some(fresh) = TestDatabase::mysql().await else { return };
    let complete = fresh.connect().await;
    SqlStore::migrate(&complete).await.unwrap();
    let (expected, mut killed) = (schema(&complete).await, 0);
    for tables in 1..=8 {
        let database = TestDatabase::mysql().await.unwrap();
        let (dir, db) = (tempfile::tempdir().unwrap(), database.connect().await);
        let env = [("QS_DATABASE__URL", &*database.url), ("QS_REDIS__URL", "redis://127.0.0.1:1")];
        killed += u32::from(kill_at(command(&dir, &env).arg("migrate").spawn().unwrap(), &db, tables).await);
        let again = command(&dir, &env).arg("migrate").output().unwrap();
        assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
        assert_eq!(schema(&db).await, expected, "killed at {tables} tables");
        db.close().await;
    }
    assert!(killed > 0, "each had ended before");
    complete.close().await;
}

#[tokio::test]
async fn another_time_zone_than_that_of_the_last_start_is_told_once() {
    let Some(redis) = PrivateRedis::start("servers in several zones") else { return };
    for database in TestDatabase::every().await {
        let (redis, on_mysql) = (redis.url(), database.name == "MySQL");
        let told = |zone: &str| {
            let mut env =
                [&ACCOUNT[..], &[("QS_DATABASE__URL", &*database.url), ("QS_SERVER__TIMEZONE", zone)]]
                    .concat();
            env.extend(on_mysql.then_some(("QS_REDIS__URL", &*redis)));
            let mut server = Server::start(&env);
            assert_eq!(server.terminate("-TERM").0, Some(0));
            ["server.timezone", "database.timezone"]
                .map(|setting| server.log().matches(&format!("{setting} is another one than that")).count())
        };
        assert_eq!(told("Asia/Shanghai"), [0, 0], "{}", database.name);
        assert_eq!(told("Asia/Shanghai"), [0, 0], "{}", database.name);
        // The columns of MySQL show the wall clock of the business, where nothing else is said.
        assert_eq!(told("America/New_York"), [1, usize::from(on_mysql)], "{}", database.name);
        assert_eq!(told("America/New_York"), [0, 0], "{}", database.name);
        assert_eq!(told("Asia/Shanghai"), [1, usize::from(on_mysql)], "{}", database.name);
    }
}
