//! The OpenAPI document: it is sound, it holds what the crontab calls, and what it calls protected is.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::apiserver::{Server, http_client};
use crate::support::iam::{AUDIENCE, FakeIam, ISSUER, Key, claims, key_set, now, signed};

/// The routes that need no token, wherever the server listens.
const OPEN: [&str; 6] = [
    "/.well-known/jwks.json",
    "/api/v1/.well-known/jwks.json",
    "/api/v1/authn/login",
    "/api/v2/authn/login",
    "/health",
    "/ready",
];

fn printed() -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_qs-apiserver")).arg("openapi").env_clear().output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every operation of a document: method, path, itself.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            found.push((method, path.clone(), operation.clone()));
        }
    }
    found
}

fn remote(url: &str, env: &[(&str, &str)]) -> Server {
    let auth = [("QS_AUTH__JWKS_URL", url), ("QS_AUTH__ISSUER", ISSUER), ("QS_AUTH__AUDIENCE", AUDIENCE)];
    Server::launch(tempfile::tempdir().unwrap(), &["serve"], &[&auth, env].concat())
}

/// The path with something in its variable parts.
fn filled(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "1".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn the_document_is_sound() {
    let document = printed();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert_ne!(document["openapi"].as_str().unwrap(), "3.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} twice");
        for field in ["summary", "tags"] {
            assert!(!operation[field].is_null(), "{method} {path}: {field}");
        }
        let parameters: Vec<Value> = operation["parameters"].as_array().cloned().unwrap_or_default();
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(parameters.iter().any(|p| p["name"] == name && p["in"] == "path"), "{path}: {name}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{path} {status}");
            assert!(response["headers"]["X-Request-Id"].is_object(), "{path} {status}");
            assert!(response["content"].is_object(), "{method} {path} {status}");
        }
    }
    let alias = document["paths"].as_object().unwrap().keys().find(|path| path.starts_with("/internal/"));
    assert_eq!(alias, None, "each route is shown once");
    let mut missing = Vec::new();
    references(&document, &document, &mut missing);
    assert_eq!(missing, [""; 0]);
}

/// References to what the document does not hold.
fn references(document: &Value, value: &Value, missing: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(name)) = fields.get("$ref")
                && document.pointer(name.trim_start_matches('#')).is_none()
            {
                missing.push(name.clone());
            }
            fields.values().for_each(|field| references(document, field, missing));
        }
        Value::Array(items) => items.iter().for_each(|item| references(document, item, missing)),
        _ => {}
    }
}

#[test]
fn every_endpoint_of_the_crontab_is_a_post_of_the_document() {
    let document = printed();
    let crontab = include_str!("../../crontab/qs-scheduler");
    let endpoints: Vec<&str> = crontab
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains("qs-api-call"))
        .map(|line| line.split(' ').find(|word| word.starts_with("/api/")).unwrap())
        .collect();
    assert!(!endpoints.is_empty());
    for endpoint in endpoints {
        let operation = &document["paths"][endpoint]["post"];
        assert!(operation.is_object(), "{endpoint}");
        assert_eq!(operation["requestBody"]["required"], Value::Null, "{endpoint}: cron sends no body");
    }
}

