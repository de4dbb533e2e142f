//! Who may call: tokens of a fake IAM against the real `qs-apiserver`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::apiserver::{Reply, Server, refused};
use crate::support::fake::{Answer, FakeServer};
use crate::support::iam::{AUDIENCE, FakeIam, ISSUER, Key, claims, hs256, key_set, now, signed};
use crate::support::tls::Authority;
use crate::support::wait::until;

/// Needs a token and the permission to read; nothing is there.
const ROUTE: &str = "/api/v1/statistics/runs/nope";
const SYNC: &str = "/api/v1/statistics/sync/daily";

fn start(url: &str, env: &[(&str, &str)]) -> Server {
    let auth = [("QS_AUTH__JWKS_URL", url), ("QS_AUTH__ISSUER", ISSUER), ("QS_AUTH__AUDIENCE", AUDIENCE)];
    Server::launch(tempfile::tempdir().unwrap(), &["serve"], &[&auth, env].concat())
}

async fn ask(server: &Server, token: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    server.send(Method::GET, ROUTE, &[("authorization", &bearer)], "").await
}

/// The token was good: what was asked for is not there.
#[track_caller]
fn accepted(reply: &Reply) {
    assert_eq!((reply.status, reply.code()), (StatusCode::NOT_FOUND, 100_006), "{reply:?}");
}

#[track_caller]
fn unauthorized(reply: &Reply, code: u64, reason: &str) {
    assert_eq!((reply.status, reply.code()), (StatusCode::UNAUTHORIZED, code), "{reply:?}");
    assert!(reply.message().contains(reason), "{reason}: {}", reply.message());
}

