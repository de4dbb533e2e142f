//! Tasks: which lines are one, what a person's run counts for, what a crontab expects of the records, and how a task ends.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use qs_scheduler::crontab::CallIdentity;
use qs_scheduler::domain::outcome::CallStatus;
use qs_scheduler::journal::record::{Records, RunEntry};
use serde_json::json;

use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, Ran, TASK, World, success};

/// A server that does not answer the first request until it is let go.
struct Held {
    server: FakeServer,
    arrived: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
}

impl Held {
    fn new() -> Self {
        let (sender, arrived) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (sender, released) = (Mutex::new(Some(sender)), Mutex::new(released));
        let server = FakeServer::start(move |_| {
            let first = sender.lock().unwrap().take();
            if let Some(sender) = first {
                sender.send(()).unwrap();
                released.lock().unwrap().recv().unwrap();
            }
            success()
        });
        Self { server, arrived, release }
    }

    /// Starts a run and waits until its request is there.
    fn hold(&self, world: &World, args: &[&str]) -> Child {
        let child = world.spawn(args);
        self.arrived.recv().unwrap();
        child
    }

    fn end(&self, mut held: Child) {
        self.release.send(()).unwrap();
        assert!(held.wait().unwrap().success());
    }
}

#[test]
fn another_line_under_one_name_is_no_reason_to_skip() {
    let held = Held::new();
    let world = World::with_token(&held.server);
    let first = held.hold(&world, &["--task", "both", "/api/v1/a"]);
    for (args, call) in [
        (&["--task", "both", "/api/v1/b"][..], "/api/v1/a"),
        (&["--task", "both", "--overlap", "fail", "-X", "GET", "/api/v1/a"], "/api/v1/a"),
        (&["--task", "both", "-H", "X-Org: 2", "/api/v1/a"], "/api/v1/a"),
    ] {
        let ran = world.run(args);
        ran.assert_failure(75);
        let names = format!("POST {}{call}", held.server.url());
        assert!(ran.stderr.contains(&names) && ran.stderr.contains("--task"), "{ran:?}");
    }
    assert_eq!(held.server.requests().len(), 1);
    // The line itself is left out, as ever.
    let same = world.run(&["--json", "--task", "both", "/api/v1/a"]);
    assert_eq!((same.code, same.json()["status"].as_str()), (0, Some("skipped")));
    held.end(first);
    world.run(&["--task", "both", "/api/v1/b"]).assert_silent_success();
}

#[test]
fn the_same_line_for_another_server_or_tenant_is_another_line() {
    let held = Held::new();
    let world = World::with_token(&held.server);
    let first = held.hold(&world, &[ENDPOINT]);
    for (name, value) in [("API_BASE_URL", "http://127.0.0.1:1"), ("IAM_TENANT_ID", "7")] {
        let output = world.command(&[ENDPOINT]).env(name, value).output().unwrap();
        let ran = Ran::of(&output);
        ran.assert_failure(75);
        assert!(ran.stderr.contains(&held.server.url()), "{ran:?}");
    }
    held.end(first);
}

#[test]
fn lines_of_which_a_name_loses_something_run_side_by_side() {
    let held = Held::new();
    let world = World::with_token(&held.server);
    let first = held.hold(&world, &["/api/v1/a/b/c"]);
    let others = [
        "/api/v1/a-b/c",
        "/api/v1/a/b-c",
        "/internal/v1/a/b/c",
        "/a/b/c",
        "/api/v1/a/b/c/",
        "/任务",
        "/每日",
    ];
    for endpoint in others {
        world.run(&[endpoint]).assert_silent_success();
    }
    for org in ["X-Org: 1", "X-Org: 2"] {
        world.run(&["-H", org, "/api/v1/a/b/c"]).assert_silent_success();
    }
    assert_eq!(held.server.requests().len(), 1 + others.len() + 2);
    held.end(first);
}

#[test]
fn a_history_of_two_lines_is_told_in_the_log() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    world.run(&["--task", "both", "/api/v1/a"]).assert_silent_success();
    world.run(&["--task", "both", "/api/v1/a"]).assert_silent_success();
    assert!(!world.log().contains("another call"), "{}", world.log());
    world.run(&["--task", "both", "/api/v1/b"]).assert_silent_success();
    let told = format!("was another call, POST {}/api/v1/a", server.url());
    assert!(world.log().contains(&told), "{}", world.log());
}

