//! The real `qs-apiserver`: logins, refusals, replies, starts and stops.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::apiserver::{ACCOUNT, Reply, Server, command, refused};
use crate::support::services::PrivateRedis;
use crate::support::wait::until;
use crate::support::world::Ran;

const SYNC: &str = "/api/v1/statistics/sync/daily";
const EVENTS: &str = "/api/v1/statistics/events";

#[tokio::test]
async fn the_login_speaks_its_dialects_and_locks() {
    let server = Server::start(&ACCOUNT);
    assert!(server.first_lines.is_empty(), "a given password is not printed");
    let credentials = json!({"username": "amy", "password": "s3cret\"\\&%"});
    for body in [
        credentials.clone(),
        json!({"method": "password", "credentials": credentials, "device_id": "d"}),
        json!({"auth_method": "password", "method_payload": credentials, "device_id": "d"}),
    ] {
        let reply = server.login(body).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, 200), "{reply:?}");
        assert_eq!(
            (&reply.data()["token_type"], &reply.data()["expires_in"]),
            (&json!("Bearer"), &json!(900))
        );
    }
    for body in [json!({}), json!({"method": "sms", "credentials": credentials}), json!({"username": "amy"})]
    {
        assert_eq!(server.login(body).await.status, StatusCode::BAD_REQUEST);
    }
    let wrong = json!({"username": "amy", "password": "wrong"});
    for _ in 0..3 {
        let reply = server.login(wrong.clone()).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::UNAUTHORIZED, 102_001));
    }
    let locked = server.login(credentials).await;
    assert_eq!((locked.status, locked.code()), (StatusCode::LOCKED, 102_302));
    assert!(locked.headers.contains_key("retry-after"));
    assert!(!server.log().contains("s3cret"));
}

#[tokio::test]
async fn a_generated_password_is_printed_once_and_works() {
    let server = Server::start(&[("QS_DEV_IAM__USERNAME", "amy")]);
    let [line] = server.first_lines.as_slice() else { panic!("{:?}", server.first_lines) };
    let password = line.strip_prefix("dev-iam username=amy password=").unwrap();
    let reply = server.login(json!({"username": "amy", "password": password})).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(!server.log().contains(password));
    let jwks = server.send(Method::GET, "/.well-known/jwks.json", &[], "").await;
    let token = reply.data()["access_token"].as_str().unwrap();
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(jwks.body["keys"][0]["kid"], header["kid"]);
    assert_eq!((&jwks.body["keys"][0]["alg"], &header["alg"]), (&json!("ES256"), &json!("ES256")));
}

#[tokio::test]
async fn without_a_good_token_every_protected_route_answers_401_in_the_envelope() {
    let server = Server::start(&ACCOUNT);
    let token = server.token().await;
    let mut parts = token.split('.');
    let (head, claims) = (parts.next().unwrap(), parts.next().unwrap());
    let none = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#));
    let forged = format!("Bearer {head}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
    let cases = [
        (None, 100_205),
        (Some(token.clone()), 100_204),
        (Some("Basic YTpi".to_owned()), 100_204),
        (Some("Bearer garbage".to_owned()), 100_005),
        (Some(format!("Bearer {none}")), 100_005),
        (Some(forged), 100_202),
    ];
    for (method, path) in [
        (Method::POST, SYNC),
        (Method::POST, "/internal/v1/statistics/sync/daily"),
        (Method::POST, EVENTS),
        (Method::GET, "/api/v1/statistics/runs/x"),
    ] {
        for (header, code) in &cases {
            let header = header.as_deref().map(|value| ("authorization", value));
            let reply = server.send(method.clone(), path, header.as_slice(), "").await;
            assert_eq!((reply.status, reply.code()), (StatusCode::UNAUTHORIZED, *code), "{path} {header:?}");
            assert_eq!(reply.headers["www-authenticate"], "Bearer");
            assert_eq!(reply.body["request_id"], reply.headers["x-request-id"].to_str().unwrap());
        }
    }
}

#[tokio::test]
async fn a_token_for_another_audience_or_of_another_server_is_refused() {
    let server = Server::start(&ACCOUNT);
    let other = Server::start(&[ACCOUNT[0], ACCOUNT[1], ("QS_AUTH__AUDIENCE", "other")]);
    let reply = server.post(&other.token().await, SYNC, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::UNAUTHORIZED, 100_005));
    assert!(reply.message().contains("signing key is not known"), "{}", reply.message());
}

