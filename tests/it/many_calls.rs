//! Many calls at once in one process, as a daemon makes them: each leaves its own log, record and metrics.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qs_scheduler::client::transport::TransportOptions;
use qs_scheduler::client::{Client, ClientSettings};
use qs_scheduler::clock::{Clock, SharedClock, SystemClock};
use qs_scheduler::config::call::{CallConfig, LogFormat};
use qs_scheduler::config::{Env, SecretText, UrlText};
use qs_scheduler::crontab::CallIdentity;
use qs_scheduler::crontab::invocation::Invocation;
use qs_scheduler::domain::id::ExecutionId;
use qs_scheduler::domain::outcome::{CallReport, CallStatus};
use qs_scheduler::journal::log::LogLayer;
use qs_scheduler::journal::record::Records;
use qs_scheduler::journal::rotation::Rotation;
use qs_scheduler::journal::{ExecutionInfo, Journal, JournalSettings};
use qs_scheduler::secret::Secret;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;
use tracing_subscriber::prelude::*;

use crate::support::fake::{Answer, FakeServer, Received};

const CALLS: usize = 50;
const PASSWORD: &str = "pass\"word-of-the-account";
const STALE: &str = "token-that-the-server-rejects";
const FRESH: &str = "token-that-the-server-accepts";

/// The first login gives a token that the server rejects; what it rejects and what it accepts it repeats in its reply.
fn script(request: &Received) -> Answer {
    if request.path == "/authn/login" {
        return Answer::json(200, &json!({"code": 0, "data": {"access_token": FRESH, "expires_in": 900}}));
    }
    let token = request.header("authorization").unwrap_or_default();
    let echo = json!({"code": 0, "message": format!("{PASSWORD} {token}"), "data": {"path": request.path}});
    Answer::json(if token.ends_with(STALE) { 401 } else { 200 }, &echo)
}

fn client(server: &FakeServer, dir: &Path) -> Client {
    let mut config = CallConfig::default();
    config.api.base_url = UrlText(server.url());
    config.iam.base_url = Some(UrlText(server.url()));
    config.iam.username = Some("account".to_owned());
    config.iam.password = Some(SecretText(Secret::new(PASSWORD)));
    let settings = ClientSettings {
        transport: TransportOptions::new(&config, &Env::default()),
        config,
        token_file: dir.join("token"),
        force_login: false,
    };
    Client::new(settings, clock())
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn task(number: usize) -> String {
    format!("task-{number:02}")
}

fn journal(number: usize, dir: &Path) -> Journal {
    let now = SystemClock.now();
    let run = ExecutionInfo {
        task: task(number),
        run_id: ExecutionId::new(now, std::array::from_fn(|_| fastrand::u8(..))),
        endpoint: format!("/{}", task(number)),
        target: None,
        identity: CallIdentity::default(),
        manual: false,
        started_at: now,
    };
    let settings = JournalSettings {
        default_dirs: Vec::new(),
        log_path: dir.join(format!("{}.log", run.task)),
        rotation: Rotation { size: 0, age: Duration::ZERO, keep: 1, compress: false },
        format: LogFormat::Json,
        body_limit: 4096,
        records_dir: dir.join("tasks"),
        history: 10,
        metrics_dir: dir.join("metrics"),
        locks_dir: dir.join("locks"),
        lock_wait: std::time::Duration::from_secs(3),
    };
    Journal::open(run, settings, clock()).expect("the directory is writable")
}

/// One call of one task, from its line to what it leaves behind.
async fn call(client: Client, journal: Journal) -> (Journal, CallReport) {
    let span = journal.span();
    let run = journal.execution.clone();
    let invocation = Invocation { endpoint: Some(run.endpoint), ..Invocation::default() };
    let request = client.request(&invocation, run.run_id, None).expect("a line that can be called");
    let deadline = Instant::now() + Duration::from_secs(60);
    let report = client.perform(&request, deadline).instrument(span.clone()).await;
    let (_, trouble) = span.in_scope(|| journal.leave_behind(&report));
    assert!(trouble.is_empty(), "{trouble:?}");
    (journal, report)
}

#[tokio::test]
async fn fifty_calls_at_once_leave_fifty_logs_records_and_metrics_and_no_secret() {
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(LogLayer::default()));
    let server = FakeServer::start(script);
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, STALE).unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let client = client(&server, dir.path());

    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        calls.spawn(call(client.clone(), journal(number, dir.path())));
    }
    let ended = calls.join_all().await;

    assert_eq!(ended.len(), CALLS);
    assert_eq!(server.count("/authn/login"), 1, "one login for all of them");
    let records = Records::at(dir.path().join("tasks"), 10);
    for (journal, report) in &ended {
        let (task, run_id) = (&journal.execution.task, journal.execution.run_id.to_string());
        assert_eq!(report.outcome.status(), CallStatus::Success, "{report:?}");
        let log = std::fs::read_to_string(dir.path().join(format!("{task}.log"))).unwrap();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &lines {
            assert_eq!((&line["task"], &line["run_id"]), (&json!(task), &json!(run_id)), "{line}");
        }
        let finished: Vec<&Value> = lines.iter().filter(|line| line["event"] == "finished").collect();
        assert_eq!(finished.len(), 1, "{log}");
        assert!(finished[0]["response"].as_str().unwrap().contains(&format!("/{task}")), "{log}");
        let record = records.read(task).unwrap().expect("a record of each task");
        assert_eq!((record.totals.success, &record.last.run_id), (1, &run_id));
        assert_eq!(server.count(&format!("/{task}")), usize::try_from(report.attempts).unwrap());
        let metrics = dir.path().join(format!("metrics/qs_api_call_{task}.prom"));
        assert!(std::fs::read_to_string(metrics).unwrap().contains(task.as_str()));
        no_secret(&format!("{report:?}"));
    }
    assert_eq!(records.tasks().unwrap().len(), CALLS);
    let mut seen = 0;
    for sub in [".", "tasks", "metrics", "locks"] {
        for entry in std::fs::read_dir(dir.path().join(sub)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path != token && !path.ends_with("token") {
                no_secret(&std::fs::read_to_string(&path).unwrap());
                seen += 1;
            }
        }
    }
    assert!(seen >= 3 * CALLS, "logs, records and metrics: {seen}");
}

#[tokio::test]
async fn a_request_that_was_stopped_before_it_left_never_leaves() {
    let server = FakeServer::start(script).unused();
    let dir = tempfile::tempdir().unwrap();
    let client = client(&server, dir.path());
    for method in ["POST", "GET"] {
        let line = Invocation {
            endpoint: Some("/task".to_owned()),
            method: Some(method.to_owned()),
            ..Invocation::default()
        };
        let id = ExecutionId::new(SystemClock.now(), [0; 10]);
        let request = client.request(&line, id, None).expect("a line that can be called");
        assert!(!request.departure.bar(), "nothing has left");
        let report = client.perform(&request, Instant::now() + Duration::from_secs(60)).await;
        assert_ne!(report.outcome.status(), CallStatus::Success, "{report:?}");
        assert!(!request.departure.bar(), "{method}: {report:?}");
    }
    assert_eq!(server.count("/task"), 0);
}

fn no_secret(text: &str) {
    let escaped = PASSWORD.replace('"', "\\\"");
    for secret in [PASSWORD, &escaped, STALE, FRESH] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
