//! The intake over HTTP: one event, many as an array, many as lines; and how often an account may send.

use std::fmt::Write as _;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::apiserver::{ACCOUNT, Reply, Server};
use crate::support::iam::{AUDIENCE, FakeIam, ISSUER, Key, claims, key_set};
use crate::support::services::PrivateRedis;

const EVENTS: &str = "/api/v1/statistics/events";

fn event(id: &str) -> Value {
    json!({"event_id": id, "type": "submitted", "questionnaire_code": "Q", "occurred_at": "2026-01-05T12:00:00Z"})
}

fn numbers(reply: &Reply) -> [u64; 4] {
    ["counted", "duplicates", "refused", "failed"].map(|name| reply.data()[name].as_u64().unwrap())
}

fn results(reply: &Reply) -> Vec<&str> {
    let results = reply.data()["results"].as_array().unwrap();
    results.iter().map(|result| result["result"].as_str().unwrap()).collect()
}

struct Sender {
    server: Server,
    token: String,
}

impl Sender {
    async fn start(env: &[(&str, &str)]) -> Self {
        let server = Server::start(&[&ACCOUNT, env].concat());
        let token = server.token().await;
        Self { server, token }
    }

    async fn array(&self, events: &[Value]) -> Reply {
        self.server.post(&self.token, EVENTS, &Value::from(events).to_string()).await
    }

    async fn lines(&self, body: &str) -> Reply {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/x-ndjson")];
        self.server.send(Method::POST, EVENTS, &headers, body).await
    }

    /// How many events the daily statistics have of the questionnaire.
    async fn synced(&self) -> Value {
        for sync in ["daily", "accumulated"] {
            let path = format!("/api/v1/statistics/sync/{sync}");
            assert_eq!(self.server.post(&self.token, &path, "").await.status, StatusCode::OK);
        }
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", authorization.as_str())];
        let path = "/api/v1/statistics/questionnaires/Q";
        self.server.send(Method::GET, path, &headers, "").await.data()["total_submissions"].clone()
    }
}

#[tokio::test]
async fn many_events_are_counted_once_each_in_either_form() {
    let sender = Sender::start(&[]).await;
    let events: Vec<Value> = ["a", "b", "a", "c"].map(event).to_vec();
    let reply = sender.array(&events).await;
    assert_eq!(
        (reply.status, reply.code(), numbers(&reply)),
        (StatusCode::OK, 200, [3, 1, 0, 0]),
        "{reply:?}"
    );
    let first = json!({"position": 1, "event_id": "a", "result": "counted", "date": "2026-01-05"});
    assert_eq!(reply.data()["results"][0], first);
    assert_eq!(results(&reply), ["counted", "counted", "duplicate", "counted"]);
    let again = sender.array(&events).await;
    assert_eq!((again.status, numbers(&again)), (StatusCode::OK, [0, 4, 0, 0]), "it may be repeated whole");

    let lines = format!("{}\n{}\n\n{}\n", event("c"), event("d"), event("e"));
    let reply = sender.lines(&lines).await;
    assert_eq!((reply.status, results(&reply)), (StatusCode::OK, vec!["duplicate", "counted", "counted"]));
    let positions: Vec<u64> =
        reply.data()["results"].as_array().unwrap().iter().map(|r| r["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, [1, 2, 4], "the numbers of the lines");
    assert_eq!(sender.synced().await, 5);
}

#[tokio::test]
async fn what_is_refused_hinders_no_other_and_is_never_a_success() {
    let sender = Sender::start(&[]).await;
    let mut future = event("future");
    future["occurred_at"] = json!("9000-01-01T00:00:00Z");
    let mut unknown = event("unknown");
    unknown["origins"] = json!("x");
    let events = [event("a"), future, json!(5), unknown, event("b"), json!(["c", "submitted", "Q"])];
    let reply = sender.array(&events).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, 110_020), "{reply:?}");
    assert_eq!(numbers(&reply), [2, 0, 4, 0]);
    assert_eq!(results(&reply), ["counted", "refused", "refused", "refused", "counted", "refused"]);
    let message = "4 of 6 events are not counted: event 2: occurred_at: lies more than a day in the future; \
                   event 3: expected a JSON object; event 4: origins: unknown field `origins`";
    assert!(reply.message().starts_with(message) && reply.message().ends_with("; …"), "{}", reply.message());
    let refused = &reply.data()["results"][1];
    assert_eq!(
        (&refused["event_id"], &refused["code"], &refused["message"], &refused["date"]),
        (
            &json!("future"),
            &json!(100_004),
            &json!("occurred_at: lies more than a day in the future"),
            &Value::Null
        )
    );
    let torn = format!("{}\n{{\"event_id\":\n", event("c"));
    let reply = sender.lines(&torn).await;
    assert_eq!((reply.status, results(&reply)), (StatusCode::BAD_REQUEST, vec!["counted", "refused"]));
    assert!(reply.message().contains("event 2: not JSON: "), "{}", reply.message());
    assert_eq!(sender.synced().await, 3);
}

