//! What requests may say: a table of routes and bad values, and arbitrary ones, on every database with equal answers.

use std::io::{Read, Write};
use std::net::TcpStream;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::apiserver::{Reply, Server};
use crate::support::databases::TestDatabase;
use crate::support::iam::{AUDIENCE, FakeIam, ISSUER, Key, claims, key_set};
use crate::support::services::PrivateRedis;

/// A server on one database, with a plan and three tasks of testee 1.
struct Place {
    database: TestDatabase,
    server: Server,
    token: String,
    plan: String,
    tasks: Vec<String>,
    _iam: FakeIam,
}

async fn place(database: TestDatabase, redis: Option<&str>) -> Place {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let url = iam.url();
    let mut env = vec![
        ("QS_AUTH__JWKS_URL", url.as_str()),
        ("QS_AUTH__ISSUER", ISSUER),
        ("QS_AUTH__AUDIENCE", AUDIENCE),
        ("QS_DATABASE__URL", &database.url),
        ("QS_RATE_LIMIT__PER_SECOND", "0"),
        ("QS_PLAN__ENTRY_BASE_URL", "https://c.example/entry"),
    ];
    if let Some(redis) = redis.filter(|_| database.name == "MySQL") {
        env.push(("QS_REDIS__URL", redis));
    }
    let server = Server::launch(tempfile::tempdir().unwrap(), &["serve"], &env);
    let token = key.token("k", &claims(&json!({})));
    let mut place = Place { database, server, token, plan: String::new(), tasks: Vec::new(), _iam: iam };
    let plan = json!({"scale_code": "a", "schedule_type": "by_day", "interval": 1, "total_times": 3});
    let plan = place.ask("POST", "/plans", &plan.to_string()).await;
    plan.data()["id"].as_str().unwrap().clone_into(&mut place.plan);
    let enrol = r#"{"plan_id":"{plan}","testee_id":1,"start_date":"2026-11-20"}"#;
    let enrolled = place.ask("POST", "/plans/enroll", enrol).await;
    for task in enrolled.data()["tasks"].as_array().unwrap() {
        place.tasks.push(task["id"].as_str().unwrap().to_owned());
    }
    place
}

async fn places(what: &str) -> (Vec<Place>, Option<PrivateRedis>) {
    let redis = PrivateRedis::start(what);
    let url = redis.as_ref().map(PrivateRedis::url);
    let mut places = Vec::new();
    for database in TestDatabase::every().await {
        // Only beside a MySQL there is a Redis.
        if database.name == "SQLite" || url.is_some() {
            places.push(place(database, url.as_deref()).await);
        }
    }
    (places, redis)
}

impl Place {
    /// `{plan}` and `{task}` stand for this server's own.
    fn filled(&self, text: &str) -> String {
        let task = self.tasks.first().map_or("", String::as_str);
        text.replace("{plan}", &self.plan).replace("{task}", task)
    }

    async fn with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        let path = format!("/api/v1{}", self.filled(path));
        let method: Method = method.parse().unwrap();
        self.server.send(method, &path, &headers, &self.filled(body)).await
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        self.with(method, path, &[], body).await
    }

    /// Every list of the organisation can be read, and holds all that belongs in it.
    async fn lists_can_be_read(&self) {
        for path in [
            "/plans",
            "/plans/tasks",
            "/plans/{plan}/tasks",
            "/testees/1/tasks",
            "/testees/1/plans",
            "/statistics/runs",
        ] {
            let reply = self.ask("GET", path, "").await;
            assert_eq!(reply.status, StatusCode::OK, "{} {path}: {:?}", self.database.name, reply.body);
            assert_eq!(reply.data()["unreadable"], json!([]), "{} {path}", self.database.name);
        }
    }
}

/// Longer than every column.
fn long() -> String {
    "a".repeat(600)
}

