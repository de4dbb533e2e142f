//! The call as a crontab line makes it.

use std::sync::Arc;

use crate::support::fake::FakeServer;
use crate::support::world::{ENDPOINT, Granting, LOGIN, PASSWORD, TASK, USERNAME, World, success};

#[test]
fn a_first_call_logs_in_and_a_second_uses_the_cached_token() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server);
    world.run(&[ENDPOINT]).assert_silent_success();
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!((server.count(LOGIN), server.count(ENDPOINT)), (1, 2));
    let login = server.requests().into_iter().find(|request| request.path == LOGIN).unwrap().json();
    assert_eq!(login["credentials"]["username"], USERNAME);
    assert_eq!(login["credentials"]["password"], PASSWORD);
    assert_eq!(world.read("token"), "granted-token-1\n");
    let log = world.log();
    for part in [
        "] Calling API: http://127.0.0.1:",
        "] API call successful (HTTP 200",
        "status=success exit=0",
        &format!("task={TASK}"),
    ] {
        assert!(log.contains(part), "{part:?} in {log}");
    }
}

#[test]
fn json_tells_everything_in_one_object() {
    let server = FakeServer::start(|_| success());
    let ran = World::with_token(&server).run(&["--json", ENDPOINT]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let json = ran.json();
    for (key, value) in [
        ("status", serde_json::json!("success")),
        ("exit_name", "ok".into()),
        ("exit_code", 0.into()),
        ("http_status", 200.into()),
        ("code", 200.into()),
        ("attempts", 1.into()),
        ("token_source", "file".into()),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    assert_eq!(json["body"]["data"]["written"], 3);
    assert_eq!(json["run_id"].as_str().unwrap(), server.requests()[0].header("x-request-id").unwrap());
}
