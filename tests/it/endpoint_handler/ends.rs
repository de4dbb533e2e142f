//! Every row of the table of ends.

use std::time::Duration;

use qs_scheduler::domain::outcome::CallStatus;
use qs_scheduler::scheduler::handler::{Again, Handler, Performed};
use serde_json::json;

use super::{config, handler, logs, target, word, work};
use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, LOGIN, TASK, World, success};

/// What the call of a line comes to with these answers of the server.
async fn end(options: &str, answer: Answer) -> Performed {
    let _logs = logs();
    let server = FakeServer::start(move |_| answer.clone()).unused();
    end_in(&World::with_token(&server), options).await
}

async fn end_in(world: &World, options: &str) -> Performed {
    let line = format!("{} --retries 0 {options} {ENDPOINT}", config(world)).replace("  ", " ");
    let (work, _stop) = work(&target(&line));
    let id = work.execution.to_string();
    let performed = handler(world).perform(work).await;
    let history = std::fs::read_to_string(world.path(&format!("state/tasks/{TASK}.history.jsonl")));
    if let Ok(history) = history {
        let record: serde_json::Value = serde_json::from_str(history.lines().last().unwrap()).unwrap();
        let (_, end) = word(&performed);
        assert_eq!((&record["run_id"], &record["manual"]), (&json!(id), &json!(false)));
        let code = if end.exit == Some(74) && end.outcome == "success" { Some(0) } else { end.exit };
        assert_eq!((&record["status"], &record["exit_code"]), (&json!(end.outcome), &json!(code)));
    }
    performed
}

/// The word, the exit code and, of a failure, whether it is tried again.
fn seen(performed: &Performed) -> (&'static str, &str, Option<u8>, Option<Again>) {
    let again = if let Performed::Failed(_, again) = performed { Some(*again) } else { None };
    let (what, end) = word(performed);
    (what, &end.outcome, end.exit, again)
}

#[tokio::test]
async fn what_the_server_answers_is_what_is_recorded() {
    let refused = || json!({"code": 5, "message": "no"});
    let wait = || Answer::status(503).with("Retry-After", "7");
    let page = || Answer::typed(200, "text/html", "<html><body>maintenance</body></html>");
    let seven = Again::After(Duration::from_secs(7));
    for (options, answer, expected) in [
        ("", success(), ("done", "success", 0, None)),
        ("", Answer::json(202, &json!({"code": 0})), ("done", "accepted", 0, None)),
        ("", wait(), ("failed", "failed", 75, Some(seven))),
        ("", Answer::status(503), ("failed", "failed", 75, Some(Again::ByPolicy))),
        ("", Answer::status(400), ("failed", "failed", 1, Some(Again::Never))),
        ("", Answer::status(501), ("failed", "failed", 1, Some(Again::Never))),
        ("", Answer::status(500), ("failed", "failed", 1, Some(Again::ByPolicy))),
        ("", Answer::json(200, &refused()), ("failed", "failed", 1, Some(Again::ByPolicy))),
        ("", page(), ("failed", "failed", 76, Some(Again::Never))),
        ("--idempotent", page(), ("failed", "failed", 76, Some(Again::ByPolicy))),
        ("", Answer::status(403), ("failed", "failed", 77, Some(Again::Never))),
        ("", Answer::Close, ("unknown", "unknown", 124, None)),
        ("--idempotent", Answer::Close, ("failed", "failed", 75, Some(Again::ByPolicy))),
        ("--timeout 300ms", Answer::SlowHeaders, ("unknown", "unknown", 124, None)),
        ("--timeout 300ms", Answer::SlowBody(b"{".to_vec()), ("unknown", "unknown", 124, None)),
    ] {
        let performed = end(options, answer.clone()).await;
        let (what, outcome, exit, again) = seen(&performed);
        assert_eq!((what, outcome, exit.unwrap(), again), expected, "{options} {answer:?}: {performed:?}");
    }
}

#[tokio::test]
async fn an_endless_reply_ends_where_the_settings_say() {
    let endless = Answer::typed(200, "application/json", vec![b' '; 4 << 20]);
    let performed = end("--max-body 64KiB", endless).await;
    let (what, end) = word(&performed);
    assert!(end.message.contains("64") && what != "done", "{performed:?}");
}

