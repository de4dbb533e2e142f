//! The outcome matrix: everything that can happen to a call, as the real binary meets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::tls::Authority;
use crate::support::world::{ENDPOINT, Granting, LOGIN, Ran, World, success};

/// One row: what the server does, what the program must make of it.
pub struct Row {
    pub name: &'static str,
    pub answer: Answer,
    pub args: &'static [&'static str],
    exit: i32,
    /// Requests that the server must have seen.
    requests: usize,
    /// What the one line on standard error says; empty for success.
    says: &'static str,
}

fn row(name: &'static str, answer: Answer, exit: i32, requests: usize, says: &'static str) -> Row {
    Row { name, answer, args: &[], exit, requests, says }
}

fn json(status: u16, body: &serde_json::Value) -> Answer {
    Answer::json(status, body)
}

/// A date that is past: the wait it asks for is over.
const PAST: &str = "Fri, 20 Nov 2020 23:00:00 GMT";

#[expect(clippy::too_many_lines, reason = "one table, one row a line")]
pub fn rows() -> Vec<Row> {
    let ten_mib = vec![b'x'; 10 << 20];
    let many_lines = (0..300).fold(Answer::status(200), |answer, n| answer.with(&format!("X-Line-{n}"), "x"));
    let attempt = &["--attempt-timeout", "300ms"];
    let repeatable = &["--attempt-timeout", "300ms", "--idempotent"];
    vec![
        row("200", success(), 0, 1, ""),
        row("200 code 0", json(200, &json!({"code": 0})), 0, 1, ""),
        row("200 no code", json(200, &json!({"data": {}})), 0, 1, ""),
        row("200 text", Answer::typed(200, "text/plain", "done"), 0, 1, ""),
        row("200 empty", Answer::status(200), 0, 1, ""),
        row(
            "200 failing code",
            json(200, &json!({"code": 100_101, "message": "Database error"})),
            1,
            1,
            "code 100101: Database error",
        ),
        row("200 word code", json(200, &json!({"code": "E_DOWN", "msg": "no"})), 1, 1, "code E_DOWN: no"),
        Row {
            args: &["--success-code", "7"],
            ..row("200 own code", json(200, &json!({"code": 7})), 0, 1, "")
        },
        Row {
            args: &["--success-code", "7"],
            ..row("200 code 0, which no longer counts", json(200, &json!({"code": 0})), 1, 1, "code 0")
        },
        row(
            "200 non-JSON",
            Answer::typed(200, "application/json", "{oops"),
            76,
            1,
            "its JSON cannot be read",
        ),
        row("200 web page", Answer::typed(200, "text/html", "<html>"), 76, 1, "the reply is a web page"),
        row(
            "200 truncated",
            Answer::Truncated { declared: 100, sent: b"{\"code\":0".to_vec() },
            124,
            1,
            "the reply was cut",
        ),
        Row {
            args: &["--idempotent"],
            ..row(
                "200 truncated, repeatable",
                Answer::Truncated { declared: 100, sent: b"{".to_vec() },
                75,
                3,
                "the reply was cut",
            )
        },
        row("200 of 10 MiB", Answer::typed(200, "text/plain", ten_mib.clone()), 76, 1, "longer than 1MiB"),
        Row {
            args: &["--max-body", "16MiB"],
            ..row("200 of 10 MiB, allowed", Answer::typed(200, "text/plain", ten_mib), 0, 1, "")
        },
        Row {
            args: attempt,
            ..row(
                "slow body",
                Answer::SlowBody(b"{\"code\":0".to_vec()),
                124,
                1,
                "the reply was cut: deadline",
            )
        },
        Row {
            args: attempt,
            ..row("slow headers", Answer::SlowHeaders, 124, 1, "no answer before the deadline")
        },
        Row {
            args: repeatable,
            ..row("slow headers, repeatable", Answer::SlowHeaders, 75, 3, "no answer before the deadline")
        },
        row("reset after the request", Answer::Reset, 124, 1, "connection lost after the request was sent"),
        Row {
            args: &["--idempotent"],
            ..row("reset, repeatable", Answer::Reset, 75, 3, "connection lost after the request was sent")
        },
        row("closed without an answer", Answer::Close, 124, 1, "connection lost after the request was sent"),
        Row {
            args: &["-X", "GET"],
            ..row("GET is repeatable by its nature", Answer::Close, 75, 3, "connection lost")
        },
        Row { args: &["-X", "PUT"], ..row("PUT is repeatable", Answer::Close, 75, 3, "connection lost") },
        Row {
            args: &["-X", "DELETE"],
            ..row("DELETE is repeatable", Answer::Close, 75, 3, "connection lost")
        },
        Row { args: &["-X", "HEAD"], ..row("HEAD is repeatable", Answer::Close, 75, 3, "connection lost") },
        Row {
            args: &["-X", "OPTIONS"],
            ..row("OPTIONS is repeatable", Answer::Close, 75, 3, "connection lost")
        },
        Row { args: &["-X", "PATCH"], ..row("PATCH is not", Answer::Close, 124, 1, "connection lost") },
        row("101", Answer::status(101), 76, 1, "HTTP 101"),
        row("200 of 300 lines", many_lines, 76, 1, "its head has more than 256 lines"),
        row("201", json(201, &json!({"code": 0})), 0, 1, ""),
        row("202", json(202, &json!({"code": 0, "data": {"run_id": "r1"}})), 0, 1, ""),
        row("202 failing code", json(202, &json!({"code": 9})), 1, 1, "code 9"),
        row("204", Answer::status(204), 0, 1, ""),
        row(
            "301",
            Answer::status(301).with("Location", "http://127.0.0.1:1/elsewhere?ticket=s3cret"),
            76,
            1,
            "redirects to http://127.0.0.1:1/elsewhere are not followed",
        ),
        row("307", Answer::status(307).with("Location", "/elsewhere"), 76, 1, "are not followed"),
        row("400", json(400, &json!({"code": 100_004, "message": "无效的时间格式"})), 1, 1, "无效的时间格式"),
        row(
            "403",
            json(403, &json!({"code": 100_207, "message": "Permission denied"})),
            77,
            1,
            "Permission denied",
        ),
        row("400 detail", json(400, &json!({"detail": "no such day"})), 1, 1, "no such day"),
        row("404", Answer::status(404), 1, 1, "HTTP 404 Not Found"),
        row("408", Answer::status(408), 75, 3, "HTTP 408"),
        row("409", json(409, &json!({"message": "version conflict"})), 1, 1, "version conflict"),
        row(
            "409 in progress",
            json(409, &json!({"message": "sync in progress"})),
            75,
            3,
            "already in progress",
        ),
        row("422", Answer::status(422), 1, 1, "HTTP 422"),
        row("423", Answer::status(423), 75, 1, "HTTP 423, locked"),
        row("425", Answer::status(425), 75, 3, "HTTP 425"),
        row("429", Answer::status(429), 75, 3, "HTTP 429"),
        row("429, seconds that fit", Answer::status(429).with("Retry-After", "0"), 75, 3, "HTTP 429"),
        row("429, date that fits", Answer::status(429).with("Retry-After", PAST), 75, 3, "HTTP 429"),
        row(
            "429, seconds past the budget",
            Answer::status(429).with("Retry-After", "3600"),
            75,
            1,
            "HTTP 429",
        ),
        row(
            "429, date past the budget",
            Answer::status(429).with("Retry-After", "Fri, 20 Nov 2093 23:00:00 GMT"),
            75,
            1,
            "HTTP 429",
        ),
        Row {
            args: &["--retries", "0"],
            ..row("503 without retries", Answer::status(503), 75, 1, "HTTP 503")
        },
        row("500", json(500, &json!({"code": 110_001, "message": "3 of 5 failed"})), 1, 1, "3 of 5 failed"),
        row(
            "500 that claims success",
            json(500, &json!({"code": 0, "message": "success"})),
            1,
            1,
            "HTTP 500",
        ),
        row("501", Answer::status(501), 1, 1, "HTTP 501"),
        row("502", Answer::typed(502, "text/html", "<html>bad gateway</html>"), 75, 3, "HTTP 502"),
        row("503", Answer::status(503), 75, 3, "HTTP 503"),
        row("504", Answer::status(504), 75, 3, "HTTP 504"),
        row("505", Answer::status(505), 1, 1, "HTTP 505"),
    ]
}

