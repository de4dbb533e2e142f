//! What `migrate --check` leaves alone, and which rights a schema needs that is up to date.

use std::path::Path;

use qs_scheduler::sql::{Columns, Db, sql};

use crate::support::apiserver::{ACCOUNT, Server, command, refused};
use crate::support::databases::TestDatabase;
use crate::support::scratch::snapshot;
use crate::support::services::PrivateRedis;

/// The exit code of the program in this directory, and everything that it says.
fn run(dir: &tempfile::TempDir, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = command(dir, env).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    (output.status.code(), said)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_check_leaves_a_file_as_it_is_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let check = |dir: &tempfile::TempDir| run(dir, &["migrate", "--check"], &[]);
    let lacks = |all: &(Option<i32>, String)| all.0 == Some(1) && all.1.contains("lacks 9 schema changes");
    let missing = check(&dir);
    assert!(lacks(&missing), "{missing:?}");
    let unset = [("QS_DATABASE__URL", "")];
    let nowhere = run(&dir, &["migrate", "--check"], &[unset[0], ("XDG_STATE_HOME", "/nonexistent")]);
    // Root's file is in the state directory of the machine, where another database may be.
    assert!(lacks(&nowhere) || nowhere.0 == Some(0), "{nowhere:?}");
    assert_eq!(names(dir.path()), [""; 0], "nothing was made");

    std::fs::write(dir.path().join("qs.db"), "").unwrap();
    let before = snapshot(dir.path());
    assert!(lacks(&check(&dir)));
    assert_eq!(snapshot(dir.path()), before, "an empty file");

    assert_eq!(run(&dir, &["migrate"], &[]).0, Some(0));
    assert_eq!(names(dir.path()), ["qs.db"]);
    let before = snapshot(dir.path());
    assert_eq!(check(&dir), (Some(0), "the schema is current\n".to_owned()));
    assert_eq!(snapshot(dir.path()), before, "a file that nobody has open");

    let mut server = Server::start_in(dir, &ACCOUNT);
    let dir = server.take_dir();
    let before = names(dir.path());
    assert!(before.contains(&"qs.db-wal".to_owned()), "{before:?}");
    assert_eq!(check(&dir), (Some(0), "the schema is current\n".to_owned()));
    assert_eq!(names(dir.path()), before, "a file that a server has open");
}

async fn tables(db: &Db) -> Vec<String> {
    let query =
        sql("select lower(table_name) from information_schema.tables where table_schema = database()");
    db.read_all(query, Columns::text).await.unwrap()
}

#[tokio::test]
async fn a_check_makes_no_table_and_tells_of_late_columns() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let (dir, db) = (tempfile::tempdir().unwrap(), database.connect().await);
    let env = [("QS_DATABASE__URL", &*database.url), ("QS_REDIS__URL", "redis://127.0.0.1:1")];
    let (code, text) = run(&dir, &["migrate", "--check"], &env);
    assert_eq!((code, text.contains("lacks 8 schema changes")), (Some(1), true), "{text}");
    assert_eq!(tables(&db).await, [""; 0]);

    assert_eq!(run(&dir, &["migrate"], &env).0, Some(0));
    db.execute(sql("alter table statistics_plan drop column version")).await.unwrap();
    let (code, text) = run(&dir, &["migrate", "--check"], &env);
    assert_eq!((code, text.contains("lacks 1 schema change")), (Some(1), true), "{text}");
    let by_hand = [env[0], env[1], ("QS_DATABASE__MIGRATE", "false")];
    let (code, text) = refused(&["serve", "--dev-iam"], &by_hand);
    assert_eq!((code, text.contains("run `qs-apiserver migrate`")), (Some(78), true), "{text}");
    assert_eq!(run(&dir, &["migrate"], &env).0, Some(0));
    assert_eq!(run(&dir, &["migrate", "--check"], &env).0, Some(0));

    // What was cut off is missing, and is done again.
    db.execute(sql("update qs_store_migrations set success = false where version = 2")).await.unwrap();
    let (code, text) = run(&dir, &["migrate", "--check"], &env);
    assert_eq!((code, text.contains("lacks 1 schema change")), (Some(1), true), "{text}");
    assert_eq!(run(&dir, &["migrate"], &env).0, Some(0));
    assert_eq!(run(&dir, &["migrate", "--check"], &env).0, Some(0));
    db.execute(sql("update qs_store_migrations set checksum = 'x' where version = 2")).await.unwrap();
    let (code, text) = run(&dir, &["migrate", "--check"], &env);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("schema change 2 of the database is not the one of this program"), "{text}");
    db.close().await;
}

#[tokio::test]
async fn a_schema_that_is_up_to_date_is_served_without_the_right_to_change_it() {
    let Some(redis) = PrivateRedis::start("a user without CREATE") else { return };
    let Some(database) = TestDatabase::mysql().await else { return };
    let (dir, db, redis) = (tempfile::tempdir().unwrap(), database.connect().await, redis.url());
    let env = [("QS_DATABASE__URL", &*database.url), ("QS_REDIS__URL", &*redis)];
    assert_eq!(run(&dir, &["migrate"], &env).0, Some(0));
    let (server, name) = database.url.rsplit_once('/').unwrap();
    let user = format!("qs_low_{:08x}", fastrand::u32(..));
    for host in ["127.0.0.1", "localhost"] {
        db.execute(sql(format!("create user {user}@'{host}' identified by 'pw'"))).await.unwrap();
        let rights = format!("grant select, insert, update, delete on {name}.* to {user}@'{host}'");
        db.execute(sql(rights)).await.unwrap();
    }
    let place = server.rsplit_once('@').unwrap().1;
    let low = format!("mysql://{user}:pw@{place}/{name}");
    for migrate in ["true", "false"] {
        let env = [
            ACCOUNT[0],
            ACCOUNT[1],
            ("QS_DATABASE__URL", &*low),
            ("QS_REDIS__URL", &*redis),
            ("QS_DATABASE__MIGRATE", migrate),
        ];
        let running = Server::start(&env);
        let ready = running.send(reqwest::Method::GET, "/ready", &[], "").await;
        assert_eq!(ready.body["checks"]["store"], "ok", "{ready:?} {}", running.log());
        assert_eq!(run(&dir, &["migrate", "--check"], &env[2..]).0, Some(0));
        assert_eq!(run(&dir, &["migrate"], &env[2..]).0, Some(0), "nothing is missing");
    }
    for host in ["127.0.0.1", "localhost"] {
        db.execute(sql(format!("drop user {user}@'{host}'"))).await.unwrap();
    }
    db.close().await;
}

#[test]
fn a_wrong_setting_of_the_stores_stops_migrate_too() {
    for (variable, value, reason) in [
        ("QS_DATABASE__CONNECTIONS", "0", "database.connections: must be at least 2"),
        ("QS_DATABASE__CONNECTIONS", "4294967295", "database.connections: must be at most 1000"),
        ("QS_DATABASE__URL_FILE", "/x", "database.url_file: database.url is set too"),
    ] {
        for args in [&["migrate", "--check"][..], &["migrate"], &["serve", "--dev-iam"]] {
            let (code, stderr) = refused(args, &[(variable, value)]);
            assert_eq!((code, stderr.lines().count()), (Some(78), 1), "{args:?} {stderr}");
            assert!(stderr.contains(reason), "{args:?} {stderr}");
        }
    }
}
