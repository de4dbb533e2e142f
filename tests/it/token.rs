//! The token: where credentials come from, how they reach the IAM, what is remembered.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::world::{ENDPOINT, Granting, LOGIN, USERNAME, World, success};

/// Passwords that broke shells, sed and hand-made JSON.
const PASSWORDS: [&str; 12] = [
    "plain",
    "dou\"ble",
    "back\\slash",
    "$(touch /tmp/x) $HOME",
    "`id`",
    "a&b|c",
    "100%",
    "it's",
    "two\nlines",
    " spaces ",
    "密码—пароль",
    "\"\\$`&|%'\n密",
];

/// A server that grants, and gives the body of its last login.
fn granting() -> FakeServer {
    let granting = Granting::new(900);
    FakeServer::start(move |request| granting.answer(request))
}

fn last_login(server: &FakeServer, path: &str) -> Received {
    server.requests().into_iter().rfind(|request| request.path == path).expect("a login")
}

#[test]
fn every_password_reaches_the_iam_byte_for_byte_from_every_source() {
    for password in PASSWORDS {
        let server = granting();
        let sources = [
            World::without_token(&server).set("IAM_PASSWORD", password),
            World::without_token(&server).unset("IAM_PASSWORD"),
            World::without_token(&server).unset("IAM_PASSWORD"),
            World::without_token(&server).unset("IAM_PASSWORD"),
        ];
        let [_, file, directory, config] = &sources;
        let path = file.write_secret("password", &format!("{password}\n"));
        let file = file.command(&["token", "refresh"]).env("IAM_PASSWORD_FILE", path).output().unwrap();
        assert!(file.status.success(), "{file:?}");
        assert_eq!(last_login(&server, LOGIN).json()["credentials"]["password"], password, "from a file");

        directory.write_secret("iam-password", password);
        let run = directory
            .command(&["token", "refresh"])
            .env("CREDENTIALS_DIRECTORY", directory.dir())
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        assert_eq!(
            last_login(&server, LOGIN).json()["credentials"]["password"],
            password,
            "from the directory"
        );

        let yaml = format!("iam:\n  password: {}\n", serde_json::Value::from(password));
        let path = config.write_secret("config.yaml", &yaml);
        assert_eq!(config.run(&["token", "refresh", "--config", path.to_str().unwrap()]).code, 0);
        assert_eq!(
            last_login(&server, LOGIN).json()["credentials"]["password"],
            password,
            "from the configuration"
        );

        assert_eq!(sources[0].run(&["token", "refresh"]).code, 0);
        assert_eq!(
            last_login(&server, LOGIN).json()["credentials"]["password"],
            password,
            "from the environment"
        );
    }
}

#[test]
#[cfg(feature = "server")]
fn the_credentials_of_a_systemd_unit_are_secret_where_systemd_put_them() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::MetadataExt;

    if metadata("/proc/self").unwrap().uid() != 0 {
        crate::support::databases::skipped("the credentials of a systemd unit (not root)");
        return;
    }
    let server = granting();
    let world = World::without_token(&server).unset("IAM_PASSWORD");
    let dir = world.path("credentials");
    std::fs::create_dir(&dir).unwrap();
    let yaml = world.write_secret("credentials/qs-api-call.yaml", "iam:\n  password: from the file\n");
    let password = world.write_secret("credentials/iam-password", "from the unit\n");
    let refresh = |directory: Option<&std::path::Path>| {
        let mut command = world.command(&["token", "refresh", "--config", yaml.to_str().unwrap()]);
        command.env("IAM_PASSWORD_FILE", &password);
        if let Some(directory) = directory {
            command.env("CREDENTIALS_DIRECTORY", directory);
        }
        crate::support::world::Ran::of(&command.output().unwrap())
    };
    // As they look when an access list gives them to the unit's user.
    let set = |path: &std::path::Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for (path, mode) in [(&yaml, 0o440), (&password, 0o440), (&dir, 0o550)] {
        set(path, mode);
    }
    assert_eq!(refresh(Some(&dir)).code, 0);
    assert_eq!(last_login(&server, LOGIN).json()["credentials"]["password"], "from the unit");
    refresh(None).assert_failure(78);
    refresh(Some(world.dir())).assert_failure(78);
    set(&dir, 0o570);
    refresh(Some(&dir)).assert_failure(78);
    set(&dir, 0o550);
    set(&password, 0o444);
    refresh(Some(&dir)).assert_failure(78);
    assert_eq!(server.count(LOGIN), 1, "nobody logs in with what others can read");
}

