//! What the README and the guides promise of a call and no other subject keeps: what people see, what is left behind,
//! and whom a slow monitor or a proxy costs nothing.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use qs_scheduler::config::call::SETTINGS;
use qs_scheduler::domain::digest::fnv64;
use qs_scheduler::domain::exit::Exit;
use qs_scheduler::files::host_name;

use crate::support::fake::{Answer, FakeServer};
use crate::support::tls::Authority;
use crate::support::world::{ENDPOINT, LOGIN, Ran, TASK, World, success};

/// A name whose calls are never sent to this machine, and that no server has.
const ELSEWHERE: &str = "job.qs-test.internal";

#[test]
fn every_exit_code_is_explained_by_number_and_by_name() {
    let world = World::new();
    for exit in Exit::ALL {
        let info = exit.info();
        for word in [info.code.to_string(), info.name.to_owned()] {
            let ran = world.run(&["explain", &word]);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{word}");
            assert!(ran.stdout.contains(info.meaning) && ran.stdout.contains(info.advice), "{ran:?}");
        }
    }
}

#[test]
fn a_failure_is_one_line_with_its_code_whatever_it_is() {
    let world = World::new().set("IAM_BASE_URL", "http://127.0.0.1:1");
    world.write_secret("broken.yaml", "call:\n  retires: 1\n");
    world.write_secret("file", "");
    let state = world.path("file/state").display().to_string();
    for (args, code) in [
        (&["--timeout", "soon", ENDPOINT][..], "[64 usage]"),
        (&["api/v1/x"], "[64 usage]"),
        (&["--config", "none.yaml", ENDPOINT], "[66 no_input]"),
        (&["--config", "broken.yaml", ENDPOINT], "[78 config]"),
        (&["--state-dir", &state, ENDPOINT], "[73 cannot_create]"),
        (&[ENDPOINT], "[75 try_later]"),
        (&["token", "refresh"], "[75 try_later]"),
        (&["check"], "[75 try_later]"),
    ] {
        let ran = world.run(args);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains(code) && code.starts_with(&format!("[{} ", ran.code)), "{code} {ran:?}");
    }
    let long = FakeServer::start(|_| {
        Answer::typed(500, "application/json", format!("{{\"message\":\"{}\"}}", "x".repeat(5000)))
    });
    let ran = World::with_token(&long).run(&[ENDPOINT]);
    assert!(ran.stderr.ends_with(" [1 failed]\n"), "a long message leaves room for it: {ran:?}");
}

#[test]
fn json_and_the_line_of_a_failure_are_what_a_pod_logs() {
    let server = FakeServer::start(|_| Answer::status(500));
    let ran = World::with_token(&server).run(&["--json", "--idempotent", ENDPOINT]);
    assert_eq!(
        (ran.stdout.lines().count(), ran.json()["exit_name"].as_str()),
        (1, Some("failed")),
        "{ran:?}"
    );
    ran.assert_failure_after_data(1, "[1 failed]");
    let ran = World::with_token(&server).set("QS_CALL__RETRIES", "x").run(&["--json", ENDPOINT]);
    assert_eq!(ran.stdout, "", "what is no run has the line alone");
    ran.assert_failure(78);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let show = |world: &World| world.run(&["config", "show", "--json"]).json();
    let before = show(&world);
    let keys: Vec<&String> = before.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), SETTINGS.len(), "every setting is shown");
    assert!(SETTINGS.iter().all(|setting| keys.iter().any(|key| **key == setting.key)), "{keys:?}");
    let set: Vec<String> =
        world.command(&[]).get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let long = |key: &str| format!("QS_{}", key.replace('.', "__").to_uppercase());
    let names = SETTINGS
        .iter()
        .flat_map(|setting| setting.env.iter().map(|name| (*name).to_owned()).chain([long(setting.key)]));
    let others =
        ["CREDENTIALS_DIRECTORY", "http_proxy", "all_proxy", "NO_PROXY", "SSL_CERT_FILE", "TRACEPARENT"];
    let mut world = world;
    for name in names.chain(others.map(str::to_owned)).filter(|name| !set.contains(name)) {
        world = world.set(&name, "");
    }
    assert_eq!(show(&world), before);
    world.run(&[ENDPOINT]).assert_silent_success();
}

