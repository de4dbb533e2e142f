//! The call as a crontab line makes it.

use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};

use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, Granting, LOGIN, PASSWORD, Ran, TASK, USERNAME, World, success};

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

#[test]
fn a_request_carries_what_a_careful_server_wants() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = world.write_secret("body.json", "{\"org\": 1}");
    let data = format!("@{}", body.display());
    let args = ["--data", &data, "-q", "before=2026-11-20 23:00:00", "-H", "Prefer: wait=10", ENDPOINT];
    let output = world.command(&args).env("TRACEPARENT", trace).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let request = &server.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/api/v1/statistics/sync/daily?before=2026-11-20+23%3A00%3A00")
    );
    assert_eq!(request.text(), "{\"org\": 1}");
    for (name, value) in [
        ("authorization", "Bearer cached-token"),
        ("content-type", "application/json"),
        ("content-length", "10"),
        ("prefer", "wait=10"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    let parent = request.header("traceparent").unwrap();
    assert!(
        parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && !parent.contains("00f067aa0ba902b7")
    );
    let key = request.header("idempotency-key").unwrap();
    assert_eq!(key.trim_matches('"'), request.header("x-request-id").unwrap());
    assert!(key.starts_with('"') && key.ends_with('"'));

    let mut piped = world.command(&["--data", "@-", ENDPOINT]).stdin(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(b"[1,2]").unwrap();
    assert!(piped.wait().unwrap().success());
    assert_eq!(server.requests()[1].text(), "[1,2]");

    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(server.requests()[2].text(), "{}");
    world.run(&["-X", "get", ENDPOINT]).assert_silent_success();
    let get = &server.requests()[3];
    assert_eq!((get.method.as_str(), get.body.len(), get.header("content-type")), ("GET", 0, None));
}

#[test]
fn the_total_budget_always_wins() {
    let server = FakeServer::start(|_| Answer::SlowHeaders);
    let world = World::with_token(&server).set("TIMEOUT", "0.3");
    let ran = world.run(&["--json", "--idempotent", "--retries", "50", ENDPOINT]);
    assert_eq!((ran.code, ran.json()["attempts"].as_u64()), (75, Some(1)), "{ran:?}");
    // A login that takes the whole budget leaves none for the call.
    let slow_iam = FakeServer::start(|_| Answer::SlowHeaders);
    let world = World::without_token(&slow_iam).set("TIMEOUT", "300ms");
    world.run(&[ENDPOINT]).assert_failure(75);
    assert_eq!(slow_iam.count(ENDPOINT), 0);
}

#[test]
fn a_task_that_still_runs_is_met_as_its_policy_says() {
    let (arrived, waiting) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(Some(arrived)), Mutex::new(released));
    let server = FakeServer::start(move |_| {
        let first = arrived.lock().unwrap().take();
        if let Some(arrived) = first {
            arrived.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
        success()
    });
    let world = World::with_token(&server);
    let mut first = world.spawn(&[ENDPOINT]);
    waiting.recv().unwrap();

    let skipped = world.run(&["--json", ENDPOINT]);
    assert_eq!((skipped.code, skipped.stderr.as_str()), (0, ""));
    assert_eq!(
        (skipped.json()["status"].as_str(), skipped.json()["attempts"].as_u64()),
        (Some("skipped"), Some(0))
    );
    assert!(skipped.json()["message"].as_str().unwrap().contains(&format!("process {}", first.id())));
    world.run(&[ENDPOINT]).assert_silent_success();
    assert!(world.log().contains("status=skipped exit=0"), "{}", world.log());

    let failed = world.run(&["--overlap", "fail", ENDPOINT]);
    failed.assert_failure(75);
    assert!(failed.stderr.contains("the previous run is still going"), "{failed:?}");
    world.run(&["--overlap", "sequential", "--timeout", "200ms", ENDPOINT]).assert_failure(75);
    assert_eq!(server.requests().len(), 1, "none of them called");
    world.run(&["--overlap", "parallel", ENDPOINT]).assert_silent_success();
    world.run(&["--task", "another", ENDPOINT]).assert_silent_success();

    let second = world.spawn(&["--overlap", "sequential", ENDPOINT]);
    release.send(()).unwrap();
    assert!(first.wait().unwrap().success());
    assert!(second.wait_with_output().unwrap().status.success());
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_killed_run_frees_its_task() {
    let (arrived, waiting) = mpsc::channel();
    let arrived = Mutex::new(Some(arrived));
    let server = FakeServer::start(move |_| match arrived.lock().unwrap().take() {
        Some(arrived) => {
            arrived.send(()).unwrap();
            Answer::SlowHeaders
        }
        None => success(),
    });
    let world = World::with_token(&server);
    let mut first = world.spawn(&[ENDPOINT]);
    waiting.recv().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let ran = world.run(&["--json", ENDPOINT]);
    assert_eq!(ran.json()["status"], "success", "{ran:?}");
}

#[test]
fn a_signal_ends_the_run_at_once_and_says_so() {
    for (signal, code, name) in
        [("TERM", 143, "terminated"), ("INT", 130, "interrupted"), ("HUP", 129, "hung_up")]
    {
        let (arrived, waiting) = mpsc::channel();
        let arrived = Mutex::new(arrived);
        let server = FakeServer::start(move |_| {
            arrived.lock().unwrap().send(()).unwrap();
            Answer::SlowHeaders
        });
        let world = World::with_token(&server);
        let child = world.spawn(&["--idempotent", "--retries", "9", ENDPOINT]);
        waiting.recv().unwrap();
        let began = std::time::Instant::now();
        let kill =
            std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let ran = Ran::of(&child.wait_with_output().unwrap());
        assert!(
            began.elapsed() < std::time::Duration::from_secs(1),
            "SIG{signal} took {:?}",
            began.elapsed()
        );
        ran.assert_failure(code);
        assert!(ran.stderr.contains(&format!("stopped by SIG{signal}")), "{ran:?}");
        assert!(world.log().contains(&format!("exit={code} exit_name={name}")), "{}", world.log());
        assert_eq!(server.requests().len(), 1, "nothing is tried again");
        assert_eq!(world.run(&["history", "--json"]).json()[0]["status"], "unknown");
    }
}

#[test]
fn a_signal_before_anything_was_sent_says_that_nothing_was() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let (arrived, waiting) = mpsc::channel();
        let arrived = Mutex::new(arrived);
        let server = FakeServer::start(move |_| {
            arrived.lock().unwrap().send(()).unwrap();
            Answer::SlowHeaders
        });
        let world = World::without_token(&server);
        let child = world.spawn(&[ENDPOINT]);
        // The login is under way.
        waiting.recv().unwrap();
        let kill =
            std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let ran = Ran::of(&child.wait_with_output().unwrap());
        ran.assert_failure(code);
        assert!(ran.stderr.contains(&format!("stopped by SIG{signal}; nothing was sent")), "{ran:?}");
        assert_eq!(world.run(&["history", "--json"]).json()[0]["status"], "failed");
    }
}

#[test]
fn pings_frame_the_call_and_cannot_change_it() {
    let monitor = FakeServer::start(|_| Answer::status(200));
    let answers = Mutex::new(vec![success(), Answer::status(500)]);
    let server = FakeServer::start(move |_| answers.lock().unwrap().remove(0));
    let world = World::with_token(&server);
    let url = format!("{}/ping/uuid", monitor.url());
    let ran = world.run(&["--json", "--ping-url", &url, ENDPOINT]);
    assert_eq!(ran.code, 0, "{ran:?}");
    world.run(&["--ping-url", &url, ENDPOINT]).assert_failure(1);
    let paths: Vec<String> = monitor.requests().into_iter().map(|request| request.path).collect();
    let run_id = ran.json()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(paths[0], format!("/ping/uuid/start?rid={run_id}"));
    assert_eq!(paths[1], format!("/ping/uuid/0?rid={run_id}"));
    assert!(
        paths[2].starts_with("/ping/uuid/start?rid=") && paths[3].starts_with("/ping/uuid/1?rid="),
        "{paths:?}"
    );
    assert!(monitor.requests()[3].text().contains("HTTP 500"));

    for broken in [FakeServer::start(|_| Answer::status(500)), FakeServer::start(|_| Answer::SlowHeaders)] {
        let server = FakeServer::start(|_| success());
        let world = World::with_token(&server).set("QS_PING__TIMEOUT", "200ms");
        world.run(&["--ping-url", &format!("{}/x", broken.url()), ENDPOINT]).assert_silent_success();
        assert!(world.log().contains("WARN: Ping failed"), "{}", world.log());
    }
    let server = FakeServer::start(|_| success());
    World::with_token(&server).run(&["--ping-url", "not a url", ENDPOINT]).assert_silent_success();
}

#[test]
fn a_silent_monitor_neither_holds_the_next_run_nor_changes_this_one() {
    let (pinged, pings) = mpsc::channel();
    let pinged = Mutex::new(pinged);
    let monitor = FakeServer::start(move |request| {
        if request.path.starts_with("/x/0") {
            pinged.lock().unwrap().send(()).unwrap();
        }
        Answer::SlowHeaders
    });
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).set("QS_PING__URL", format!("{}/x", monitor.url()));
    for signal in ["TERM", "KILL"] {
        let child = world.spawn(&["--json", ENDPOINT]);
        pings.recv().unwrap();
        // The lock of the task is free: the next run is made.
        let next = world.run(&["--json", "--ping-url", "not a url", ENDPOINT]);
        assert_eq!((next.code, next.json()["status"].as_str()), (0, Some("success")), "{next:?}");
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let ran = Ran::of(&child.wait_with_output().unwrap());
        if signal == "TERM" {
            assert_eq!((ran.code, ran.json()["status"].as_str()), (0, Some("success")), "{ran:?}");
        }
        let runs = world.run(&["history", "--json"]).json();
        for run in runs.as_array().unwrap() {
            assert_eq!(run["status"], "success", "{runs}");
            assert!(run["duration_ms"].as_u64().unwrap() < 2_000, "{runs}");
        }
        std::fs::remove_dir_all(world.path("state")).unwrap();
    }
}

