//! Secrets are marked, everything that can fail fails at the highest verbosity, and no mark may be seen anywhere.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::matrix::rows;
use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::tls::Authority;
use crate::support::world::{ENDPOINT, LOGIN, World};

const TOKEN: &str = "CANARY-token-5f2a";
const PASSWORD: &str = "CANARY-pass\"word\\-77c1";
const CLIENT_SECRET: &str = "CANARY-client-secret-9d";
const MARK: &str = "CANARY";

/// Command lines of this program's processes that hold a mark, as the kernel shows them to everybody.
fn betrayed_command_lines() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("qs-api-call") && line.contains(MARK) {
            found.push(line);
        }
    }
    found
}

/// Every file of the world but the ones whose whole purpose is to hold a secret.
fn betrayed_files(dir: &Path, secret_files: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(betrayed_files(&path, secret_files));
        } else if !secret_files.iter().any(|name| path.ends_with(name)) {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            if text.contains(MARK) {
                found.push(format!("{}: {text}", path.display()));
            }
        }
    }
    found
}

/// Runs a call as talkatively as it can and looks everywhere.
#[track_caller]
fn assert_no_mark(what: &str, world: &World, args: &[&str], seen: &Mutex<Vec<String>>) {
    for output in [&["-vv"][..], &["-vv", "--json"], &["--log-format", "json"]] {
        let ran = world.run(&[output, args].concat());
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(MARK), "{what}: {text}");
        }
    }
    for command in [
        &["status", "--json"][..],
        &["history", "--json"],
        &["token", "status", "--json"],
        &["config", "show"],
        &["check", "--json"],
    ] {
        let ran = world.run(command);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(MARK), "{what}: {command:?}: {ran:?}");
    }
    assert_eq!(betrayed_files(world.dir(), &["token", "ca.pem"]), Vec::<String>::new(), "{what}");
    assert_eq!(*seen.lock().unwrap(), Vec::<String>::new(), "{what}: a command line");
}

fn marked(world: World) -> World {
    world
        .set("IAM_PASSWORD", PASSWORD)
        .set("IAM_CLIENT_SECRET", CLIENT_SECRET)
        .set("QS_PING__URL", format!("http://127.0.0.1:1/{MARK}-ping"))
        .set("QS_CALL__ATTEMPT_TIMEOUT", "300ms")
}

/// A server that notes what the command lines show while a request is under way.
fn watching(
    script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
) -> (FakeServer, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let server = FakeServer::start(move |request| {
        noted.lock().unwrap().extend(betrayed_command_lines());
        script(request)
    });
    (server, seen)
}

#[test]
fn no_secret_is_seen_in_any_row_of_the_matrix() {
    for row in rows() {
        let answer = row.answer.clone();
        let (server, seen) = watching(move |_| answer.clone());
        let world = marked(World::with_token(&server));
        world.write_secret("token", TOKEN);
        assert_no_mark(row.name, &world, &[row.args, &[ENDPOINT]].concat(), &seen);
    }
}

#[test]
fn a_server_that_repeats_what_it_was_sent_betrays_nothing() {
    let echo = |status: u16, request: &Received| {
        let bearer = request.header("authorization").unwrap_or_default().to_owned();
        Answer::json(
            status,
            &json!({"code": bearer, "message": format!("you sent {bearer}"), "data": bearer}),
        )
    };
    for status in [200, 202, 400, 401, 403, 409, 500, 503] {
        let (server, seen) = watching(move |request| echo(status, request));
        let world = marked(World::with_token(&server));
        world.write_secret("token", TOKEN);
        assert_no_mark(&format!("echo {status}"), &world, &[ENDPOINT], &seen);
    }
}

#[test]
fn a_login_betrays_nothing_however_it_ends() {
    let granted = json!({"code": 0, "data": {"access_token": TOKEN, "expires_in": 900}});
    let endings: Vec<(&str, Answer)> = vec![
        ("granted", Answer::json(200, &granted)),
        ("token in an unknown place", Answer::json(200, &json!({"code": 0, "result": {"jwt": TOKEN}}))),
        ("wrong token type", Answer::json(200, &json!({"access_token": TOKEN, "token_type": "MAC"}))),
        ("broken JSON", Answer::typed(200, "application/json", format!("{{\"access_token\": \"{TOKEN}\""))),
        ("web page", Answer::typed(200, "text/html", format!("<html>{TOKEN}</html>"))),
        ("rejected", Answer::json(401, &json!({"code": 102_001, "message": format!("bad {PASSWORD}")}))),
        (
            "rejected client",
            Answer::json(400, &json!({"error": "invalid_client", "error_description": CLIENT_SECRET})),
        ),
        ("locked", Answer::json(423, &json!({"code": 102_302, "message": PASSWORD}))),
        ("down", Answer::json(500, &json!({"message": format!("{PASSWORD} {CLIENT_SECRET}")}))),
        ("reset", Answer::Reset),
        ("redirected", Answer::status(302).with("Location", format!("https://x/?p={CLIENT_SECRET}"))),
    ];
    for dialect in ["password-v1", "password-simple", "password-v2", "oauth2-client-credentials"] {
        for (name, ending) in &endings {
            let ending = ending.clone();
            let (server, seen) =
                watching(
                    move |request| {
                        if request.path == LOGIN { ending.clone() } else { Answer::status(500) }
                    },
                );
            let world = marked(World::without_token(&server))
                .set("IAM_LOGIN_URL", format!("{}{LOGIN}", server.url()))
                .set("IAM_CLIENT_ID", "client")
                .set("IAM_DIALECT", dialect);
            assert_no_mark(&format!("{dialect}, {name}"), &world, &["--force-login", ENDPOINT], &seen);
        }
    }
}

#[test]
fn a_failing_connection_betrays_nothing() {
    let stranger = FakeServer::start_tls(Authority::new().server(), |_| Answer::status(200)).unused();
    let none = Mutex::new(Vec::new());
    for (name, url) in [
        ("refused", "http://127.0.0.1:1".to_owned()),
        ("unknown name", "http://no-such-host.local".to_owned()),
        ("unknown authority", stranger.url()),
        ("credentials in the URL", format!("https://user:{CLIENT_SECRET}@example.com")),
        ("plain http", "http://api.example.com".to_owned()),
    ] {
        let world = marked(World::new()).set("API_BASE_URL", url);
        world.write_secret("token", TOKEN);
        let ca = Authority::new().write(world.dir());
        assert_no_mark(name, &world, &["--cacert", ca.to_str().unwrap(), ENDPOINT], &none);
    }
}

#[test]
fn wrong_settings_are_reported_without_their_secrets() {
    let world = marked(World::new());
    for yaml in [
        format!("iam:\n  password: [{CLIENT_SECRET}]\n  user: x\n"),
        format!("iam:\n  password: {CLIENT_SECRET}\n bad: [\n"),
        format!("iam:\n  pasword: {CLIENT_SECRET}\n"),
        format!("iam: {CLIENT_SECRET}\n"),
    ] {
        let path = world.write_secret("config.yaml", &yaml);
        let ran = world.run(&["--config", path.to_str().unwrap(), ENDPOINT]);
        ran.assert_failure(78);
        assert!(!ran.stderr.contains(MARK), "{yaml}: {ran:?}");
        std::fs::remove_file(path).unwrap();
    }
    // Typed by hand it stands in the command line, so it is not one that the other tests look for there.
    let typed = "typed-token-5f2a";
    let ran = world.run(&["-H", &format!("Authorization: Bearer {typed}"), ENDPOINT]);
    ran.assert_failure(64);
    assert!(!ran.stderr.contains(typed), "{ran:?}");
}