#[test]
fn the_users_own_file_is_read_and_the_help_tells_the_defaults() {
    let world = World::new();
    let dir = world.path("home/.config/qs-scheduler");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("qs-api-call.yaml"), "call:\n  retry_cap: 7s\n").unwrap();
    let shown = world.run(&["config", "show", "--json"]).json();
    assert_eq!(shown["call.retry_cap"]["value"], "7s");
    let help = world.run(&["--help"]).stdout;
    for (option, key) in [
        ("--overlap", "call.overlap"),
        ("--timeout", "call.timeout"),
        ("--connect-timeout", "call.connect_timeout"),
        ("--attempt-timeout", "call.attempt_timeout"),
        ("--retries", "call.retries"),
        ("--max-body", "call.max_body"),
        ("--log-format", "log.format"),
    ] {
        let text = help.split(&format!("{option} <")).nth(1).unwrap_or_else(|| panic!("{option} in {help}"));
        let default = text.split("[default: ").nth(1).unwrap().split(']').next().unwrap();
        assert_eq!(shown[key]["value"].as_str(), Some(default), "{option}");
    }
}

#[test]
fn a_run_has_a_key_of_its_own() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    for args in [&[ENDPOINT][..], &[ENDPOINT], &["-H", "Idempotency-Key: \"mine\"", ENDPOINT]] {
        world.run(args).assert_silent_success();
    }
    for header in ["idempotency-key", "x-request-id"] {
        let seen: Vec<String> =
            server.requests().iter().map(|request| request.header(header).unwrap().to_owned()).collect();
        assert_ne!(seen[0], seen[1], "{header} is new in the next run");
        assert_eq!(
            seen[2] == "\"mine\"",
            header == "idempotency-key",
            "by hand a run may be repeated: {seen:?}"
        );
    }
    std::fs::write(world.path("tab"), "MAILTO=x\n0 * * * * root /usr/local/bin/qs-api-call -H 'idempotency-Key : \"mine\"' /api/v1/x /dev/null\n").unwrap();
    let ran = world.run(&["crontab", "check", "tab"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.stdout.contains("a header Idempotency-Key"), "{ran:?}");
}

#[test]
fn the_jitter_counts_for_neither_the_budget_nor_the_duration() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    // The share of the jitter depends on the name of the task: one that waits for longer than the budget.
    let share = |task: &str| {
        fastrand::Rng::with_seed(fnv64(host_name().into_bytes().into_iter().chain(task.bytes()))).f64()
    };
    let task = (0..1_000).map(|n| format!("task-{n}")).find(|task| share(task) > 0.8).unwrap();
    let ran = world.run(&[
        "--json",
        "--task",
        &task,
        "--jitter",
        "3s",
        "--jitter-fixed",
        "--timeout",
        "2s",
        ENDPOINT,
    ]);
    assert_eq!((ran.code, ran.json()["status"].as_str()), (0, Some("success")), "{ran:?}");
    assert!(ran.json()["duration_ms"].as_u64().unwrap() < 2_400, "{ran:?}");
    let metrics = world.read(&format!("state/metrics/qs_api_call_{task}.prom"));
    let duration =
        metrics.lines().find(|line| line.starts_with("qs_api_call_last_duration_seconds")).unwrap();
    assert!(duration.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() < 2.4, "{duration}");
    assert!(world.log().contains("event=jitter"), "{}", world.log());
}

#[test]
fn a_reply_in_the_log_is_bounded_as_it_is_written() {
    let server = FakeServer::start(|_| Answer::typed(200, "text/plain", "\u{1}\n\"x".repeat(5000)));
    let world = World::with_token(&server);
    for format in ["text", "json"] {
        let log = world.path(format).display().to_string();
        world.run(&["--log-format", format, ENDPOINT, &log]).assert_silent_success();
        let line = world.read(format).lines().last().unwrap().to_owned();
        let response = line.split("response").nth(1).unwrap();
        assert!((3_600..4_096 + 10).contains(&response.len()), "{format}: {}", response.len());
    }
}