#[tokio::test]
async fn a_body_that_is_too_much_counts_nothing() {
    let sender = Sender::start(&[("QS_SERVER__MAX_BODY", "256KiB")]).await;
    let many: Vec<Value> = (0..1_001).map(|number| event(&format!("{number}"))).collect();
    let reply = sender.array(&many).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::PAYLOAD_TOO_LARGE, 110_413), "{reply:?}");
    assert_eq!(reply.message(), "expected at most 1000 objects in one request, found 1001");
    let long = "x".repeat(300_000);
    let reply = sender.array(&[event("a"), event(&long)]).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::PAYLOAD_TOO_LARGE, 110_413), "{reply:?}");
    for body in ["[]", "[{}", "[1]x"] {
        let reply = sender.server.post(&sender.token, EVENTS, body).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, 100_003), "{body}: {reply:?}");
    }
    let reply = sender.array(&many[..1_000]).await;
    assert_eq!(
        (reply.status, numbers(&reply)),
        (StatusCode::OK, [1_000, 0, 0, 0]),
        "none was counted before"
    );
}

#[tokio::test]
async fn batches_that_come_at_once_share_their_ids() {
    let sender = Sender::start(&[]).await;
    let batch = |ids: std::ops::Range<u32>| ids.map(|id| event(&id.to_string())).collect::<Vec<_>>();
    let batches = [batch(0..300), batch(100..400), batch(0..400), batch(399..401)];
    let [a, b, c, d] = batches.each_ref().map(|batch| sender.array(batch));
    let replies = tokio::join!(a, b, c, d);
    let counted = [&replies.0, &replies.1, &replies.2, &replies.3].map(|reply| numbers(reply)[0]);
    assert_eq!(counted.iter().sum::<u64>(), 401, "{counted:?}");
    assert_eq!(sender.synced().await, 401);
}

#[tokio::test]
async fn a_new_origin_of_a_full_counter_is_refused_with_the_reason() {
    let sender = Sender::start(&[]).await;
    let with = |origin: usize| {
        let mut event = event(&origin.to_string());
        event["origin"] = json!(format!("o{origin}"));
        event
    };
    let reply = sender.array(&(0..66).map(with).collect::<Vec<_>>()).await;
    assert_eq!((reply.status, numbers(&reply)), (StatusCode::BAD_REQUEST, [64, 0, 2, 0]), "{reply:?}");
    let reply = sender.server.post(&sender.token, EVENTS, &with(66).to_string()).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, 100_004));
    let reason = "origin: the counter 2026-01-05 questionnaire Q has 64 different origins, and no room for another one";
    assert_eq!(reply.message(), reason);
    assert_eq!(sender.synced().await, 64);
}

#[tokio::test]
async fn an_event_whose_counter_cannot_be_counted_on_is_refused_with_the_reason() {
    let Some(redis) = PrivateRedis::start("a counter at its end") else { return };
    let sender = Sender::start(&[("QS_REDIS__URL", &redis.url())]).await;
    assert_eq!(numbers(&sender.array(&[event("a")]).await), [1, 0, 0, 0]);
    let counters: Vec<String> = redis.run(&["KEYS", "stats:daily:*"]);
    redis.run::<()>(&["HSET", &counters[0], "submission_count", "9223372036854775807"]);
    let reply = sender.array(&[event("b"), event("a")]).await;
    assert_eq!((reply.status, numbers(&reply)), (StatusCode::BAD_REQUEST, [0, 1, 1, 0]), "{reply:?}");
    assert!(reply.message().contains(&counters[0]), "{}", reply.message());
    redis.run::<()>(&["HSET", &counters[0], "submission_count", "1"]);
    assert_eq!(numbers(&sender.array(&[event("b")]).await), [1, 0, 0, 0], "when it is corrected");
}

