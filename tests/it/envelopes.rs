//! What a reply says about itself, beside its status: refusals, expectations, the token, and how the body is written.

use std::io::Read;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::world::{ENDPOINT, Granting, LOGIN, Ran, World, success};

/// A call of a server that always gives this answer.
fn call(answer: Answer, args: &[&str]) -> Ran {
    let server = FakeServer::start(move |_| answer.clone());
    World::with_token(&server).run(&[args, &[ENDPOINT]].concat())
}

#[test]
fn a_200_that_says_no_is_a_failure_and_shows_its_reason() {
    for (reply, says) in [
        (json!({"error": {"code": "E7", "message": "no rows"}}), "HTTP 200, error E7: no rows"),
        (json!({"success": false, "message": "no rows"}), "HTTP 200, success is false: no rows"),
        (json!({"ok": false, "error": "no rows"}), "HTTP 200, ok is false: no rows"),
        (json!({"status": "error", "msg": "no rows"}), "HTTP 200, status is error: no rows"),
        (json!({"errcode": 7, "errmsg": "no rows"}), "HTTP 200, errcode 7: no rows"),
        (json!({"Code": 500, "Msg": "no rows"}), "HTTP 200, Code 500: no rows"),
        (
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no rows"}}),
            "error -32000: no rows",
        ),
        (json!({"data": null, "errors": [{"message": "no rows"}]}), "HTTP 200, errors: no rows"),
    ] {
        let ran = call(Answer::json(200, &reply), &[]);
        ran.assert_failure(1);
        assert!(ran.stderr.contains(says), "{says:?} in {ran:?}");
    }
    for reply in [
        json!({"code": 200, "data": {"status": "failed", "errors": ["row 3"], "success": false}}),
        json!({"run_id": "r", "status": "succeeded", "failed": 0, "errors": []}),
        json!({"error": null, "errors": [], "success": true, "status": "ok"}),
        json!({"code": "SUCCESS"}),
    ] {
        call(Answer::json(200, &reply), &[]).assert_silent_success();
    }
}

#[test]
fn what_means_success_can_be_said() {
    let done =
        Answer::json(200, &json!({"code": "E", "state": "DONE", "data": {"failed": 0}, "message": "m"}));
    for (args, exit, says) in [
        (&["--expect", "/state=DONE"][..], 0, ""),
        (&["--expect", "/state=OK", "--expect", "/state=DONE", "--expect", "/data/failed=0"], 0, ""),
        (&["--expect", "/state=OK"], 1, "HTTP 200, /state is \"DONE\", expected OK: m"),
        (&["--expect", "/status=OK"], 1, "/status is missing, expected OK"),
        (&["--ignore-body"], 0, ""),
        (&["--success-code", "e"], 0, ""),
        (&["--success-code", "7"], 1, "HTTP 200, code E: m"),
        (
            &["--expect", "state=DONE"],
            64,
            "expected POINTER=VALUE with a JSON pointer, for example /status=OK",
        ),
        (&["--expect", "/a=1", "--ignore-body"], 64, "cannot be used with"),
    ] {
        let server = FakeServer::start({
            let done = done.clone();
            move |_| done.clone()
        });
        let server = server.unused();
        let ran = World::with_token(&server).run(&[args, &[ENDPOINT]].concat());
        assert_eq!(ran.code, exit, "{args:?} {ran:?}");
        assert!(ran.stderr.contains(says), "{says:?} in {ran:?}");
        assert_eq!(server.requests().len(), usize::from(exit != 64), "{args:?}");
    }
    let text = call(Answer::typed(200, "text/plain", "done"), &["--expect", "/a=1"]);
    text.assert_failure(1);
    assert!(text.stderr.contains("/a is missing, since the reply is no JSON"), "{text:?}");
}