#[test]
fn plain_http_to_a_public_host_is_refused_before_anything_is_sent() {
    let world = World::new().set("API_BASE_URL", "http://api.example.com");
    world.write_secret("token", "cached-token");
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(78);
    assert!(ran.stderr.contains("--allow-plaintext"), "{ran:?}");
    assert!(world.log().contains("exit=78"), "{}", world.log());
}

#[test]
fn proxies_of_the_environment_are_used_but_never_for_this_machine() {
    let proxy = FakeServer::start(|_| success());
    let world = World::new().set("API_BASE_URL", "http://qs-apiserver:8080").set("http_proxy", proxy.url());
    world.write_secret("token", "cached-token");
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(proxy.requests()[0].path, format!("http://qs-apiserver:8080{ENDPOINT}"));
    let direct = FakeServer::start(|_| success());
    let world = world.set("API_BASE_URL", direct.url());
    assert_eq!(world.run(&["token", "clear"]).code, 0);
    world.write_secret("token", "token-of-this-server");
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!((proxy.requests().len(), direct.requests().len()), (1, 1));
}

#[test]
fn wrong_usage_is_64_and_one_line() {
    let world = World::new();
    for args in [
        &[][..],
        &["--no-such-option"],
        &["--timeout", "soon", ENDPOINT],
        &["--overlap", "replace", ENDPOINT],
        &["--task", "../x", ENDPOINT],
        &["--data", "{broken", ENDPOINT],
        &["-q", "novalue", ENDPOINT],
        &["-X", "CONNECT", ENDPOINT],
        &["http://127.0.0.1/x"],
        &["//127.0.0.1/x"],
        &["/a/../b"],
        &["/a/./b"],
        &["statsu"],
        &["explain", "2"],
        &["--cert", "x.pem", ENDPOINT],
    ] {
        let ran = world.run(args);
        ran.assert_failure(64);
    }
    let ran = world.run(&["statsu"]);
    assert!(ran.stderr.contains("did you mean the command `status`?"), "{ran:?}");
}

