//! What a sync tells when its counters are slow, broken or panic, through the real routes in this process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use qs_scheduler::app::apiserver::serve;
use qs_scheduler::business::due_tasks::DueTasks;
use qs_scheduler::business::organisations::Organisations;
use qs_scheduler::business::plan::Plans;
use qs_scheduler::business::readiness::StoreReadiness;
use qs_scheduler::business::statistics::Statistics;
use qs_scheduler::business::sync_run::SyncRuns;
use qs_scheduler::clock::{SharedClock, Simulated};
use qs_scheduler::counters::{Counter, Counters, CountersError, Cursor, Mark, Page, Touched};
use qs_scheduler::domain::entry::EntryBase;
use qs_scheduler::domain::statistics::{DailyCount, DailyKey, Days, StatisticsEvent};
use qs_scheduler::domain::sync_run::EVERY_ORGANISATION;
use qs_scheduler::http::business::{Api, codes, router};
use qs_scheduler::http::edge::{Edge, RateLimiter};
use qs_scheduler::identity::dev_iam::{Account, DevIam};
use qs_scheduler::identity::{Rules, Verifier};
use qs_scheduler::metrics::{self, Metrics};
use qs_scheduler::secret::Secret;
use qs_scheduler::store::business::{Store, SyncFilter};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::support::apiserver::{Reply, http_client, send};
use crate::support::databases::TestDatabase;

/// Counters that do as the test says.
struct Scripted {
    entered: Semaphore,
    gate: Semaphore,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    Empty,
    Fail,
    Panic,
}

impl Scripted {
    fn new(then: Then) -> Arc<Self> {
        Arc::new(Self { entered: Semaphore::new(0), gate: Semaphore::new(0), then })
    }
}

#[async_trait]
impl Counters for Scripted {
    async fn count(&self, _: i64, _: &StatisticsEvent, _: Timestamp) -> Result<bool, CountersError> {
        Ok(true)
    }

    async fn mark(&self, _: i64) -> Result<Mark, CountersError> {
        Ok(mark())
    }

    async fn touched(&self, _: i64, _: Option<&Mark>) -> Result<Touched, CountersError> {
        Ok(Touched { days: [].into(), mark: mark() })
    }

    async fn page(&self, _: i64, _: &Days, _: Option<Cursor>, _: u32) -> Result<Page, CountersError> {
        self.entered.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        match self.then {
            Then::Empty => Ok(Page::default()),
            Then::Fail => Err(CountersError::Corrupt { verb: "page", found: "x".to_owned() }),
            Then::Panic => panic!("as the test says"),
        }
    }

    async fn find(&self, _: i64, keys: &[DailyKey]) -> Result<Vec<Option<Counter>>, CountersError> {
        Ok(keys.iter().map(|_| None).collect())
    }

    async fn restore(&self, _: i64, _: &[DailyCount]) -> Result<u64, CountersError> {
        Ok(0)
    }

    async fn organisations(&self) -> Result<BTreeSet<i64>, CountersError> {
        Ok(BTreeSet::from([1]))
    }

    async fn forget(&self, _: Timestamp) -> Result<u64, CountersError> {
        Ok(0)
    }

    async fn ready(&self) -> Result<(), CountersError> {
        Err(CountersError::Corrupt { verb: "ready", found: "gone".to_owned() })
    }
}

fn mark() -> Mark {
    Mark { generation: "g".to_owned(), revision: 1 }
}

struct Server {
    base: String,
    token: String,
    store: Arc<dyn Store>,
    counters: Arc<Scripted>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _database: TestDatabase,
}

async fn start(then: Then, request_timeout: Duration, grace: Duration) -> Server {
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    let counters = Scripted::new(then);
    let clock: SharedClock = Simulated::new("2026-11-20T12:00:00Z".parse().unwrap());
    let rules = Rules { issuer: "i".to_owned(), audience: "a".to_owned(), leeway: Duration::ZERO };
    let account = Account {
        username: "dev".to_owned(),
        password: Secret::new("p"),
        ttl: Duration::from_mins(15),
        lockout_threshold: 0,
        lockout_duration: Duration::ZERO,
    };
    let iam = Arc::new(DevIam::new(account, rules.clone(), clock.clone()).unwrap());
    let token = iam.login("dev", &Secret::new("p")).unwrap().access_token.expose().to_owned();
    let organisations = Organisations::new(store.clone(), counters.clone());
    let observer = Box::new(|_: &_| {});
    let runs = Arc::new(SyncRuns::new(store.clone(), organisations, clock.clone(), LONG, observer));
    let statistics =
        Statistics::new(store.clone(), counters.clone(), runs.clone(), clock.clone(), TimeZone::UTC);
    let plans = Plans::new(store.clone(), clock.clone(), TimeZone::UTC);
    let base = EntryBase::new("https://c.example/entry").unwrap();
    let due_tasks = DueTasks::new(store.clone(), runs.clone(), clock.clone(), Some(base), LONG);
    let edge = Edge {
        verifier: Verifier::new(iam.key(), rules, clock),
        limiter: RateLimiter::new(0, 0),
        metrics: Metrics::new(metrics::registry()),
        readiness: Box::new(StoreReadiness::new(store.clone(), counters.clone())),
        open: true,
        request_timeout,
        max_body: 1 << 20,
    };
    let api = Api {
        statistics: Arc::new(statistics),
        plans: Arc::new(plans),
        due_tasks: Arc::new(due_tasks),
        runs: runs.clone(),
        dev_iam: Some(iam),
        edge: Arc::new(edge),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let served = tokio::spawn(async move {
        serve(listener, router(api), runs, shutdown, grace).await.unwrap();
    });
    Server { base, token, store, counters, stop, served, _database: database }
}

impl Server {
    fn sync(&self, headers: &[(&str, &str)], query: &str) -> JoinHandle<Reply> {
        let url = format!("{}/api/v1/statistics/sync/daily{query}", self.base);
        let token = format!("Bearer {}", self.token);
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        headers.push(("authorization".to_owned(), token));
        tokio::spawn(async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            send(&http_client(), Method::POST, &url, &headers, "").await
        })
    }

    /// Waits until the sync has begun to read.
    async fn reading(&self) {
        self.counters.entered.acquire().await.unwrap().forget();
    }
}