#[test]
fn every_answer_has_its_exit_code_its_requests_and_its_line() {
    for Row { name, answer, args, exit, requests, says } in rows() {
        let server = FakeServer::start(move |_| answer.clone());
        let world = World::with_token(&server);
        let ran = world.run(&[args, &[ENDPOINT]].concat());
        check(name, &ran, exit, says);
        let seen = server.requests();
        assert_eq!(seen.len(), requests, "{name}: requests");
        let keys: Vec<_> = seen.iter().map(|request| request.header("idempotency-key")).collect();
        assert!(
            keys.iter().all(|key| key.is_some() && *key == keys[0]),
            "{name}: one key for every attempt: {keys:?}"
        );
        let ran = world.run(&["history", "--json"]);
        let last = &ran.json()[0];
        assert_eq!(last["exit_code"], exit, "{name}: the record");
        assert_eq!(last["attempts"], requests, "{name}: the record");
        let log = world.log();
        let end = log.lines().last().unwrap();
        assert!(end.contains(" event=finished ") && end.contains(&format!(" exit={exit} ")), "{name}: {log}");
        assert_eq!(log.matches("event=finished").count(), 1, "{name}: {log}");
    }
}

fn check(name: &str, ran: &Ran, exit: i32, says: &str) {
    assert_eq!(ran.code, exit, "{name}: {ran:?}");
    assert_eq!(ran.stdout, "", "{name}");
    let lines = usize::from(exit != 0);
    assert_eq!(ran.stderr.lines().count(), lines, "{name}: {ran:?}");
    assert!(ran.stderr.contains(says), "{name}: {says:?} in {ran:?}");
    assert!(exit == 0 || ran.stderr.contains(&format!(" [{exit} ")), "{name}: the code in {ran:?}");
}