#[test]
fn a_log_is_for_its_owner_and_group_and_one_that_is_there_keeps_its_mode() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let call = world.command(&[ENDPOINT]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(call.get_program()).args(call.get_args());
    command.env_clear().envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(command.status().unwrap().success());
    let mode = |name: &str| std::fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("log/api-call.log"), mode("log")), (0o640, 0o750));
    for (name, is) in [("log/api-call.log", 0o644), ("log", 0o755)] {
        std::fs::set_permissions(world.path(name), PermissionsExt::from_mode(is)).unwrap();
    }
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!((mode("log/api-call.log"), mode("log")), (0o644, 0o755));
}

#[test]
fn a_ping_is_tried_three_times_and_not_longer_than_its_timeout() {
    for (answer, pings) in [(Answer::status(500), 3), (Answer::Close, 3), (Answer::SlowHeaders, 1)] {
        let monitor = FakeServer::start(move |_| answer.clone());
        let server = FakeServer::start(|_| success());
        let world = World::with_token(&server).set("QS_PING__TIMEOUT", "2s");
        let began = std::time::Instant::now();
        world.run(&["--ping-url", &format!("{}/x", monitor.url()), ENDPOINT]).assert_silent_success();
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
        for signal in ["/x/start?", "/x/0?"] {
            let seen = monitor.requests().iter().filter(|request| request.path.starts_with(signal)).count();
            assert_eq!(seen, pings, "{signal}");
        }
    }
}

#[test]
fn a_silent_monitor_costs_a_call_nothing() {
    let monitor = FakeServer::start(|_| Answer::SlowHeaders);
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).set("QS_PING__URL", format!("{}/x", monitor.url()));
    let world = world.set("QS_PING__TIMEOUT", "4s").set("TIMEOUT", "3s");
    let ran = world.run(&["--json", ENDPOINT]);
    assert_eq!((ran.code, ran.json()["status"].as_str()), (0, Some("success")), "{ran:?}");
    assert!(ran.json()["duration_ms"].as_u64().unwrap() < 3_000, "{ran:?}");
}

#[test]
fn each_proxy_variable_is_for_its_scheme() {
    for (variable, scheme, is_proxied) in [
        ("http_proxy", "http", true),
        ("http_proxy", "https", false),
        ("HTTP_PROXY", "http", false),
        ("HTTP_PROXY", "https", false),
        ("https_proxy", "https", true),
        ("HTTPS_PROXY", "https", true),
        ("https_proxy", "http", false),
        ("HTTPS_PROXY", "http", false),
        ("all_proxy", "http", true),
        ("all_proxy", "https", true),
        ("ALL_PROXY", "http", true),
        ("ALL_PROXY", "https", true),
    ] {
        let proxy = FakeServer::start(|_| Answer::status(502)).unused();
        let world =
            World::new().set("API_BASE_URL", format!("{scheme}://{ELSEWHERE}")).set(variable, proxy.url());
        world.write_secret("token", "cached-token");
        let tried = |args: &[&str]| {
            let before = proxy.requests().len();
            world.run(&[args, &["--retries", "0", ENDPOINT]].concat()).assert_failure(75);
            proxy.requests().len() > before
        };
        assert_eq!(tried(&[]), is_proxied, "{variable} {scheme}");
        assert!(!tried(&["--no-proxy"]), "{variable} {scheme}");
    }
}

