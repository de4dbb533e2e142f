//! A credential that the IAM refuses: found at once, and never tried often enough to lock the account.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::fake::{Answer, FakeServer};
use crate::support::scratch::{BINARY, Says, Scratch};
use crate::support::world::{ENDPOINT, LOGIN, World, success};

/// A server that knows one password, and how often it was asked for a token.
fn picky() -> (FakeServer, Arc<AtomicUsize>) {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    let server = FakeServer::start(move |request| {
        if request.path != LOGIN {
            return success();
        }
        counted.fetch_add(1, Ordering::SeqCst);
        match request.json()["credentials"]["password"].as_str() {
            Some("right") => Answer::json(200, &json!({"data": {"access_token": "T", "expires_in": 900}})),
            _ => Answer::json(401, &json!({"code": 102_001, "message": "Invalid credentials"})),
        }
    });
    (server, logins)
}

/// Moves every time in the memory by this many minutes.
fn shift(world: &World, minutes: i64) {
    fn walk(value: &mut Value, minutes: i64) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|field| walk(field, minutes)),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, minutes)),
            Value::String(text) => {
                if let Ok(at) = text.parse::<jiff::Timestamp>() {
                    *text = (at + jiff::SignedDuration::from_mins(minutes)).to_string();
                }
            }
            _ => {}
        }
    }
    let mut memory: Value = serde_json::from_str(&world.read("token.login.json")).unwrap();
    walk(&mut memory, minutes);
    world.write_secret("token.login.json", &memory.to_string());
}

#[test]
fn a_wrong_password_is_tried_twice_in_a_day() {
    let (server, logins) = picky();
    let world = World::without_token(&server).set("IAM_PASSWORD", "wrong");
    // Minutes that go by, and how often the IAM has been asked after the call.
    for (minutes, asked) in [(0, 1), (29, 1), (2, 2), (60, 2), (22 * 60, 2), (40, 3), (10, 3)] {
        if minutes > 0 {
            shift(&world, -minutes);
        }
        world.run(&[ENDPOINT]).assert_failure(77);
        assert_eq!(logins.load(Ordering::SeqCst), asked, "after {minutes} more minutes");
    }
    // `check` asks no more often, and knows what the memory knows.
    let check = world.run(&["check"]);
    check.assert_failure_after_data(77, "Invalid credentials; not tried again before");
    assert_eq!(logins.load(Ordering::SeqCst), 3);
    let status = world.run(&["token", "status", "--json"]).json();
    assert!(status["login_rejected"].as_str().unwrap().contains("Invalid credentials"), "{status}");
}

#[test]
fn many_processes_try_a_wrong_password_once() {
    let (server, logins) = picky();
    let world = World::without_token(&server).set("IAM_PASSWORD", "wrong");
    let calls: Vec<_> = (0..12).map(|_| world.spawn(&["--overlap", "parallel", ENDPOINT])).collect();
    for call in calls {
        assert_eq!(call.wait_with_output().unwrap().status.code(), Some(77));
    }
    assert_eq!(logins.load(Ordering::SeqCst), 1);
}

#[test]
fn a_memory_from_the_future_holds_nothing_and_counts() {
    let (server, logins) = picky();
    let world = World::without_token(&server).set("IAM_PASSWORD", "wrong");
    world.run(&[ENDPOINT]).assert_failure(77);
    for minutes in [8 * 60, 4 * 365 * 24 * 60] {
        shift(&world, minutes);
        world.run(&[ENDPOINT]).assert_failure(77);
        assert_eq!(logins.load(Ordering::SeqCst), 2, "the second try at once, and no third");
    }
    shift(&world, -24 * 60 - 1);
    world.run(&[ENDPOINT]).assert_failure(77);
    assert_eq!(logins.load(Ordering::SeqCst), 3);
}

#[test]
fn an_outage_in_the_future_is_forgotten() {
    let (server, logins) = picky();
    let world = World::without_token(&server).set("IAM_PASSWORD", "right");
    let down = World::new();
    down.run(&["--retries", "0", ENDPOINT]).assert_failure(75);
    shift(&down, 8 * 60);
    std::fs::copy(down.path("token.login.json"), world.path("token.login.json")).unwrap();
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(logins.load(Ordering::SeqCst), 1);
    assert!(!world.path("token.login.json").exists());
}