#[test]
fn an_accepted_call_is_not_called_a_success() {
    let server = FakeServer::start(|_| json(202, &json!({"code": 0})));
    let world = World::with_token(&server);
    let ran = world.run(&["--json", ENDPOINT]);
    assert_eq!((ran.code, ran.json()["status"].as_str()), (0, Some("accepted")));
    assert!(
        world.log().contains("status=accepted") && !world.log().contains("successful"),
        "{}",
        world.log()
    );
}

#[test]
fn what_was_never_sent_is_try_later_and_is_tried_again() {
    let closed = "http://127.0.0.1:1";
    let resetting = FakeServer::resetting("https");
    for (name, url, says) in [
        ("refused", closed.to_owned(), "no connection: "),
        ("no such name", "http://qs-no-such-host.invalid-name.local".to_owned(), "name not found"),
        ("reset before the request", resetting.url(), "no "),
    ] {
        let world = World::new().set("API_BASE_URL", url);
        world.write_secret("token", "cached-token");
        let ran = world.run(&["--json", ENDPOINT]);
        assert_eq!(ran.code, 75, "{name}: {ran:?}");
        assert!(ran.stderr.contains(says), "{name}: {ran:?}");
        assert_eq!(ran.json()["attempts"], 3, "{name}");
        assert_eq!(ran.stderr.lines().count(), 1, "{name}: {ran:?}");
    }
    assert!(resetting.requests().is_empty());
}

/// A plain connection that is reset at once may or may not have swallowed the request, and the program cannot know
/// more than the kernel tells it: whatever it says, it must not be a success, and `never sent` only when that is sure.
#[test]
fn a_reset_of_a_plain_connection_is_never_a_success() {
    let resetting = FakeServer::resetting("http");
    let world = World::new().set("API_BASE_URL", resetting.url());
    world.write_secret("token", "cached-token");
    let ran = world.run(&[ENDPOINT]);
    assert!(matches!(ran.code, 75 | 124), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1);
    assert_eq!(ran.code == 124, ran.stderr.contains("after the request was sent"), "{ran:?}");
}