#[tokio::test]
async fn events_become_rows_and_a_second_sync_changes_nothing() {
    let server = Server::start(&ACCOUNT);
    let token = server.token().await;
    let event = |id: &str, more: Value| {
        let mut event = json!({"event_id": id, "type": "submitted"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string()
    };
    let first = event("e1", json!({"questionnaire_code": "PHQ-9:*", "testee_id": 42, "plan_id": "7"}));
    let reply = server.post(&token, EVENTS, &first).await;
    assert_eq!((reply.status, &reply.data()["counted"]), (StatusCode::OK, &json!(true)), "{reply:?}");
    assert_eq!(server.post(&token, EVENTS, &first).await.data()["counted"], false);
    let old = event("e2", json!({"questionnaire_code": "GAD", "occurred_at": "2026-01-05T23:59:59Z"}));
    assert_eq!(server.post(&token, EVENTS, &old).await.data()["date"], "2026-01-05");

    let synced = server.post(&token, SYNC, "").await;
    assert_eq!((synced.status, synced.code()), (StatusCode::OK, 200), "{synced:?}");
    let counts = |reply: &Reply| {
        ["scanned", "written", "unchanged", "skipped", "failed"]
            .map(|name| reply.data()[name].as_u64().unwrap())
    };
    assert_eq!(counts(&synced), [4, 4, 0, 0, 0], "the old day was touched, so it is in the window");
    assert_eq!(synced.data()["window"]["start_date"], "2026-01-05");

    let again = server.post(&token, SYNC, "{}").await;
    assert_eq!(counts(&again), [3, 0, 3, 0, 0]);
    let another = event("e3", json!({"questionnaire_code": "PHQ-9:*"}));
    server.post(&token, EVENTS, &another).await;
    assert_eq!(counts(&server.post(&token, "/internal/v1/statistics/sync/daily", "").await), [3, 1, 2, 0, 0]);
    let back = json!({"start_date": "2026-01-01", "end_date": "2026-01-05"}).to_string();
    assert_eq!(counts(&server.post(&token, SYNC, &back).await), [1, 0, 1, 0, 0], "the end is inclusive");
    let query = format!("{SYNC}?start_date=2026-01-06&end_date=2026-01-06");
    assert_eq!(counts(&server.post(&token, &query, "").await), [0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn input_that_makes_no_sense_is_refused_with_the_reason() {
    let server = Server::start(&ACCOUNT);
    let token = server.token().await;
    for (path, body, reason) in [
        (
            SYNC,
            r#"{"start_date":"2026-13-01","end_date":"2026-01-02"}"#,
            "start_date: expected a day as YYYY-MM-DD",
        ),
        (SYNC, r#"{"start_date":"2026-01-01"}"#, "end_date: is required together with start_date"),
        (SYNC, r#"{"start_date":"2026-01-02","end_date":"2026-01-01"}"#, "end_date: lies before start_date"),
        (SYNC, r#"{"startdate":"2026-01-01"}"#, "unknown field `startdate`"),
        (SYNC, "{", "the body is not JSON"),
        (SYNC, "[]", "expected a JSON object"),
        (
            EVENTS,
            r#"{"event_id":"e","type":"submitted"}"#,
            "expected questionnaire_code, testee_id or plan_id",
        ),
        (EVENTS, r#"{"event_id":"e","type":"exploded","plan_id":1}"#, "unknown variant `exploded`"),
        (EVENTS, r#"{"type":"submitted","plan_id":1}"#, "missing field `event_id`"),
        (EVENTS, r#"{"event_id":"","type":"submitted","plan_id":1}"#, "event_id: must not be empty"),
        (
            EVENTS,
            r#"{"event_id":"e","type":"submitted","plan_id":1,"occurred_at":"9000-01-01T00:00:00Z"}"#,
            "future",
        ),
    ] {
        let reply = server.post(&token, path, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(matches!(reply.code(), 100_003 | 100_004), "{body}");
        assert!(reply.message().contains(reason), "{body}: {}", reply.message());
    }
    let large = format!("{{\"x\":\"{}\"}}", "a".repeat(2 << 20));
    let reply = server.post(&token, SYNC, &large).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::PAYLOAD_TOO_LARGE, 110_413));
}

#[tokio::test]
async fn what_reaches_no_handler_has_the_envelope_too() {
    let server = Server::start(&ACCOUNT);
    let reply = server.send(Method::GET, SYNC, &[("x-request-id", "abc-1")], "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::METHOD_NOT_ALLOWED, 110_405));
    assert_eq!(
        (&reply.headers["allow"], &reply.body["request_id"]),
        (&"POST".parse().unwrap(), &json!("abc-1"))
    );
    let reply = server.send(Method::GET, "/api/v1/nothing?token=t0ken", &[], "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::NOT_FOUND, 100_006));
    assert!(!server.log().contains("t0ken"), "queries stay out of the log");
    let health = server.send(Method::GET, "/health", &[], "").await;
    assert_eq!((health.status, &health.body["status"]), (StatusCode::OK, &json!("healthy")));
    let ready = server.send(Method::GET, "/ready", &[], "").await;
    assert_eq!((ready.status, &ready.body["status"]), (StatusCode::OK, &json!("ready")));
}

#[tokio::test]
async fn an_accepted_sync_can_be_followed_and_a_key_is_answered_once() {
    let mut server = Server::start(&ACCOUNT);
    let token = server.token().await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async"), ("idempotency-key", "k")];
    let reply = server.send(Method::POST, SYNC, &headers, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::ACCEPTED, 200));
    assert_eq!(reply.headers["preference-applied"], "respond-async");
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    let ended = loop {
        let run = server.send(Method::GET, &location, &headers[..1], "").await;
        assert_eq!(run.status, StatusCode::OK);
        if run.data()["status"] != "running" {
            break run;
        }
    };
    assert_eq!(ended.data()["status"], "succeeded");
    assert_eq!(ended.data()["run_id"], reply.data()["run_id"]);
    let first = server.send(Method::POST, SYNC, &[headers[0], headers[2]], "").await;
    assert_eq!((first.status, first.data()), (StatusCode::OK, ended.data()));
    let other = json!({"start_date": "2026-01-01", "end_date": "2026-01-01"}).to_string();
    let reused = server.send(Method::POST, SYNC, &[headers[0], headers[2]], &other).await;
    assert_eq!((reused.status, reused.code()), (StatusCode::UNPROCESSABLE_ENTITY, 110_004));
    let missing = server.send(Method::GET, "/api/v1/statistics/runs/nope", &headers[..1], "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);

    // The record outlives the server.
    assert_eq!(server.terminate("-TERM"), (Some(0), String::new()));
    let server = Server::start_in(server.take_dir(), &ACCOUNT);
    let bearer = format!("Bearer {}", server.token().await);
    let run = server.send(Method::GET, &location, &[("authorization", &bearer)], "").await;
    assert_eq!(run.data(), ended.data());
}

#[test]
fn both_signals_stop_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        assert_eq!(Server::start(&ACCOUNT).terminate(signal), (Some(0), String::new()));
    }
}

#[test]
fn an_unsafe_or_wrong_start_is_one_line_and_its_exit_code() {
    let on = ["serve", "--dev-iam"];
    for (args, env, exit, reason) in [
        (&on[..1], vec![], 78, "no token could be verified"),
        (&on, vec![("QS_SERVER__ADDR", "0.0.0.0:0")], 78, "must not be reachable"),
        (&on, vec![("QS_SERVER__ADR", "x")], 78, "did you mean QS_SERVER__ADDR?"),
        (&on, vec![("QS_SERVER__ADDR", "localhost")], 78, "expected an IP address with a port"),
        (&on, vec![("QS_DATABASE__URL", "postgres:x")], 78, "begins with sqlite:"),
        (&on, vec![("QS_DATABASE__URL", "sqlite:/nonexistent/x.db")], 74, "cannot open the database"),
        (&on, vec![("QS_DEV_IAM__PASSWORD_FILE", "/nonexistent")], 66, "/nonexistent"),
        (&["serve", "--config", "/nonexistent"], vec![], 66, "/nonexistent"),
    ] {
        let (code, stderr) = refused(args, &env);
        assert_eq!((code, stderr.lines().count()), (Some(exit), 1), "{stderr}");
        assert!(stderr.starts_with("qs-apiserver: ") && stderr.contains(reason), "{stderr}");
    }
    assert_eq!(refused(&["frobnicate"], &[]).0, Some(64));
}

/// A file of this content and mode.
fn secret_file(dir: &Path, content: &str, mode: u32) -> String {
    let path = dir.join("secret");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn a_secret_file_that_others_may_read_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for (key, variable, content) in [
        ("database.url_file", "QS_DATABASE__URL_FILE", "sqlite:/tmp/hunter2.db"),
        ("redis.url_file", "QS_REDIS__URL_FILE", "redis://:hunter2@127.0.0.1:1"),
        ("dev_iam.password_file", "QS_DEV_IAM__PASSWORD_FILE", "hunter2"),
    ] {
        for mode in [0o644, 0o640, 0o604] {
            let file = secret_file(dir.path(), content, mode);
            let unset = if key == "database.url_file" { "QS_DATABASE__URL" } else { "QS_UNUSED" };
            let (code, stderr) = refused(&["serve", "--dev-iam"], &[(variable, &file), (unset, "")]);
            assert_eq!((code, stderr.lines().count()), (Some(78), 1), "{stderr}");
            let reason = format!("{key}: {file}: mode {mode:04o} lets others read it");
            assert!(stderr.contains(&reason) && stderr.contains("chmod 600"), "{stderr}");
            assert!(!stderr.contains("hunter2"), "{stderr}");
        }
    }
    let file = secret_file(dir.path(), "\n", 0o600);
    let (code, stderr) = refused(&["serve", "--dev-iam"], &[("QS_DEV_IAM__PASSWORD_FILE", &file)]);
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("dev_iam.password_file: ") && stderr.contains("is empty"), "{stderr}");
}

#[tokio::test]
async fn a_secret_file_of_its_owner_or_of_systemd_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/of-file.db", dir.path().display());
    let file = secret_file(dir.path(), &format!("{url}\n"), 0o600);
    let env = [("QS_DATABASE__URL_FILE", &*file), ("QS_DATABASE__URL", "")];
    let migrated = command(&dir, &env).arg("migrate").output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    assert!(dir.path().join("of-file.db").exists());

    let file = secret_file(dir.path(), "s3cret\"\\&%\n", 0o440);
    let env = [
        ("QS_DEV_IAM__USERNAME", "amy"),
        ("QS_DEV_IAM__PASSWORD_FILE", &*file),
        ("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap()),
    ];
    if std::fs::metadata(&file).unwrap().uid() == 0 {
        assert!(!Server::start(&env).token().await.is_empty());
    }
    let (code, stderr) = refused(&["serve", "--dev-iam"], &env[..2]);
    assert_eq!(code, Some(78), "no directory is named: {stderr}");
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    for env in [
        [
            ("QS_DATABASE__URL", "mysql://root:hunter2pass@127.0.0.1:1/x"),
            ("QS_REDIS__URL", "redis://127.0.0.1:1"),
        ],
        [("QS_DATABASE__URL", "mysql://root:hunter2 pass@[/x"), ("QS_REDIS__URL", "redis://127.0.0.1:1")],
        [("QS_DATABASE__URL", "postgres://root:hunter2pass@127.0.0.1:1/x"), ("QS_LOG__LEVEL", "debug")],
        [("QS_REDIS__URL", "redis://:hunter2pass@127.0.0.1:1"), ("QS_LOG__LEVEL", "debug")],
        [("QS_REDIS__URL", "redis:hunter2pass@[bad"), ("QS_LOG__LEVEL", "debug")],
    ] {
        let (code, stderr) = refused(&["serve", "--dev-iam"], &env);
        assert!(matches!(code, Some(74 | 78)), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
        assert!(stderr.contains("qs-apiserver: "), "{stderr}");
        let (_, missing) = refused(&["migrate", "--check"], &env);
        assert!(!missing.contains("hunter2"), "{missing}");
    }
}

#[test]
fn the_schema_is_checked_and_brought_up_to_date_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let output = command(&dir, env).args(args).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = run(&["migrate", "--check"], &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("lacks 9 schema changes"), "{text}");
    let by_hand = [("QS_DATABASE__MIGRATE", "false")];
    let (code, text) = run(&["serve", "--dev-iam"], &by_hand);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("run `qs-apiserver migrate`"), "{text}");
    let (code, text) = run(&["migrate"], &[]);
    assert_eq!((code, text.contains("9 schema changes were made")), (Some(0), true), "{text}");
    assert_eq!(run(&["migrate", "--check"], &[]), (Some(0), "the schema is current\n".to_owned()));
    let env: Vec<_> = ACCOUNT.into_iter().chain(by_hand).collect();
    Server::start_in(dir, &env);
}

/// `health` with these arguments and this environment.
fn health(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let output = command(&dir, env).arg("health").args(args).output().unwrap();
    Ran::of(&output)
}

#[tokio::test]
async fn health_is_ready_with_the_real_server_and_nothing_else() {
    let mut server = Server::start(&ACCOUNT);
    let addr = server.base.strip_prefix("http://").unwrap().to_owned();
    let port = addr.rsplit_once(':').unwrap().1;
    for (args, addr) in [
        (vec!["--url", &server.base], "127.0.0.1:0"),
        (vec!["--timeout", "10s"], &*addr),
        (vec![], &*format!("0.0.0.0:{port}")),
    ] {
        let ran = health(&args, &[("QS_SERVER__ADDR", addr)]);
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "ready\n", ""), "{args:?} {addr}");
    }
    let ran = health(&["--json", "--url", &server.base], &[]);
    let said = ran.json();
    assert_eq!((ran.code, &said["ready"], &said["status"]), (0, &json!(true), &json!(200)), "{said}");
    assert_eq!(said["checks"], json!({"counters": "ok", "store": "ok"}));
    assert_eq!(said["url"], format!("{}/ready", server.base));

    let prefixed = health(&["--url", &format!("{}/elsewhere", server.base)], &[]);
    prefixed.assert_failure(75);
    assert!(prefixed.stderr.contains("HTTP 404 without the answer of qs-apiserver"), "{prefixed:?}");
    let unknown = health(&[], &[]);
    unknown.assert_failure(78);
    assert!(unknown.stderr.contains("name the server with --url"), "{unknown:?}");
    health(&["--url", "localhost:8080"], &[]).assert_failure(64);
    health(&["--timeout", "soon"], &[]).assert_failure(64);
    health(&["--config", "/nonexistent"], &[]).assert_failure(66);

    server.kill();
    let down = health(&["--json"], &[("QS_SERVER__ADDR", &addr)]);
    down.assert_failure(75);
    assert!(down.stderr.contains("not reachable: no connection"), "{down:?}");
    assert_eq!((&down.json()["ready"], &down.json()["status"]), (&json!(false), &Value::Null), "{down:?}");
}

#[tokio::test]
async fn health_tells_which_store_is_missing() {
    let Some(mut redis) = PrivateRedis::start("the health of a server without its Redis") else { return };
    let url = redis.url();
    let server = Server::start(&[ACCOUNT[0], ACCOUNT[1], ("QS_REDIS__URL", &url)]);
    assert_eq!(health(&["--url", &server.base], &[]).code, 0);
    redis.kill();
    // An answer counts for a second.
    let ran = until("it is noticed", async || {
        let ran = health(&["--json", "--timeout", "20s", "--url", &server.base], &[]);
        (ran.code != 0).then_some(ran)
    });
    let ran = ran.await;
    ran.assert_failure(75);
    assert!(ran.stderr.contains("not ready: counters unreachable"), "{ran:?}");
    let said = ran.json();
    assert_eq!((&said["status"], &said["checks"]["store"]), (&json!(503), &json!("ok")), "{said}");
    assert_eq!(said["reason"], "not ready: counters unreachable");
}

#[test]
fn health_does_not_wait_for_a_server_that_says_nothing() {
    // The kernel takes the connection, nobody reads from it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let ran = health(&["--timeout", "100ms"], &[("QS_SERVER__ADDR", &addr)]);
    ran.assert_failure(75);
    assert!(ran.stderr.contains("not reachable: no answer before the deadline"), "{ran:?}");
}

#[tokio::test]
async fn a_short_life_ends() {
    let env = [ACCOUNT[0], ACCOUNT[1], ("QS_DEV_IAM__TTL", "1s"), ("QS_AUTH__LEEWAY", "0")];
    let server = Server::start(&env);
    let login = server.login(json!({"username": "amy", "password": "s3cret\"\\&%"})).await;
    assert_eq!(login.data()["expires_in"], 1);
    let token = login.data()["access_token"].as_str().unwrap();
    // Asking until it ends needs no sleep; the deadline keeps a defect from asking for ever.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let refused = loop {
        let reply = server.post(token, "/api/v1/statistics/sync/daily", "").await;
        if reply.status != StatusCode::OK {
            break reply;
        }
        assert!(std::time::Instant::now() < deadline, "the token never expired");
    };
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, 100_203));
}

#[tokio::test]
async fn the_log_can_be_json_and_a_file_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    let mut server = Server::start_in(
        dir,
        &[ACCOUNT[0], ACCOUNT[1], ("QS_LOG__FORMAT", "json"), ("QS_LOG__DIR", logs.to_str().unwrap())],
    );
    server.send(Method::GET, "/api/v1/x", &[("x-request-id", "r-1")], "").await;
    server.terminate("-TERM");
    let line = server.log().lines().find(|line| line.contains("r-1")).unwrap().to_owned();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["status"], &line["path"]), (&json!(404), &json!("/api/v1/x")));
    let file = std::fs::read_dir(&logs).unwrap().next().unwrap().unwrap();
    assert!(file.file_name().to_string_lossy().starts_with("qs-apiserver."));
    assert!(std::fs::read_to_string(file.path()).unwrap().contains("r-1"));
}

