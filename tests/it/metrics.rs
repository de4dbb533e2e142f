//! What the real server counts about itself, and which trace its log tells.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::apiserver::{Server, http_client};
use crate::support::iam::{AUDIENCE, FakeIam, ISSUER, Key, claims, key_set, now};

const SYNC: &str = "/api/v1/statistics/sync/daily";

fn start(iam: &FakeIam, env: &[(&str, &str)]) -> Server {
    let url = iam.url();
    let auth =
        [("QS_AUTH__JWKS_URL", url.as_str()), ("QS_AUTH__ISSUER", ISSUER), ("QS_AUTH__AUDIENCE", AUDIENCE)];
    Server::launch(tempfile::tempdir().unwrap(), &["serve"], &[&auth, env].concat())
}

async fn metrics(server: &Server) -> String {
    let reply = http_client().get(format!("{}/metrics", server.base)).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let content_type = reply.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = reply.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

#[track_caller]
fn holds(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
}

#[tokio::test]
async fn requests_syncs_and_refusals_are_counted() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam, &[("QS_RATE_LIMIT__PER_SECOND", "1"), ("QS_RATE_LIMIT__BURST", "4")]);
    let bearer = |changes| format!("Bearer {}", key.token("k", &claims(&changes)));
    let caller = bearer(json!({"sub": "who-calls", "tenant_id": 77}));
    let ask = async |method, path, bearer: &str| {
        server.send(method, path, &[("authorization", bearer)], "").await.status
    };
    let event = r#"{"event_id":"e-77","type":"submitted","testee_id":"t-77"}"#;
    let sent =
        server.send(Method::POST, "/api/v1/statistics/events", &[("authorization", &caller)], event).await;
    assert_eq!(sent.status, StatusCode::OK);
    assert_eq!(ask(Method::POST, SYNC, &caller).await, StatusCode::OK);
    assert_eq!(ask(Method::GET, "/api/v1/statistics/runs/x-77", &caller).await, StatusCode::NOT_FOUND);
    ask(Method::GET, "/api/v1/path-77", &caller).await;
    ask(Method::POST, SYNC, &bearer(json!({"exp": now() - 3_600}))).await;
    server.send(Method::POST, SYNC, &[], "").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while ask(Method::GET, "/api/v1/statistics/system", &caller).await != StatusCode::TOO_MANY_REQUESTS {
        assert!(std::time::Instant::now() < deadline, "nothing held the caller back");
    }
    let text = metrics(&server).await;
    for line in [
        r#"qs_http_requests_total{method="POST",route="/api/v1/statistics/sync/daily",status="200"} 1"#,
        r#"qs_http_requests_total{method="POST",route="/api/v1/statistics/sync/daily",status="401"} 2"#,
        r#"qs_http_requests_total{method="GET",route="/api/v1/statistics/runs/{id}",status="404"} 1"#,
        r#"qs_http_requests_total{method="GET",route="unknown",status="404"} 1"#,
        r#"qs_http_request_duration_seconds_count{method="POST",route="/api/v1/statistics/sync/daily"} 3"#,
        r#"qs_sync_runs_total{kind="daily",status="succeeded"} 1"#,
        r#"qs_sync_items_total{kind="daily",outcome="written"} 1"#,
        r#"qs_sync_items_total{kind="daily",outcome="failed"} 0"#,
        r#"qs_sync_duration_seconds_count{kind="daily"} 1"#,
        r#"qs_auth_failures_total{reason="expired"} 1"#,
        r#"qs_auth_failures_total{reason="missing"} 1"#,
        "qs_rate_limited_total 1",
    ] {
        holds(&text, line);
    }
    let success = text.lines().find(|line| line.starts_with("qs_sync_last_success_timestamp_seconds{"));
    let at: f64 = success.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let at = std::time::Duration::from_secs_f64(at).as_secs();
    assert!(now().unsigned_abs().abs_diff(at) < 60, "{at}");
    let labels: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('}')?.0)).collect();
    let named = |label: &&str| label.contains("77") || label.contains("who-calls");
    assert!(!labels.iter().any(named), "labels have a bound: {labels:?}");
}

#[tokio::test]
async fn a_sync_of_every_organisation_is_counted_once_for_each() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam, &[]);
    for org_id in [7, 8] {
        let bearer = format!("Bearer {}", key.token("k", &claims(&json!({"tenant_id": org_id}))));
        let event = r#"{"event_id":"e","type":"submitted","testee_id":"t"}"#;
        let headers = [("authorization", bearer.as_str())];
        let sent = server.send(Method::POST, "/api/v1/statistics/events", &headers, event).await;
        assert_eq!(sent.status, StatusCode::OK);
    }
    let admin = format!("Bearer {}", key.token("k", &claims(&json!({"roles": ["admin"]}))));
    let headers = [("authorization", admin.as_str())];
    let synced = server.send(Method::POST, &format!("{SYNC}?org=all"), &headers, "").await;
    assert_eq!((synced.status, &synced.body["data"]["written"]), (StatusCode::OK, &json!(2)));
    let text = metrics(&server).await;
    for line in [
        r#"qs_sync_runs_total{kind="daily",status="succeeded"} 2"#,
        r#"qs_sync_items_total{kind="daily",outcome="written"} 2"#,
        r#"qs_sync_duration_seconds_count{kind="daily"} 2"#,
    ] {
        holds(&text, line);
    }
}

#[tokio::test]
async fn elsewhere_than_on_loopback_the_metrics_take_a_token() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam, &[("QS_SERVER__ADDR", "0.0.0.0:0")]);
    let refused = server.send(Method::GET, "/metrics", &[], "").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    for (role, status) in [("viewer", StatusCode::OK), ("nothing", StatusCode::FORBIDDEN)] {
        let token = key.token("k", &claims(&json!({"roles": [role]})));
        let asked = http_client().get(format!("{}/metrics", server.base)).bearer_auth(token);
        assert_eq!(asked.send().await.unwrap().status(), status, "{role}");
    }
}

#[tokio::test]
async fn the_trace_of_the_caller_stands_in_the_lines_of_the_request_and_of_its_sync() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam, &[("QS_LOG__FORMAT", "json")]);
    let bearer = format!("Bearer {}", key.token("k", &claims(&json!({}))));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    for traceparent in [parent.as_str(), "garbage"] {
        let headers = [("authorization", bearer.as_str()), ("traceparent", traceparent)];
        assert_eq!(server.send(Method::POST, SYNC, &headers, "").await.status, StatusCode::OK);
    }
    let lines: Vec<serde_json::Value> =
        server.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let trace_of = |line: &serde_json::Value| line["spans"][0]["trace_id"].as_str().map(str::to_owned);
    for message in ["sync ended", "request"] {
        let traces: Vec<_> =
            lines.iter().filter(|line| line["message"] == message).map(|l| trace_of(l).unwrap()).collect();
        let [known, new] = traces.as_slice() else { panic!("{message}: {traces:?}") };
        assert_eq!(known, trace);
        assert!(new.len() == 32 && new != trace, "{new}");
    }
}
