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

fn mode(world: &World, name: &str) -> u32 {
    std::fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o777
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
    let device = || last_login(&server, LOGIN).json()["device_id"].as_str().unwrap().to_owned();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim();
    assert_eq!(device(), format!("qs-scheduler-{host}"));
    let refresh = |world: &World| assert_eq!(world.run(&["token", "refresh"]).code, 0);
    let world = world.set("DEVICE_ID", "$(hostname)/$(id)/$HOME/`id`");
    refresh(&world);
    assert_eq!(device(), format!("{host}/$(id)/$HOME/`id`"), "nothing else is expanded");
    refresh(&world.unset("DEVICE_ID"));
    assert_eq!(device(), format!("qs-scheduler-{host}"), "it is the default");
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
    assert_eq!(mode(&world, "token.login.json"), 0o600);
    assert_eq!(world.run(&["token", "clear"]).code, 0);
    assert!(!world.path("token.login.json").exists());
    world.run(&[ENDPOINT]).assert_failure(77);
    assert_eq!(logins.load(Ordering::SeqCst), 3, "clear forgets the rejection");
    world.set("IAM_PASSWORD", "right").run(&[ENDPOINT]).assert_silent_success();
    assert_eq!(logins.load(Ordering::SeqCst), 4);
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
        assert_eq!(mode(&world, name), 0o600, "{name}");
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
        let said = if text.trim().is_empty() { "Token file not found or empty" } else { "WARN: " };
        assert!(world.log().contains(said), "{text:?}: {}", world.log());
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
    assert_eq!(world.run(&["token", "refresh"]).code, 0);
    assert_eq!(server.count(LOGIN), 2, "a valid token is no reason not to log in when asked for");
    assert_eq!(world.read("token"), "granted-token-2\n");
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

#[test]
fn account_and_client_secret_come_from_the_directory_then_the_file_then_the_value() {
    let server = FakeServer::start(|_| Answer::json(200, &json!({"access_token": "T", "expires_in": 900})));
    let post = "client_secret";
    for (name, variable, client) in
        [("iam-username", "IAM_USERNAME", false), ("iam-client-secret", "IAM_CLIENT_SECRET", true)]
    {
        let mut world = World::without_token(&server).set(variable, "of-the-value");
        if client {
            world = world
                .set("IAM_DIALECT", "oauth2-client-credentials")
                .set("IAM_CLIENT_ID", "c")
                .set("QS_IAM__CLIENT_AUTH", "post");
        }
        let sent = |world: &World| {
            assert_eq!(world.run(&["token", "refresh"]).code, 0);
            let login = server.requests().pop().unwrap();
            if !client {
                return login.json()["credentials"]["username"].as_str().unwrap().to_owned();
            }
            let text = login.text();
            text.split('&').find_map(|field| field.strip_prefix(post)?.strip_prefix('=')).unwrap().to_owned()
        };
        assert_eq!(sent(&world), "of-the-value", "{name}");
        let file = world.write_secret("a-file", "of-the-file\n");
        let world = world.set(&format!("{variable}_FILE"), file.to_str().unwrap());
        assert_eq!(sent(&world), "of-the-file", "{name}");
        world.write_secret(name, "of-the-directory\n");
        let dir = world.dir().display().to_string();
        assert_eq!(sent(&world.set("CREDENTIALS_DIRECTORY", dir)), "of-the-directory", "{name}");
    }
}

#[test]
fn the_whole_address_of_a_login_wins_and_the_dialect_decides_the_body() {
    let granting = Granting::new(900);
    let server =
        FakeServer::start(move |request| if request.path == ENDPOINT { success() } else { granting.grant() });
    for (dialect, body) in [
        (
            None,
            json!({"method": "password", "credentials": {"username": USERNAME, "password": "p"}, "device_id": "d"}),
        ),
        (Some("password-simple"), json!({"username": USERNAME, "password": "p"})),
    ] {
        let mut world = World::new()
            .set("API_BASE_URL", server.url())
            .set("IAM_LOGIN_URL", format!("{}/x/login", server.url()))
            .set("IAM_PASSWORD", "p")
            .set("DEVICE_ID", "d");
        if let Some(dialect) = dialect {
            world = world.set("IAM_DIALECT", dialect);
        }
        world.run(&[ENDPOINT]).assert_silent_success();
        assert_eq!(last_login(&server, "/x/login").json(), body, "{dialect:?}");
    }
}

#[test]
fn a_login_of_another_process_is_waited_for_within_lock_wait_and_budget() {
    let server = granting().unused();
    let world = World::without_token(&server);
    let lock = std::fs::File::create(world.path("token.lock")).unwrap();
    lock.lock().unwrap();
    for (wait, budget, says) in
        [("200ms", "1m", "for more than 200ms"), ("1m", "200ms", "logging in for more than 1")]
    {
        let began = std::time::Instant::now();
        let run = world.command(&[ENDPOINT]).env("QS_TOKEN__LOCK_WAIT", wait).env("TIMEOUT", budget).output();
        let ran = crate::support::world::Ran::of(&run.unwrap());
        ran.assert_failure(75);
        assert!(ran.stderr.contains(says) && !ran.stderr.contains("more than 1m"), "{ran:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
    }
    assert!(server.requests().is_empty());
}

#[test]
fn the_pause_that_the_iam_asks_for_is_obeyed_if_there_is_time_for_it() {
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    for (pause, code, logins) in [("3600", 75, 1), ("1", 0, 2)] {
        let (granting, seen) = (Granting::new(900), Arc::clone(&times));
        seen.lock().unwrap().clear();
        let server = FakeServer::start(move |request| {
            if request.path == ENDPOINT {
                return success();
            }
            seen.lock().unwrap().push(std::time::Instant::now());
            let first = seen.lock().unwrap().len() == 1;
            if first { Answer::status(429).with("Retry-After", pause) } else { granting.grant() }
        });
        assert_eq!(World::without_token(&server).run(&[ENDPOINT]).code, code, "{pause}");
        let times = times.lock().unwrap();
        assert_eq!(times.len(), logins, "{pause}");
        assert!(logins == 1 || times[1] - times[0] >= std::time::Duration::from_secs(1), "{times:?}");
    }
}

#[test]
fn a_login_that_is_answered_wrongly_or_by_a_locked_account_has_its_code() {
    for (answer, code, says) in [
        (Answer::json(200, &json!({"code": 0, "data": {}})), 76, "no token"),
        (Answer::typed(200, "text/html", "<html>"), 76, "a web page"),
        (Answer::typed(200, "application/json", "{oops"), 76, "login failed"),
        (Answer::status(302).with("Location", "/elsewhere"), 76, "HTTP 302"),
        (Answer::json(423, &json!({"message": "account locked"})), 77, "account locked"),
    ] {
        let server = FakeServer::start(move |_| answer.clone());
        let ran = World::without_token(&server).run(&[ENDPOINT]);
        ran.assert_failure(code);
        assert!(ran.stderr.contains(says), "{says}: {ran:?}");
        assert_eq!((server.count(LOGIN), server.count(ENDPOINT)), (1, 0), "{ran:?}");
    }
}

#[test]
#[cfg(feature = "server")]
fn a_new_token_is_private_from_its_first_byte_and_on_the_disk_before_it_has_its_name() {
    let server = granting().unused();
    let world = World::without_token(&server);
    let call = world.command(&["token", "refresh"]);
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-e", "trace=openat,fsync,fdatasync,rename,renameat,renameat2", "-o", "calls"]);
    strace.arg(call.get_program()).args(call.get_args()).current_dir(world.dir()).env_clear();
    strace
        .envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", "/usr/bin:/bin");
    if !strace.output().is_ok_and(|output| output.status.success()) {
        crate::support::databases::skipped("the system calls of a new token (strace cannot be used here)");
        return;
    }
    let calls = world.read("calls");
    let of_token =
        |line: &&str| line.contains("/.token.") && !line.contains(".json.") && line.contains("O_CREAT");
    let mut lines = calls.lines().skip_while(|line| !of_token(line));
    let made = lines.next().unwrap_or_else(|| panic!("{calls}"));
    assert!(made.contains("O_EXCL") && made.contains(", 0600) = "), "{made}");
    let file = made.rsplit_once("= ").unwrap().1;
    let synced = lines.next().unwrap();
    assert!(synced.contains(&format!("fsync({file})")), "{calls}");
    let named = lines.next().unwrap();
    assert!(named.contains("rename") && named.contains("/.token."), "{calls}");
}