#[test]
fn every_dialect_asks_in_its_own_shape_at_its_own_path() {
    for (dialect, path, body) in [
        (
            "password-v1",
            "/api/v1/authn/login",
            json!({"method": "password", "credentials": {"username": USERNAME, "password": "p", "tenant_id": 7}, "device_id": "dev"}),
        ),
        (
            "password-v2",
            "/api/v1/authn/login",
            json!({"auth_method": "password", "method_payload": {"username": USERNAME, "password": "p", "tenant_id": 7}, "device_id": "dev"}),
        ),
        (
            "password-simple",
            "/api/v1/auth/login",
            json!({"username": USERNAME, "password": "p", "tenant_id": 7}),
        ),
    ] {
        let granting = Granting::new(900);
        let server = FakeServer::start(
            move |request| {
                if request.path == ENDPOINT { success() } else { granting.grant() }
            },
        );
        let world = World::without_token(&server)
            .set("IAM_DIALECT", dialect)
            .set("IAM_PASSWORD", "p")
            .set("IAM_TENANT_ID", "7")
            .set("DEVICE_ID", "dev");
        world.run(&[ENDPOINT]).assert_silent_success();
        assert_eq!(last_login(&server, path).json(), body, "{dialect}");
    }
    let server = FakeServer::start(|request| match request.path.as_str() {
        ENDPOINT => success(),
        _ => Answer::json(200, &json!({"access_token": "T", "token_type": "bearer", "expires_in": "900"})),
    });
    let world = World::without_token(&server)
        .set("IAM_DIALECT", "oauth2-client-credentials")
        .set("IAM_CLIENT_ID", "a b")
        .set("IAM_CLIENT_SECRET", "s%c");
    world.run(&[ENDPOINT]).assert_silent_success();
    let login = last_login(&server, "/api/v1/oauth2/token");
    assert_eq!(login.text(), "grant_type=client_credentials");
    // base64 of `a+b:s%25c`: encoded, then joined.
    assert_eq!(login.header("authorization"), Some("Basic YStiOnMlMjVj"));
}

#[test]
fn the_hostname_in_the_device_is_replaced_since_cron_does_not() {
    let server = granting();
    let world = World::without_token(&server).set("DEVICE_ID", "qs-scheduler-$(hostname)");
    world.run(&[ENDPOINT]).assert_silent_success();
    let device = last_login(&server, LOGIN).json()["device_id"].as_str().unwrap().to_owned();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(device, format!("qs-scheduler-{}", host.trim()));
}

#[test]
fn a_rejected_login_is_not_repeated_until_the_credential_changes() {
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
    let world = World::without_token(&server).set("IAM_PASSWORD", "wrong");
    let first = world.run(&[ENDPOINT]);
    first.assert_failure(77);
    assert!(first.stderr.contains("Invalid credentials"), "{first:?}");
    for _ in 0..3 {
        let again = world.run(&[ENDPOINT]);
        again.assert_failure(77);
        assert!(again.stderr.contains("not tried again before"), "{again:?}");
    }
    assert_eq!(logins.load(Ordering::SeqCst), 1, "one wrong password, one login");
    world.run(&["--force-login", ENDPOINT]).assert_failure(77);
    assert_eq!(logins.load(Ordering::SeqCst), 2);
    let status = world.run(&["token", "status", "--json"]).json();
    assert_eq!(status["state"], "missing");
    assert!(status["login_rejected"].as_str().unwrap().contains("Invalid credentials"));
    world.set("IAM_PASSWORD", "right").run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(logins.load(Ordering::SeqCst), 3);
}