#[test]
fn what_cannot_be_recorded_is_not_called() {
    let server = FakeServer::start(|_| success()).unused();
    let world = World::with_token(&server);
    world.write_secret("file", "not a directory");
    let log = world.path("file/x.log");
    let ran = world.run(&[ENDPOINT, log.to_str().unwrap()]);
    ran.assert_failure(73);
    assert!(ran.stderr.contains("file/x.log"), "{ran:?}");
    let ran = world.run(&["--state-dir", world.path("file/state").to_str().unwrap(), ENDPOINT]);
    ran.assert_failure(73);
    assert!(server.requests().is_empty());
    world.run(&["--data", "@/nonexistent.json", ENDPOINT]).assert_failure(66);
    world.run(&["--config", "/nonexistent.yaml", ENDPOINT]).assert_failure(66);
}

#[test]
fn a_success_that_could_not_be_recorded_is_74_and_a_failure_stays_what_it_was() {
    for (answer, code) in [(success(), 74), (Answer::status(500), 1)] {
        let doomed = tempfile::tempdir().unwrap();
        let dir = doomed.path().join("state");
        let removed = dir.clone();
        let server = FakeServer::start(move |_| {
            // The disk goes away while the request is under way.
            std::fs::remove_dir_all(&removed).unwrap();
            answer.clone()
        });
        let world = World::with_token(&server);
        let ran = world.run(&["--state-dir", dir.to_str().unwrap(), ENDPOINT]);
        ran.assert_failure(code);
        assert!(ran.stderr.contains("run record"), "{ran:?}");
    }
}

