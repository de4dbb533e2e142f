//! What a sync tells when its counters are slow, broken or panic, through the real routes in this process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use qs_scheduler::app::apiserver::{Serving, serve};
use qs_scheduler::business::due_tasks::DueTasks;
use qs_scheduler::business::organisations::Organisations;
use qs_scheduler::business::plan::Plans;
use qs_scheduler::business::readiness::StoreReadiness;
use qs_scheduler::business::statistics::Statistics;
use qs_scheduler::business::sync_run::SyncRuns;
use qs_scheduler::clock::{SharedClock, Simulated};
use qs_scheduler::counters::{Counted, Counter, Counters, CountersError, Cursor, Mark, Page, Touched};
use qs_scheduler::domain::entry::EntryBase;
use qs_scheduler::domain::statistics::{DailyCount, DailyKey, Days, StatisticsEvent};
use qs_scheduler::domain::sync_run::{EVERY_ORGANISATION, NewSyncRun, SyncKind};
use qs_scheduler::http::business::{Api, codes, router};
use qs_scheduler::http::edge::{BodyRoom, Edge, RateLimiter};
use qs_scheduler::http::serve::Limits;
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
use crate::support::wait::until;

/// Counters that do as the test says.
struct Scripted {
    entered: Semaphore,
    gate: Semaphore,
    then: Mutex<Then>,
    /// Syncs that read at this moment, and the most that ever did.
    inside: Mutex<(usize, usize)>,
}

#[derive(Clone, Copy)]
enum Then {
    Empty,
    Fail,
    Panic,
}

impl Scripted {
    fn new(then: Then) -> Arc<Self> {
        let (entered, gate) = (Semaphore::new(0), Semaphore::new(0));
        Arc::new(Self { entered, gate, then: Mutex::new(then), inside: Mutex::default() })
    }
}

#[async_trait]
impl Counters for Scripted {
    async fn count(
        &self,
        _: i64,
        events: Vec<StatisticsEvent>,
        _: Timestamp,
    ) -> Vec<Result<Counted, CountersError>> {
        vec![Ok(Counted::New); events.len()]
    }

    async fn mark(&self, _: i64) -> Result<Mark, CountersError> {
        Ok(mark())
    }

    async fn touched(&self, _: i64, _: Option<&Mark>) -> Result<Touched, CountersError> {
        Ok(Touched { days: [].into(), mark: mark() })
    }

    async fn page(&self, _: i64, _: &Days, _: Option<Cursor>, _: u32) -> Result<Page, CountersError> {
        {
            let mut inside = self.inside.lock().unwrap();
            inside.0 += 1;
            inside.1 = inside.1.max(inside.0);
        }
        self.entered.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.inside.lock().unwrap().0 -= 1;
        let then = *self.then.lock().unwrap();
        match then {
            Then::Empty => Ok(Page::default()),
            Then::Fail => Err(CountersError::Corrupt { verb: "page", found: "x".to_owned() }),
            Then::Panic => panic!("as the test says"),
        }
    }

    async fn find(&self, _: i64, keys: &[DailyKey]) -> Result<Vec<Option<Counter>>, CountersError> {
        Ok(keys.iter().map(|_| None).collect())
    }