#[test]
fn a_run_by_hand_neither_makes_a_task_nor_hides_that_one_fails() {
    let server = FakeServer::start(|request| match request.method.as_str() {
        "GET" => Answer::json(500, &json!({"code": 500, "message": "no"})),
        _ => success(),
    });
    let world = World::with_token(&server);
    let metrics = format!("state/metrics/qs_api_call_{TASK}.prom");
    world.run(&["--manual", ENDPOINT]).assert_silent_success();
    let rows = world.run(&["status", "--json"]).json();
    assert_eq!(
        (rows[0]["last"].clone(), rows[0]["manual"]["status"].clone()),
        (json!(null), json!("success"))
    );
    assert!(!world.path(&metrics).exists(), "a run by hand has no metrics");
    let status = world.run(&["status"]);
    assert!(status.stdout.starts_with("By hand alone") && status.stdout.contains(TASK), "{status:?}");

    world.run(&["--task", TASK, "-X", "GET", ENDPOINT]).assert_failure(1);
    let before = world.read(&metrics);
    assert!(
        before.contains("qs_api_call_last_success_timestamp_seconds{task=\"statistics-sync-daily\"} 0\n")
    );
    let by_hand = world.run(&["--manual", "--json", ENDPOINT]);
    assert_eq!(by_hand.json()["manual"], true);
    assert_eq!(world.read(&metrics), before);
    let row = world.run(&["status", "--json"]).json()[0].clone();
    assert_eq!(
        (row["consecutive_failures"].clone(), row["last_success_at"].clone(), row["last"]["status"].clone()),
        (json!(1), json!(null), json!("failed"))
    );
    let history = world.run(&["history", "--json"]).json();
    let manual: Vec<bool> =
        history.as_array().unwrap().iter().map(|run| run["manual"].as_bool().unwrap()).collect();
    assert_eq!(manual, [true, false, true]);
}

#[test]
fn a_run_from_a_terminal_is_one_by_hand() {
    if Command::new("script").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no script(1) here");
        return;
    }
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let program = env!("CARGO_BIN_EXE_qs-api-call");
    // One stream at a time is a terminal.
    for (streams, manual) in [
        ("</dev/null >/dev/null", true),
        ("</dev/null 2>/dev/null", true),
        (">/dev/null 2>/dev/null", true),
        ("</dev/null >/dev/null 2>/dev/null", false),
    ] {
        let line = format!("{program} {ENDPOINT} {streams}");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null());
        command
            .env_clear()
            .envs(world.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert!(command.env("PATH", "/usr/bin:/bin").status().unwrap().success());
        let history = world.run(&["history", "--json"]).json();
        assert_eq!(history.as_array().unwrap().last().unwrap()["manual"], manual, "{streams}");
    }
}