#[tokio::test]
async fn a_plan_is_made_enrolled_in_opened_completed_and_canceled() {
    let server = Server::start(&ACCOUNT);
    let token = server.token().await;
    let bearer = format!("Bearer {token}");
    let get = async |path: &str| server.send(Method::GET, path, &[("authorization", &bearer)], "").await;
    let body = json!({"scale_code": "PHQ9", "schedule_type": "by_day", "interval": "1", "total_times": 3});
    let plan = server.post(&token, "/api/v1/plans", &body.to_string()).await;
    assert_eq!(plan.status, 200, "{plan:?}");
    let id = plan.data()["id"].as_str().unwrap().to_owned();
    assert_eq!((&plan.data()["status"], &plan.data()["interval"]), (&json!("active"), &json!(1)));
    let enrol = json!({"plan_id": id, "testee_id": 7, "start_date": "2026-01-01"}).to_string();
    let enrolled = server.post(&token, "/internal/v1/plans/enroll", &enrol).await;
    assert_eq!(enrolled.data()["tasks"][0]["planned_at"], "2026-01-01 00:00:00", "{enrolled:?}");
    let again = server.post(&token, "/api/v1/plans/enroll", &enrol).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, 110_010), "{again:?}");

    let bad = server.post(&token, "/api/v1/plans/tasks/schedule?before=yesterday", "").await;
    assert_eq!((bad.status.as_u16(), bad.code()), (400, 100_004));
    let before = "/api/v1/plans/tasks/schedule?before=2026-01-02%2000:00:00";
    let opened = server.post(&token, before, "").await;
    assert_eq!((opened.status.as_u16(), &opened.data()["written"]), (200, &json!(2)), "{opened:?}");
    let task = enrolled.data()["tasks"][0]["id"].as_str().unwrap().to_owned();
    let shown = get(&format!("/api/v1/plans/tasks/{task}")).await;
    let url = shown.data()["entry_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/entry?token=", server.base)), "{url}");
    let complete = format!("/api/v1/plans/tasks/{task}/complete?assessment_id=5");
    assert_eq!(server.post(&token, &complete, "").await.data()["status"], "completed");
    assert_eq!(server.post(&token, &complete, "").await.data()["status"], "completed", "it is so already");
    let other = complete.replace("=5", "=6");
    assert_eq!(server.post(&token, &other, "").await.code(), 110_010);

    assert_eq!(server.post(&token, &format!("/api/v1/plans/{id}/cancel"), "").await.status, 200);
    assert_eq!(server.post(&token, &format!("/api/v1/plans/{id}/pause"), "").await.status, 409);
    let listed = get("/api/v1/testees/7/tasks?status=canceled&page_size=1").await;
    assert_eq!(
        (&listed.data()["total_count"], listed.data()["items"].as_array().map(Vec::len)),
        (&json!(2), Some(1))
    );
    assert_eq!(get("/api/v1/plans/99").await.status, 404);
    assert_eq!(get("/api/v1/plans?page_size=101").await.status, 400);
    assert_eq!(get("/api/v1/testees/7/plans").await.data()["items"][0]["id"], id.as_str());
}