    async fn restore(&self, _: i64, _: &[DailyCount], _: Option<&str>) -> Result<u64, CountersError> {
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
        body_timeout: LONG,
        bodies: BodyRoom::default(),
    };
    let api = Api {
        statistics: Arc::new(statistics),
        plans: Arc::new(plans),
        due_tasks: Arc::new(due_tasks),
        runs: runs.clone(),
        dev_iam: Some(iam),
        edge: Arc::new(edge),
    };
    let limits = Limits { connections: 64, header_timeout: LONG, idle_timeout: LONG, write_timeout: LONG };
    let serving = Serving { limits, metrics: api.edge.metrics.connections.clone(), grace };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let served = tokio::spawn(async move {
        serve(listener, router(api), runs, shutdown, serving).await.unwrap();
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
async fn a_key_replays_a_success_and_a_failed_sync_runs_again() {
    let server = start(Then::Fail, LONG, LONG).await;
    server.counters.gate.add_permits(9);
    let key = [("Idempotency-Key", "k1")];
    let first = server.sync(&key, "").await.unwrap();
    assert_eq!((first.status, &first.data()["retry_of"]), (StatusCode::INTERNAL_SERVER_ERROR, &Value::Null));
    let second = server.sync(&key, "").await.unwrap();
    assert_eq!(second.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!second.headers.contains_key("idempotent-replayed"), "it ran: {:?}", second.body);
    assert_ne!(second.data()["run_id"], first.data()["run_id"]);
    *server.counters.then.lock().unwrap() = Then::Empty;
    let other = server.sync(&key, "?start_date=2026-01-01&end_date=2026-01-01").await.unwrap();
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "a key belongs to one request");
    let third = server.sync(&key, "").await.unwrap();
    assert_eq!(third.status, StatusCode::OK, "{:?}", third.body);
    for run in [&second, &third] {
        assert_eq!(run.data()["retry_of"], first.data()["run_id"], "the first one is named");
    }
    let replayed = server.sync(&key, "").await.unwrap();
    assert_eq!(replayed.headers["idempotent-replayed"], "true");
    assert_eq!(replayed.data(), third.data());
}

/// Many organisations ask at once: so many work, the others wait, and more are not taken on.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_organisations_ask_for_at_once_is_bounded() {
    let server = start(Then::Empty, LONG, LONG).await;
    let wanted = [("Prefer", "respond-async")];
    let mut ids = Vec::new();
    for org in 1..=256 {
        let reply = server.sync(&wanted, &format!("?org={org}")).await.unwrap();
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{org}: {:?}", reply.body);
        ids.push((org, reply.data()["run_id"].as_str().unwrap().to_owned()));
    }
    let crowded = server.sync(&wanted, "?org=257").await.unwrap();
    let expected = (StatusCode::SERVICE_UNAVAILABLE, u64::from(codes::SYNCS_CROWDED));
    assert_eq!((crowded.status, crowded.code()), expected, "{:?}", crowded.body);
    assert_eq!(crowded.headers["retry-after"], "5");
    server.counters.gate.add_permits(1_000);
    for (org, id) in ids {
        until("the sync has ended", async || {
            let run = server.store.find(org, &id).await.unwrap().unwrap();
            (run.status.as_str() == "succeeded").then_some(())
        })
        .await;
    }
    assert_eq!(server.counters.inside.lock().unwrap().1, 4, "no more than four worked at once");
    let free = server.sync(&[], "?org=257").await.unwrap();
    assert_eq!(free.status, StatusCode::OK, "{:?}", free.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_schedule_of_an_organisation_runs_at_a_time() {
    let server = start(Then::Empty, LONG, LONG).await;
    let url = format!("{}/api/v1/plans/tasks/schedule", server.base);
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async")];
    // Another server is at it.
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let elsewhere = NewSyncRun {
        id: "0192c7a8-0000-7000-8000-000000000001".to_owned(),
        kind: SyncKind::Schedule,
        org_id: 1,
        trigger: "call".to_owned(),
        caller: "cron".to_owned(),
        idempotency_key: None,
        request: "schedule".to_owned(),
        window: None,
        lease: SyncKind::Schedule.lease(1),
        lease_until: now + LONG,
        started_at: now,
    };
    server.store.begin(&elsewhere).await.unwrap();
    for body in ["", r#"{"dry_run":true}"#] {
        let busy = send(&http_client(), Method::POST, &url, &headers, body).await;
        assert_eq!((busy.status, busy.code()), (StatusCode::CONFLICT, u64::from(codes::SYNC_BUSY)));
        assert_eq!(
            (&busy.data()["run_id"], &busy.data()["holder"]),
            (&Value::from(elsewhere.id.as_str()), &Value::from("cron"))
        );
        assert_eq!(busy.headers["retry-after"], "1");
        assert!(busy.message().contains("in progress"), "what a call knows it by: {}", busy.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_a_record_is_one_where_its_caller_finds_it() {
    let server = start(Then::Empty, LONG, LONG).await;
    let bearer = format!("Bearer {}", server.token);
    let show = async |place: &str| {
        let url = format!("{}{place}", server.base);
        send(&http_client(), Method::GET, &url, &[("authorization", &bearer)], "").await
    };
    for org in ["", "?org=1", "?org=2"] {
        let started = server.sync(&[("Prefer", "respond-async")], org).await.unwrap();
        let place = started.headers["location"].to_str().unwrap();
        let record = show(place).await;
        assert_eq!(record.status, StatusCode::OK, "{org}: {place}: {record:?}");
        assert_eq!(record.data()["run_id"], started.data()["run_id"]);
        server.counters.gate.add_permits(1);
        until("it has ended", async || (show(place).await.data()["status"] == "succeeded").then_some(()))
            .await;
        let whose = |org| format!("{}?org={org}", place.split('?').next().unwrap());
        assert_eq!(show(&whose("3")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(show(&whose("x")).await.status, StatusCode::BAD_REQUEST);
    }
    server.counters.gate.add_permits(1_000);
    let all = server.sync(&[], "?org=all").await.unwrap();
    let place = format!("/api/v1/statistics/runs/{}", all.data()["run_id"].as_str().unwrap());
    for place in [place.clone(), format!("{place}?org=all")] {
        assert_eq!(show(&place).await.status, StatusCode::OK, "{place}");
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
async fn who_waits_for_a_sync_that_is_cut_off_hears_that_the_server_ends() {
    for grace in [Duration::ZERO, Duration::from_millis(100)] {
        let server = start(Then::Empty, LONG, grace).await;
        let waiting = server.sync(&[], "");
        server.reading().await;
        server.stop.send(()).unwrap();
        let reply = waiting.await.unwrap();
        assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_507), "{reply:?}");
        assert!(reply.headers.contains_key("retry-after"));
        assert!(reply.message().contains("the server is ending"), "{reply:?}");
        server.served.await.unwrap();
        let [run] =
            server.store.recent(1, &SyncFilter::default(), None, 10).await.unwrap().try_into().unwrap();
        let run = run.read.unwrap();
        assert_eq!(run.status.as_str(), "failed");
        assert_eq!(reply.headers["location"], format!("/api/v1/statistics/runs/{}", run.id));
    }
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
    let part = part.read.unwrap();
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
    assert_eq!(ready.body["checks"], serde_json::json!({"store": "ok", "counters": "unusable"}));
    let health = send(&client, Method::GET, &format!("{}/health", server.base), &[], "").await;
    assert_eq!((health.status, &health.body["code"]), (StatusCode::OK, &Value::Null));
}
