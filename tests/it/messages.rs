//! The words by which the guide to troubles lets people find their own: each is said by a failure that has the exit
//! code of its row.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Mutex, mpsc};

use serde_json::json;

use crate::support::fake::{Answer, FakeServer};
use crate::support::golden;
use crate::support::tls::Authority;
use crate::support::world::{ENDPOINT, LOGIN, Ran, World, success};

/// What other tests provoke: it needs another user, a process that holds a lock, a certificate or an IAM of its own kind.
const ELSEWHERE: [&str; 10] = [
    "the certificate of HOST expired",
    "is for other names",
    "is that of a CA",
    "not asked again before",
    "as it wishes",
    "X.509 version 1",
    "configuration /etc/qs-server/qs-api-call.yaml: Permission denied",
    "it has owner 0",
    "Permission denied",
    "has been held by another process",
];

/// The words of the guide with the codes of their row.
fn quoted() -> Vec<(Vec<i32>, String)> {
    let text = golden::read("docs/guides/troubleshooting.md");
    let section = text.split("## It runs and fails").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut found = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = line.split(" | ").map(|cell| cell.trim_start_matches("| "));
        let (codes, symptom) = (cells.next().unwrap(), cells.next().unwrap());
        let codes: Vec<i32> = codes.split(", ").filter_map(|code| code.parse().ok()).collect();
        let words = symptom.split('*').skip(1).step_by(2).map(str::to_owned);
        found.extend(words.map(|words| (codes.clone(), words)));
    }
    found
}

fn with_api(answer: Answer, args: &[&str]) -> Ran {
    let server = FakeServer::start(move |_| answer.clone());
    World::with_token(&server).run(&[args, &[ENDPOINT]].concat())
}

fn with_login(answer: Answer) -> [Ran; 2] {
    let server = FakeServer::start(move |request| match request.path.as_str() {
        LOGIN => answer.clone(),
        _ => Answer::status(302).with("Location", "/login"),
    });
    let world = World::without_token(&server);
    [world.run(&[ENDPOINT]), world.run(&[ENDPOINT])]
}

fn with_setting(name: &str, value: &str) -> Ran {
    World::new().set(name, value).run(&[ENDPOINT])
}

/// A server that is none of HTTP.
fn with_banner() -> Ran {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            // The client may be gone.
            drop(stream.write_all(b"220 mail.example ESMTP\r\n"));
            drop(stream.read(&mut [0; 4096]));
        }
    });
    let world = World::new().set("API_BASE_URL", url);
    world.write_secret("token", "cached-token");
    world.run(&[ENDPOINT])
}

fn with_proxy(setting: (&str, &str)) -> Ran {
    let proxy = FakeServer::start(|_| Answer::status(407)).unused();
    let world = World::new().set("API_BASE_URL", "http://job.qs-test.internal");
    let world = world.set("http_proxy", proxy.url()).set(setting.0, setting.1);
    world.write_secret("token", "cached-token");
    world.run(&[ENDPOINT])
}

fn with_client_certificate(of_another: bool) -> Ran {
    let authority = Authority::new();
    let server = FakeServer::start_tls(authority.server_asking_for_a_certificate(), |_| success()).unused();
    let world = World::with_token(&server);
    let ca = authority.write(world.dir()).display().to_string();
    let (cert, key) = Authority::new().write_client(world.dir());
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let mine = if of_another { vec!["--cert", &cert, "--key", &key] } else { vec![] };
    world.run(&[&["--cacert", &ca][..], &mine, &[ENDPOINT]].concat())
}

/// Two lines of one name, of which the first is under way.
fn with_another_line() -> Ran {
    let (arrived, waiting) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let server = FakeServer::start(move |_| {
        arrived.lock().unwrap().send(()).unwrap();
        Answer::SlowHeaders
    });
    let world = World::with_token(&server);
    let mut first = world.spawn(&["--task", "one", ENDPOINT]);
    waiting.recv().unwrap();
    let ran = world.run(&["--task", "one", "/api/v1/another"]);
    first.kill().unwrap();
    first.wait().unwrap();
    ran
}

