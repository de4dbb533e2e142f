//! What syncs tell and leave behind when something is killed, cut, emptied, full or locked in their middle: the real
//! server, a MariaDB and a Redis of the test's own, and enough counters that there is a middle.

mod counters;
mod disk;
mod locks;
mod outages;
mod processes;
mod readiness;
mod tables;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::Date;
use qs_scheduler::clock::{Clock, SystemClock};
use qs_scheduler::sql::{Db, Statement, sql};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::apiserver::{ACCOUNT, Reply, Server};
use crate::support::mariadb::PrivateMariaDb;
use crate::support::services::PrivateRedis;
use crate::support::wait::until;

/// Counters of most tests: five batches.
const MANY: i64 = 14_000;

/// One batch.
const FEW: i64 = 100;

/// What the counters of a round begin at, so that a row tells of which round it is.
const ROUND: i64 = 1_000_000;

const SYNC: &str = "/api/v1/statistics/sync/daily";
const VALIDATE: &str = "/api/v1/statistics/validate";
const EVENTS: &str = "/api/v1/statistics/events";

/// Type, key and day → submissions and completions.
type Counts = BTreeMap<String, (i64, i64)>;

/// Both databases of one test.
struct Rig {
    redis: PrivateRedis,
    mariadb: PrivateMariaDb,
    /// The test's own connections. They name no database, which tells them from those of the servers.
    db: Db,
    /// The day whose counters are synced: a default sync covers it also when the day ends meanwhile.
    today: Date,
    lease: &'static str,
}

impl Rig {
    async fn start(what: &str, lease: &'static str) -> Option<Self> {
        Self::start_with(what, lease, &[]).await
    }

    async fn start_with(what: &str, lease: &'static str, options: &[&str]) -> Option<Self> {
        let redis = PrivateRedis::start(what)?;
        let mariadb = PrivateMariaDb::start(what, options).await?;
        let db = mariadb.connect().await;
        Some(Self { redis, mariadb, db, today: today(), lease })
    }

    /// Another server on these databases.
    async fn server(&self) -> Signed {
        let (database, redis) = (self.mariadb.url(), self.redis.url());
        Signed::start(&[
            ("QS_DATABASE__URL", &database),
            ("QS_REDIS__URL", &redis),
            ("QS_SYNC__LEASE", self.lease),
        ])
        .await
    }

    fn fill(&self, round: i64, number: i64) {
        fill(&self.redis, self.today, round, number);
    }

    /// How many rows of this round are in the table.
    async fn rows(&self, round: i64) -> i64 {
        let query = sql("select count(*) from qs.statistics_daily where submission_count >= ?");
        number(&self.db, query.bind(round * ROUND)).await.unwrap_or(0)
    }

    /// Waits until some rows of this round are in the table, and not all.
    async fn middle(&self, round: i64) {
        let rows = until("a sync is in its middle", async || {
            let rows = self.rows(round).await;
            (rows > 0).then_some(rows)
        });
        let rows = rows.await;
        assert!(rows < MANY, "the sync was over before it could be disturbed");
    }

    /// Waits until a batch is being written: its transaction is open.
    async fn writing(&self) {
        until("a statement writes", async || {
            let query = sql("select count(*) from information_schema.processlist where db = 'qs' \
                             and left(info, 60) like '%into statistics_daily%'");
            number(&self.db, query).await.filter(|writing| *writing > 0)
        })
        .await;
    }

    async fn table(&self) -> Counts {
        table(&self.db, "qs.statistics_daily").await
    }

    #[track_caller]
    fn counters(&self) -> Counts {
        counters(&self.redis)
    }

    /// The marks of all syncs that have one.
    async fn marks(&self) -> Vec<String> {
        let query = sql("select mark from qs.qs_sync_run where mark is not null order by id");
        let rows = self.db.fetch_all(query).await.unwrap();
        rows.into_iter().map(|row| row.columns().text().unwrap()).collect()
    }
}

/// A server, and a token for it.
struct Signed {
    server: Server,
    bearer: String,
}

impl Signed {
    async fn start(env: &[(&str, &str)]) -> Self {
        let mut all = vec![ACCOUNT[0], ACCOUNT[1], ("QS_RATE_LIMIT__PER_SECOND", "0")];
        all.extend_from_slice(env);
        let server = Server::start(&all);
        let bearer = format!("Bearer {}", server.token().await);
        Self { server, bearer }
    }

    /// Where its database is, if it was given none.
    fn dir(&self) -> &std::path::Path {
        self.server.dir()
    }

