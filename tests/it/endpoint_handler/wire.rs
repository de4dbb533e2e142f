//! What the servers see: the headers of an attempt, one login for everybody, connections that are used again.

use std::sync::Arc;
use std::time::Duration;

use qs_scheduler::scheduler::handler::{Handler, Performed};
use serde_json::json;
use tokio::task::JoinSet;

use super::{beside, config, handler, target, word, work};
use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, Granting, LOGIN, World, success};

#[tokio::test]
async fn a_target_hears_which_execution_and_which_attempt_it_is() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let line = target(&format!("{} --no-auth {ENDPOINT}", config(&world)));
    let handler = handler(&world);
    let (mut first, _stop) = work(&line);
    first.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    let mut second = first.clone();
    second.attempt = 3;
    second.scheduled_for = None;
    let (key, execution) = (first.idempotency_key, first.execution);
    for work in [first, second] {
        let performed = handler.perform(work.clone()).await;
        assert_eq!(word(&performed).0, "done", "{performed:?}");
        assert!(work.begun.get());
    }
    let requests = server.requests();
    for (request, attempt, scheduled_for) in
        [(&requests[0], "1", Some("2026-11-18T11:06:40Z")), (&requests[1], "3", None)]
    {
        assert_eq!(request.header("idempotency-key"), Some(format!("\"{key}\"").as_str()));
        assert_eq!(request.header("x-execution-id"), Some(execution.to_string().as_str()));
        assert_eq!(request.header("x-request-id"), Some(execution.to_string().as_str()));
        assert_eq!(request.header("x-attempt"), Some(attempt));
        assert_eq!(request.header("x-scheduled-for"), scheduled_for);
        let trace = request.header("traceparent").unwrap();
        assert!(
            trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && trace.ends_with("-01"),
            "{trace}"
        );
        assert!(!trace.contains("00f067aa0ba902b7"), "a span of its own: {trace}");
    }
    // The command line has no execution to tell of.
    world.run(&["--no-auth", ENDPOINT]).assert_silent_success();
    let request = server.requests().pop().unwrap();
    for name in ["x-execution-id", "x-attempt", "x-scheduled-for"] {
        assert_eq!(request.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn retries_act_inside_one_attempt() {
    let server = FakeServer::start(|_| Answer::status(503));
    let world = World::with_token(&server);
    let (work, _stop) = work(&target(&format!("{} --retries 2 {ENDPOINT}", config(&world))));
    let performed = handler(&world).perform(work).await;
    assert_eq!(word(&performed).0, "failed", "{performed:?}");
    let attempts: Vec<_> =
        server.requests().iter().map(|request| request.header("x-attempt").unwrap().to_owned()).collect();
    assert_eq!(attempts, ["1", "1", "1"]);
}

#[tokio::test]
async fn one_token_serves_the_command_line_and_every_call_of_the_scheduler() {
    let iam = Arc::new(Granting::new(900));
    let granting = Arc::clone(&iam);
    let server = FakeServer::start(move |request| granting.answer(request));
    let world = Arc::new(World::without_token(&server));
    let config = config(&world);
    beside(&world, ENDPOINT).await.assert_silent_success();
    let handler = handler(&world);
    let (first, _stop) = work(&target(&format!("{config} {ENDPOINT}")));
    let performed = handler.perform(first).await;
    assert!(matches!(performed, Performed::Done(_)), "{performed:?}");
    assert_eq!(iam.granted(), 1, "the token of the command line is the scheduler's");

    std::fs::remove_file(world.path("token")).unwrap();
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let (work, _stop) = work(&target(&format!("{config} --task task-{number} {ENDPOINT}")));
        let handler = Arc::clone(&handler);
        calls.spawn(async move { handler.perform(work).await });
    }
    for performed in calls.join_all().await {
        assert!(matches!(performed, Performed::Done(_)), "{performed:?}");
    }
    assert_eq!((iam.granted(), server.count(LOGIN)), (2, 2), "one login for fifty calls at once");
    beside(&world, ENDPOINT).await.assert_silent_success();
    assert_eq!(iam.granted(), 2, "the token of the scheduler is the command line's");
}

#[tokio::test]
async fn a_connection_is_used_again_by_the_next_call() {
    let server = FakeServer::start_keeping_alive(|_| success());
    let world = World::with_token(&server);
    let (config, handler) = (config(&world), handler(&world));
    for number in 0..10 {
        // Another policy is no other way to connect.
        let line = format!("{config} --timeout {}s --task task-{} {ENDPOINT}", 10 + number, number % 2);
        let (work, _stop) = work(&target(&line));
        let performed = handler.perform(work).await;
        assert!(matches!(performed, Performed::Done(_)), "{performed:?}");
    }
    assert_eq!((server.requests().len(), server.accepted()), (10, 1));
    // Another way to connect has connections of its own.
    let (work, _stop) = work(&target(&format!("{config} --connect-timeout 4s {ENDPOINT}")));
    assert!(matches!(handler.perform(work).await, Performed::Done(_)));
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_costs_no_call() {
    // Each connection ends behind its reply.
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let (config, handler) = (config(&world), handler(&world));
    for _ in 0..5 {
        let (work, _stop) = work(&target(&format!("{config} {ENDPOINT}")));
        let performed = handler.perform(work).await;
        assert!(matches!(performed, Performed::Done(_)), "{performed:?}");
    }
    assert_eq!((server.requests().len(), server.accepted()), (5, 5));
}

#[tokio::test]
async fn the_settings_of_two_lines_do_not_mix() {
    let granting = |name: &'static str| {
        move |request: &crate::support::fake::Received| match request.path.as_str() {
            "/authn/login" => Answer::json(
                200,
                &json!({"code": 0, "data": {"access_token": format!("token-of-{name}"), "expires_in": 900}}),
            ),
            _ => success(),
        }
    };
    let servers = [FakeServer::start(granting("a")), FakeServer::start(granting("b"))];
    let world = World::new();
    let handler = handler(&world);
    let config = config(&world);
    let lines = ["a", "b"].map(|name| {
        let url = servers[usize::from(name == "b")].url();
        let path = |file: &str| world.path(file).display().to_string();
        let mut line = target(&format!("{config} /api/v1/{name} {}", path(&format!("{name}.log"))));
        let set = [
            ("API_BASE_URL", url.clone()),
            ("IAM_BASE_URL", url),
            ("IAM_USERNAME", format!("user-{name}")),
            ("TOKEN_FILE", path(&format!("token-{name}"))),
            ("QS_CALL__TIMEOUT", "20s".to_owned()),
        ];
        line.settings = set.map(|(name, value)| (name.to_owned(), value)).into();
        line
    });
    let _logs = super::logs();
    let mut calls = JoinSet::new();
    for line in lines.iter().cycle().take(20) {
        let (mut work, _stop) = work(line);
        work.overlap = qs_scheduler::domain::overlap::Overlap::Parallel;
        work.timeout = Duration::from_secs(60);
        let handler = Arc::clone(&handler);
        calls.spawn(async move { handler.perform(work).await });
    }
    for performed in calls.join_all().await {
        assert!(matches!(performed, Performed::Done(_)), "{performed:?}");
    }
    for (server, name) in servers.iter().zip(["a", "b"]) {
        assert_eq!((server.count("/authn/login"), server.count(&format!("/api/v1/{name}"))), (1, 10));
        assert_eq!(server.requests().len(), 11);
        for request in server.requests().iter().filter(|request| request.path != "/authn/login") {
            assert_eq!(request.header("authorization"), Some(format!("Bearer token-of-{name}").as_str()));
        }
        let login = server.requests().into_iter().find(|request| request.path == "/authn/login").unwrap();
        assert!(login.text().contains(&format!("user-{name}")), "{}", login.text());
        let log = super::text(&world.path(&format!("{name}.log")));
        assert_eq!(log.matches("event=finished").count(), 10, "{log}");
        assert!(log.lines().all(|line| line.contains(&format!("task={name} "))), "{log}");
    }
}