#[track_caller]
fn unavailable(reply: &Reply) {
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_504), "{reply:?}");
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert!(!reply.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn both_algorithms_are_accepted_from_a_set_bare_or_in_an_envelope() {
    let (rsa, ec) = (Key::rsa(), Key::ec());
    let odd = [json!({"kty": "oct", "kid": "o", "k": "AA"}), json!("no key")];
    let keys = [&odd[0], &rsa.jwk("r"), &odd[1], &ec.jwk("e")].map(Clone::clone);
    let envelope = json!({"code": 0, "message": "success", "data": {"keys": keys}});
    for answer in [key_set(&keys), Answer::json(200, &envelope)] {
        let iam = FakeIam::start(answer);
        let server = start(&iam.url(), &[]);
        for token in [rsa.token("r", &claims(&json!({}))), ec.token("e", &claims(&json!({})))] {
            accepted(&ask(&server, &token).await);
        }
        let text =
            claims(&json!({"aud": "qs", "sub": null, "roles": "qs:viewer", "user_id": 9, "tenant_id": 3}));
        accepted(&ask(&server, &ec.token("e", &text)).await);
        assert_eq!(iam.fetches(), 1);
    }
}

#[tokio::test]
async fn an_unknown_key_id_causes_one_fetch_and_a_rotation_is_found() {
    let (old, new) = (Key::ec(), Key::rsa());
    let iam = FakeIam::start(key_set(&[old.jwk("old")]));
    let server = start(&iam.url(), &[("QS_AUTH__JWKS_COOLDOWN", "1h")]);
    accepted(&ask(&server, &old.token("old", &claims(&json!({})))).await);
    assert_eq!(iam.fetches(), 1);
    // The IAM has a new key; the token that names it makes the server look.
    iam.answers(key_set(&[old.jwk("old"), new.jwk("new")]));
    accepted(&ask(&server, &new.token("new", &claims(&json!({})))).await);
    assert_eq!(iam.fetches(), 2);
    for kid in ["x", "y", "x"] {
        let reply = ask(&server, &new.token(kid, &claims(&json!({})))).await;
        unauthorized(&reply, 100_005, "signing key is not known");
    }
    accepted(&ask(&server, &old.token("old", &claims(&json!({})))).await);
    assert_eq!(iam.fetches(), 2, "none within the cool-down");
}

/// A key as an IAM publishes it that gives its keys no id.
fn nameless(key: &Key) -> Value {
    let mut jwk = key.jwk("");
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

#[tokio::test]
async fn every_key_that_fits_id_and_algorithm_is_tried() {
    let (rsa, old, new, foreign) = (Key::rsa(), Key::ec(), Key::ec(), Key::ec());
    let good = claims(&json!({}));
    // One of each kind, or two of a kind while one follows the other, under one id; or no id at all.
    for (keys, kid) in [
        ([rsa.jwk("k"), old.jwk("k"), new.jwk("k")], "k"),
        ([nameless(&rsa), nameless(&old), nameless(&new)], "whatever"),
        ([rsa.jwk("another"), nameless(&old), nameless(&new)], "another"),
    ] {
        let iam = FakeIam::start(key_set(&keys));
        let server = start(&iam.url(), &[]);
        for key in [&rsa, &old, &new] {
            accepted(&ask(&server, &key.token(kid, &good)).await);
        }
        for key in [&old, &new] {
            accepted(&ask(&server, &key.token_of(r#"{"alg":"ES256"}"#, &good.to_string())).await);
        }
        accepted(&ask(&server, &rsa.token_of(r#"{"alg":"RS256"}"#, &good.to_string())).await);
        unauthorized(&ask(&server, &foreign.token(kid, &good)).await, 100_202, "signature");
        let bare = foreign.token_of(r#"{"alg":"ES256"}"#, &good.to_string());
        unauthorized(&ask(&server, &bare).await, 100_202, "signature");
    }
}

#[tokio::test]
async fn a_new_key_without_an_id_is_found_by_one_fetch_in_the_cool_down() {
    let (old, new, foreign) = (Key::ec(), Key::ec(), Key::ec());
    let iam = FakeIam::start(key_set(&[nameless(&old)]));
    let server = start(&iam.url(), &[("QS_AUTH__JWKS_COOLDOWN", "1h")]);
    let good = claims(&json!({}));
    accepted(&ask(&server, &old.token("a", &good)).await);
    assert_eq!(iam.fetches(), 1);
    iam.answers(key_set(&[nameless(&old), nameless(&new)]));
    accepted(&ask(&server, &new.token("b", &good)).await);
    for _ in 0..5 {
        unauthorized(&ask(&server, &foreign.token("c", &good)).await, 100_202, "signature");
    }
    assert_eq!(iam.fetches(), 2, "none within the cool-down");
}

#[tokio::test]
async fn a_set_without_a_usable_key_is_told_from_an_iam_that_does_not_answer() {
    let key = Key::ec();
    let mut curve = key.jwk("hunter2");
    curve["crv"] = json!("P-384");
    let iam = FakeIam::start(key_set(&[json!({"kty": "oct", "kid": "hunter2", "k": "AA"}), curve]));
    let server = start(&iam.url(), &[]);
    let reply = ask(&server, &key.token("k", &claims(&json!({})))).await;
    unavailable(&reply);
    assert!(reply.message().ends_with("could not be fetched, or none of them can be used"), "{reply:?}");
    let told = until("it is told", async || {
        let log = server.log();
        let told = log.lines().find(|line| line.contains("the IAM's key set holds no key that can be used"));
        told.map(str::to_owned)
    })
    .await;
    let log = server.log();
    assert!(told.contains("key 0: its kty is neither RSA nor EC; key 1: its curve is not P-256"), "{told}");
    assert!(!log.contains("could not be fetched") && !log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn known_keys_outlive_the_iam_and_new_ones_wait_for_it() {
    let key = Key::rsa();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam.url(), &[]);
    let token = key.token("k", &claims(&json!({})));
    accepted(&ask(&server, &token).await);
    for down in [Answer::Reset, Answer::status(500)] {
        iam.answers(down);
        // Whether this is a key of the IAM nobody can tell now.
        unavailable(&ask(&server, &key.token("new", &claims(&json!({})))).await);
        accepted(&ask(&server, &token).await);
    }
    until("the log says so", async || {
        server.log().contains("the keys of the IAM could not be fetched").then_some(())
    })
    .await;
    assert!(!server.log().contains(&token));
}

#[tokio::test]
async fn an_iam_that_was_never_up_means_503_and_the_server_runs() {
    let iam = FakeServer::resetting("http");
    let server = start(&format!("{}/jwks", iam.url()), &[]);
    let token = Key::ec().token("k", &claims(&json!({})));
    unavailable(&ask(&server, &token).await);
    let sync = [("authorization", format!("Bearer {token}"))];
    let sync = sync.each_ref().map(|(name, value)| (*name, value.as_str()));
    unavailable(&server.send(Method::POST, SYNC, &sync, "").await);
    let health = server.send(Method::GET, "/health", &[], "").await;
    assert_eq!(health.status, StatusCode::OK);
    // Nothing that is no token is taken for one that cannot be judged.
    unauthorized(&ask(&server, "garbage").await, 100_005, "no token");
    let login = server.send(Method::POST, "/api/v1/authn/login", &[], "{}").await;
    assert_eq!(login.status, StatusCode::NOT_FOUND, "there is no second IAM");
}

#[tokio::test]
async fn answers_that_are_no_key_set_are_not_shown_and_not_followed() {
    let key = Key::ec();
    let elsewhere = FakeIam::start(key_set(&[key.jwk("k")]));
    let large = json!({"keys": [key.jwk("k")], "pad": "hunter2".repeat(64 << 10)});
    for answer in [
        Answer::status(302).with("Location", elsewhere.url()),
        Answer::json(200, &large),
        Answer::typed(200, "text/html", "<html>hunter2</html>"),
        Answer::json(200, &json!({"keys": [], "note": "hunter2"})),
        Answer::Truncated { declared: 900, sent: br#"{"keys":["#.to_vec() },
    ] {
        let iam = FakeIam::start(answer);
        let server = start(&iam.url(), &[]);
        unavailable(&ask(&server, &key.token("k", &claims(&json!({})))).await);
        assert!(!server.log().contains("hunter2"), "{}", server.log());
    }
    assert_eq!(elsewhere.fetches(), 0);
    // The one that was never followed answers whoever asks it directly.
    let server = start(&elsewhere.url(), &[]);
    accepted(&ask(&server, &key.token("k", &claims(&json!({})))).await);
}

#[tokio::test]
async fn a_token_that_breaks_a_rule_is_refused_with_its_code() {
    let (rsa, ec, foreign) = (Key::rsa(), Key::ec(), Key::ec());
    let iam = FakeIam::start(key_set(&[rsa.jwk("r"), ec.jwk("e")]));
    let server = start(&iam.url(), &[]);
    let changed = |changes: Value| ec.token("e", &claims(&changes));
    let good = claims(&json!({}));
    let none = signed(&json!({"alg": "none", "kid": "e"}), &good, |_| Vec::new());
    let jwk = rsa.jwk("r");
    let public = |name: &str| jwk[name].as_str().unwrap().as_bytes();
    for (token, code, reason) in [
        (changed(json!({"iss": "https://other"})), 100_005, "issuer"),
        (changed(json!({"iss": null})), 100_005, "claim is missing"),
        (changed(json!({"aud": ["other"]})), 100_005, "audience"),
        (changed(json!({"aud": null})), 100_005, "claim is missing"),
        (changed(json!({"exp": now() - 60})), 100_203, "expired"),
        (changed(json!({"exp": null})), 100_005, "claim is missing"),
        (changed(json!({"nbf": now() + 600})), 100_005, "not valid yet"),
        (changed(json!({"tenant_id": null})), 100_005, "tenant_id is required"),
        (changed(json!({"tenant_id": "acme"})), 100_005, "malformed"),
        (changed(json!({"user_id": "amy"})), 100_005, "malformed"),
        (none, 100_005, "no token"),
        (hs256("r", public("n"), &good), 100_005, "algorithm"),
        (hs256("r", jwk.to_string().as_bytes(), &good), 100_005, "algorithm"),
        (ec.token_as("RS256", "e", &good), 100_005, "algorithm"),
        (rsa.token("e", &good), 100_005, "algorithm"),
        (rsa.token_as("RS512", "r", &good), 100_005, "algorithm"),
        (foreign.token("e", &good), 100_202, "signature"),
        (foreign.token("another", &good), 100_005, "signing key is not known"),
    ] {
        let reply = ask(&server, &token).await;
        unauthorized(&reply, code, reason);
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
        assert!(!reply.message().contains(&token));
    }
    accepted(&ask(&server, &rsa.token("r", &good)).await);
    let query = format!("{ROUTE}?access_token={}", rsa.token("r", &good));
    unauthorized(&server.send(Method::GET, &query, &[], "").await, 100_205, "Authorization");
    let cookie = format!("access_token={}", rsa.token("r", &good));
    unauthorized(
        &server.send(Method::GET, ROUTE, &[("cookie", &cookie)], "").await,
        100_205,
        "Authorization",
    );
}

/// What two readers could understand in two ways is understood by nobody.
#[tokio::test]
async fn a_token_that_can_be_read_in_two_ways_is_refused() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("e")]));
    let server = start(&iam.url(), &[]);
    let (header, good) = (r#"{"alg":"ES256","kid":"e"}"#, claims(&json!({})).to_string());
    let with = |more: &str| format!("{},{more}}}", good.trim_end_matches('}'));
    accepted(&ask(&server, &key.token_of(header, &with(r#""more":{"a":1,"b":1}"#))).await);
    for more in [
        r#""tenant_id":"2""#,
        r#""tenant\u005fid":"2""#,
        r#""iss":"https://iam-apiserver:9444""#,
        r#""jti":"k""#,
        r#""more":{"a":1,"a":2}"#,
    ] {
        unauthorized(&ask(&server, &key.token_of(header, &with(more))).await, 100_005, "given twice");
    }
    let twice = r#"{"alg":"ES256","kid":"e","typ":"JWT","typ":"JWT"}"#;
    unauthorized(&ask(&server, &key.token_of(twice, &good)).await, 100_005, "");

    let changed = |changes: Value| key.token("e", &claims(&changes));
    for (changes, reason) in [
        (json!({"tenant_id": "+1"}), "malformed"),
        (json!({"tenant_id": "01"}), "malformed"),
        (json!({"tenant_id": " 1"}), "malformed"),
        (json!({"tenant_id": "１"}), "malformed"),
        (json!({"tenant_id": 1.0}), "malformed"),
        (json!({"tenant_id": "9223372036854775808"}), "tenant_id"),
        (json!({"user_id": "07"}), "malformed"),
        (json!({"sub": 7}), "malformed"),
        (json!({"sub": "s".repeat(256)}), "the claim sub"),
        (json!({"sub": "s "}), "the claim sub"),
        (json!({"roles": {"admin": true}}), "malformed"),
        (json!({"exp": (now() + 900).to_string()}), "malformed"),
        (json!({"nbf": "0"}), "malformed"),
        (json!({"iss": [ISSUER]}), "malformed"),
        (json!({"iss": ["https://evil.example", ISSUER]}), "malformed"),
        (json!({"sub": null, "user_id": null}), "sub"),
        (json!({"aud": {"qs": true}}), ""),
        (json!({"aud": [["qs"]]}), ""),
    ] {
        unauthorized(&ask(&server, &changed(changes)).await, 100_005, reason);
    }
    accepted(&ask(&server, &changed(json!({"exp": 4_102_444_800.5}))).await);
    accepted(&ask(&server, &changed(json!({"user_id": null}))).await);
    accepted(&ask(&server, &changed(json!({"roles": "qs:unknown viewer"}))).await);
    accepted(&ask(&server, &changed(json!({"sub": "问".repeat(255), "aud": ["other", AUDIENCE]}))).await);

    let bearer = format!("Bearer {}", changed(json!({})));
    for second in [bearer.as_str(), "Bearer x", ""] {
        let headers = [("authorization", bearer.as_str()), ("authorization", second)];
        let reply = server.send(Method::GET, ROUTE, &headers, "").await;
        unauthorized(&reply, 100_204, "Authorization is given twice");
    }
}

#[tokio::test]
async fn an_algorithm_that_is_switched_off_is_refused() {
    let (rsa, ec) = (Key::rsa(), Key::ec());
    let iam = FakeIam::start(key_set(&[rsa.jwk("r"), ec.jwk("e")]));
    let server = start(&iam.url(), &[("QS_AUTH__ALGORITHMS", "RS256")]);
    accepted(&ask(&server, &rsa.token("r", &claims(&json!({})))).await);
    unauthorized(&ask(&server, &ec.token("e", &claims(&json!({})))).await, 100_005, "algorithm");
}

#[tokio::test]
async fn what_a_role_does_not_allow_is_403_and_names_what_is_needed() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam.url(), &[]);
    for (roles, may_read, may_sync) in [
        (json!([]), false, false),
        (json!(["qs:unknown", "Admin"]), false, false),
        (json!(["qs:viewer"]), true, false),
        (json!(["qs:evaluation_plan_manager"]), true, false),
        (json!(["caller"]), true, true),
        (json!("qs:staff,qs:operator"), true, true),
        (json!(["org_admin"]), true, true),
    ] {
        let token = key.token("k", &claims(&json!({"roles": roles})));
        let bearer = format!("Bearer {token}");
        let bearer = [("authorization", bearer.as_str())];
        let read = server.send(Method::GET, ROUTE, &bearer, "").await;
        assert_eq!(read.status == StatusCode::NOT_FOUND, may_read, "{roles}: {read:?}");
        let sync = server.send(Method::POST, SYNC, &bearer, "").await;
        assert_eq!(sync.status == StatusCode::OK, may_sync, "{roles}: {sync:?}");
        if !may_sync {
            assert_eq!((sync.status, sync.code()), (StatusCode::FORBIDDEN, 100_207));
            let needed = "do not allow to run syncs (hint: that takes one of caller, operator, admin)";
            assert!(sync.message().contains(needed), "{}", sync.message());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_first_requests_are_one_fetch() {
    let key = Key::rsa();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = std::sync::Arc::new(start(&iam.url(), &[]));
    let token = key.token("k", &claims(&json!({})));
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (server, token) = (server.clone(), token.clone());
            tokio::spawn(async move { ask(&server, &token).await })
        })
        .collect();
    for request in requests {
        accepted(&request.await.unwrap());
    }
    assert_eq!(iam.fetches(), 1);
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam.url(), &[("QS_RATE_LIMIT__PER_SECOND", "1"), ("QS_RATE_LIMIT__BURST", "3")]);
    let token = |sub: &str, tenant: u64| key.token("k", &claims(&json!({"sub": sub, "tenant_id": tenant})));
    let eager = token("eager", 1);
    for _ in 0..3 {
        accepted(&ask(&server, &eager).await);
    }
    // A slow machine may let a token come in between; it cannot for ever, since answers take less than a second.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let limited = loop {
        let reply = ask(&server, &eager).await;
        if reply.status != StatusCode::NOT_FOUND {
            break reply;
        }
        assert!(std::time::Instant::now() < deadline, "nothing held the caller back");
    };
    assert_eq!((limited.status, limited.code()), (StatusCode::TOO_MANY_REQUESTS, 110_429), "{limited:?}");
    assert_eq!(limited.headers["retry-after"], "1");
    accepted(&ask(&server, &token("calm", 1)).await);
    accepted(&ask(&server, &token("eager", 2)).await);
    // A forged token uses up nothing of its victim's.
    for _ in 0..10 {
        unauthorized(
            &ask(&server, &Key::ec().token("k", &claims(&json!({"sub": "victim"})))).await,
            100_202,
            "",
        );
    }
    accepted(&ask(&server, &token("victim", 1)).await);
}

#[tokio::test]
async fn a_private_authority_is_trusted_for_the_keys() {
    let (key, authority, dir) = (Key::ec(), Authority::new(), tempfile::tempdir().unwrap());
    let iam = FakeIam::start_tls(key_set(&[key.jwk("k")]), authority.server());
    let ca = authority.write(dir.path());
    let server = start(&iam.url(), &[("QS_AUTH__CA_FILE", ca.to_str().unwrap())]);
    accepted(&ask(&server, &key.token("k", &claims(&json!({})))).await);
    let other = tempfile::tempdir().unwrap();
    let ca = Authority::new().write(other.path());
    let server = start(&iam.url(), &[("QS_AUTH__CA_FILE", ca.to_str().unwrap())]);
    unavailable(&ask(&server, &key.token("k", &claims(&json!({})))).await);
}

#[tokio::test]
async fn with_a_real_iam_the_server_may_be_reached_from_elsewhere() {
    let key = Key::ec();
    let iam = FakeIam::start(key_set(&[key.jwk("k")]));
    let server = start(&iam.url(), &[("QS_SERVER__ADDR", "0.0.0.0:0")]);
    assert!(server.base.starts_with("http://0.0.0.0:"), "{}", server.base);
    accepted(&ask(&server, &key.token("k", &claims(&json!({})))).await);
}

#[test]
fn a_start_whose_tokens_nobody_could_trust_is_refused() {
    let url = ("QS_AUTH__JWKS_URL", "https://iam.example.com/jwks");
    let (issuer, audience) = (("QS_AUTH__ISSUER", ISSUER), ("QS_AUTH__AUDIENCE", AUDIENCE));
    let missing = ("QS_AUTH__CA_FILE", "/nonexistent/ca.pem");
    let empty = ("QS_AUTH__CA_FILE", "/dev/null");
    for (args, env, exit, reason) in [
        (
            &["serve", "--dev-iam"][..],
            vec![url, issuer, audience],
            78,
            "dev_iam.enabled (--dev-iam) is on too",
        ),
        (&["serve", "--dev-iam"], vec![("QS_SERVER__ADDR", "0.0.0.0:0")], 78, "must not be reachable"),
        (&["serve"], vec![], 78, "auth.jwks_url: no token could be verified"),
        (&["serve"], vec![url, audience], 78, "auth.issuer: is required"),
        (&["serve"], vec![url, issuer], 78, "auth.audience: is required"),
        (&["serve"], vec![("QS_AUTH__JWKS_URL", "http://10.0.0.1/jwks"), issuer, audience], 78, "loopback"),
        (
            &["serve"],
            vec![url, issuer, audience, missing],
            66,
            "auth.ca_file: cannot read /nonexistent/ca.pem",
        ),
        (&["serve"], vec![url, issuer, audience, empty], 78, "expected a PEM file with a certificate"),
    ] {
        let (code, stderr) = refused(args, &env);
        assert_eq!((code, stderr.lines().count()), (Some(exit), 1), "{stderr}");
        assert!(stderr.starts_with("qs-apiserver: ") && stderr.contains(reason), "{reason}: {stderr}");
    }
}