    async fn post(&self, path: &str, body: &str) -> Reply {
        self.server.send(Method::POST, path, &[("authorization", &self.bearer)], body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.server.send(Method::GET, path, &[("authorization", &self.bearer)], "").await
    }

    /// Starts a sync and tells where its record is.
    async fn begin(&self) -> String {
        let headers = [("authorization", self.bearer.as_str()), ("prefer", "respond-async")];
        let reply = self.server.send(Method::POST, SYNC, &headers, "").await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
        reply.headers["location"].to_str().unwrap().to_owned()
    }

    /// The record of a sync once it is over.
    async fn ended(&self, location: &str) -> Value {
        let ended = until("a sync is over", async || {
            let reply = self.get(location).await;
            (reply.status == StatusCode::OK && reply.data()["status"] != "running").then_some(reply)
        });
        ended.await.data().clone()
    }

    /// A sync that does everything.
    async fn sync(&self) -> Value {
        let reply = self.post(SYNC, "").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, 200), "{reply:?}");
        truthful(reply.data());
        reply.data().clone()
    }

    /// A validation that finds nothing.
    async fn validate(&self) {
        let reply = self.post(VALIDATE, "").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, 200), "{reply:?}");
        let detail = &reply.data()["detail"];
        for table in ["daily", "accumulated", "plan"] {
            assert_eq!(detail["differences"][table], 0, "{reply:?}");
        }
    }
}

pub(crate) fn today() -> Date {
    SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Counters as an existing worker writes them: `number` questionnaires, all with values of this round.
fn fill(redis: &PrivateRedis, day: Date, round: i64, number: i64) {
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let all: Vec<i64> = (0..number).collect();
    for chunk in all.chunks(10_000) {
        let mut pipe = redis::pipe();
        for n in chunk {
            let (submissions, completions) = values(round, *n);
            pipe.cmd("HSET").arg(format!("stats:daily:1:questionnaire:k{n:05}:{day}"));
            pipe.arg("submission_count").arg(submissions).arg("completion_count").arg(completions).ignore();
        }
        pipe.exec(&mut connection).unwrap();
    }
}

fn values(round: i64, n: i64) -> (i64, i64) {
    (round * ROUND + n, round * ROUND + n / 2)
}

/// What [`fill`] has written.
fn filled(day: Date, round: i64, number: i64) -> Counts {
    (0..number).map(|n| (format!("questionnaire:k{n:05}:{day}"), values(round, n))).collect()
}

/// Every counter of the first organisation, read past the product.
fn counters(redis: &PrivateRedis) -> Counts {
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let prefix = "stats:daily:1:";
    let names: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}*")).query(&mut connection).unwrap();
    if names.is_empty() {
        return Counts::new();
    }
    let mut pipe = redis::pipe();
    for name in &names {
        pipe.cmd("HMGET").arg(name).arg(&["submission_count", "completion_count"]);
    }
    let found: Vec<(Option<i64>, Option<i64>)> = pipe.query(&mut connection).unwrap();
    let counts = found.into_iter().map(|(a, b)| (a.unwrap_or(0), b.unwrap_or(0)));
    names.iter().map(|name| name[prefix.len()..].to_owned()).zip(counts).collect()
}

/// Every row of the first organisation.
async fn table(db: &Db, name: &str) -> Counts {
    let query = sql(format!(
        "select statistic_type, statistic_key, cast(stat_date as char), submission_count, completion_count \
         from {name} where org_id = 1 and deleted_at is null"
    ));
    let rows = db.fetch_all(query).await.unwrap();
    let mut counts = Counts::new();
    for row in rows {
        let mut columns = row.columns();
        let mut name = String::new();
        for between in [":", ":", ""] {
            write!(name, "{}{between}", columns.text().unwrap()).unwrap();
        }
        let values = (columns.int().unwrap(), columns.int().unwrap());
        assert_eq!(counts.insert(name, values), None, "a row is there twice");
    }
    counts
}

/// The number that a query gives; none when the server does not answer, or has no such table yet.
async fn number(db: &Db, query: Statement) -> Option<i64> {
    let row = db.fetch_optional(query).await.ok()??;
    Some(row.columns().int().unwrap())
}

fn count(run: &Value, name: &str) -> i64 {
    run[name].as_i64().unwrap_or_else(|| panic!("no {name} in {run}"))
}

/// Every item that was read is accounted for, once.
#[track_caller]
fn truthful(run: &Value) {
    let sum: i64 = ["written", "unchanged", "skipped", "failed"].map(|name| count(run, name)).iter().sum();
    assert_eq!(count(run, "scanned"), sum, "{run}");
    let whole = count(run, "failed") == 0 && run["error"].is_null();
    assert_eq!(run["status"] == "succeeded", whole, "{run}");
}
