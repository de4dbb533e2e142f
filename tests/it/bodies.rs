//! What a call sends and keeps beside JSON: no credential, no body, other types, the reply in a file.

use std::os::unix::fs::PermissionsExt;

use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, LOGIN, Ran, TASK, World, success};

#[test]
fn a_call_without_a_credential_reads_obtains_and_sends_none() {
    let server = FakeServer::start(|request| match request.header("x-closed") {
        Some(_) => Answer::status(401),
        None => success(),
    });
    let world = World::without_token(&server).set("IAM_PASSWORD", "");
    // A token that may not even be read.
    world.write_secret("token", "must-not-be-seen");
    std::fs::set_permissions(world.path("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["--no-auth", ENDPOINT]).assert_silent_success();
    let ran = world.run(&["--no-auth", "-H", "X-Closed: 1", ENDPOINT]);
    ran.assert_failure(77);
    assert!(ran.stderr.contains("HTTP 401 (hint: the call carried no credential"), "{ran:?}");
    assert_eq!((server.count(ENDPOINT), server.count(LOGIN)), (2, 0), "a 401 is not asked again");
    let by_setting = World::without_token(&server).set("QS_CALL__NO_AUTH", "true");
    let json = by_setting.run(&["--json", ENDPOINT]).json();
    assert_eq!(json["token_source"], serde_json::Value::Null);
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
    let dry = by_setting.run(&["--dry-run", ENDPOINT]);
    assert!(dry.code == 0 && !dry.stdout.contains("Authorization"), "{dry:?}");
}

#[test]
fn a_body_is_none_or_of_the_type_that_is_named() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let csv = world.write_secret("rows.csv", "a,b\n1,\"2\n").display().to_string();
    let sent = |args: &[&str]| {
        world.run(&[args, &[ENDPOINT]].concat()).assert_silent_success();
        let request = server.requests().pop().unwrap();
        (request.header("content-type").map(str::to_owned), request.text())
    };
    let of = |kind: &str, body: &str| (Some(kind.to_owned()), body.to_owned());
    assert_eq!(sent(&[]), of("application/json", "{}"));
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE"] {
        assert_eq!(sent(&["--no-body", "-X", method]), (None, String::new()), "{method}");
    }
    assert_eq!(
        sent(&["--content-type", "text/csv", "-d", &format!("@{csv}")]),
        of("text/csv", "a,b\n1,\"2\n")
    );
    assert_eq!(
        sent(&["--content-type", "text/plain; charset=utf-8", "-d", "{a"]),
        of("text/plain; charset=utf-8", "{a")
    );
    let kind = "application/merge-patch+json";
    assert_eq!(sent(&["-X", "PATCH", "--content-type", kind, "-d", "{\"a\":1}"]), of(kind, "{\"a\":1}"));
    let before = server.requests().len();
    for wrong in [
        &["--no-body", "-d", "{}"][..],
        &["--content-type", kind, "-d", "{a"],
        &["--content-type", "text/csv"],
        &["--content-type", "csv", "-d", "a"],
        &["--content-type", "text/csv", "-d", "a", "-H", "Content-Type: text/plain"],
    ] {
        world.run(&[wrong, &[ENDPOINT]].concat()).assert_failure(64);
    }
    assert_eq!(server.requests().len(), before);
}

/// What a server may send that is no text: it is kept byte for byte.
const BYTES: &[u8] = b"\x00\xff\xfe report\r\n\x1b[0m";