fn with_file(text: &[u8]) -> Ran {
    let world = World::new();
    std::fs::write(world.path("config.yaml"), text).unwrap();
    world.run(&["--config", "config.yaml", ENDPOINT])
}

/// A server whose authority is not known, and a client's key that nobody can read.
fn with_strange_certificates() -> [Ran; 2] {
    let server = FakeServer::start_tls(Authority::new().server(), |_| success()).unused();
    let world = World::with_token(&server);
    let ca = Authority::new().write(world.dir()).display().to_string();
    let (cert, _) = Authority::new().write_client(world.dir());
    let pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let (cert, key) = (cert.display().to_string(), world.write_secret("key", pem).display().to_string());
    [
        world.run(&["--cacert", &ca, ENDPOINT]),
        world.run(&["--cacert", &ca, "--cert", &cert, "--key", &key, ENDPOINT]),
    ]
}

fn provoked() -> Vec<Ran> {
    let json = |status, body: serde_json::Value| Answer::json(status, &body);
    let open = World::new();
    std::fs::set_permissions(open.write_secret("token", "open"), PermissionsExt::from_mode(0o644)).unwrap();
    let mut all = vec![
        open.run(&[ENDPOINT]),
        World::new().run(&[ENDPOINT]),
        World::new().run(&[ENDPOINT, "mis/typed/path/a.log"]),
        with_api(Answer::typed(200, "text/html", "<html>"), &[]),
        with_api(Answer::typed(200, "application/json", "{} {}"), &[]),
        with_api(Answer::typed(200, "text/plain", "x").with("Content-Encoding", "br"), &[]),
        with_api(json(200, json!({"success": false})), &[]),
        with_api(json(200, json!({"code": 7})), &[]),
        with_api(json(200, json!({"error": "disk full"})), &[]),
        with_api(json(200, json!({"status": "X"})), &["--expect", "/status=OK"]),
        with_api(Answer::Close, &[]),
        with_banner(),
        with_setting("API_BASE_URL", "http://api.example.com"),
        with_setting("QS_CALL__RETRYS", "1"),
        with_setting("QS_TIMEOUT", "1"),
        with_setting("TIMEOUT", "0s"),
        with_file(b"call:\n  retries: 1\n  retries: 2\n"),
        with_file(b"call:\n  retries: 1\n---\ncall:\n  retries: 2\n"),
        with_file(b"\xff\xfec\0a\0l\0l\0:\0\n\0"),
        with_setting("IAM_USERNAME", " blank"),
        with_proxy(("x", "")),
        with_proxy(("NO_PROXY", "10.0.0.*")),
        with_proxy(("http_proxy", "socks5://127.0.0.1:1")),
        with_client_certificate(false),
        with_client_certificate(true),
        with_another_line(),
    ];
    all.extend(with_strange_certificates());
    for answer in [
        Answer::status(401),
        json(200, json!({"code": 9, "data": {"access_token": "T"}})),
        json(200, json!({"data": {"access_token": "T", "expires_in": 900}})),
    ] {
        all.extend(with_login(answer));
    }
    all
}

#[test]
fn every_word_that_the_guide_to_troubles_quotes_is_said() {
    let (said, quoted) = (provoked(), quoted());
    assert!(quoted.len() > 25, "{quoted:?}");
    for (codes, words) in quoted.iter().filter(|(_, words)| !ELSEWHERE.contains(&words.as_str())) {
        let is_said = |ran: &&Ran| {
            let line = ran.stderr.to_lowercase();
            codes.contains(&ran.code)
                && words.replace("HOST", "…").to_lowercase().split('…').all(|part| line.contains(part.trim()))
        };
        assert!(said.iter().any(|ran| is_said(&ran)), "{codes:?} *{words}* in {said:#?}");
    }
    for ran in &said {
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
}