#[test]
fn one_ping_url_serves_every_task_and_no_run_by_hand() {
    let key = "0f0f0f-key";
    let pinged = FakeServer::start(|_| success());
    let url = format!("{}/ping/{key}/{{task}}", pinged.url());
    let echoed = url.replace("{task}", TASK);
    let server = FakeServer::start(move |_| Answer::json(200, &json!({"code": 0, "message": echoed})));
    let world = World::with_token(&server).set("QS_PING__URL", url);
    let ran = world.run(&["--json", ENDPOINT]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let paths: Vec<String> = pinged.requests().into_iter().map(|request| request.path).collect();
    assert!(paths.iter().any(|path| path.starts_with(&format!("/ping/{key}/{TASK}/0?rid="))), "{paths:?}");
    assert!(!ran.stdout.contains(key) && !world.log().contains(key), "{ran:?} {}", world.log());
    let before = pinged.requests().len();
    world.run(&["--manual", ENDPOINT]).assert_silent_success();
    assert_eq!(pinged.requests().len(), before);
}

#[test]
fn check_knows_what_can_be_pinged() {
    let server = FakeServer::start(|_| success());
    for (url, result) in [
        ("http://127.0.0.1:1/{task}", "ok"),
        ("http://127.0.0.1:1/{name}", "bad"),
        ("127.0.0.1/{task}", "bad"),
    ] {
        let world = World::with_token(&server).set("QS_PING__URL", url);
        let items = world.run(&["check", "--json"]).json();
        let found = items.as_array().unwrap().iter().find(|item| item["check"] == "ping").unwrap().clone();
        assert_eq!(found["result"], result, "{found}");
    }
}

/// A run of `task` that began this long ago.
fn ran(task: &str, ago: SignedDuration, status: CallStatus) -> RunEntry {
    RunEntry {
        task: task.to_owned(),
        run_id: format!("run-{task}"),
        endpoint: "/x".to_owned(),
        target: None,
        identity: CallIdentity::default(),
        manual: false,
        started_at: Timestamp::now() - ago,
        duration_ms: 1,
        status,
        exit_name: "ok".to_owned(),
        exit_code: 0,
        http_status: None,
        code: None,
        message: String::new(),
        attempts: 1,
        token_source: None,
    }
}

/// A crontab whose lines call these tasks every hour, and which came this long ago.
fn hourly(world: &World, name: &str, tasks: &[&str], ago: Duration) -> String {
    let lines = tasks
        .iter()
        .map(|task| format!("0 * * * * root /usr/local/bin/qs-api-call /api/v1/{task} /dev/null\n"));
    let path = world.path(name);
    fs::write(&path, lines.collect::<String>()).unwrap();
    File::options().append(true).open(&path).unwrap().set_modified(SystemTime::now() - ago).unwrap();
    path.display().to_string()
}

#[test]
fn a_crontab_is_compared_with_what_ran() {
    const DAYS: Duration = Duration::from_secs(10 * 24 * 3600);
    let world = World::new();
    std::fs::create_dir(world.path("state")).unwrap();
    let records = Records::open(world.path("state/tasks"), 5).unwrap();
    let (now, hours) = (SignedDuration::ZERO, SignedDuration::from_hours(5));
    for run in [
        ran("good", now, CallStatus::Success),
        ran("busy", now, CallStatus::Skipped),
        ran("late", hours, CallStatus::Success),
        ran("bad", hours, CallStatus::Success),
        ran("bad", now, CallStatus::Failed),
        ran("gone", hours, CallStatus::Success),
        RunEntry { manual: true, ..ran("never", now, CallStatus::Success) },
        RunEntry { manual: true, ..ran("tried", now, CallStatus::Success) },
    ] {
        records.add(&run).unwrap();
    }
    let old = hourly(&world, "old", &["good", "busy", "late", "bad", "never"], DAYS);
    let new = hourly(&world, "new", &["fresh"], Duration::ZERO);
    let ran = world.run(&["status", "--crontab", &old, "--crontab", &new, "--json"]);
    let rows = ran.json();
    let found: Vec<(&str, &str, bool)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["task"].as_str().unwrap(),
                row["standing"].as_str().unwrap(),
                row["wrong"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("bad", "failed", true),
            ("busy", "ok", false),
            ("fresh", "not_due_yet", false),
            ("gone", "in_no_crontab", false),
            ("good", "ok", false),
            ("late", "overdue", true),
            ("never", "never_ran", true),
        ]
    );
    ran.assert_failure_after_data(
        1,
        "3 of 7 tasks need attention: bad failed, late overdue, never never ran",
    );
    let text = world.run(&["status", "--crontab", &old]);
    assert!(
        text.stdout.contains("never ran, but by hand") && text.stdout.contains("old, line 3"),
        "{text:?}"
    );

    let good = hourly(&world, "good", &["good"], DAYS);
    assert_eq!(world.run(&["status", "--crontab", &good]).code, 0);
    assert_eq!(world.run(&["status", "--crontab", "/nonexistent"]).code, 66);
    // What a line says of its state directory is where its records are.
    let elsewhere = world.path("elsewhere");
    fs::write(&elsewhere, "QS_STATE__DIR=/nonexistent\n0 * * * * /usr/local/bin/qs-api-call /api/v1/good\n")
        .unwrap();
    File::options().append(true).open(&elsewhere).unwrap().set_modified(SystemTime::now() - DAYS).unwrap();
    let args = ["status", "--user-crontab", "--crontab", &elsewhere.display().to_string(), "--json"];
    let rows = world.run(&args).json();
    let good: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["task"] == "good")
        .map(|row| row["standing"].as_str().unwrap())
        .collect();
    assert_eq!(good, ["never_ran", "in_no_crontab"]);
}

fn left_of(world: &World, task: &str) -> Vec<String> {
    let mut left = Vec::new();
    for dir in ["state/tasks", "state/locks", "state/metrics"] {
        let names = fs::read_dir(world.path(dir)).unwrap().flatten();
        left.extend(names.map(|file| file.file_name().to_string_lossy().into_owned()));
    }
    left.retain(|name| name.contains(task));
    left
}