#[test]
fn a_reply_is_kept_whole_with_the_mode_of_the_umask_or_not_at_all() {
    let server = FakeServer::start(|request| match request.header("x-fails") {
        Some("big") => Answer::typed(200, "application/octet-stream", vec![7; 5000]),
        Some("cut") => Answer::Truncated { declared: 100, sent: b"half".to_vec() },
        Some(_) => Answer::typed(500, "application/octet-stream", b"no".to_vec()),
        None => Answer::typed(200, "application/octet-stream", BYTES),
    });
    let world = World::with_token(&server);
    let program = env!("CARGO_BIN_EXE_qs-api-call");
    let kept = world.path("report");
    for (umask, mode) in [("022", 0o644), ("027", 0o640)] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec {program} --output report {ENDPOINT}")]);
        shell
            .env_clear()
            .envs(world.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::of(&shell.current_dir(world.dir()).output().unwrap()).assert_silent_success();
        assert_eq!(std::fs::read(&kept).unwrap(), BYTES);
        assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, mode);
    }
    for (options, code) in [
        (&["-H", "X-Fails: 500"][..], 1),
        (&["-H", "X-Fails: big", "--max-body", "4KiB"], 76),
        (&["-H", "X-Fails: cut"], 124),
    ] {
        world.run(&[options, &["-o", "report", ENDPOINT]].concat()).assert_failure(code);
        assert_eq!(std::fs::read(&kept).unwrap(), BYTES, "what was there stays");
    }
    let left: Vec<_> = std::fs::read_dir(world.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("report"))
        .collect();
    assert_eq!(left, ["report"], "nothing half-made is left");
    std::os::unix::fs::symlink("report", world.path("link")).unwrap();
    std::fs::write(&kept, "old").unwrap();
    world.run(&["-o", "link", ENDPOINT]).assert_silent_success();
    assert_eq!(std::fs::read(&kept).unwrap(), BYTES);
    assert!(std::fs::symlink_metadata(world.path("link")).unwrap().is_symlink());
}

#[test]
fn a_reply_goes_to_standard_output_byte_for_byte() {
    let server = FakeServer::start(|_| Answer::typed(200, "application/octet-stream", BYTES));
    let world = World::with_token(&server);
    for place in ["-", "/dev/stdout", "/proc/self/fd/1"] {
        let output = world.command(&["-o", place, ENDPOINT]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), BYTES), "{place}");
        assert_eq!(output.stderr, b"");
    }
    let before = server.requests().len();
    world.run(&["--json", "-o", "-", ENDPOINT]).assert_failure(64);
    assert_eq!(server.requests().len(), before);
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_anything_is_sent() {
    let server = FakeServer::start(|_| success()).unused();
    let world = World::without_token(&server);
    std::fs::create_dir(world.path("directory")).unwrap();
    for place in ["no/such/directory/file", "directory", "/proc/nowhere/file"] {
        let ran = world.run(&["-o", place, ENDPOINT]);
        ran.assert_failure(73);
        assert!(ran.stderr.contains(&format!("--output {place}: ")), "{ran:?}");
    }
    assert_eq!(server.requests().len(), 0, "not even a login");
    let status = world.run(&["history", TASK, "--json"]).json();
    assert_eq!(status.as_array().unwrap().len(), 3, "each is a run that failed");
    assert_eq!(status[0]["exit_name"], "cannot_create");
}

#[test]
fn no_retries_are_none_but_a_rejected_token_is_still_replaced_once() {
    let granting = std::sync::Arc::new(crate::support::world::Granting::new(900));
    let script = std::sync::Arc::clone(&granting);
    let server = FakeServer::start(move |request| match request.header("x-fails") {
        Some("429") => Answer::status(429).with("Retry-After", "0"),
        Some(_) => Answer::status(503),
        None => script.answer(request),
    });
    let world = World::without_token(&server);
    world.write_secret("token", "revoked-token");
    for (by_setting, options) in [(false, &["--retries", "0"][..]), (false, &["-r", "0"]), (true, &[])] {
        let world = if by_setting {
            World::with_token(&server).set("QS_CALL__RETRIES", "0")
        } else {
            World::with_token(&server)
        };
        for status in ["429", "503"] {
            let before = server.count(ENDPOINT);
            let ran = world
                .run(&[options, &["--idempotent", "-H", &format!("X-Fails: {status}"), ENDPOINT]].concat());
            ran.assert_failure(75);
            assert_eq!(server.count(ENDPOINT) - before, 1, "{status} {options:?}");
        }
    }
    let refused = World::new();
    refused.write_secret("token", "some-token");
    assert_eq!(refused.run(&["--retries", "0", "--json", ENDPOINT]).json()["attempts"], 1);
    let before = server.count(ENDPOINT);
    world.run(&["--retries", "0", ENDPOINT]).assert_silent_success();
    assert_eq!((server.count(ENDPOINT) - before, granting.granted()), (2, 1));
    let line = format!(
        "MAILTO=root\n0 * * * * root /usr/local/bin/qs-api-call --retries 0 {ENDPOINT} /var/log/x.log\n"
    );
    let crontab = world.write_secret("crontab", &line).display().to_string();
    let check = world.run(&["crontab", "check", "--json", &crontab]);
    assert_eq!((check.code, &check.json()["problems"]), (0, &serde_json::json!([])));
}
