//! What a call of the scheduler leaves behind equals what the command line leaves of the same line, but for ids and times.

use std::sync::Arc;

use qs_scheduler::scheduler::handler::Handler;
use serde_json::{Value, json};

use super::{beside, config, handler, logs, target, text, word, work};
use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::world::{ENDPOINT, Granting, TASK, World, success};

/// A request: method, path, headers, body.
type Sent = (String, String, Vec<(String, String)>, String);

/// Everything that a call leaves: its log, its record, its metrics, its pings, its reply, and the requests that it made.
#[derive(Debug, PartialEq)]
struct Left {
    log: Vec<Value>,
    record: Value,
    metrics: Vec<String>,
    reply: Option<String>,
    requests: Vec<Sent>,
}

/// What differs from run to run, whoever makes it.
fn without_ids(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    for key in ["ts", "run_id", "duration_ms", "started_at", "last_success_at", "wait_ms", "expires_at"] {
        if let Some(value) = fields.get_mut(key).filter(|value| !value.is_null()) {
            *value = json!("some");
        }
    }
}

fn request(request: &Received) -> Sent {
    const OWN: [&str; 3] = ["x-execution-id", "x-attempt", "x-scheduled-for"];
    const DIFFER: [&str; 5] = ["idempotency-key", "x-request-id", "traceparent", "host", "content-length"];
    let path = request.path.split("rid=").next().unwrap().to_owned();
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .map(
            |(name, value)| {
                if DIFFER.contains(&name.as_str()) { (name, String::new()) } else { (name, value) }
            },
        )
        .collect();
    (request.method.clone(), path, headers, request.text())
}

fn left(world: &World, server: &FakeServer) -> Left {
    let dir = world.dir().display().to_string();
    let url = server.url();
    let plain = |text: String| text.replace(&dir, "DIR").replace(&url, "URL");
    let lines = plain(world.log());
    let mut log: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    log.iter_mut().for_each(without_ids);
    let history = plain(text(&world.path(&format!("state/tasks/{TASK}.history.jsonl"))));
    let mut record: Value = serde_json::from_str(history.lines().last().unwrap()).unwrap();
    without_ids(&mut record);
    // It is of the server, whose port is another one.
    record["identity"] = json!("some");
    let metrics = text(&world.path(&format!("state/metrics/qs_api_call_{TASK}.prom")));
    let timeless = |line: &str| !line.starts_with("qs_api_call_last_") || line.contains("exit_code");
    let metrics = metrics.lines().filter(|line| timeless(line)).map(str::to_owned).collect();
    let mut requests: Vec<_> = server.requests().iter().map(request).collect();
    // The first ping is sent beside the call.
    requests.sort_by(|a, b| a.1.cmp(&b.1));
    let reply = std::fs::read_to_string(world.path("reply.json")).ok();
    Left { log, record, metrics, reply, requests }
}

/// Makes the call in both ways, each against a server and in a world of its own, and compares.
async fn compare(arguments: &str, has_token: bool, server: impl Fn() -> FakeServer) {
    let _logs = logs();
    let mut all = Vec::new();
    let (mut codes, mut said) = (Vec::new(), Vec::new());
    for by_scheduler in [false, true] {
        let server = server();
        let world = if has_token { World::with_token(&server) } else { World::without_token(&server) };
        let ping = format!("{}/ping/{{task}}", server.url());
        let world = Arc::new(world.set("QS_PING__URL", ping).set("QS_LOG__FORMAT", "json"));
        let arguments = arguments.replace("DIR", &world.dir().display().to_string());
        let line = format!("{} {arguments}", config(&world));
        if by_scheduler {
            let (work, _stop) = work(&target(&line));
            let performed = handler(&world).perform(work).await;
            codes.push(i32::from(word(&performed).1.exit.unwrap()));
            said.push(format!("{performed:?}"));
        } else {
            let ran = beside(&world, &line).await;
            codes.push(ran.code);
            said.push(ran.stderr);
        }
        assert!(world.path("log").exists(), "{line}: {said:?}");
        all.push(left(&world, &server));
    }
    assert_eq!(codes[0], codes[1], "{arguments}");
    assert!(!all[0].log.is_empty() && all[0].requests.iter().any(|request| request.1.starts_with("/ping")));
    assert_eq!(all[0], all[1], "{arguments}");
}

#[tokio::test]
async fn the_same_line_leaves_the_same_behind() {
    let ping_or = |answer: fn(&Received) -> Answer| {
        move || {
            FakeServer::start(move |request| {
                if request.path.starts_with("/ping") { Answer::status(200) } else { answer(request) }
            })
        }
    };
    compare(ENDPOINT, true, ping_or(|_| success())).await;
    compare(&format!("--output DIR/reply.json {ENDPOINT}"), true, ping_or(|_| success())).await;
    compare(&format!("--idempotent {ENDPOINT}"), true, ping_or(|_| Answer::status(503))).await;
    compare(ENDPOINT, true, ping_or(|_| Answer::json(500, &json!({"code": 9, "message": "broken"})))).await;
    compare(ENDPOINT, true, ping_or(|_| Answer::json(202, &json!({"code": 0})))).await;
    compare(ENDPOINT, true, ping_or(|_| Answer::Close)).await;
    let long = |_: &Received| Answer::typed(200, "application/json", vec![b'1'; 4096]);
    compare(&format!("--max-body 1KiB {ENDPOINT}"), true, ping_or(long)).await;
    let skewed = |_: &Received| success().with("Date", "Fri, 20 Nov 2020 23:00:00 GMT");
    compare(ENDPOINT, true, ping_or(skewed)).await;
    compare(
        &format!("-X PUT -q a=1 -H X-Org:7 -d 17 --task {TASK} {ENDPOINT}"),
        true,
        ping_or(|_| success()),
    )
    .await;
}

#[tokio::test]
async fn a_login_and_a_token_that_is_replaced_leave_the_same_behind() {
    let server = || {
        let granting = Granting::new(900);
        FakeServer::start(move |request| {
            if request.path.starts_with("/ping") { Answer::status(200) } else { granting.answer(request) }
        })
    };
    compare(ENDPOINT, false, server).await;
    // The token in the file is none that this server has granted.
    compare(ENDPOINT, true, server).await;
}