/// Route, body, and the field that the message begins with.
#[expect(clippy::too_many_lines, reason = "one table, one row a line")]
fn bad_values() -> Vec<(&'static str, String, &'static str)> {
    let mut rows: Vec<(&'static str, String, &'static str)> = Vec::new();
    let days = [
        "0000-01-01",
        "0999-12-31",
        "-000001-01-01",
        "+10000-01-01",
        "2026-02-30",
        "2026-1-1",
        "２０２６-01-01",
        " 2026-01-01",
        "",
    ];
    for day in days {
        let enrol = json!({"plan_id": "{plan}", "testee_id": 2, "start_date": day});
        rows.push(("POST /plans/enroll", enrol.to_string(), "start_date: "));
        let window = json!({"start_date": day, "end_date": day});
        rows.push(("POST /statistics/sync/daily", window.to_string(), "start_date: "));
        let plan = json!({"scale_code": "a", "schedule_type": "fixed_date", "fixed_dates": [day]});
        rows.push(("POST /plans", plan.to_string(), "fixed_dates: "));
        let starts = json!({"testee_start_dates": {"1": day}});
        rows.push(("POST /plans/{plan}/resume", starts.to_string(), "testee_start_dates: "));
    }
    for day in ["9999-12-31", "1000-01-01"] {
        let enrol = json!({"plan_id": "{plan}", "testee_id": 2, "start_date": day});
        rows.push(("POST /plans/enroll", enrol.to_string(), "start_date: leads to days outside"));
        let plan = json!({"scale_code": "a", "schedule_type": "fixed_date", "fixed_dates": [day]});
        rows.push(("POST /plans", plan.to_string(), "fixed_dates: leads to days outside"));
    }
    for at in
        ["0000-01-01", "0999-12-31 00:00:00", "-000001-01-01T00:00:00Z", "20260101T000000Z", "1e3", "now"]
    {
        rows.push(("POST /plans/tasks/schedule", json!({"before": at}).to_string(), "before: expected"));
        let open = json!({"entry_token": "t", "entry_url": "https://c.example/", "expire_at": at});
        rows.push(("POST /plans/tasks/{task}/open", open.to_string(), "expire_at: expected"));
        let event = json!({"event_id": "e", "type": "submitted", "plan_id": 1, "occurred_at": at});
        rows.push(("POST /statistics/events", event.to_string(), "occurred_at: "));
    }
    for url in [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://c.example/",
        "//c.example/",
        "https://",
        "data:text/html,x",
        "https://c.example/a b",
        "https://c.example/\n",
        "https://c.example/\u{0}",
        "",
        " ",
        " https://c.example/",
        &format!("  {}", "a".repeat(499)),
        &format!("https://c.example/{}", long()),
        &format!("https://c.example/{}", "问".repeat(483)),
    ] {
        let open = json!({"entry_token": "t", "entry_url": url, "expire_at": "2099-01-01"});
        rows.push(("POST /plans/tasks/{task}/open", open.to_string(), "entry_url: "));
    }
    for token in ["", " ", " t", "t ", "t\u{0}", &long(), &"😀".repeat(256)] {
        let open =
            json!({"entry_token": token, "entry_url": "https://c.example/", "expire_at": "2099-01-01"});
        rows.push(("POST /plans/tasks/{task}/open", open.to_string(), "entry_token: "));
        for field in ["event_id", "questionnaire_code", "testee_id", "origin", "risk_level"] {
            let mut event = json!({"event_id": "e", "type": "submitted", "plan_id": "1"});
            event[field] = token.into();
            rows.push(("POST /statistics/events", event.to_string(), field));
        }
    }
    for code in ["", "  ", "a\u{0}", &long(), &"问".repeat(101)] {
        let plan = json!({"scale_code": code, "schedule_type": "by_day", "interval": 1, "total_times": 1});
        rows.push(("POST /plans", plan.to_string(), "scale_code: "));
    }
    for id in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(9_007_199_254_740_993.0),
        json!(u64::MAX),
        json!("+1"),
        json!("01"),
        json!("1e3"),
        json!(" 1"),
        json!("１"),
        json!(""),
        json!("9223372036854775808"),
        json!(true),
        json!([1]),
    ] {
        let enrol = |field: &str| {
            let mut body = json!({"plan_id": "{plan}", "testee_id": 2, "start_date": "2026-01-01"});
            body[field] = id.clone();
            body.to_string()
        };
        rows.push(("POST /plans/enroll", enrol("plan_id"), "plan_id: "));
        rows.push(("POST /plans/enroll", enrol("testee_id"), "testee_id: "));
        let complete = json!({"assessment_id": id}).to_string();
        rows.push(("POST /plans/tasks/{task}/complete", complete, "assessment_id: "));
        rows.push(("POST /plans/tasks/schedule", json!({"testee_ids": [id]}).to_string(), "testee_ids: "));
        rows.push(("POST /plans/tasks/schedule", json!({"plan_id": id}).to_string(), "plan_id: "));
        rows.push(("POST /plans/tasks/schedule", json!({"limit": id}).to_string(), "limit: "));
        rows.push(("POST /statistics/sync/plan", json!({"plan_id": id}).to_string(), "plan_id: "));
        rows.push(("POST /statistics/sync/accumulated", json!({"org": id}).to_string(), "org: "));
    }
    for (body, field) in [
        (r#"{"start_date":5}"#, "start_date: "),
        (
            r#"{"start_date":"2026-01-01","start_date":"2026-01-01"}"#,
            "the body is not JSON: the field \"start_date\"",
        ),
        (r#"{"mode":"report"}"#, ""),
        ("{", "the body is not JSON: "),
        ("[]", "expected a JSON object"),
        ("\u{feff}{}", "the body is not JSON: "),
        (r#"{"org":NaN}"#, "the body is not JSON: "),
        (r#"{"org":1e999}"#, "the body is not JSON: "),
        (r#"{"start_date":"\ud800"}"#, "the body is not JSON: "),
    ] {
        rows.push(("POST /statistics/sync/daily", body.to_owned(), field));
    }
    let deep = format!("{{\"org\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    rows.push(("POST /statistics/sync/daily", deep, "the body is not JSON: "));
    for route in [
        "GET /plans/+1",
        "GET /plans/01",
        "GET /plans/0",
        "GET /plans/-1",
        "GET /plans/1e3",
        "GET /plans/%201",
        "GET /plans/9223372036854775808",
        "GET /plans/%EF%BC%91",
        "GET /plans/tasks/01",
        "GET /testees/+1/tasks",
        "GET /statistics/plans/01",
    ] {
        rows.push((route, String::new(), "id: "));
    }
    for (route, field) in [
        ("GET /plans/%FF", "path: "),
        ("GET /statistics/questionnaires/a%20", "code: "),
        ("GET /statistics/questionnaires/%00", "code: "),
        ("GET /statistics/testees/1%20", "id: "),
        ("GET /plans?page=01", "page: "),
        ("GET /plans?page_size=1e1", "page_size: "),
        ("GET /plans?page=1&page=2", "page: is given twice"),
        ("GET /plans?scale_code=%FF", "scale_code: is not UTF-8"),
        ("GET /plans?scale_code=%00", "scale_code: "),
        ("GET /plans?status=Active", "status: "),
        ("GET /plans/tasks?testee_id=%2B1", "testee_id: "),
        ("GET /statistics/runs?limit=+1", "limit: "),
        ("GET /statistics/runs?before=0000-01-01T00:00:00Z", "before: "),
        ("GET /statistics/runs?org=01", "org: "),
    ] {
        rows.push((route, String::new(), field));
    }
    rows
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_name_and_alike_on_every_database() {
    let (places, _redis) = places("bad values on MySQL").await;
    for (route, body, field) in bad_values() {
        let (method, path) = route.split_once(' ').unwrap();
        let mut first: Option<(StatusCode, String)> = None;
        for place in &places {
            let reply = place.ask(method, path, &body).await;
            let at =
                format!("{} {route} {}", place.database.name, body.chars().take(120).collect::<String>());
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{at}: {:?}", reply.body);
            assert!(reply.message().starts_with(field), "{at}: {} does not name {field}", reply.message());
            let answer = (reply.status, reply.message().to_owned());
            assert_eq!(first.get_or_insert_with(|| answer.clone()), &answer, "{at}");
        }
    }
    for place in &places {
        place.lists_can_be_read().await;
    }
}

#[tokio::test]
async fn the_longest_and_the_widest_that_is_kept_is_kept_on_every_database() {
    let (places, _redis) = places("wide values on MySQL").await;
    for place in &places {
        let name = place.database.name;
        let done = async |method: &str, path: &str, body: Value| {
            let reply = place.ask(method, path, &body.to_string()).await;
            assert_eq!(reply.status, StatusCode::OK, "{name} {path}: {:?}", reply.body);
            reply
        };
        let code = "😀".repeat(100);
        let plan = json!({"scale_code": format!(" {code} "), "schedule_type": "fixed_date",
            "fixed_dates": ["1000-01-03", "9999-12-29"]});
        let plan = done("POST", "/plans", plan).await.data()["id"].as_str().unwrap().to_owned();
        let enrol = json!({"plan_id": plan, "testee_id": i64::MAX, "start_date": "1000-01-01"});
        done("POST", "/plans/enroll", enrol).await;
        let url = format!("https://c.example/{}", "问".repeat(482));
        let open = json!({"entry_token": "😀".repeat(255), "entry_url": url, "expire_at": "9999-12-30T22:00:00.999Z"});
        let opened = done("POST", "/plans/tasks/{task}/open", open.clone()).await;
        for field in ["entry_token", "entry_url"] {
            assert_eq!(opened.data()[field], open[field], "{name}: kept as it was written");
        }
        done("POST", "/plans/tasks/{task}/complete", json!({"assessment_id": i64::MAX.to_string()})).await;
        done("POST", "/statistics/sync/daily", json!({"start_date": "1000-01-01", "end_date": "9999-12-31"}))
            .await;
        done("POST", "/plans/tasks/schedule", json!({"before": "1000-01-02T00:00:00Z", "dry_run": true}))
            .await;
        let event = json!({"event_id": "😀".repeat(255), "type": "submitted", "testee_id": "问".repeat(255),
            "occurred_at": "1000-01-01T00:00:00Z"});
        done("POST", "/statistics/events", event).await;
        done("POST", "/statistics/sync/daily", json!({})).await;
        done("POST", "/statistics/sync/accumulated", json!({})).await;
        let found = place.ask("GET", "/plans?scale_code=%20%F0%9F%98%80", "").await;
        assert_eq!(found.status, StatusCode::OK);
        place.lists_can_be_read().await;
    }
}

#[tokio::test]
async fn a_request_says_once_what_it_is_about() {
    let (places, _redis) = places("headers on MySQL").await;
    let place = &places[0];
    let sync = "/statistics/sync/accumulated";
    for (headers, body, says) in [
        (
            &[("idempotency-key", "a"), ("idempotency-key", "a")][..],
            "",
            "idempotency-key: the header is given twice",
        ),
        (
            &[("content-type", "application/json"), ("content-type", "text/plain")],
            "{}",
            "content-type: the header is",
        ),
        (&[("content-type", "text/plain")], "{}", "content-type: expected application/json in UTF-8, found"),
        (&[("content-type", "application/x-www-form-urlencoded")], "org=1", "content-type: expected"),
        (&[("content-type", "application/json; charset=utf-16")], "{}", "content-type: expected"),
        (&[("idempotency-key", "\" k\"")], "", "Idempotency-Key: expected 1 to 255"),
        (&[("idempotency-key", &long()[..256])], "", "Idempotency-Key: expected 1 to 255"),
    ] {
        let reply = place.with("POST", sync, headers, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{headers:?}: {:?}", reply.body);
        assert!(reply.message().starts_with(says), "{headers:?}: {}", reply.message());
    }
    let accepted = [("content-type", "application/json; charset=UTF-8")];
    assert_eq!(place.with("POST", sync, &accepted, "{}").await.status, StatusCode::OK);
    // What a client library would not send.
    let address = place.server.base.trim_start_matches("http://");
    for lines in [
        "Host: a\r\nHost: b",
        "Host: a\r\nContent-Length: 0\r\nContent-Length: 5",
        "Host: a\r\nContent-Length: +0",
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /health HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 400 "), "{lines:?}: {reply}");
    }
}

/// Routes with a good body, of which a part is replaced by something odd.
fn good_bodies() -> Vec<(&'static str, Value)> {
    let open = json!({"entry_token": "t", "entry_url": "https://c.example/", "expire_at": "2099-01-01"});
    vec![
        (
            "/plans",
            json!({"scale_code": "a", "schedule_type": "by_day", "interval": 1, "total_times": 1, "fixed_dates": [], "relative_weeks": []}),
        ),
        ("/plans", json!({"scale_code": "a", "schedule_type": "fixed_date", "fixed_dates": ["2026-01-01"]})),
        ("/plans", json!({"scale_code": "a", "schedule_type": "custom", "relative_weeks": [1]})),
        ("/plans/enroll", json!({"plan_id": "{plan}", "testee_id": 5, "start_date": "2026-01-01"})),
        ("/plans/{plan}/resume", json!({"testee_start_dates": {"1": "2026-01-01"}})),
        ("/plans/tasks/{task}/open", open),
        ("/plans/tasks/{task}/complete", json!({"assessment_id": 5})),
        (
            "/plans/tasks/schedule",
            json!({"before": "2026-01-01", "plan_id": "{plan}", "testee_ids": [1], "limit": 1, "dry_run": true, "org": 1}),
        ),
        ("/statistics/sync/daily", json!({"start_date": "2026-01-01", "end_date": "2026-01-02", "org": 1})),
        ("/statistics/sync/plan", json!({"plan_id": "{plan}"})),
        (
            "/statistics/events",
            json!({"event_id": "e", "type": "submitted", "questionnaire_code": "q", "testee_id": 1, "plan_id": 1, "origin": "o", "risk_level": "r", "occurred_at": "2026-01-01T00:00:00Z"}),
        ),
    ]
}

/// Texts that some parser or column may take for something else.
const WORDS: &[&str] = &[
    "",
    " ",
    "a ",
    "\u{0}",
    "\u{7f}",
    "😀",
    "１",
    "+1",
    "-0",
    "1e3",
    "0000-01-01",
    "0001-01-01",
    "1000-01-01",
    "9999-12-31",
    "-009999-01-01",
    "1000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-01-01 24:00:00",
    "2026-06-31",
    "all",
    "null",
    "https://c.example/",
    "javascript:1",
    "18446744073709551615",
    "9223372036854775807",
    "2147483648",
];

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-2..=101_i64).prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        (
            prop::sample::select(&["a", " ", "问", "😀", "1"][..]),
            prop::sample::select(&[50_usize, 51, 100, 101, 255, 256, 500, 501][..])
        )
            .prop_map(|(letter, times)| letter.repeat(times).into()),
        (0..10_000_i32, 0..14_u8, 0..33_u8).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}").into()),
        prop::collection::vec(
            prop_oneof![
                any::<i64>().prop_map(Value::from),
                prop::sample::select(WORDS).prop_map(Value::from)
            ],
            0..4
        )
        .prop_map(Value::from),
    ]
}

/// No input is answered with a failure of the server, and both databases answer the same.
#[tokio::test]
async fn no_input_is_a_failure_of_the_server_and_databases_do_not_differ() {
    let (places, _redis) = places("arbitrary values on MySQL").await;
    let bodies = good_bodies();
    let seed = fastrand::u64(..).to_le_bytes().repeat(4);
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let odd = (0..bodies.len(), any::<prop::sample::Index>(), odd_value());
    for _ in 0..250 {
        let (route, field, value) = odd.new_tree(&mut runner).unwrap().current();
        let (path, mut body) = bodies[route].clone();
        let names: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
        body[field.get(&names)] = value;
        let mut first = None;
        for place in &places {
            let reply = place.ask("POST", path, &body.to_string()).await;
            let at = format!("seed {seed:?}, {} {path} {body}: {:?}", place.database.name, reply.body);
            assert!(reply.status.as_u16() < 500, "{at}");
            assert_eq!(*first.get_or_insert(reply.status), reply.status, "{at}");
        }
    }
    for place in &places {
        place.lists_can_be_read().await;
    }
}
