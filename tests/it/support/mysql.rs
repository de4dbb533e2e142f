//! A database of its own for each test: a SQLite file always, a MySQL database when `QS_TEST_MYSQL_URL` names a server.

use jiff::tz::TimeZone;
use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, sql};
use qs_scheduler::store::sql::SqlStore;

use super::databases::service;

/// A database that goes away with this value.
pub struct Database {
    pub name: &'static str,
    address: Address,
    dir: Option<tempfile::TempDir>,
    dropped: Option<(String, String)>,
}

impl Database {
    /// A file.
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::File(dir.path().join("t.db"));
        Self { name: "sqlite", address, dir: Some(dir), dropped: None }
    }

    /// A database on the server, if there is one.
    pub async fn mysql() -> Option<Self> {
        let server = service("mysql", "QS_TEST_MYSQL_URL")?;
        let server = server.trim_end_matches('/').to_owned();
        let name = format!("qs_test_{}", uuid::Uuid::new_v4().simple());
        run(&server, &format!("create database {name} character set utf8mb4")).await;
        let address = Address::Url(Secret::new(format!("{server}/{name}")));
        Some(Self { name: "mysql", address, dir: None, dropped: Some((server, name)) })
    }

    /// Every one that can be had.
    pub async fn each() -> Vec<Self> {
        [Some(Self::sqlite()), Self::mysql().await].into_iter().flatten().collect()
    }

    /// A pool of its own, as another process would have.
    pub async fn connect(&self) -> Db {
        Db::connect(&self.address, 4).await.unwrap()
    }

    /// The store, with its tables made.
    pub async fn store(&self, zone: &str) -> SqlStore {
        let db = self.connect().await;
        SqlStore::migrate(&db).await.unwrap();
        SqlStore::open(db, TimeZone::get(zone).unwrap()).await.unwrap()
    }
}

async fn run(server: &str, text: &str) {
    let db = Db::connect(&Address::Url(Secret::new(server.to_owned())), 1).await.unwrap();
    db.execute(sql(text)).await.unwrap();
    db.close().await;
}

/// Ends its connections first: after a failed test a transaction may be open, and its locks would be waited for.
async fn drop_database(server: &str, name: &str) {
    let db = Db::connect(&Address::Url(Secret::new(server.to_owned())), 1).await.unwrap();
    let left = sql("select id from information_schema.processlist where db = ?").bind(name);
    for row in db.fetch_all(left).await.unwrap() {
        let id = row.columns().int().unwrap();
        // It may have ended by itself.
        let _ = db.execute(sql(format!("kill {id}"))).await;
    }
    db.execute(sql("set session lock_wait_timeout = 10")).await.unwrap();
    db.execute(sql(format!("drop database {name}"))).await.unwrap();
    db.close().await;
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.dir.take());
        let Some((server, name)) = self.dropped.take() else { return };
        // The runtime of the test cannot wait here.
        let drop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(drop_database(&server, &name));
        };
        // A database that could not be dropped is litter, not a failure of the test.
        let _ = std::thread::spawn(drop).join();
    }
}
