//! Clocks that differ: a token lives as long as it was issued for, and the difference is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use qs_scheduler::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, LOGIN, World, success};

fn now() -> i64 {
    SystemClock.now().as_second()
}

fn jwt(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

/// A server whose IAM answers with this.
fn granting(reply: impl Fn() -> Answer + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |request| if request.path == LOGIN { reply() } else { success() })
}

#[test]
fn a_lifetime_that_is_over_at_birth_is_not_a_login_a_call() {
    let long_ago = now() - 3_600;
    for reply in [
        json!({"access_token": "T", "expires_in": 0}),
        json!({"access_token": "T", "expires_in": -1}),
        json!({"access_token": "T", "expires_in": "0"}),
        json!({"access_token": "T", "expires_at": long_ago}),
        json!({"access_token": "T", "expires_at": 900}),
        json!({"access_token": "T", "expire": "2001-01-01T00:00:00Z"}),
        json!({"access_token": jwt(&json!({"iat": long_ago, "exp": long_ago + 900}))}),
        json!({"access_token": jwt(&json!({"iat": long_ago, "exp": long_ago}))}),
        json!({"access_token": jwt(&json!({"iat": long_ago, "exp": long_ago + 900})), "expires_in": 900}),
        json!({"access_token": jwt(&json!({"exp": long_ago}))}),
    ] {
        let answer = Answer::json(200, &reply);
        let server = granting(move || answer.clone());
        let world = World::without_token(&server);
        for _ in 0..3 {
            world.run(&[ENDPOINT]).assert_silent_success();
        }
        assert_eq!(server.count(LOGIN), 1, "{reply}");
    }
}

#[test]
fn a_date_as_lifetime_is_unknown_so_that_the_greatest_age_holds() {
    let date = now() + 900;
    for expires_in in [date, date * 1000] {
        let server =
            granting(move || Answer::json(200, &json!({"access_token": "T", "expires_in": expires_in})));
        let world = World::without_token(&server).set("QS_TOKEN__MAX_AGE", "10m");
        world.run(&[ENDPOINT]).assert_silent_success();
        let status = world.run(&["token", "status", "--json"]).json();
        assert_eq!(status["expiry_known"], false);
        let left = status["expires_in_seconds"].as_i64().unwrap();
        assert!((500..=600).contains(&left), "{status}");
    }
}

#[test]
fn a_jwt_that_is_over_on_our_clock_is_renewed_once() {
    let issued = now() - 3_600;
    let fresh = jwt(&json!({"iat": issued, "exp": issued + 900}));
    let server = granting(move || Answer::json(200, &json!({"access_token": fresh})));
    let world = World::without_token(&server);
    // As a script left it.
    world.write_secret("token", &jwt(&json!({"iat": issued - 900, "exp": issued})));
    for _ in 0..3 {
        world.run(&[ENDPOINT]).assert_silent_success();
    }
    assert_eq!(server.count(LOGIN), 1);
    let left = world.run(&["token", "status", "--json"]).json()["expires_in_seconds"].as_i64().unwrap();
    assert!((800..=900).contains(&left), "{left}");
}

#[test]
fn a_token_from_the_future_is_renewed_and_not_believed() {
    let number = AtomicUsize::new(0);
    let server = granting(move || {
        let number = number.fetch_add(1, Ordering::SeqCst);
        Answer::json(200, &json!({"access_token": format!("T{number}"), "expires_in": 900}))
    });
    let world = World::without_token(&server);
    world.run(&[ENDPOINT]).assert_silent_success();
    // The clock was eight hours ahead when it was got.
    let mut meta: Value = serde_json::from_str(&world.read("token.meta.json")).unwrap();
    for field in ["obtained_at", "expires_at"] {
        let at: Timestamp = meta[field].as_str().unwrap().parse().unwrap();
        meta[field] = (at + SignedDuration::from_hours(8)).to_string().into();
    }
    world.write_secret("token.meta.json", &meta.to_string());
    for _ in 0..2 {
        world.run(&[ENDPOINT]).assert_silent_success();
    }
    assert_eq!(server.count(LOGIN), 2);
}

#[test]
fn a_clock_that_differs_from_the_servers_is_told_once() {
    let http_date =
        |at: i64| Timestamp::from_second(at).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (difference, says) in [(-3_700, Some("1h1m ahead of")), (3_700, Some("1h1m behind")), (20, None)] {
        let date = http_date(now() + difference);
        let dated = move |answer: Answer| answer.with("Date", date.clone());
        let server = FakeServer::start(move |request| match request.path.as_str() {
            LOGIN => dated(Answer::json(200, &json!({"access_token": "T", "expires_in": 900}))),
            _ => dated(success()),
        });
        let world = World::without_token(&server);
        world.run(&[ENDPOINT]).assert_silent_success();
        let log = world.log();
        let told = log.lines().filter(|line| line.contains("WARN: The clock of this machine is")).count();
        assert_eq!(told, usize::from(says.is_some()), "{log}");
        assert!(says.is_none_or(|says| log.contains(says)), "{log}");
        let check = world.run(&["check"]);
        assert_eq!(check.code, 0, "{check:?}");
        assert_eq!(check.stdout.contains("the clock of this machine is"), says.is_some(), "{check:?}");
    }
}