#[test]
fn the_log_is_where_it_is_asked_for_and_one_line_an_event() {
    let server =
        FakeServer::start(|_| Answer::typed(200, "text/plain", "done\n[2026-11-20 23:00:00] ERROR: forged"));
    let world = World::with_token(&server);
    let log = world.path("down/sync-daily.log");
    world.run(&[ENDPOINT, log.to_str().unwrap()]).assert_silent_success();
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().all(|line| line.starts_with("[20") && line.contains("] ")), "{text}");
    assert!(text.contains(r#"response="done\n[2026-11-20 23:00:00] ERROR: forged""#), "{text}");

    let json = world.path("json.log");
    world.run(&["--log-format", "json", ENDPOINT, json.to_str().unwrap()]).assert_silent_success();
    for line in std::fs::read_to_string(&json).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["ts", "level", "event", "task", "run_id"] {
            assert!(line[key].is_string(), "{key} in {line}");
        }
    }
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let server = FakeServer::start(|_| success()).unused();
    let ran = World::with_token(&server).run(&["--dry-run", "--data", "{\"a\":1}", ENDPOINT]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with(&format!("POST {}{ENDPOINT}\n", server.url())), "{ran:?}");
    assert!(ran.stdout.contains("{\"a\":1}") && !ran.stdout.contains("cached-token"), "{ran:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn verbose_shows_progress_on_one_side_and_the_reply_on_the_other() {
    let server = FakeServer::start(|_| success());
    let ran = World::with_token(&server).run(&["-v", ENDPOINT]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("\"written\":3") && ran.stdout.lines().count() == 1, "{ran:?}");
    assert!(ran.stderr.contains("Calling API: ") && ran.stderr.contains("API call successful"), "{ran:?}");
    assert!(!ran.stderr.contains('\x1b'), "no colours where nobody looks");
    let more = World::with_token(&server).run(&["-vv", ENDPOINT]);
    assert!(more.stderr.contains("Reply received") && !ran.stderr.contains("Reply received"), "{more:?}");
}

#[test]
fn status_and_history_tell_what_happened() {
    let answers = Mutex::new(vec![success(), Answer::status(500), Answer::status(500), success()]);
    let server = FakeServer::start(move |_| answers.lock().unwrap().remove(0));
    let world = World::with_token(&server);
    for code in [0, 1, 1] {
        assert_eq!(world.run(&[ENDPOINT]).code, code);
    }
    world.run(&["--task", "other", "/x"]).assert_silent_success();
    let status = world.run(&["status", "--json"]).json();
    let task = status.as_array().unwrap().iter().find(|row| row["task"] == TASK).unwrap();
    assert_eq!(
        (task["consecutive_failures"].as_u64(), task["totals"]["failed"].as_u64()),
        (Some(2), Some(2))
    );
    assert_eq!(
        (task["last"]["exit_name"].as_str(), task["success_rate"].as_f64().map(f64::round)),
        (Some("failed"), Some(33.0))
    );
    let table = world.run(&["status"]).stdout;
    assert!(table.contains("33.3 %") && table.contains("other"), "{table}");
    let history = world.run(&["history", TASK, "-n", "2", "--json"]).json();
    assert_eq!(history.as_array().unwrap().len(), 2);
    let unknown = world.run(&["history", "othr"]);
    unknown.assert_failure(66);
    assert!(unknown.stderr.contains("did you mean other?"), "{unknown:?}");
    let metrics = world.read(&format!("state/metrics/qs_api_call_{TASK}.prom"));
    assert!(
        metrics.contains(&format!("qs_api_call_runs_total{{task=\"{TASK}\",status=\"failed\"}} 2")),
        "{metrics}"
    );
    assert!(World::new().run(&["status"]).stdout.contains("no runs are recorded"));
}

#[test]
fn the_configuration_is_layered_and_a_slip_is_named() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).unset("API_BASE_URL");
    let yaml = format!("api:\n  base_url: {}\ncall:\n  retries: 7\n", server.url());
    let path = world.write_secret("config.yaml", &yaml);
    let config = path.to_str().unwrap();
    world.run(&["--config", config, ENDPOINT]).assert_silent_success();
    let show = |world: &World, args: &[&str]| {
        world.run(&[&["config", "show", "--json", "--config", config], args].concat()).json()
    };
    assert_eq!(show(&world, &[])["call.retries"]["value"], "7");
    assert!(show(&world, &[])["call.retries"]["origin"].as_str().unwrap().ends_with("config.yaml:4:12"));
    let world = world.set("QS_CALL__RETRIES", "8");
    assert_eq!(show(&world, &[])["call.retries"]["value"], "8");

    world.write_secret("config.yaml", "call:\n  retires: 7\n  timeout: never\n");
    let ran = world.run(&["--config", config, ENDPOINT]);
    ran.assert_failure(78);
    for part in [
        "config.yaml:2:12: call.retires: unknown key (hint: did you mean call.retries?)",
        "config.yaml:3:12: call.timeout = \"never\": expected a duration",
    ] {
        assert!(ran.stderr.contains(part), "{part} in {ran:?}");
    }
    world.set("QS_CALL__RETRYS", "1").unset("x").run(&[ENDPOINT]).assert_failure(78);

    let open = World::new();
    let path = open.write_secret("config.yaml", "iam:\n  password: hunter2\n");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let args = ["--config", path.to_str().unwrap(), ENDPOINT];
    let overridden = open.run(&args);
    for ran in [overridden, open.unset("IAM_PASSWORD").run(&args)] {
        ran.assert_failure(78);
        assert!(ran.stderr.contains("0644") && !ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn called_by_a_scripts_name_it_keeps_the_scripts_contract() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let fail = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let failing = Arc::clone(&fail);
    let server = FakeServer::start(move |request| {
        if request.path == ENDPOINT && failing.load(std::sync::atomic::Ordering::SeqCst) {
            return Answer::status(503);
        }
        script.answer(request)
    });
    let world = World::without_token(&server);
    let link = |name: &str| {
        let path = world.path(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_qs-api-call"), &path).unwrap();
        path
    };
    let (call, refresh) = (link("qs-api-call.sh"), link("qs-refresh-token.sh"));
    let run = |program: &std::path::Path, args: &[&str]| {
        let mut command = std::process::Command::new(program);
        let like = world.command(&[]);
        command.args(args).env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::of(&command.output().unwrap())
    };
    let usage = run(&call, &[]);
    assert_eq!(usage.code, 1);
    assert!(usage.stderr.contains("Usage: qs-api-call.sh <endpoint> [log_file]"), "{usage:?}");
    run(&refresh, &[]).assert_silent_success();
    assert_eq!(world.read("token"), "granted-token-1\n");
    assert!(world.read("log/refresh-token.log").contains("] Token refreshed successfully"));
    let log = world.path("sync-daily.log");
    run(&call, &[ENDPOINT, log.to_str().unwrap()]).assert_silent_success();
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.contains("] Calling API: ") && text.contains("] API call successful (HTTP 200"), "{text}");
    fail.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(run(&call, &[ENDPOINT]).code, 1, "0 and 1 are all that the scripts' callers know");
}

#[test]
fn check_shows_the_whole_picture_without_calling_the_endpoint() {
    let granting = Granting::new(900);
    let server = FakeServer::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        (_, LOGIN) => granting.grant(),
        ("OPTIONS", ENDPOINT) => Answer::status(405),
        ("OPTIONS", _) => Answer::status(404),
        _ => Answer::status(200),
    });
    let world = World::without_token(&server);
    let good = world.run(&["check", "--json", ENDPOINT]);
    assert_eq!(good.code, 0, "{good:?}");
    let items = good.json();
    let result = |what: &str| {
        items.as_array().unwrap().iter().rfind(|item| item["check"] == what).unwrap()["result"].clone()
    };
    for what in ["log", "state", "token", "api", "iam", "login", "endpoint"] {
        assert_eq!(result(what), "ok", "{what}");
    }
    assert!(server.requests().iter().all(|request| request.path != ENDPOINT || request.method == "OPTIONS"));
    let unknown = world.run(&["check", "/api/v1/nothing"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stdout.contains("the server does not know it"), "{unknown:?}");
    let dead = World::new().run(&["check"]);
    assert!(dead.code == 75 && dead.stdout.contains("bad"), "{dead:?}");
}