#[tokio::test]
async fn what_is_protected_takes_a_token_that_counts_and_a_role() {
    let (key, foreign) = (Key::ec(), Key::ec());
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let elsewhere = [("QS_SERVER__ADDR", "0.0.0.0:0"), ("QS_RATE_LIMIT__PER_SECOND", "0")];
    let server = remote(&iam.url(), &elsewhere);
    let claim = |changes: Value| claims(&changes);
    let refused = [
        ("none", None),
        ("garbage", Some("garbage".to_owned())),
        ("expired", Some(key.token("k", &claim(json!({"exp": now() - 3_600}))))),
        ("foreign", Some(foreign.token("k", &claim(json!({}))))),
        ("alg none", Some(signed(&json!({"alg": "none", "kid": "k"}), &claim(json!({})), |_| Vec::new()))),
        ("audience", Some(key.token("k", &claim(json!({"aud": ["other"]}))))),
    ];
    let nobody = format!("Bearer {}", key.token("k", &claim(json!({"roles": []}))));
    let mut open = BTreeSet::new();
    for (method, path, operation) in operations(&printed()) {
        if operation["security"] == json!([{}]) {
            open.insert(path);
            continue;
        }
        assert_eq!(operation["security"], json!([{"bearer": []}]), "{path}");
        let url = filled(&path);
        for (name, token) in &refused {
            let bearer = token.as_ref().map(|token| format!("Bearer {token}"));
            let header = bearer.as_deref().map(|bearer| ("authorization", bearer));
            let reply = server.send(method.clone(), &url, header.as_slice(), "").await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}: {name}");
            assert_eq!(reply.headers["www-authenticate"], "Bearer");
        }
        let reply = server.send(method.clone(), &url, &[("authorization", &nobody)], "[").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, 100_207), "{method} {path}");
        // Nor is a body waited for, whether or not the document speaks of one.
        assert_eq!(server.status_without_body(&method, &url, &nobody), 403, "{method} {path}");
    }
    // Who may not do it is not told what is wrong with the input.
    for (action, body) in [("open", "{}"), ("open", r#"{"expire_at":"soon"}"#), ("complete", "{}")] {
        let url = format!("/api/v1/plans/tasks/none/{action}");
        let reply = server.send(Method::POST, &url, &[("authorization", &nobody)], body).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, 100_207), "{url} {body}");
    }
    for list in ["testees/none/plans", "testees/none/tasks", "plans/none/tasks", "testees/1/plans/none/tasks"]
    {
        let reply =
            server.send(Method::GET, &format!("/api/v1/{list}"), &[("authorization", &nobody)], "").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{list}");
    }
    let known: BTreeSet<String> = OPEN.iter().map(ToString::to_string).collect();
    assert_eq!(open, known);
}

#[tokio::test]
async fn document_and_page_are_open_on_loopback_and_protected_elsewhere() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let reader = format!("Bearer {}", key.token("k", &claims(&json!({"roles": ["viewer"]}))));
    let near = remote(&iam.url(), &[]);
    let far = remote(&iam.url(), &[("QS_SERVER__ADDR", "0.0.0.0:0")]);
    let document = near.send(Method::GET, "/openapi.json", &[], "").await;
    assert_eq!(document.status, StatusCode::OK);
    assert_eq!(document.body["paths"]["/openapi.json"]["get"]["security"], json!([{}]));
    assert!(document.body["paths"]["/api/v1/authn/login"].is_null(), "there is no IAM inside this server");
    let unknown = far.send(Method::GET, "/openapi.json", &[], "").await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    let known = far.send(Method::GET, "/openapi.json", &[("authorization", &reader)], "").await;
    assert_eq!(known.body["paths"]["/openapi.json"]["get"]["security"], json!([{"bearer": []}]));
    let page = http_client().get(format!("{}/docs", near.base)).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing is fetched from elsewhere");
    assert!(html.contains("<noscript>") && !html.contains("innerHTML"));
}

#[tokio::test]
async fn what_cannot_be_decoded_is_refused_in_the_envelope() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = remote(&iam.url(), &[]);
    let bearer = format!("Bearer {}", key.token("k", &claims(&json!({}))));
    let ask = async |method, path: &str, body: &str| {
        server.send(method, path, &[("authorization", &bearer)], body).await
    };
    for (path, reason) in [
        ("/api/v1/statistics/testees/%ff%fe", "path: "),
        ("/api/v1/statistics/plans/%2B1", "id: expected a positive whole number"),
        ("/api/v1/statistics/runs?limit=5&limit=6", "limit: is given twice"),
        ("/api/v1/statistics/runs?limit=%2B5", "limit: expected a whole number"),
    ] {
        let reply = ask(Method::GET, path, "").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}: {reply:?}");
        assert!(reply.message().starts_with(reason), "{path}: {}", reply.message());
        assert_eq!(reply.body["request_id"], reply.headers["x-request-id"].to_str().unwrap());
        assert!(!reply.headers.contains_key("server"));
    }
    let plan = "/api/v1/statistics/sync/plan";
    let reply = ask(Method::POST, plan, r#"{"plan_id": 7.0}"#).await;
    assert_eq!((reply.status, reply.message()), (StatusCode::NOT_FOUND, "not found: plan 7"));
    let reply = ask(Method::POST, plan, r#"{"plan_id": 7, "org": "all"}"#).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, 100_004));
    let long = "\u{1F600}".repeat(255);
    let event = json!({"event_id": long, "type": "submitted", "testee_id": long}).to_string();
    assert_eq!(ask(Method::POST, "/api/v1/statistics/events", &event).await.status, StatusCode::OK);
}