const LONG: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn one_sync_at_a_time_and_a_key_in_progress_is_told() {
    let server = start(Then::Empty, LONG, LONG).await;
    let first = server.sync(&[("Idempotency-Key", "k1")], "");
    server.reading().await;

    let busy = server.sync(&[], "").await.unwrap();
    assert_eq!((busy.status, busy.code()), (StatusCode::CONFLICT, u64::from(codes::SYNC_BUSY)));
    assert_eq!(busy.data()["holder"], "1");
    assert!(busy.data()["since"].as_str().unwrap().starts_with("2026-11-20T12:00:00"));
    assert!(busy.message().contains("in progress"), "{}", busy.message());
    let again = server.sync(&[("Idempotency-Key", "\"k1\"")], "").await.unwrap();
    assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, u64::from(codes::KEY_IN_PROGRESS)));
    assert_eq!(again.data()["run_id"], busy.data()["run_id"]);

    server.counters.gate.add_permits(1);
    let first = first.await.unwrap();
    assert_eq!((first.status, first.code()), (StatusCode::OK, 200), "{:?}", first.body);
    let replayed = server.sync(&[("Idempotency-Key", "k1")], "").await.unwrap();
    assert_eq!(replayed.headers["idempotent-replayed"], "true");
    assert_eq!(replayed.data(), first.data());
    let other = server.sync(&[("Idempotency-Key", "k1")], "?start_date=2026-01-01&end_date=2026-01-01");
    let other = other.await.unwrap();
    assert_eq!(
        (other.status, other.code()),
        (StatusCode::UNPROCESSABLE_ENTITY, u64::from(codes::KEY_REUSED))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_stops_is_an_error_with_its_record() {
    for (then, reason) in [(Then::Fail, "counters could not be read"), (Then::Panic, "a defect stopped")] {
        let server = start(then, LONG, LONG).await;
        server.counters.gate.add_permits(1);
        let reply = server.sync(&[], "").await.unwrap();
        let expected = (StatusCode::INTERNAL_SERVER_ERROR, u64::from(codes::SYNC_FAILED));
        assert_eq!((reply.status, reply.code()), expected);
        assert_eq!(reply.data()["status"], "failed");
        assert!(reply.message().contains(reason), "{}", reply.message());
        // It does not hold the place of the next one.
        server.counters.gate.add_permits(1);
        assert_eq!(server.sync(&[], "").await.unwrap().code(), u64::from(codes::SYNC_FAILED));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_outlives_its_request_is_accepted_and_goes_on() {
    let server = start(Then::Empty, Duration::from_millis(1), LONG).await;
    let reply = server.sync(&[], "").await.unwrap();
    assert_eq!((reply.status, reply.code()), (StatusCode::ACCEPTED, 200));
    assert!(!reply.headers.contains_key("preference-applied"));
    let id = reply.data()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(reply.headers["location"], format!("/api/v1/statistics/runs/{id}").as_str());
    server.counters.gate.add_permits(1);
    // An orderly stop waits for it.
    server.stop.send(()).unwrap();
    server.served.await.unwrap();
    let run = server.store.find(1, &id).await.unwrap().unwrap();
    assert_eq!(run.status.as_str(), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_outlives_the_grace_is_recorded_as_failed() {
    let server = start(Then::Empty, LONG, Duration::from_millis(1)).await;
    let reply = server.sync(&[("Prefer", "respond-async")], "").await.unwrap();
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    server.reading().await;
    server.stop.send(()).unwrap();
    server.served.await.unwrap();
    let id = reply.data()["run_id"].as_str().unwrap().to_owned();
    let run = server.store.find(1, &id).await.unwrap().unwrap();
    assert_eq!(run.status.as_str(), "failed");
    assert!(run.progress.error.unwrap().contains("stopped before the sync ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_of_all_organisations_that_is_cut_off_takes_its_part_with_it() {
    let server = start(Then::Empty, LONG, Duration::from_millis(1)).await;
    let reply = server.sync(&[("Prefer", "respond-async")], "?org=all").await.unwrap();
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{:?}", reply.body);
    server.reading().await;
    server.stop.send(()).unwrap();
    server.served.await.unwrap();
    let id = reply.data()["run_id"].as_str().unwrap();
    let whole = server.store.find(EVERY_ORGANISATION, id).await.unwrap().unwrap();
    let [part] = server.store.recent(1, &SyncFilter::default(), None, 10).await.unwrap().try_into().unwrap();
    for run in [whole, part] {
        assert_eq!((run.status.as_str(), run.progress.failed), ("failed", 0), "{run:?}");
        assert!(run.progress.error.unwrap().contains("stopped before the sync ended"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_tells_which_store_is_gone_and_health_does_not_care() {
    let server = start(Then::Empty, LONG, LONG).await;
    let client = http_client();
    let ready = send(&client, Method::GET, &format!("{}/ready", server.base), &[], "").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.body["checks"], serde_json::json!({"store": "ok", "counters": "unreachable"}));
    let health = send(&client, Method::GET, &format!("{}/health", server.base), &[], "").await;
    assert_eq!((health.status, &health.body["code"]), (StatusCode::OK, &Value::Null));
}
