//! Every database that a test may use: SQLite always, MySQL when a server was given.

use std::io::Write;
use std::sync::Arc;

use jiff::tz::TimeZone;
use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, sql};
use qs_scheduler::store::business::Store;
use qs_scheduler::store::business::sql::SqlStore;

/// A database of the test's own; it is gone when this is dropped.
pub struct TestDatabase {
    pub name: &'static str,
    pub url: String,
    kind: Kind,
}

enum Kind {
    Sqlite(#[expect(dead_code, reason = "held for its drop")] tempfile::TempDir),
    MySql { server: String, database: String },
}

impl TestDatabase {
    /// A SQLite file.
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("t.db").display());
        Self { name: "SQLite", url, kind: Kind::Sqlite(dir) }
    }

    /// A new database on the server that was given, if one was.
    pub async fn mysql() -> Option<Self> {
        let server = service("mysql", "QS_TEST_MYSQL_URL")?;
        Some(Self::mysql_on(&server).await)
    }

    /// A new database on this server.
    pub async fn mysql_on(server: &str) -> Self {
        let server = server.trim_end_matches('/').to_owned();
        let database = format!("qs_test_{:016x}", fastrand::u64(..));
        administer(&server, &format!("create database {database} character set utf8mb4")).await;
        let url = format!("{server}/{database}");
        Self { name: "MySQL", url, kind: Kind::MySql { server, database } }
    }

    /// Each of them.
    pub async fn every() -> Vec<Self> {
        [Some(Self::sqlite()), Self::mysql().await].into_iter().flatten().collect()
    }

    /// Connections of its own, as another process would have.
    pub async fn connect(&self) -> Db {
        Db::connect(&Address::Url(Secret::new(&self.url)), 8).await.unwrap()
    }

    /// The store on it, its tables up to date.
    pub async fn store(&self) -> Arc<dyn Store> {
        self.store_in("UTC").await
    }

    /// The same, with columns that show the wall clock of this zone.
    pub async fn store_in(&self, zone: &str) -> Arc<dyn Store> {
        let db = self.connect().await;
        SqlStore::migrate(&db).await.unwrap();
        Arc::new(SqlStore::open(db, TimeZone::get(zone).unwrap()).await.unwrap())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Kind::MySql { server, database } = &self.kind else { return };
        let (server, database) = (server.clone(), database.clone());
        // A drop cannot wait, so the waiting is done elsewhere.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(drop_database(&server, &database));
        });
        drop(dropped.join());
    }
}

/// Ends its connections first: after a failed test a transaction may be open, and its locks would be waited for.
async fn drop_database(server: &str, name: &str) {
    let db = Db::connect(&Address::Url(Secret::new(server)), 2).await.unwrap();
    let left = sql("select id from information_schema.processlist where db = ?").bind(name);
    for row in db.fetch_all(left).await.unwrap() {
        let id = row.columns().int().unwrap();
        // It may have ended by itself.
        drop(db.execute(sql(format!("kill {id}"))).await);
    }
    db.execute(sql(format!("drop database {name}"))).await.unwrap();
    db.close().await;
}

async fn administer(server: &str, statement: &str) {
    let db = Db::connect(&Address::Url(Secret::new(server)), 2).await.unwrap();
    db.execute(sql(statement)).await.unwrap();
    db.close().await;
}

/// Says what does not run. Written past the harness, which hides what a passing test prints: it must be seen.
pub fn skipped(what: &str) {
    drop(writeln!(std::io::stderr(), "skipped: {what}"));
}

/// The address of a service that was given for tests. Where it must be there, its absence is a failure; otherwise the
/// test says what does not run.
pub fn service(name: &str, variable: &str) -> Option<String> {
    if let Some(url) = variable_of(variable) {
        return Some(url);
    }
    assert!(!required(name), "{name} is required by QS_TEST_REQUIRE, and {variable} is not set");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    skipped(&format!("{test} on {name} ({variable} is not set)"));
    None
}

/// Whether the absence of this is a failure.
pub fn required(name: &str) -> bool {
    variable_of("QS_TEST_REQUIRE").is_some_and(|list| list.split(',').any(|required| required.trim() == name))
}

#[expect(clippy::disallowed_methods, reason = "the one place where tests read their environment")]
fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