#[test]
fn an_unknown_authority_is_refused_before_anything_is_sent() {
    let server = FakeServer::start_tls(Authority::new().server(), |_| success()).unused();
    let world = World::with_token(&server);
    let other = Authority::new().write(world.dir());
    let ran = world.run(&["--cacert", other.to_str().unwrap(), ENDPOINT]);
    ran.assert_failure(75);
    assert!(
        ran.stderr.contains("the certificate of 127.0.0.1 is from a CA that is not trusted (hint: "),
        "{ran:?}"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn a_known_authority_is_trusted_from_the_option_and_from_the_environment() {
    let authority = Authority::new();
    let server = FakeServer::start_tls(authority.server(), |_| success());
    let world = World::with_token(&server);
    let ca = authority.write(world.dir());
    world.run(&["--cacert", ca.to_str().unwrap(), ENDPOINT]).assert_silent_success();
    let world = world.set("SSL_CERT_FILE", ca.to_str().unwrap());
    world.run(&[ENDPOINT]).assert_silent_success();
    let other = tempfile::tempdir().unwrap();
    let other = Authority::new().write(other.path()).display().to_string();
    world.run(&["--cacert", &other, ENDPOINT]).assert_failure(75);
    let missing = world.run(&["--cacert", "/nonexistent/ca.pem", ENDPOINT]);
    missing.assert_failure(66);
    assert!(missing.stderr.contains("/nonexistent/ca.pem"), "{missing:?}");
    let wrong = world.write_secret("wrong.pem", "no certificate");
    let wrong = world.run(&["--cacert", wrong.to_str().unwrap(), ENDPOINT]);
    wrong.assert_failure(78);
    assert!(wrong.stderr.contains("wrong.pem"), "{wrong:?}");
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = FakeServer::start_tls(authority.server_of(version), |_| success());
        let world = World::with_token(&server);
        let ca = authority.write(world.dir()).display().to_string();
        world.run(&["--cacert", &ca, ENDPOINT]).assert_silent_success();
    }
}

#[test]
fn a_wrong_certificate_file_is_found_before_a_login_is_wasted_on_it() {
    let iam = FakeServer::start(|_| success()).unused();
    let world = World::without_token(&iam).set("API_BASE_URL", "https://127.0.0.1:1");
    let (cert, key) = Authority::new().write_client(world.dir());
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    for (args, code, names) in [
        (["--cacert", "/none/ca.pem", "--retries", "0"], 66, "/none/ca.pem"),
        (["--cert", "/none/c.pem", "--key", key], 66, "/none/c.pem"),
        (["--cert", cert, "--key", "/none/k.pem"], 66, "/none/k.pem"),
        (["--cert", cert, "--key", cert], 78, cert),
    ] {
        let ran = world.run(&[&args[..], &[ENDPOINT]].concat());
        ran.assert_failure(code);
        assert!(ran.stderr.contains(names), "{ran:?}");
    }
    assert!(iam.requests().is_empty());
}

#[test]
fn a_connection_that_is_not_set_up_in_time_was_never_sent() {
    // It accepts, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new().set("API_BASE_URL", format!("https://{}", silent.local_addr().unwrap()));
    world.write_secret("token", "cached-token");
    let ran = world.run(&["--json", "--connect-timeout", "100ms", ENDPOINT]);
    assert_eq!((ran.code, ran.json()["attempts"].as_u64()), (75, Some(3)), "{ran:?}");
}

#[test]
fn a_401_is_answered_by_one_login_and_one_repetition() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server);
    world.write_secret("token", "expired-on-the-server");
    let ran = world.run(&["--json", ENDPOINT]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        (ran.json()["attempts"].as_u64(), ran.json()["token_source"].as_str()),
        (Some(2), Some("login"))
    );
    assert_eq!((server.count(LOGIN), server.count(ENDPOINT)), (1, 2));
    let keys: Vec<_> =
        server.requests().iter().filter_map(|r| r.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1], "the repetition is the same request");
}