#[test]
fn an_early_refresh_that_fails_keeps_the_token_that_is_still_valid() {
    let server =
        FakeServer::start(|request| if request.path == LOGIN { Answer::status(503) } else { success() });
    // The skew is longer than half of what is left, so a new token is wanted; the IAM is down; the old one is good.
    let world = World::without_token(&server).set("QS_TOKEN__MAX_AGE", "1h").set("QS_TOKEN__SKEW", "20m");
    world.write_secret("token", "old-but-good");
    let file = std::fs::File::options().write(true).open(world.path("token")).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - std::time::Duration::from_secs(50 * 60)).unwrap();
    world.run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(server.count(LOGIN), 3);
    assert!(world.log().contains("WARN: Early refresh failed"), "{}", world.log());
}

#[test]
fn a_token_file_is_private_and_one_that_is_not_is_refused() {
    let server = granting();
    let world = World::without_token(&server);
    world.run(&[ENDPOINT]).assert_silent_success();
    for name in ["token", "token.meta.json", "token.lock"] {
        let mode = std::fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    std::fs::set_permissions(world.path("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(78);
    assert!(ran.stderr.contains("0644") && ran.stderr.contains("chmod 600"), "{ran:?}");
    world.run(&["--allow-insecure-permissions", ENDPOINT]).assert_silent_success();
}

#[test]
fn a_broken_token_file_is_a_missing_token_and_a_warning() {
    for text in ["", "\n", "two words", "a\nb", "\u{1}"] {
        let server = granting();
        let world = World::without_token(&server);
        world.write_secret("token", text);
        world.run(&[ENDPOINT]).assert_silent_success();
        assert_eq!(world.read("token"), "granted-token-1\n");
    }
}

#[test]
fn what_is_missing_for_a_login_is_said_before_anything_is_sent() {
    for (missing, exit, says) in [
        ("IAM_BASE_URL", 78, "no IAM address is configured (hint: set IAM_BASE_URL"),
        ("IAM_USERNAME", 78, "IAM_USERNAME is not set"),
        ("IAM_PASSWORD", 78, "IAM_PASSWORD is not set"),
    ] {
        let server = FakeServer::start(|_| success()).unused();
        let ran = World::without_token(&server).unset(missing).run(&[ENDPOINT]);
        ran.assert_failure(exit);
        assert!(ran.stderr.contains(says), "{ran:?}");
        assert!(server.requests().is_empty());
    }
    let world = World::new().set("IAM_PASSWORD_FILE", "/nonexistent/password");
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(66);
    assert!(ran.stderr.contains("/nonexistent/password"), "{ran:?}");
    let world = World::new().set("IAM_BASE_URL", "http://iam.example.com/api/v1");
    world.run(&[ENDPOINT]).assert_failure(78);
}

#[test]
fn the_token_commands_do_what_they_say() {
    let server = granting();
    let world = World::without_token(&server);
    assert_eq!(world.run(&["token", "status", "--json"]).json()["state"], "missing");
    let refreshed = world.run(&["token", "refresh"]);
    assert!(refreshed.code == 0 && refreshed.stdout.contains("good until"), "{refreshed:?}");
    let status = world.run(&["token", "status", "--json"]).json();
    assert_eq!((status["state"].as_str(), status["expiry_known"].as_bool()), (Some("valid"), Some(true)));
    assert!(status["expires_in_seconds"].as_i64().unwrap() > 800);
    assert_eq!(world.run(&["token", "print"]).stdout, "granted-token-1\n");
    assert_eq!(server.count(LOGIN), 1, "a valid token is printed without a login");
    assert!(world.run(&["token", "clear"]).stdout.starts_with("removed "));
    assert!(world.run(&["token", "clear"]).stdout.starts_with("there was no token"));
    assert!(!world.path("token").exists());
}

#[test]
fn a_token_that_cannot_be_kept_is_used_all_the_same() {
    let server = granting();
    let world = World::without_token(&server).set("TOKEN_FILE", "/proc/no-such-directory/token");
    world.run(&[ENDPOINT]).assert_silent_success();
    assert!(world.log().contains("WARN: "), "{}", world.log());
}