#[test]
fn a_task_that_is_no_more_is_forgotten() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    for endpoint in ["/api/v1/one", "/api/v1/two", "/api/v1/three"] {
        world.run(&[endpoint]).assert_silent_success();
        world.run(&["--manual", endpoint]).assert_silent_success();
    }
    assert!(left_of(&world, "one").len() >= 5, "{:?}", left_of(&world, "one"));
    let unknown = world.run(&["forget", "thre"]);
    unknown.assert_failure(66);
    assert!(unknown.stderr.contains("three"), "{unknown:?}");
    assert_eq!(world.run(&["forget"]).code, 64);
    let ran = world.run(&["forget", "one"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "forgot one\n"));
    assert_eq!(left_of(&world, "one"), Vec::<String>::new());
    let kept = hourly(&world, "tab", &["two"], Duration::ZERO);
    assert_eq!(world.run(&["forget", "--json", "--not-in", &kept]).json(), json!(["three"]));
    assert_eq!(world.run(&["forget", "--not-in", &kept]).stdout, "nothing to forget\n");
    let tasks = world.run(&["status", "--json"]).json();
    assert_eq!((tasks.as_array().unwrap().len(), tasks[0]["task"].clone()), (1, json!("two")));
    world.run(&["/api/v1/one"]).assert_silent_success();
    assert_eq!(world.run(&["status", "--json"]).json()[0]["totals"]["success"], 1, "begun anew");
}

#[test]
fn a_task_is_not_forgotten_while_it_runs() {
    let held = Held::new();
    let world = World::with_token(&held.server);
    let first = held.hold(&world, &[ENDPOINT]);
    let by_then = Arc::new(left_of(&world, TASK));
    // It has no record yet, so there is nothing to forget; the second time it has one.
    world.run(&["forget", TASK]).assert_failure(66);
    world.run(&["--manual", ENDPOINT]).assert_silent_success();
    let ran = world.run(&["forget", TASK]);
    ran.assert_failure(75);
    assert!(ran.stderr.contains("under way"), "{ran:?}");
    assert!(left_of(&world, TASK).len() > by_then.len());
    held.end(first);
    assert_eq!(world.run(&["forget", TASK]).code, 0);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everybody_may_read_the_metrics_and_nothing_else() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    for umask in ["022", "077"] {
        let _ = fs::remove_dir_all(world.path("state"));
        let mut shell = Command::new("/bin/sh");
        let program = env!("CARGO_BIN_EXE_qs-api-call");
        shell.args(["-c", &format!("umask {umask}; {program} {ENDPOINT} && exec {program} {ENDPOINT}")]);
        shell.envs(world.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert!(
            shell
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .status()
                .unwrap()
                .success()
        );
        let file = world.path(&format!("state/metrics/qs_api_call_{TASK}.prom"));
        for (path, expected) in [
            (world.path("state"), 0o711),
            (world.path("state/metrics"), 0o755),
            (file.clone(), 0o644),
            (world.path("state/tasks"), 0o700),
            (world.path("state/locks"), 0o700),
            (world.path(&format!("state/tasks/{TASK}.history.jsonl")), 0o600),
        ] {
            assert_eq!(mode(&path), expected, "{} with umask {umask}", path.display());
        }
        let read = |path: &Path| {
            let mut other = Command::new("runuser");
            other.args(["-u", "nobody", "--", "cat"]).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
            other.status()
        };
        fs::set_permissions(world.dir(), fs::Permissions::from_mode(0o711)).unwrap();
        if !Path::new("/root").metadata().is_ok_and(|_| fs::read_dir("/root").is_ok()) {
            eprintln!("skipped the part as another user: only root can be one");
            continue;
        }
        assert!(read(&file).unwrap().success());
        assert!(!read(&world.path(&format!("state/tasks/{TASK}.history.jsonl"))).unwrap().success());
    }
}

#[test]
fn check_tells_of_metrics_that_nobody_can_read() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    world.run(&[ENDPOINT]).assert_silent_success();
    let results = || {
        let items = world.run(&["check", "--json"]).json();
        let all = items.as_array().unwrap().clone();
        all.into_iter()
            .filter(|item| item["check"] == "metrics")
            .map(|item| item["result"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(results(), ["ok"]);
    fs::set_permissions(world.path("state"), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(results(), ["ok", "warning"]);
}
