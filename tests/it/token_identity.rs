//! Whose a token is: it is used for the account and the server that it was got for, and for nothing else.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::world::{ENDPOINT, LOGIN, World, success};

/// An IAM whose tokens tell who logged in: `token.ACCOUNT.TENANT.NAME`.
fn iam(name: &'static str) -> FakeServer {
    FakeServer::start(move |request| {
        if request.path != LOGIN {
            return Answer::status(404);
        }
        let body = request.json();
        let login = body.get("credentials").or(body.get("method_payload")).unwrap_or(&body);
        let tenant = login.get("tenant_id").map_or_else(|| "none".to_owned(), Value::to_string);
        let token = format!("token.{}.{tenant}.{name}", login["username"].as_str().unwrap());
        Answer::json(200, &json!({"access_token": token, "expires_in": 43_200}))
    })
}

fn api() -> FakeServer {
    FakeServer::start(|_| success())
}

fn bearer(request: &Received) -> String {
    request.header("authorization").unwrap().trim_start_matches("Bearer ").to_owned()
}

/// The token that a call brings.
#[track_caller]
fn calls(world: &World, api: &FakeServer, env: &[(&str, String)]) -> String {
    let output =
        world.command(&[ENDPOINT]).envs(env.iter().map(|(name, value)| (*name, value))).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    bearer(api.requests().last().unwrap())
}

#[test]
fn whatever_changes_who_the_token_is_leads_to_a_login() {
    let (api, one, two) = (api(), iam("one"), iam("two"));
    let base = |server: &FakeServer| format!("{}/api/v1", server.url());
    let world = World::without_token(&api).set("IAM_BASE_URL", base(&one)).set("IAM_USERNAME", "alice");
    let steps = [
        (vec![], "token.alice.none.one"),
        (vec![("IAM_USERNAME", "bob".to_owned())], "token.bob.none.one"),
        (vec![("IAM_USERNAME", "bob".to_owned()), ("IAM_TENANT_ID", "7".to_owned())], "token.bob.7.one"),
        (vec![("IAM_TENANT_ID", "8".to_owned())], "token.alice.8.one"),
        (vec![("IAM_BASE_URL", base(&two))], "token.alice.none.two"),
        (
            vec![("IAM_BASE_URL", base(&two)), ("IAM_DIALECT", "password-v2".to_owned())],
            "token.alice.none.two",
        ),
        (vec![], "token.alice.none.one"),
    ];
    for (number, (env, expected)) in steps.iter().enumerate() {
        assert_eq!(calls(&world, &api, env), *expected);
        let logins = one.requests().len() + two.requests().len();
        assert_eq!(logins, number + 1, "each change is a login");
        assert_eq!(calls(&world, &api, env), *expected);
        assert_eq!(one.requests().len() + two.requests().len(), logins, "and it is kept");
    }
    assert!(world.log().contains("it was got with another account"), "{}", world.log());
}

#[test]
fn a_token_never_goes_to_an_origin_that_it_was_not_got_for() {
    let iam = iam("one");
    let servers = Arc::new([api(), api(), api()]);
    let world = World::new().set("IAM_BASE_URL", format!("{}/api/v1", iam.url()));
    world.write_secret("token", "bare-token-of-a-script");
    let address = |number: usize| servers[number].url();
    // By turns, and from many processes at once.
    for number in [0, 0, 1, 0, 2, 1] {
        calls(&world, &servers[number], &[("API_BASE_URL", address(number))]);
    }
    std::thread::scope(|scope| {
        for number in (0..3).cycle().take(12) {
            let (world, address) = (&world, address(number));
            scope.spawn(move || {
                let args = ["--overlap", "parallel", ENDPOINT];
                let output = world.command(&args).env("API_BASE_URL", address).output().unwrap();
                assert!(output.status.success(), "{output:?}");
            });
        }
    });
    // The fake IAM gives the same token to everybody, so only the bare one can betray itself.
    let saw_bare: Vec<bool> = servers
        .iter()
        .map(|server| server.requests().iter().any(|request| bearer(request) == "bare-token-of-a-script"))
        .collect();
    assert_eq!(saw_bare, [true, false, false], "the first server adopted it");
}