#[tokio::test]
async fn counters_that_do_not_answer_are_said_of_each_event() {
    let Some(mut redis) = PrivateRedis::start("a batch of events without Redis") else { return };
    let sender = Sender::start(&[("QS_REDIS__URL", &redis.url())]).await;
    let mut wrong = event("wrong");
    wrong["type"] = json!("exploded");
    let events = [event("a"), wrong, event("b")];
    redis.kill();
    let reply = sender.array(&events).await;
    assert!(reply.status.is_server_error(), "a repetition makes sense: {reply:?}");
    assert_eq!((numbers(&reply), results(&reply)), ([0, 0, 1, 2], vec!["failed", "refused", "failed"]));
    assert!(reply.message().starts_with("3 of 3 events are not counted: event 1: "), "{}", reply.message());
    redis.restart();
    let reply = sender.array(&events).await;
    assert_eq!((reply.status, numbers(&reply)), (StatusCode::BAD_REQUEST, [2, 0, 1, 0]), "{reply:?}");
}

#[tokio::test]
async fn the_limit_for_people_does_not_hold_events_up() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let url = iam.url();
    let auth =
        [("QS_AUTH__JWKS_URL", url.as_str()), ("QS_AUTH__ISSUER", ISSUER), ("QS_AUTH__AUDIENCE", AUDIENCE)];
    let bearer = |subject: &str| format!("Bearer {}", key.token("k", &claims(&json!({"sub": subject}))));
    let limits = [("QS_RATE_LIMIT__PER_SECOND", "1"), ("QS_RATE_LIMIT__BURST", "3")];
    let launch = |more: &[(&str, &str)]| {
        Server::launch(tempfile::tempdir().unwrap(), &["serve"], &[&auth[..], &limits[..], more].concat())
    };
    let sent = async |server: &Server, subject: &str, id: usize| {
        let authorization = bearer(subject);
        let headers = [("authorization", authorization.as_str())];
        server.send(Method::POST, EVENTS, &headers, &event(&format!("{subject}{id}")).to_string()).await
    };
    let server = launch(&[]);
    for id in 0..50 {
        assert_eq!(sent(&server, "events-worker", id).await.status, StatusCode::OK, "{id}");
    }
    let authorization = bearer("events-worker");
    let headers = [("authorization", authorization.as_str())];
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(server.send(Method::GET, "/api/v1/statistics/system", &headers, "").await.status);
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "people are held back: {statuses:?}");

    let viewer = format!("Bearer {}", key.token("k", &claims(&json!({"sub": "v", "roles": ["viewer"]}))));
    let headers = [("authorization", viewer.as_str())];
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(server.send(Method::POST, EVENTS, &headers, &event("v").to_string()).await.status);
    }
    assert_eq!(statuses[0], StatusCode::FORBIDDEN);
    assert!(
        statuses.contains(&StatusCode::TOO_MANY_REQUESTS),
        "who may send none is held back: {statuses:?}"
    );

    // A limit of events, and an account that has its own.
    let server = launch(&[
        ("QS_RATE_LIMIT__INTAKE_PER_SECOND", "1"),
        ("QS_RATE_LIMIT__INTAKE_BURST", "2"),
        ("QS_RATE_LIMIT__ACCOUNTS", "events-worker=0/0,slow=1/1"),
    ]);
    for (subject, passes) in [("anybody", 2), ("slow", 1), ("events-worker", 50)] {
        let mut refused = None;
        for id in 0..50 {
            let reply = sent(&server, subject, id).await;
            if reply.status == StatusCode::TOO_MANY_REQUESTS {
                assert_eq!((reply.code(), &reply.headers["retry-after"]), (110_429, &"1".parse().unwrap()));
                refused = Some(id);
                break;
            }
            assert_eq!(reply.status, StatusCode::OK, "{subject} {id}: {reply:?}");
        }
        // While the requests take their time, the bucket fills.
        let passed = refused.unwrap_or(50);
        assert!(passed >= passes && (passes == 50) == refused.is_none(), "{subject}: {passed}");
    }

    // Many at once are one request.
    let mut body = String::new();
    (0..500).for_each(|id| writeln!(body, "{}", event(&format!("batch{id}"))).unwrap());
    let authorization = bearer("batches");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/x-ndjson")];
    let reply = server.send(Method::POST, EVENTS, &headers, &body).await;
    assert_eq!((reply.status, numbers(&reply)), (StatusCode::OK, [500, 0, 0, 0]));
}
