//! The disk below SQLite is full.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, sql};
use reqwest::{Method, StatusCode};

use super::{MANY, SYNC, Signed, count, counters, fill, table, today, truthful};
use crate::support::databases::{required, skipped};
use crate::support::services::PrivateRedis;

/// A file system of this size; it is gone when this is dropped.
pub(super) struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one; none where that is not permitted.
    pub(super) fn mount(what: &str, size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("disk")).unwrap();
        let disk = Self { dir };
        if disk.run(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]) {
            return Some(disk);
        }
        assert!(!required("mount"), "QS_TEST_REQUIRE names mount: run as root");
        skipped(&format!("{what} (tmpfs cannot be mounted)"));
        None
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    pub(super) fn grow(&self, size: &str) {
        assert!(self.run(&["-o", &format!("remount,size={size}")]), "the disk grows");
    }

    fn run(&self, args: &[&str]) -> bool {
        let mount = Command::new("mount").args(args).arg(self.path()).stderr(Stdio::null()).status();
        mount.is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing is mounted where that was not permitted.
        let _ = Command::new("umount").arg("-l").arg(self.path()).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_a_failure_with_true_counts() {
    let what = "the disk below SQLite is full";
    let Some(redis) = PrivateRedis::start(what) else { return };
    let Some(disk) = SmallDisk::mount(what, "3m") else { return };
    let url = format!("sqlite:{}/qs.db", disk.path().display());
    let redis_url = redis.url();
    let mut server = Signed::start(&[("QS_DATABASE__URL", &url), ("QS_REDIS__URL", &redis_url)]).await;
    fill(&redis, today(), 1, MANY);

    let reply = server.post(SYNC, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::INTERNAL_SERVER_ERROR, 110_001), "{reply:?}");
    truthful(reply.data());
    let db = Db::connect(&Address::Url(Secret::new(&url)), 1).await.unwrap();
    let rows = i64::try_from(table(&db, "statistics_daily").await.len()).unwrap();
    assert!(rows < MANY && count(reply.data(), "written") <= rows, "{rows} rows, {reply:?}");
    assert!(reply.message().contains("full") || reply.body["data"]["errors"].to_string().contains("full"));
    assert!(server.server.lives());
    let health = server.server.send(Method::GET, "/health", &[], "").await;
    assert_eq!(health.status, StatusCode::OK);

    disk.grow("64m");
    let reply = server.post(SYNC, "").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?} {}", server.server.log());
    let run = reply.data();
    assert_eq!(count(run, "scanned"), MANY, "{run}");
    assert_eq!(table(&db, "statistics_daily").await, counters(&redis));
    server.validate().await;
    db.close().await;
}

#[tokio::test]
async fn a_full_database_is_usable_again_once_there_is_room() {
    let database = crate::support::databases::TestDatabase::sqlite();
    let db = Db::connect(&Address::Url(Secret::new(&database.url)), 1).await.unwrap();
    db.execute(sql("create table t (x text)")).await.unwrap();
    // The limit belongs to the one connection, and SQLite's error is that of a full disk.
    db.fetch_all(sql("pragma max_page_count = 8")).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let error = tx.execute(sql("insert into t values (?)").bind("x".repeat(100_000))).await.unwrap_err();
    assert!(error.to_string().contains("database or disk is full"), "{error}");
    drop(tx);
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql("insert into t values ('a')")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.fetch_all(sql("select x from t")).await.unwrap().len(), 1);
    db.close().await;
}