#[test]
fn every_token_is_seen_by_one_origin_alone() {
    let granted = std::sync::atomic::AtomicUsize::new(0);
    let iam = FakeServer::start(move |_| {
        let number = granted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Answer::json(200, &json!({"access_token": format!("token-{number}"), "expires_in": 43_200}))
    });
    let servers = [api(), api()];
    let world = World::new().set("IAM_BASE_URL", format!("{}/api/v1", iam.url()));
    std::thread::scope(|scope| {
        for number in (0..2).cycle().take(16) {
            let (world, address) = (&world, servers[number].url());
            scope.spawn(move || {
                let args = ["--overlap", "parallel", ENDPOINT];
                let output = world.command(&args).env("API_BASE_URL", address).output().unwrap();
                assert!(output.status.success(), "{output:?}");
            });
        }
    });
    let seen = servers.each_ref().map(|server| server.requests().iter().map(bearer).collect::<Vec<_>>());
    assert!(seen[0].iter().all(|token| !seen[1].contains(token)), "{seen:?}");
}

#[test]
fn a_bare_token_of_the_scripts_is_adopted_once() {
    let (first, second, iam) = (api(), api(), iam("one"));
    let world = World::without_token(&first).set("IAM_BASE_URL", format!("{}/api/v1", iam.url()));
    world.write_secret("token", "bare");
    let status = |world: &World| world.run(&["token", "status", "--json"]).json();
    assert_eq!(status(&world)["api_origin"], Value::Null);
    assert!(!world.path("token.meta.json").exists(), "a look adopts nothing");
    assert_eq!(calls(&world, &first, &[]), "bare");
    assert_eq!(
        (&status(&world)["state"], &status(&world)["api_origin"]),
        (&json!("valid"), &json!(first.url()))
    );
    let other = world.set("API_BASE_URL", second.url());
    let seen = status(&other);
    assert_eq!(seen["state"], "foreign");
    assert!(seen["reason"].as_str().unwrap().contains(&first.url()), "{seen}");
    assert_eq!(calls(&other, &second, &[]), "token.qs-scheduler@example.com.none.one");
    // A script that replaces the token where it was adopted means the same server.
    other.write_secret("token", "bare-again");
    assert_eq!(calls(&other, &second, &[]), "bare-again");
    let back = other.set("API_BASE_URL", first.url());
    assert_eq!(calls(&back, &first, &[]), "token.qs-scheduler@example.com.none.one");
}

#[test]
fn a_valid_token_needs_no_iam_and_still_stays_with_its_server() {
    let (first, second) = (api(), api().unused());
    let world =
        World::without_token(&first).unset("IAM_BASE_URL").unset("IAM_USERNAME").unset("IAM_PASSWORD");
    world.write_secret("token", "bare");
    for _ in 0..2 {
        assert_eq!(calls(&world, &first, &[]), "bare");
    }
    let ran = world.set("API_BASE_URL", second.url()).run(&[ENDPOINT]);
    ran.assert_failure(78);
    for says in ["no IAM address", "it was got for the API at", &first.url()] {
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    assert!(second.requests().is_empty());
}

#[test]
fn a_bare_token_that_cannot_be_adopted_is_not_used() {
    let (api, iam) = (api(), iam("one"));
    let world = World::without_token(&api).set("IAM_BASE_URL", format!("{}/api/v1", iam.url()));
    world.write_secret("token", "bare");
    // Root may write everywhere, so something is in the way.
    std::fs::create_dir_all(world.path("token.meta.json/in-the-way")).unwrap();
    assert_eq!(calls(&world, &api, &[]), "token.qs-scheduler@example.com.none.one");
    assert!(world.log().contains("stands beside it and cannot be read"), "{}", world.log());
}

#[test]
fn check_and_status_tell_of_a_token_that_is_for_another_use() {
    let (api, iam) = (api(), iam("one"));
    let world = World::without_token(&api).set("IAM_BASE_URL", format!("{}/api/v1", iam.url()));
    calls(&world, &api, &[]);
    let bob = world.set("IAM_USERNAME", "bob");
    assert_eq!(bob.run(&["token", "status", "--json"]).json()["state"], "foreign");
    let check = bob.run(&["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.stdout.contains("it was got with another account"), "{check:?}");
    assert_eq!(iam.count(LOGIN), 2);
    assert_eq!(bob.run(&["token", "status", "--json"]).json()["state"], "valid");
}