#[test]
fn a_memory_that_cannot_be_kept_is_a_warning_that_names_the_risk() {
    let (server, _) = picky();
    let world = World::without_token(&server)
        .set("IAM_PASSWORD", "wrong")
        .set("TOKEN_FILE", "/proc/no-such-directory/token");
    world.run(&[ENDPOINT]).assert_failure(77);
    let log = world.log();
    assert!(
        log.contains("WARN: The result of the login cannot be remembered") && log.contains("is locked"),
        "{log}"
    );
}

#[test]
fn check_logs_in_when_the_password_is_not_the_one_of_the_token() {
    let (server, logins) = picky();
    let world = World::without_token(&server).set("IAM_PASSWORD", "right");
    world.run(&[ENDPOINT]).assert_silent_success();
    let check = world.run(&["check"]);
    assert_eq!((check.code, logins.load(Ordering::SeqCst)), (0, 1), "{check:?}");
    assert!(check.stdout.contains("got with this very credential at"), "{check:?}");

    let wrong = world.set("IAM_PASSWORD", "wrong");
    wrong.run(&["check"]).assert_failure_after_data(77, "Invalid credentials");
    assert_eq!(logins.load(Ordering::SeqCst), 2);
    // What is known is said, not asked again; and calls use the token that is still valid.
    wrong.run(&["check"]).assert_failure_after_data(77, "not tried again before");
    wrong.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(logins.load(Ordering::SeqCst), 2);

    let right = wrong.set("IAM_PASSWORD", "right");
    assert_eq!(right.run(&["check"]).code, 0);
    assert_eq!(logins.load(Ordering::SeqCst), 2, "it is the token's again");
}

#[test]
fn check_does_not_trust_a_token_of_which_nobody_says_with_what_it_was_got() {
    let (server, logins) = picky();
    let world = World::without_token(&server).set("IAM_PASSWORD", "wrong");
    world.write_secret("token", "bare");
    world.run(&[ENDPOINT]).assert_silent_success();
    world.run(&["check"]).assert_failure_after_data(77, "Invalid credentials");
    assert_eq!(logins.load(Ordering::SeqCst), 1);
    assert_eq!(world.read("token"), "bare", "the token that works is kept");
}

#[test]
fn an_install_finds_a_wrong_password_even_when_nothing_else_changed() {
    let (server, logins) = picky();
    let host = Scratch::with_cron(Says::Reload);
    std::fs::remove_file(host.path(BINARY)).unwrap();
    std::fs::hard_link(env!("CARGO_BIN_EXE_qs-api-call"), host.path(BINARY))
        .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_qs-api-call"), host.path(BINARY)).map(drop))
        .unwrap();
    let password = host.world.write_secret("password", "right");
    let settings = [
        ("API_BASE_URL", server.url()),
        ("IAM_BASE_URL", format!("{}/api/v1", server.url())),
        ("IAM_USERNAME", "robot".to_owned()),
        ("IAM_PASSWORD_FILE", password.display().to_string()),
        ("TOKEN_FILE", host.world.path("token").display().to_string()),
        ("QS_STATE__DIR", host.world.path("state").display().to_string()),
    ];
    let settings: String = settings.map(|(name, value)| format!("{name}={value}\n")).concat();
    let release = host.release_with(&format!("{settings}0 * * * * root /{BINARY} {ENDPOINT} /dev/null\n"));
    assert_eq!(host.install(&[&release])["outcome"], "installed");
    let again = host.install(&[&release]);
    assert_eq!(again["outcome"], "unchanged");
    assert!(
        again["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["step"] == "canary" && step["result"] == "ok")
    );
    assert_eq!(logins.load(Ordering::SeqCst), 1);

    host.world.write_secret("password", "wrong");
    for _ in 0..2 {
        let ran = host.run("install", &[&release]);
        assert_eq!(ran.code, 1, "{ran:?}");
        for says in ["the canary failed", "Invalid credentials", "exit code 77"] {
            assert!(ran.stderr.contains(says), "{ran:?}");
        }
    }
    assert_eq!(logins.load(Ordering::SeqCst), 2, "the second install asks the memory");
    assert_eq!(host.install(&[&release, "--no-canary"])["outcome"], "unchanged");
}
