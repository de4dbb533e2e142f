//! What is between a call and its server: certificates, proxies, what is not HTTP; and where a call writes and reads.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};

use crate::support::fake::{Answer, FakeServer};
use crate::support::tls::Authority;
use crate::support::world::{ENDPOINT, Granting, LOGIN, Ran, World, success};

/// A server of another protocol: it says `first` when it is connected to, `then` when it was asked, and counts.
struct Stranger {
    port: u16,
    connections: std::sync::Arc<Mutex<usize>>,
}

impl Stranger {
    fn start(first: &'static [u8], then: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = std::sync::Arc::new(Mutex::new(0));
        let count = std::sync::Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                *count.lock().unwrap() += 1;
                let then = then.clone();
                std::thread::spawn(move || {
                    drop(stream.write_all(first));
                    let mut asked = [0; 4096];
                    let read = stream.read(&mut asked).unwrap_or(0);
                    if read > 0 {
                        drop(stream.write_all(&then));
                    }
                    // Until the client has gone, so that nothing is lost by a reset.
                    while stream.read(&mut asked).is_ok_and(|read| read > 0) {}
                });
            }
        });
        Self { port, connections }
    }
}

#[test]
fn what_is_not_http_is_76_and_not_repeated() {
    let many = |lines: usize| {
        let head = "X-Line: 1\r\n".repeat(lines);
        format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 0\r\n\r\n").into_bytes()
    };
    for (name, first, then) in [
        ("an SSH banner", &b"SSH-2.0-OpenSSH_9.6\r\n"[..], Vec::new()),
        ("an SMTP banner", b"220 mail.example.com ESMTP\r\n", b"500 what\r\n".to_vec()),
        ("an FTP banner", b"220 (vsFTPd 3.0.5)\r\n", Vec::new()),
        ("HTTP/2 SETTINGS", b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", Vec::new()),
        ("an HTTP/2 preface", b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("Redis", b"", b"-ERR unknown command 'POST'\r\n".to_vec()),
        ("a TLS alert", b"", b"\x15\x03\x01\x00\x02\x02\x0a".to_vec()),
        ("a status that is none", b"", b"HTTP/1.1 abc OK\r\n\r\n".to_vec()),
        ("a header that is none", b"", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n".to_vec()),
        ("HTTP/0.9", b"", b"<html>hello</html>".to_vec()),
        ("300 header lines", b"", many(300)),
    ] {
        let stranger = Stranger::start(first, then);
        let world = World::new().set("API_BASE_URL", format!("http://127.0.0.1:{}", stranger.port));
        world.write_secret("token", "cached-token");
        let ran = world.run(&["--idempotent", "--timeout", "5s", ENDPOINT]);
        assert_eq!(ran.code, 76, "{name}: {ran:?}");
        assert!(ran.stderr.contains("not the answer of an HTTP server: "), "{name}: {ran:?}");
        assert_eq!(*stranger.connections.lock().unwrap(), 1, "{name}: {ran:?}");
    }
    let stranger = Stranger::start(b"", many(150));
    let world = World::new().set("API_BASE_URL", format!("http://127.0.0.1:{}", stranger.port));
    world.write_secret("token", "cached-token");
    world.run(&[ENDPOINT]).assert_silent_success();
}

#[test]
fn a_login_at_what_is_not_http_is_76_too() {
    let stranger = Stranger::start(b"SSH-2.0-OpenSSH_9.6\r\n", Vec::new());
    let world = World::new().set("IAM_BASE_URL", format!("http://127.0.0.1:{}", stranger.port));
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(76);
    assert_eq!(*stranger.connections.lock().unwrap(), 1);
}

#[test]
fn http_where_https_is_meant_is_told_apart() {
    let stranger = Stranger::start(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let world = World::new().set("API_BASE_URL", format!("https://127.0.0.1:{}", stranger.port));
    world.write_secret("token", "cached-token");
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(76);
    assert!(ran.stderr.contains("it does not speak TLS"), "{ran:?}");
    assert_eq!(*stranger.connections.lock().unwrap(), 1);
}

#[test]
fn a_refused_client_certificate_was_never_sent_and_is_named() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let server = FakeServer::start_tls(authority.server_asking_for_a_certificate(), |_| success()).unused();
    let world = World::with_token(&server);
    let ca = authority.write(world.dir());
    let foreign_dir = world.path("foreign");
    std::fs::create_dir(&foreign_dir).unwrap();
    let (cert, key) = foreign.write_client(&foreign_dir);
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (ca, cert, key) = (path(&ca), path(&cert), path(&key));
    let body = world.write_secret("body", &format!("{{\"a\": \"{}\"}}", "x".repeat(300_000)));
    let long = format!("@{}", body.display());
    for (args, says) in [
        (&["--cacert", &ca][..], "it wants a client certificate"),
        (&["--cacert", &ca, "-X", "GET"], "it wants a client certificate"),
        (&["--cacert", &ca, "--cert", &cert, "--key", &key], "it does not accept the client certificate"),
        (&["--cacert", &ca, "--data", &long], "it wants a client certificate"),
    ] {
        for _ in 0..4 {
            let ran = world.run(&[args, &["--idempotent", ENDPOINT]].concat());
            ran.assert_failure(78);
            assert!(ran.stderr.contains(says), "{ran:?}");
            assert!(world.log().lines().last().unwrap().contains("attempts=1"), "{}", world.log());
        }
    }
    assert!(server.requests().is_empty());
}

#[test]
fn what_is_not_to_be_proxied_never_reaches_the_proxy() {
    for entry in
        ["*.qs-test.internal", "job.qs-test.internal:80", "job.qs-test.internal.", "x, .qs-test.internal"]
    {
        let proxy = FakeServer::start(|_| success()).unused();
        let world = World::new()
            .set("API_BASE_URL", "http://job.qs-test.internal")
            .set("http_proxy", proxy.url())
            .set("NO_PROXY", entry);
        world.write_secret("token", "cached-token");
        let ran = world.run(&["--retries", "0", "--timeout", "5s", ENDPOINT]);
        ran.assert_failure(75);
        assert!(proxy.requests().is_empty(), "{entry}: {ran:?}");
    }
}

#[test]
fn a_proxy_setting_that_is_not_understood_is_78_at_once() {
    for (name, value, says) in [
        ("all_proxy", "socks5://127.0.0.1:1", "all_proxy: socks5:// proxies are not supported"),
        ("http_proxy", "socks5h://u:hunter2@127.0.0.1:1", "http_proxy: socks5h:// proxies are not supported"),
        ("NO_PROXY", "10.0.0.*", "NO_PROXY: \"10.0.0.*\" is not understood"),
    ] {
        let world = World::new()
            .set("API_BASE_URL", "http://job.qs-test.internal")
            .set("http_proxy", "http://127.0.0.1:1")
            .set(name, value);
        let world = if name == "all_proxy" { world.unset("http_proxy") } else { world };
        world.write_secret("token", "cached-token");
        let ran = world.run(&[ENDPOINT]);
        ran.assert_failure(78);
        assert!(ran.stderr.contains(says) && !ran.stderr.contains("hunter2"), "{ran:?}");
        assert!(!world.log().contains("event=calling"), "{}", world.log());
        let direct = FakeServer::start(|_| success());
        world.set("API_BASE_URL", direct.url()).run(&[ENDPOINT]).assert_silent_success();
    }
}

#[test]
fn a_refusing_proxy_is_named_without_its_password() {
    let proxied = |proxy: &str, base: &str| {
        let proxy = proxy.replace("http://", "http://user:hunter2@");
        let world =
            World::new().set("API_BASE_URL", base).set("http_proxy", &proxy).set("https_proxy", &proxy);
        world.write_secret("token", "cached-token");
        world.run(&["--retries", "0", ENDPOINT])
    };
    for (status, base, code) in [
        (407, "http://job.qs-test.internal", 78),
        (407, "https://job.qs-test.internal", 78),
        (403, "http://job.qs-test.internal", 77),
        (403, "https://job.qs-test.internal", 75),
        (502, "http://job.qs-test.internal", 75),
    ] {
        let proxy = FakeServer::start(move |_| Answer::status(status));
        let ran = proxied(&proxy.url(), base);
        ran.assert_failure(code);
        assert!(ran.stderr.contains(&format!("proxy {}", proxy.url())), "{status} {base}: {ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        let asked = &proxy.requests()[0];
        assert_eq!(asked.header("proxy-authorization"), Some("Basic dXNlcjpodW50ZXIy"), "{asked:?}");
    }
    for base in ["http://job.qs-test.internal", "https://job.qs-test.internal"] {
        let ran = proxied("http://127.0.0.1:1", base);
        ran.assert_failure(75);
        assert!(ran.stderr.contains("no connection: proxy http://127.0.0.1:1: "), "{ran:?}");
    }
}

#[test]
fn a_variable_that_no_program_knows_is_an_error_and_others_are_let_be() {
    let server = FakeServer::start(|_| success());
    for (name, value, says) in [
        ("QS_CALL_TIMEOUT", "5s", "did you mean QS_CALL__TIMEOUT?"),
        ("QS_TIMEOUT", "5s", "unknown variable"),
        ("QS_CALLS__TIMEOUT", "5s", "did you mean QS_CALL__TIMEOUT?"),
        ("QS_IAM_PASSWORD", "hunter2", "did you mean QS_IAM__PASSWORD?"),
    ] {
        let ran = World::with_token(&server).set(name, value).run(&[ENDPOINT]);
        ran.assert_failure(78);
        assert!(ran.stderr.contains(says) && !ran.stderr.contains("hunter2"), "{ran:?}");
    }
    let mut world = World::with_token(&server);
    for (name, value) in [
        ("QS_TEST_X", "1"),
        ("QS_DEPLOY_X", "1"),
        ("QS_LOG__LEVEL", "debug"),
        ("QS_SERVER__ADDR", "[::]:80"),
        ("QS_APISERVER_SERVICE_HOST", "10.0.0.1"),
        ("QS_APISERVER_PORT", "tcp://10.0.0.1:8080"),
        ("QS_APISERVER_PORT_8080_TCP_PROTO", "tcp"),
        ("QS_CALL_TIMEOUT", ""),
    ] {
        world = world.set(name, value);
    }
    world.run(&[ENDPOINT]).assert_silent_success();
    let mut command = world.command(&[ENDPOINT]);
    let broken: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
    let ran = Ran::of(&command.env("IAM_PASSWORD", broken).output().unwrap());
    ran.assert_failure(78);
    assert!(ran.stderr.contains("IAM_PASSWORD: iam.password: expected UTF-8 text"), "{ran:?}");
}

#[test]
fn a_log_that_cannot_be_written_is_found_before_anything_is_sent() {
    let server = FakeServer::start(|_| success()).unused();
    let world = World::with_token(&server);
    std::fs::create_dir(world.path("directory")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(world.path("pipe")).status().unwrap();
    assert!(made.success());
    let path = |name: &str| world.path(name).display().to_string();
    for log in [path("mis/typed/path/a.log"), path("directory"), path("pipe"), "/dev/full".to_owned()] {
        let ran = world.run(&[ENDPOINT, &log]);
        ran.assert_failure(73);
        assert!(ran.stderr.contains(&log), "{ran:?}");
        let checked = World::new().set("LOG_FILE", &log).run(&["check"]);
        assert!(log == "/dev/full" || checked.stdout.contains(&log), "{checked:?}");
    }
    assert!(!world.path("mis").exists() && server.requests().is_empty());
    for state in ["mis/typed/state", "pipe"] {
        world.run(&["--state-dir", &path(state), ENDPOINT]).assert_failure(73);
        assert!(!world.path("mis").exists());
    }
}

#[test]
fn a_reader_that_stalls_holds_no_call() {
    let server = FakeServer::start(|_| success()).unused();
    let world = World::with_token(&server);
    // The pipe is full before the call begins, and nobody reads from it.
    let script = "head -c 65536 /dev/zero; \"$0\" /api/v1/x /dev/stdout 2>&2; echo $? > code";
    let call = world.command(&[]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).arg(call.get_program()).current_dir(world.dir());
    shell.env_clear().envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    child.wait().unwrap();
    assert_eq!(world.read("code").trim(), "73", "{said}");
    assert!(said.contains("nobody has read it for 3s"), "{said}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_container_logs_to_its_streams() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let lines = |text: &str| {
        assert!(text.contains("event=started") && text.contains("event=finished"), "{text}");
    };
    for log in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let ran = world.run(&[ENDPOINT, log]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        lines(&ran.stdout);
        assert!(!std::path::Path::new("/dev/.stdout.lock").exists());
    }
    for log in ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"] {
        let ran = world.run(&[ENDPOINT, log]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
        lines(&ran.stderr);
    }
    assert_eq!(world.run(&[ENDPOINT, "/dev/null"]).code, 0);
    // As below systemd, where the stream is a socket whose name cannot be opened.
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let stream: std::os::fd::OwnedFd = theirs.into();
    let status = world.command(&[ENDPOINT, "/dev/stdout"]).stdout(Stdio::from(stream)).status().unwrap();
    assert!(status.success());
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    lines(&text);
    // A file that the shell opened, without being its owner's to lock.
    let file = std::fs::File::create(world.path("out")).unwrap();
    assert!(world.command(&[ENDPOINT, "/dev/stdout"]).stdout(file).status().unwrap().success());
    lines(&world.read("out"));
    assert!(!world.path(".out.lock").exists());
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    for (name, code) in [("HUP", Some(129)), ("nohup", Some(0))] {
        let (arrived, waiting) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
        let server = FakeServer::start(move |_| {
            arrived.lock().unwrap().send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            success()
        });
        let world = World::with_token(&server);
        let mut command = world.command(&[ENDPOINT]);
        if name == "nohup" {
            let program = command.get_program().to_owned();
            command = std::process::Command::new("nohup");
            command
                .arg(program)
                .arg(ENDPOINT)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
                .env_clear()
                .envs(world.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.env("PATH", "/usr/bin:/bin");
        }
        let mut child = command.spawn().unwrap();
        waiting.recv().unwrap();
        let kill = std::process::Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        if name == "nohup" {
            release.send(()).unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), code, "{name}");
        drop(release);
        assert!(world.log().contains("event=finished"), "{}", world.log());
        let status = if name == "nohup" { "success" } else { "unknown" };
        assert_eq!(world.run(&["history", "--json"]).json()[0]["status"], status);
    }
}

#[test]
fn json_shows_what_the_server_sent_digit_by_digit() {
    let body = "{\"code\": 0,\n \"id\": 12345678901234567890123, \"rate\": 1.10}";
    let server = FakeServer::start(move |_| Answer::typed(200, "application/json", body));
    let ran = World::with_token(&server).run(&["--json", ENDPOINT]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{ran:?}");
    assert!(ran.stdout.contains(r#""body":{"code":0,"id":12345678901234567890123,"rate":1.10}"#), "{ran:?}");
}

#[test]
fn a_dry_run_shows_every_header_in_both_forms() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    let args = ["--dry-run", "-H", "X-Org: 1", "-H", "Content-Type: application/merge-patch+json", ENDPOINT];
    let ran = world.run(&args);
    for part in [
        "x-org: 1",
        "content-type: application/merge-patch+json",
        "accept: application/json",
        "x-request-id: ",
    ] {
        assert_eq!(ran.stdout.lines().filter(|line| line.starts_with(part)).count(), 1, "{part} in {ran:?}");
    }
    let ran = world.run(&[&args[..], &["--json", "-H", "X-Org: 2"]].concat());
    let json = ran.json();
    assert_eq!((json["method"].as_str(), json["body"].as_str()), (Some("POST"), Some("{}")), "{json}");
    assert_eq!(json["url"], format!("{}{ENDPOINT}", server.url()));
    assert_eq!(json["headers"]["x-org"], serde_json::json!(["1", "2"]));
    assert_eq!(
        json["headers"]["authorization"],
        format!("Bearer [token of {}]", world.path("token").display())
    );
    assert!(!ran.stdout.contains("cached-token") && server.requests().is_empty());
    world.run(&["-H", "X-Org: 1", "-H", "X-Org: 2", ENDPOINT]).assert_silent_success();
    let sent = server.requests().remove(0).headers;
    assert_eq!(sent.iter().filter(|(name, _)| name == "x-org").count(), 2, "{sent:?}");
}

#[test]
fn a_mistyped_option_is_told_in_one_sentence() {
    for (args, line) in [
        (&["--bogus", "/x"][..], "unexpected argument '--bogus' found (hint: see qs-api-call --help)"),
        (&["-Z", "/x"], "unexpected argument '-Z' found (hint: see qs-api-call --help)"),
        (
            &["--idempotnt", "/x"],
            "unexpected argument '--idempotnt' found (hint: did you mean --idempotent?)",
        ),
        (&["status", "--jsn"], "unexpected argument '--jsn' found (hint: did you mean --json?)"),
    ] {
        let ran = World::new().run(args);
        ran.assert_failure(64);
        let line = line.replace(" (hint", " [64 usage] (hint");
        assert_eq!(ran.stderr, format!("qs-api-call: {line}\n"));
    }
}

#[test]
fn credentials_are_sent_as_their_files_have_them() {
    let logins = |world: World, server: &FakeServer| {
        let ran = world.run(&[ENDPOINT]);
        let sent = server.requests().into_iter().filter(|request| request.path == LOGIN).map(|request| {
            let credentials = request.json()["credentials"].clone();
            (
                credentials["username"].as_str().unwrap().to_owned(),
                credentials["password"].as_str().unwrap().to_owned(),
            )
        });
        (ran, sent.max())
    };
    let grant = || {
        FakeServer::start(|_| {
            Answer::json(200, &serde_json::json!({"code": 0, "access_token": "t", "expires_in": 900}))
        })
        .unused()
    };
    for (user, password, sent) in [
        ("\u{feff}robot\r\n", "\u{feff}hunter22\n", Some(("robot", "hunter22"))),
        ("robot", " hunter 22 \n", Some(("robot", " hunter 22 "))),
        ("robot ", "hunter22", None),
        ("robot\n\n", "hunter22", None),
    ] {
        let server = grant();
        let world = World::without_token(&server).unset("IAM_USERNAME").unset("IAM_PASSWORD");
        let (user, password) = (world.write_secret("user", user), world.write_secret("password", password));
        let world = world
            .set("IAM_USERNAME_FILE", user.display().to_string())
            .set("IAM_PASSWORD_FILE", password.display().to_string());
        let (ran, found) = logins(world, &server);
        assert_eq!(found, sent.map(|(user, password)| (user.to_owned(), password.to_owned())), "{ran:?}");
        assert_eq!(ran.code, if sent.is_some() { 0 } else { 78 }, "{ran:?}");
    }
    for text in ["0123456", "3.10", "1e10", "0x1F", "1_000", "yes", "2026-11-20", "12345678901234567890123"] {
        let server = grant();
        let world = World::without_token(&server).unset("IAM_USERNAME").unset("IAM_PASSWORD");
        let config =
            world.write_secret("c.yaml", &format!("iam:\n  username: {text}\n  password: {text} # why\n"));
        let ran = world.run(&["--config", config.to_str().unwrap(), ENDPOINT]);
        ran.assert_silent_success();
        let login = server.requests().into_iter().find(|request| request.path == LOGIN).unwrap().json();
        assert_eq!(login["credentials"]["username"], text);
        assert_eq!(login["credentials"]["password"], text);
    }
}

#[test]
fn a_configuration_that_is_no_yaml_shows_nothing_of_a_secret() {
    for value in [
        "*hunter2",
        "@hunter2",
        "!hunter2 x",
        "'hunter2",
        "\"hunter2",
        "&hunter2",
        "%hunter2",
        "{hunter2",
        "`hunter2",
    ] {
        let world = World::new().unset("IAM_PASSWORD");
        let config = world.write_secret("c.yaml", &format!("iam:\n  password: {value}\n"));
        let ran = world.run(&["--config", config.to_str().unwrap(), ENDPOINT]);
        ran.assert_failure(78);
        assert!(!ran.stderr.contains("hunter2"), "{value}: {ran:?}");
    }
}

#[test]
fn header_lines_of_old_gateways_are_read() {
    let body = br#"{"code":0}"#;
    for line in ["X-A: a\r\n b", "X-A: a\r\n\tb", "X-A : a"] {
        let head = format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: {}\r\n\r\n", body.len());
        let gateway = Stranger::start(b"", [head.as_bytes(), body].concat());
        let world = World::new().set("API_BASE_URL", format!("http://127.0.0.1:{}", gateway.port));
        world.write_secret("token", "cached-token");
        world.run(&[ENDPOINT]).assert_silent_success();
        assert_eq!(*gateway.connections.lock().unwrap(), 1, "{line:?}");
    }
}

#[test]
fn the_bound_of_a_reply_is_not_that_of_a_login() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server);
    world.run(&["--max-body", "80", ENDPOINT]).assert_silent_success();
    assert_eq!(granting.granted(), 1);
    world.run(&["--max-body", "20", ENDPOINT]).assert_failure(76);
}

#[test]
fn the_longest_token_is_read_again_and_a_longer_one_is_refused() {
    for (length, exit) in [(16 * 1024, 0), (16 * 1024 + 1, 76)] {
        let server = FakeServer::start(move |request| match request.path.as_str() {
            LOGIN => Answer::json(200, &serde_json::json!({"token": "t".repeat(length), "expires_in": 3600})),
            _ => success(),
        });
        let world = World::without_token(&server);
        for _ in 0..2 {
            let ran = world.run(&[ENDPOINT]);
            assert_eq!(ran.code, exit, "{ran:?}");
            assert!(exit == 0 || ran.stderr.contains("longer than 16 KiB"), "{ran:?}");
        }
        let logins = server.requests().iter().filter(|request| request.path == LOGIN).count();
        assert_eq!(logins, if exit == 0 { 1 } else { 2 }, "{length}");
    }
}

#[test]
fn an_iam_that_wishes_to_be_left_alone_is() {
    let server = FakeServer::start(|_| Answer::status(429).with("Retry-After", "3600"));
    let world = World::without_token(&server);
    for (args, logins, waits) in [
        (&[ENDPOINT][..], 1, false),
        (&[ENDPOINT], 1, true),
        (&["--force-login", ENDPOINT], 2, false),
        (&[ENDPOINT], 2, true),
    ] {
        let ran = world.run(args);
        ran.assert_failure(75);
        assert_eq!(server.requests().len(), logins, "{ran:?}");
        assert!(ran.stderr.contains("IAM answered HTTP 429"), "{ran:?}");
        assert_eq!(ran.stderr.contains("; not asked again before"), waits, "{ran:?}");
    }
}

#[test]
fn an_address_that_cannot_be_sent_is_64() {
    let server = FakeServer::start(|_| success()).unused();
    let ran = World::with_token(&server).run(&["-q", &format!("x={}", "y".repeat(70_000)), ENDPOINT]);
    ran.assert_failure(64);
    assert!(ran.stderr.contains("65534"), "{ran:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_configuration_that_cannot_be_used_says_what_it_is() {
    let world = World::new();
    let utf_16: Vec<u8> = "\u{feff}call:\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(world.path("utf16.yaml"), utf_16).unwrap();
    std::fs::write(world.path("latin.yaml"), b"iam: {username: \xe9}\n").unwrap();
    std::fs::create_dir(world.path("dir")).unwrap();
    for (name, text, exit, says) in [
        (
            "twice.yaml",
            "call:\n  timeout: 30s\n  timeout: 40s\n",
            78,
            "twice.yaml:3:3: the key \"timeout\" is here a second time",
        ),
        (
            "sections.yaml",
            "call:\n  retries: 1\ncall:\n  retries: 2\n",
            78,
            "sections.yaml:3:1: the key \"call\"",
        ),
        ("two.yaml", "call:\n  retries: 1\n---\ncall:\n  retries: 2\n", 78, "a second document begins here"),
        (
            "zero.yaml",
            "call:\n  timeout: 0\n",
            78,
            "zero.yaml:2:12: call.timeout = \"0s\": must be longer than 0s",
        ),
        ("utf16.yaml", "", 78, "it is UTF-16 text"),
        ("latin.yaml", "", 78, "it is no UTF-8 text"),
        ("dir", "", 78, "Is a directory"),
        ("none.yaml", "", 66, "No such file"),
    ] {
        if !text.is_empty() {
            std::fs::write(world.path(name), text).unwrap();
        }
        let ran = world.run(&["--config", name, ENDPOINT]);
        ran.assert_failure(exit);
        assert!(ran.stderr.contains(says) && ran.stderr.contains("hint: "), "{name}: {ran:?}");
        assert!(!ran.stderr.contains("DuplicateKeyPolicy") && !ran.stderr.contains("from_str"), "{ran:?}");
    }
    for option in ["--timeout", "--attempt-timeout", "--connect-timeout"] {
        let ran = world.run(&[option, "0", ENDPOINT]);
        ran.assert_failure(64);
        assert!(ran.stderr.contains("expected more than 0s"), "{ran:?}");
    }
}

#[test]
fn a_mistyped_variable_in_a_crontab_is_told_with_the_nearest() {
    let world = World::new();
    let call = "0 * * * * root /usr/local/bin/qs-api-call /api/v1/x /var/log/x.log\n";
    std::fs::write(
        world.path("c"),
        format!("QS_CALL__TIMOUT=5s\nQS_CALL__RETRIES=1\nQS_SERVER__ADDR=x\n{call}"),
    )
    .unwrap();
    let ran = world.run(&["crontab", "check", "c"]);
    assert_eq!(ran.stdout.matches("unknown-variable").count(), 1, "{ran:?}");
    assert!(ran.stdout.contains("QS_CALL__TIMEOUT"), "{ran:?}");
}