#[test]
fn the_jitter_is_outside_the_budget_and_fixed_when_asked() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).set("TIMEOUT", "5s");
    let wait = |args: &[&str]| {
        world.run(&[args, &[ENDPOINT]].concat()).assert_silent_success();
        let log = world.log();
        let line = log.lines().rfind(|line| line.contains("event=jitter")).unwrap().to_owned();
        line.split("wait_ms=").nth(1).unwrap().to_owned()
    };
    let fixed = ["--jitter", "50ms", "--jitter-fixed"];
    assert_eq!(wait(&fixed), wait(&fixed));
    let free = ["--jitter", "50ms"];
    let waits: Vec<String> = (0..6).map(|_| wait(&free)).collect();
    assert!(waits.iter().any(|other| *other != waits[0]), "{waits:?}");
}

#[test]
fn a_reader_that_goes_away_does_not_change_the_outcome() {
    for (answer, code) in [(Answer::status(500), 1), (success(), 0)] {
        let (gone, reader_is_gone) = mpsc::channel::<()>();
        let reader_is_gone = Mutex::new(reader_is_gone);
        let server = FakeServer::start(move |_| {
            reader_is_gone.lock().unwrap().recv().unwrap();
            answer.clone()
        });
        let world = World::with_token(&server);
        let mut child = world.spawn(&["--json", ENDPOINT]);
        drop(child.stdout.take());
        gone.send(()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
    let server = FakeServer::start(|_| success());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = World::with_token(&server).command(&["--json", ENDPOINT]).stdout(full).output().unwrap();
    Ran::of(&output).assert_failure(74);
}