#[test]
fn check_finds_what_a_call_would_find() {
    let authority = Authority::new();
    let secure = FakeServer::start_tls(authority.server(), |_| success()).unused();
    let refusing = FakeServer::start(|request| match request.path.as_str() {
        LOGIN => Answer::json(200, &serde_json::json!({"access_token": "T", "expires_in": 900})),
        ENDPOINT => Answer::status(403),
        _ => Answer::status(200),
    });
    let good = || World::without_token(&refusing);
    let open = |world: World, name: &str, variable: &str| {
        let path = world.write_secret(name, "open-secret\n");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        if variable.is_empty() { world } else { world.set(variable, path.to_str().unwrap()) }
    };
    let in_the_way = good();
    in_the_way.write_secret("state", "");
    for (what, world, code, says) in [
        ("an unknown name", good().set("API_BASE_URL", format!("http://{ELSEWHERE}")), 75, "name not found"),
        ("an unknown authority", good().set("API_BASE_URL", secure.url()), 75, "--cacert"),
        ("an open token file", open(good(), "token", ""), 78, "lets others read it"),
        ("an open password file", open(good(), "password", "IAM_PASSWORD_FILE"), 78, "lets others read it"),
        ("an endpoint that is forbidden", good(), 77, "refuses the token"),
        ("a file in place of a directory", in_the_way, 73, "state"),
    ] {
        let ran = world.run(&["check", ENDPOINT]);
        assert!(ran.stdout.contains(says), "{what}: {ran:?}");
        // Several items may be bad; the first one decides.
        assert_eq!((ran.code, ran.stderr.lines().count()), (code, 1), "{what}: {ran:?}");
    }
    let warned = |world: &World| {
        let items = world.run(&["check", "--json"]).json();
        let is_warning =
            |item: &&serde_json::Value| item["check"] == "configuration" && item["result"] == "warning";
        items
            .as_array()
            .unwrap()
            .iter()
            .filter(is_warning)
            .map(|item| item["message"].to_string())
            .collect::<String>()
    };
    let world = good().set("IAM_CLIENT_SECRET", "not-used");
    let said = warned(&world);
    assert!(
        said.contains("iam.password comes from") && said.contains("iam.client_secret comes from"),
        "{said}"
    );
    let world = world.unset("IAM_CLIENT_SECRET").unset("IAM_PASSWORD");
    let file = world.write_secret("password", "p\n");
    assert_eq!(warned(&world.set("IAM_PASSWORD_FILE", file.to_str().unwrap())), "");
}

#[test]
fn an_open_password_file_is_refused_as_soon_as_a_login_needs_it() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).set("IAM_BASE_URL", server.url());
    let path = world.write_secret("password", "p\n");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let world = world.set("IAM_PASSWORD_FILE", path.to_str().unwrap());
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(world.run(&["token", "clear"]).code, 0);
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(78);
    assert!(ran.stderr.contains("mode 0640 lets others read it"), "{ran:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
#[cfg(feature = "server")]
fn a_terminal_shows_the_reply_and_colours_unless_they_are_not_wanted() {
    let server = FakeServer::start(|request| match request.path.as_str() {
        "/fail" => Answer::status(500),
        _ => success(),
    });
    let world = World::with_token(&server);
    let typed = |line: &str, no_color: bool| {
        let call = world.command(&[]);
        let mut command = Command::new("script");
        let program = call.get_program().to_str().unwrap();
        command.args(["-qec", &format!("{program} {line}"), "/dev/null"]).env_clear();
        command.envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/bin:/bin").current_dir(world.dir()).stdin(std::process::Stdio::null());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command.output().ok().map(|output| Ran::of(&output))
    };
    let Some(reply) = typed(ENDPOINT, false) else {
        crate::support::databases::skipped("a call in a terminal (script is not installed)");
        return;
    };
    assert!(reply.code == 0 && reply.stdout.contains("\"written\":3"), "{reply:?}");
    for no_color in [false, true] {
        let failed = typed("/fail", no_color).unwrap();
        assert!(failed.code == 1 && failed.stdout.contains("[1 failed]"), "{failed:?}");
        assert_eq!(failed.stdout.contains("\u{1b}[31m"), !no_color, "{failed:?}");
        let shown = typed(&format!("-v {ENDPOINT}"), no_color).unwrap();
        assert_eq!(shown.stdout.contains('\u{1b}'), !no_color, "{shown:?}");
    }
    let is_there = |kind: &str| world.path(&format!("state/tasks/{TASK}.{kind}.jsonl")).exists();
    assert!(is_there("manual") && !is_there("history"), "runs from a terminal are by hand");
}