#[test]
fn a_401_is_answered_by_the_newer_token_of_another_process_without_a_login() {
    let world = World::new();
    let newer = world.path("token");
    let server = FakeServer::start(move |request| {
        if request.header("authorization") == Some("Bearer newer-token") {
            return success();
        }
        // While this request is under way, another process replaces the token.
        std::fs::write(&newer, "newer-token\n").unwrap();
        Answer::status(401)
    });
    let world = world.set("API_BASE_URL", server.url());
    world.write_secret("token", "older-token");
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_second_401_is_the_end_and_there_is_never_a_third_request() {
    for refusal in [Answer::status(401), json(200, &json!({"code": 102_003, "message": "Token expired"}))] {
        let granting = Granting::new(900);
        let server =
            FakeServer::start(
                move |request: &Received| {
                    if request.path == LOGIN { granting.grant() } else { refusal.clone() }
                },
            );
        let world = World::without_token(&server);
        world.write_secret("token", "cached");
        world.run(&[ENDPOINT]).assert_failure(77);
        assert_eq!((server.count(LOGIN), server.count(ENDPOINT)), (1, 2));
    }
}

#[test]
fn a_403_never_logs_in() {
    let server = FakeServer::start(|_| Answer::status(403));
    let world = World::with_token(&server).set("IAM_BASE_URL", format!("{}/api/v1", server.url()));
    world.run(&[ENDPOINT]).assert_failure(77);
    assert_eq!((server.count(LOGIN), server.count(ENDPOINT)), (0, 1));
}

#[test]
fn a_wait_follows_an_accepted_call_to_its_end() {
    for (location, end, exit, status) in [
        (true, "succeeded", 0, "success"),
        (false, "succeeded", 0, "success"),
        (false, "failed", 1, "failed"),
    ] {
        let asked = AtomicUsize::new(0);
        let server = FakeServer::start(move |request| {
            if request.method == "POST" {
                let accepted = json(202, &json!({"code": 200, "data": {"run_id": "r-1"}}));
                return if location { accepted.with("Location", "/runs/r-1") } else { accepted };
            }
            let status = if asked.fetch_add(1, Ordering::SeqCst) < 2 { "running" } else { end };
            json(
                200,
                &json!({"code": 200, "data": {"run_id": "r-1", "status": status, "error": "3 rows failed"}}),
            )
        });
        let world = World::with_token(&server).set("QS_CALL__WAIT_INTERVAL", "1ms");
        let ran = world.run(&["--wait", "--json", ENDPOINT]);
        assert_eq!((ran.code, ran.json()["status"].as_str()), (exit, Some(status)), "{ran:?}");
        let path = if location { "/runs/r-1" } else { "/api/v1/statistics/runs/r-1" };
        assert_eq!(server.count(path), 3);
    }
}

#[test]
fn a_wait_asks_again_when_an_answer_says_nothing_about_the_work() {
    let page = || Answer::typed(200, "text/html", "<html>maintenance</html>");
    let cut = || Answer::Truncated { declared: 100, sent: b"{".to_vec() };
    let cases: [(&str, Vec<Answer>); 6] = [
        ("202 without a body", vec![Answer::status(202); 2]),
        ("not there yet", vec![Answer::status(404); 2]),
        ("a restart", vec![Answer::status(503); 7]),
        ("a page", vec![page(), page()]),
        ("a cut reply", vec![cut(), cut(), cut(), cut()]),
        ("a reset", vec![Answer::Reset; 4]),
    ];
    for (what, answers) in cases {
        let answers = std::sync::Mutex::new(answers);
        let server = FakeServer::start(move |request| {
            if request.method == "POST" {
                return json(202, &json!({"code": 0, "run_id": "r-1"}));
            }
            let next = answers.lock().unwrap().pop();
            next.unwrap_or_else(|| json(200, &json!({"code": 0, "data": {"status": "done"}})))
        });
        let world = World::with_token(&server).set("QS_CALL__WAIT_INTERVAL", "1ms");
        let ran = world.run(&["--wait", "--timeout", "20s", ENDPOINT]);
        assert_eq!(ran.code, 0, "{what}: {ran:?}");
    }
    let server = FakeServer::start(|request| match request.method.as_str() {
        "POST" => json(202, &json!({"code": 0, "run_id": "gone"})),
        _ => Answer::status(404),
    });
    let world = World::with_token(&server).set("QS_CALL__WAIT_INTERVAL", "1ms");
    world.run(&["--wait", ENDPOINT]).assert_failure(124);
    assert_eq!(server.count("/api/v1/statistics/runs/gone"), 4, "a run that never appears is given up");
}

#[test]
fn a_wait_obeys_the_pause_that_the_server_asks_for() {
    let server = FakeServer::start(|request| match request.method.as_str() {
        "POST" => json(202, &json!({"code": 0, "run_id": "r-1"})),
        _ => json(200, &json!({"code": 0, "data": {"status": "running"}})).with("Retry-After", "60"),
    });
    let world = World::with_token(&server).set("QS_CALL__WAIT_INTERVAL", "1ms");
    let ran = world.run(&["--wait", "--timeout", "30s", ENDPOINT]);
    ran.assert_failure(124);
    assert_eq!(server.count("/api/v1/statistics/runs/r-1"), 1, "the next question would be past the budget");
}

#[test]
fn a_wait_does_not_take_the_token_to_another_host_and_an_open_end_is_unknown() {
    for (accepted, says) in [
        (json(202, &json!({"code": 0})).with("Location", "http://127.0.0.1:1/runs/1"), "on another host"),
        (json(202, &json!({"code": 0})), "names no run_id"),
        (json(202, &json!({"code": 0, "run_id": "../../x"})), "not usable in a path"),
    ] {
        let server = FakeServer::start(move |_| accepted.clone());
        let ran = World::with_token(&server).run(&["--wait", ENDPOINT]);
        ran.assert_failure(124);
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    let server = FakeServer::start(|request| {
        let status = if request.method == "POST" { 202 } else { 200 };
        json(status, &json!({"code": 0, "data": {"run_id": "r1", "status": "running"}}))
    });
    let world = World::with_token(&server).set("QS_CALL__WAIT_INTERVAL", "50ms");
    let ran = world.run(&["--wait", "--timeout", "200ms", ENDPOINT]);
    ran.assert_failure(124);
    assert!(ran.stderr.contains("not finished within the budget"), "{ran:?}");
}

#[test]
fn a_proxy_that_refuses_to_connect_means_never_sent() {
    let proxy = FakeServer::start(|_| Answer::status(502));
    let world = World::new().set("API_BASE_URL", "https://api.example.com").set("HTTPS_PROXY", proxy.url());
    world.write_secret("token", "cached-token");
    let ca = Authority::new().write(world.dir());
    let ran = world.run(&["--cacert", ca.to_str().unwrap(), ENDPOINT]);
    ran.assert_failure(75);
    let methods: Vec<_> =
        proxy.requests().iter().map(|request| (request.method.clone(), request.path.clone())).collect();
    assert_eq!(methods, vec![("CONNECT".to_owned(), "api.example.com:443".to_owned()); 3]);
    assert!(
        proxy.requests().iter().all(|request| request.header("authorization").is_none()),
        "no token for the proxy"
    );
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let authority = Authority::new();
    let server = FakeServer::start_tls(authority.server_asking_for_a_certificate(), |_| success());
    let world = World::with_token(&server);
    let ca = authority.write(world.dir());
    let (cert, key) = authority.write_client(world.dir());
    let path = |path: &std::path::PathBuf| path.to_str().unwrap().to_owned();
    let identity = ["--cacert", &path(&ca), "--cert", &path(&cert), "--key", &path(&key), ENDPOINT];
    world.run(&identity).assert_silent_success();
    let without = world.run(&["--cacert", &path(&ca), ENDPOINT]);
    without.assert_failure(78);
    assert!(without.stderr.contains("it wants a client certificate"), "{without:?}");

    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = world.run(&identity);
    open.assert_failure(78);
    assert!(open.stderr.contains("client key") && open.stderr.contains("0644"), "{open:?}");
    assert_eq!(server.requests().len(), 1);
}