#[test]
fn an_option_wins_over_what_the_settings_expect() {
    let server = FakeServer::start(|_| Answer::json(200, &json!({"state": "DONE", "success": false})));
    let world = World::with_token(&server).set("QS_CALL__EXPECT", "/state=OK,/state=DONE");
    world.run(&[ENDPOINT]).assert_silent_success();
    world.run(&["--expect", "/state=OK", ENDPOINT]).assert_failure(1);
    let world = world.set("QS_CALL__EXPECT", "/state=OK");
    world.run(&[ENDPOINT]).assert_failure(1);
    world.run(&["--ignore-body", ENDPOINT]).assert_silent_success();
    let world = world.unset("QS_CALL__EXPECT").set("QS_CALL__IGNORE_BODY", "true");
    world.run(&[ENDPOINT]).assert_silent_success();
    world.run(&["--expect", "/state=OK", ENDPOINT]).assert_failure(1);
    let wrong = world.set("QS_CALL__EXPECT", "state=OK").run(&[ENDPOINT]);
    assert_eq!(wrong.code, 78, "{wrong:?}");
    assert!(wrong.stderr.contains("for example /status=OK"), "{wrong:?}");
}

#[test]
fn a_crontab_with_an_expectation_that_is_none_is_found_before_it_runs() {
    let world = World::new();
    let line =
        |pointer: &str| format!("0 * * * * root qs-api-call --expect {pointer} /api/v1/a /var/log/a.log\n");
    std::fs::write(world.path("crontab"), line("status=OK")).unwrap();
    let ran = world.run(&["crontab", "check", "crontab"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.stdout.contains("expected POINTER=VALUE"), "{ran:?}");
    std::fs::write(world.path("crontab"), line("/status=OK")).unwrap();
    let ran = world.run(&["crontab", "check", "crontab"]);
    assert!(!ran.stdout.contains("POINTER"), "{ran:?}");
}

#[test]
fn a_token_that_is_expressly_not_accepted_is_replaced_once() {
    let bearer = "Bearer realm=\"api\", error=\"invalid_token\"";
    for (name, refusal) in [
        ("403 invalid_token", Answer::json(403, &json!({"error": "invalid_token"}))),
        (
            "400 invalid_token",
            Answer::json(400, &json!({"error": "invalid_token", "error_description": "over"})),
        ),
        ("403 in a header", Answer::status(403).with("WWW-Authenticate", bearer)),
        ("403 token_expired", Answer::json(403, &json!({"code": "token_expired"}))),
        ("419", Answer::status(419)),
        ("498", Answer::status(498)),
        ("errcode 42001", Answer::json(200, &json!({"errcode": 42001, "errmsg": "access_token expired"}))),
        ("errcode 40001", Answer::json(200, &json!({"errcode": 40001}))),
        ("GraphQL", Answer::json(200, &json!({"errors": [{"extensions": {"code": "UNAUTHENTICATED"}}]}))),
        ("a login page", Answer::status(302).with("Location", "/login?next=%2Fapi")),
        ("single sign-on", Answer::status(303).with("Location", "https://sso.example.com/start")),
    ] {
        for stays in [false, true] {
            let granting = Arc::new(Granting::new(900));
            let (script, answer) = (Arc::clone(&granting), refusal.clone());
            let server = FakeServer::start(move |request: &Received| {
                if request.path == LOGIN || (script.is_authorised(request) && !stays) {
                    return script.answer(request);
                }
                answer.clone()
            });
            let world = World::without_token(&server);
            world.write_secret("token", "revoked-on-the-server");
            let ran = world.run(&[ENDPOINT]);
            assert_eq!(ran.code, if stays { 77 } else { 0 }, "{name}: {ran:?}");
            assert_eq!((server.count(LOGIN), server.count(ENDPOINT)), (1, 2), "{name}");
        }
    }
}

#[test]
fn a_body_is_read_as_it_is_written() {
    let (code_0, code_500) = (r#"{"code":0,"message":"完成"}"#, r#"{"code":500,"message":"数据库错误"}"#);
    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let gzip = |text: &str| {
        let mut bytes = Vec::new();
        flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast())
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    };
    let json = "application/json";
    let untyped = |body: &[u8]| Answer::Reply(200, Vec::new(), body.to_vec());
    let encoded = |name: &str, body: Vec<u8>| Answer::typed(200, json, body).with("Content-Encoding", name);
    for (name, answer, exit, says) in [
        ("a mark", Answer::typed(200, json, format!("\u{feff}{code_0}")), 0, ""),
        (
            "a mark, text",
            Answer::typed(200, "text/plain", format!("\u{feff}{code_500}")),
            1,
            "code 500: 数据库错误",
        ),
        ("a mark, untyped", untyped(format!("\u{feff}{code_500}").as_bytes()), 1, "code 500: 数据库错误"),
        ("GBK", Answer::typed(200, "application/json; charset=GBK", gbk(code_0)), 0, ""),
        (
            "GBK, text",
            Answer::typed(200, "text/plain;charset=\"gbk\"", gbk(code_500)),
            1,
            "code 500: 数据库错误",
        ),
        ("GBK, undeclared", untyped(&gbk(code_500)), 76, "no UTF-8, and no other charset is declared"),
        (
            "of its own",
            Answer::typed(200, "text/plain; charset=x-own", gbk(code_0)),
            76,
            "its charset \"x-own\" is not known",
        ),
        ("gzip", encoded("gzip", gzip(code_0)), 0, ""),
        ("gzip, failing", encoded("gzip", gzip(code_500)), 1, "code 500: 数据库错误"),
        ("brotli", encoded("br", vec![11, 1, 2]), 76, "content encoding \"br\", which was not asked for"),
        ("zstd", encoded("zstd", vec![40, 181]), 76, "content encoding \"zstd\""),
        (
            "cut by its length",
            Answer::typed(200, "text/plain", &code_500.as_bytes()[..20]),
            76,
            "JSON cannot be read",
        ),
        ("two", Answer::typed(200, "text/plain", "{\"code\":500}\n{\"code\":0}"), 76, "JSON cannot be read"),
        ("no JSON", untyped(b"{\"code\":500,\"rate\":NaN}"), 76, "JSON cannot be read"),
        ("below a notice", Answer::typed(200, "text/plain", "Notice: x\n{\"code\":500}"), 1, "code 500"),
        ("a page", untyped(b"<!DOCTYPE html><html>"), 76, "a web page"),
        ("a page as text", Answer::typed(200, "text/plain", "\n<html>"), 76, "a web page"),
        ("a page as JSON", Answer::typed(200, json, "<html>"), 76, "a web page"),
        ("a line of a log", Answer::typed(200, "text/plain", "[2026-11-20 23:00:00] done"), 0, ""),
    ] {
        let ran = call(answer, &[]);
        assert_eq!(ran.code, exit, "{name}: {ran:?}");
        assert!(ran.stderr.contains(says), "{name}: {says:?} in {ran:?}");
    }
}

#[test]
fn a_server_that_echoes_the_token_in_any_form_does_not_get_it_into_log_or_output() {
    let token = "eyJ0/abc+def.ghi_jkl-mno==";
    let units: String = token.bytes().map(|byte| format!("\\u{byte:04X}")).collect();
    let percent: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for echo in [
        token.replace('/', "\\/"),
        token.replace('+', "\\u002B"),
        units,
        percent.clone(),
        percent.to_uppercase().replace('%', "%25"),
        token.replace('+', "&#43;"),
        STANDARD.encode(token),
        STANDARD.encode(format!("Authorization: Bearer {token}")),
        URL_SAFE_NO_PAD.encode(format!("x{token}y")),
    ] {
        let body = format!(r#"{{"code":7,"message":"bad token {echo}","data":{{"{echo}":["{echo}"]}}}}"#);
        let server = FakeServer::start(move |_| Answer::typed(200, "application/json", body.clone()));
        let world = World::with_token(&server);
        world.write_secret("token", token);
        let ran = world.run(&["--json", "-vv", ENDPOINT]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let body = &ran.json()["body"];
        assert_eq!(body["message"], "bad token [redacted]", "{ran:?}");
        assert_eq!(body["data"], json!({"[redacted]": ["[redacted]"]}), "{ran:?}");
        let shown = [ran.stdout, ran.stderr, world.log()].concat();
        for part in [token, &echo, &token[..12], &echo[..12]] {
            assert!(!shown.contains(part), "{part} in {shown}");
        }
    }
}

#[test]
fn a_login_that_is_refused_inside_a_200_is_tried_once_and_its_reason_is_shown() {
    for refusal in [
        json!({"code": 102_001, "message": "wrong password"}),
        json!({"error": "invalid_client", "error_description": "wrong password"}),
        json!({"success": false, "message": "wrong password"}),
        json!({"status": "error", "msg": "wrong password"}),
        json!({"errcode": 40013, "errmsg": "wrong password"}),
        json!({"code": 0, "ok": false, "token": "", "msg": "wrong password"}),
    ] {
        let server = FakeServer::start({
            let refusal = refusal.clone();
            move |_| Answer::json(200, &refusal)
        });
        let world = World::without_token(&server);
        for _ in 0..3 {
            let ran = world.run(&[ENDPOINT]);
            ran.assert_failure(77);
            assert!(
                ran.stderr.contains("login rejected: HTTP 200, ") && ran.stderr.contains("wrong password"),
                "{ran:?}"
            );
        }
        assert_eq!((server.count(LOGIN), server.count(ENDPOINT)), (1, 0), "{refusal}");
    }
}

#[test]
fn the_codes_that_mean_success_count_for_the_login_too() {
    for (option, code) in [("20000", json!(20_000)), ("1", json!("1")), ("fine", json!("FINE"))] {
        let reply = json!({"code": code, "data": {"token": "granted"}});
        let server = FakeServer::start(move |_| Answer::json(200, &reply));
        let world = World::without_token(&server);
        let ran = world.run(&[ENDPOINT]);
        assert_eq!(ran.code, 76, "{ran:?}");
        assert!(ran.stderr.contains("--success-code"), "{ran:?}");
        world.run(&["--success-code", option, ENDPOINT]).assert_silent_success();
        assert_eq!(server.count(LOGIN), 2, "a token that was granted is not held against the account");
    }
}

#[test]
fn a_token_is_the_same_wherever_it_stands() {
    for reply in [
        json!({"token": "Bearer granted"}),
        json!({"token": "", "access_token": "granted"}),
        json!({"token": "\u{feff}granted\n"}),
        json!({"data": "bearer granted"}),
    ] {
        let server =
            FakeServer::start(
                move |request| {
                    if request.path == LOGIN { Answer::json(200, &reply) } else { success() }
                },
            );
        let world = World::without_token(&server);
        world.run(&[ENDPOINT]).assert_silent_success();
        assert_eq!(world.read("token"), "granted\n");
    }
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    for file in ["\u{feff}cached\r\n", "Bearer cached", " bearer\tcached"] {
        world.write_secret("token", file);
        world.run(&[ENDPOINT]).assert_silent_success();
    }
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer cached"));
    }
}

#[test]
fn a_reply_of_the_business_server_about_failed_rows_is_judged_by_its_own_code() {
    let record =
        json!({"run_id": "r", "status": "failed", "scanned": 3, "written": 1, "failed": 2, "errors": ["a"]});
    let run =
        call(Answer::json(200, &json!({"code": 200, "message": "success", "data": record})), &["--json"]);
    assert_eq!((run.code, run.json()["body"]["data"]["failed"].clone()), (0, Value::from(2)), "{run:?}");
}