#[tokio::test]
async fn a_call_that_cannot_be_made_says_why_and_whether_a_repeat_helps() {
    let _logs = logs();
    let world = World::new();
    for (world, options, expected) in [
        // Nobody listens: it was not sent.
        (&world, "--no-auth", (75, Again::ByPolicy)),
        (&world, "--no-auth --data @/nowhere/body.json", (66, Again::ByPolicy)),
        (&world, "--no-auth --output /nowhere/reply.json", (73, Again::ByPolicy)),
        (&world.set_apart("log", "/proc/nowhere"), "--no-auth", (73, Again::ByPolicy)),
        (&world.set_apart("timeout", "soon"), "--no-auth", (78, Again::Never)),
        (&world.set_apart("url", "http://api.example.com"), "--no-auth", (78, Again::Never)),
    ] {
        let performed = end_in(world, options).await;
        let (what, outcome, exit, again) = seen(&performed);
        assert_eq!((what, outcome), ("failed", "failed"), "{options}: {performed:?}");
        assert_eq!((exit.unwrap(), again.unwrap()), expected, "{options}: {performed:?}");
    }
    let (mut no_line, _stop) = work(&target(ENDPOINT));
    no_line.target = "{\"arguments\":[\"--bogus\"]}".into();
    let (mut no_json, _stop) = work(&target(ENDPOINT));
    no_json.target = "{\"url\":\"http://a\"}".into();
    let (mut with_parameters, _stop) = work(&target(ENDPOINT));
    with_parameters.parameters = Some("{}".into());
    for work in [no_line, no_json, with_parameters] {
        let performed = handler(&world).perform(work).await;
        let (what, _, exit, again) = seen(&performed);
        assert_eq!((what, exit, again), ("failed", Some(64), Some(Again::Never)), "{performed:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_corrected_counts_for_the_next_call() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let line = target(&format!("{} {ENDPOINT}", config(&world)));
    let handler = handler(&world);
    for (text, expected) in
        [("call:\n  timeout: soon\n", ("failed", Some(78))), ("call:\n  timeout: 20s\n", ("done", Some(0)))]
    {
        std::fs::write(world.path("config.yaml"), text).unwrap();
        let (work, _stop) = work(&line);
        let performed = handler.perform(work).await;
        let (what, end) = word(&performed);
        assert_eq!((what, end.exit), expected, "{performed:?}");
    }
}

#[tokio::test]
async fn a_rejected_login_is_never_tried_again() {
    let _logs = logs();
    let server = FakeServer::start(|request| match request.path.as_str() {
        LOGIN => Answer::json(401, &json!({"code": 100_201, "message": "wrong password"})),
        _ => success(),
    });
    let world = World::without_token(&server);
    for _ in 0..2 {
        let performed = end_in(&world, "").await;
        assert_eq!(seen(&performed), ("failed", "failed", Some(77), Some(Again::Never)), "{performed:?}");
    }
    assert_eq!(server.count(LOGIN), 1, "the second call heeds the first's rejection");
}

#[tokio::test]
async fn a_success_stays_one_though_its_reply_cannot_be_written() {
    let _logs = logs();
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let full = std::path::Path::new("/dev/full");
    assert!(full.exists());
    let performed = end_in(&world, "--output /dev/full").await;
    let Performed::Done(end) = &performed else { panic!("{performed:?}") };
    assert_eq!((end.outcome.as_str(), end.exit), (CallStatus::Success.as_str(), Some(74)));
    assert!(
        end.message.contains("not everything was written") && end.message.contains("/dev/full"),
        "{end:?}"
    );
}

impl World {
    /// Another world like a new one, with one thing of it wrong.
    fn set_apart(&self, what: &str, value: &str) -> World {
        let world = World::new()
            .set("API_BASE_URL", self.environment().find(|(name, _)| *name == "API_BASE_URL").unwrap().1);
        match what {
            "log" => world.set("QS_LOG__DIR", value),
            "timeout" => world.set("TIMEOUT", value),
            _ => world.set("API_BASE_URL", value),
        }
    }
}
