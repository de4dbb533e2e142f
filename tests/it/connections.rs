//! Connections that want nothing, take their time, or take nothing: they cost little, and nobody waits for them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use qs_scheduler::http::serve::{Connections, Limits};
use qs_scheduler::metrics::{self, Metrics};
use reqwest::{Method, StatusCode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::support::apiserver::{ACCOUNT, Server, command, http_client, refused};
use crate::support::databases::skipped;
use crate::support::wait::until;

/// How long `/health` may take on a crowded machine. On an idle one it is a millisecond.
const PROMPT: Duration = Duration::from_secs(1);

/// How long anything else may take.
const DEADLINE: Duration = Duration::from_secs(30);

const HALF: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\nx-half: ";

fn address(server: &Server) -> SocketAddr {
    server.base.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A connection on which this was sent.
fn connect(server: &Server, bytes: &[u8]) -> TcpStream {
    connect_to(address(server), bytes)
}

fn connect_to(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// What still comes until the server closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The status of the one reply that comes.
#[track_caller]
fn status(stream: &mut TcpStream) -> String {
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

/// Asks on a new connection.
async fn assert_healthy(server: &Server) {
    let begin = Instant::now();
    let reply = server.send(Method::GET, "/health", &[("connection", "close")], "").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(begin.elapsed() < PROMPT, "/health took {:?}", begin.elapsed());
}

/// The value of a metric; none is 0.
async fn metric(server: &Server, name: &str) -> u64 {
    let text =
        http_client().get(format!("{}/metrics", server.base)).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

async fn until_metric(server: &Server, name: &str) {
    until(name, async || (metric(server, name).await > 0).then_some(())).await;
}

/// Asks for the end and waits for it.
#[track_caller]
fn assert_ends_at_once(server: &mut Server) {
    let begin = Instant::now();
    assert_eq!(server.terminate("-TERM").0, Some(0), "{}", server.log());
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_table_makes_room_for_who_asks_and_tells_so() {
    let env = [("QS_SERVER__MAX_CONNECTIONS", "64")];
    let mut server = Server::start(&env);
    let mut half: Vec<TcpStream> = (0..200).map(|_| connect(&server, HALF)).collect();
    for _ in 0..20 {
        assert_healthy(&server).await;
    }
    let gave_way = r#"qs_connections_gave_way_total{phase="head"}"#;
    assert!(metric(&server, gave_way).await >= 136);
    assert_eq!(rest(&mut half[0]), "", "the oldest one was closed");
    half[199].set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let open = half[199].read(&mut [0]).unwrap_err();
    assert!(matches!(open.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "the youngest one: {open}");
    until("it is told", async || server.log().contains("the table of connections is full").then_some(()))
        .await;
    assert_ends_at_once(&mut server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_worked_on_never_gives_way() {
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let handler = {
        let (entered, gate) = (entered.clone(), gate.clone());
        async move || {
            entered.add_permits(1);
            gate.acquire().await.unwrap().forget();
            "done"
        }
    };
    let limits =
        Limits { connections: 4, header_timeout: DEADLINE, idle_timeout: DEADLINE, write_timeout: DEADLINE };
    let metrics = Metrics::new(metrics::registry());
    let connections = Arc::new(Connections::new(limits, metrics.connections.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/work", get(handler));
    let accepting = tokio::spawn(connections.clone().accept(listener, router));
    let open = || connect_to(address, b"GET /work HTTP/1.1\r\nhost: x\r\n\r\n");

    let mut working: Vec<TcpStream> = (0..4).map(|_| open()).collect();
    entered.acquire_many(4).await.unwrap().forget();
    for _ in 0..10 {
        assert!(rest(&mut open()).starts_with("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"));
    }
    gate.add_permits(4);
    for stream in &mut working {
        assert_eq!(status(stream), "200");
    }
    // Once all four are between two requests, the next ones find room.
    let watching = tokio::spawn(connections.clone().watch());
    let idle = r#"qs_connections{phase="idle"} 4"#;
    until(idle, async || metrics.text().unwrap().contains(idle).then_some(())).await;
    watching.abort();
    let mut next: Vec<TcpStream> = (0..4).map(|_| open()).collect();
    entered.acquire_many(4).await.unwrap().forget();
    assert!(metrics.text().unwrap().contains(r#"qs_connections_gave_way_total{phase="idle"} 4"#));
    assert!(metrics.text().unwrap().contains("qs_connections_refused_total 10"));

    // At the end they get the grace, and no more.
    accepting.abort();
    let soon = tokio::time::Instant::now() + Duration::from_millis(50);
    assert!(!connections.drain(soon).await);
    assert_eq!(connections.cut_off().await, 4);
    assert!(next.iter_mut().all(|stream| rest(stream).is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_waiting_has_its_time() {
    let env = [
        ("QS_SERVER__HEADER_TIMEOUT", "1s"),
        ("QS_SERVER__IDLE_TIMEOUT", "1s"),
        ("QS_SERVER__WRITE_TIMEOUT", "1s"),
        ("QS_SERVER__BODY_TIMEOUT", "1s"),
    ];
    let server = Server::start(&[&env[..], &ACCOUNT].concat());
    let token = server.token().await;
    let mut silent = connect(&server, b"");
    let mut half = connect(&server, HALF);
    let mut idle = connect(&server, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    let late = format!(
        "POST /api/v1/plans HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 9\r\n\r\n{{"
    );
    let mut late = connect(&server, late.as_bytes());
    // More than the kernel keeps of a reply that nobody takes.
    let mut deaf = connect(&server, b"");
    deaf.set_nonblocking(true).unwrap();
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    let _ = deaf.write(&request);

    assert_eq!((rest(&mut silent), rest(&mut half)), (String::new(), String::new()));
    let reply = rest(&mut idle);
    assert!(reply.starts_with("HTTP/1.1 200 OK") && reply.ends_with('}'), "{reply}");
    let reply = rest(&mut late);
    assert!(reply.starts_with("HTTP/1.1 408 Request Timeout"), "{reply}");
    assert!(reply.contains(r#""code":110408"#) && reply.contains("within 1s"), "{reply}");
    assert!(reply.to_ascii_lowercase().contains("connection: close"), "{reply}");
    for phase in ["head", "idle", "stalled"] {
        until_metric(&server, &format!("qs_connections_timed_out_total{{phase=\"{phase}\"}}")).await;
    }
    assert_healthy(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_refused_before_it_costs_anything() {
    let server = Server::start(&[]);
    let before = resident(&server);
    let long = [HALF, &b"a".repeat(400_000)].concat();
    let mut refused: Vec<TcpStream> = (0..200).map(|_| connect(&server, &long)).collect();
    for stream in &mut refused {
        assert_eq!(status(stream), "431");
    }
    let grown = resident(&server).saturating_sub(before) >> 20;
    assert!(grown < 60, "{grown} MiB for 200 heads");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_before_the_body_and_reads_why() {
    let server = Server::start(&[]);
    // Announced, and never sent.
    let mut slow = connect(&server, b"POST /api/v1/plans HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n");
    assert_eq!(status(&mut slow), "401");
    // Sent, and not read: the refusal must not be lost with the rest of the body.
    for _ in 0..20 {
        let reply = server.send(Method::POST, "/api/v1/plans", &[], &"x".repeat(1_000_000)).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            reply.headers["connection"], "close",
            "its next request would be read as the rest of this one"
        );
        let token = [("authorization", "Bearer x")];
        let reply = server.send(Method::POST, "/api/v1/plans", &token, &"x".repeat(2_000_000)).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
}

/// Bytes of memory that the server has.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Raises the limit of descriptors of this process, if that suffices for so many.
fn can_open(descriptors: u64) -> bool {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let enough = maximum.is_none_or(|maximum| maximum >= descriptors);
    enough && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_half_open_connections_hold_nobody_up() {
    if !can_open(12_000) {
        skipped(
            "five_thousand_half_open_connections_hold_nobody_up (the limit of descriptors is below 12000)",
        );
        return;
    }
    let mut server = Server::start(&[]);
    assert_healthy(&server).await;
    let before = resident(&server);
    let mut half = Vec::new();
    for number in 0..5_000 {
        half.push(connect(&server, if number % 2 == 0 { HALF } else { b"" }));
        if number % 500 == 0 {
            assert_healthy(&server).await;
        }
    }
    until("all are open", async || {
        (metric(&server, r#"qs_connections{phase="head"}"#).await >= 5_000).then_some(())
    })
    .await;
    assert_healthy(&server).await;
    let grown = resident(&server).saturating_sub(before) >> 20;
    assert!(grown < 150, "{grown} MiB for 5000 connections");
    assert_ends_at_once(&mut server);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_lies_below_the_descriptors_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::launch_limited(dir, "ulimit -n 256", &["serve", "--dev-iam"], &[]);
    let _half: Vec<TcpStream> = (0..400).map(|_| connect(&server, HALF)).collect();
    for _ in 0..10 {
        assert_healthy(&server).await;
    }
    assert_eq!(metric(&server, "qs_accept_errors_total").await, 0, "{}", server.log());

    let asked = [("QS_SERVER__MAX_CONNECTIONS", "4000000000")];
    let (code, stderr) = refused(&["serve", "--dev-iam"], &asked);
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("server.max_connections: 4000000000 is too much"), "{stderr}");
    let (code, stderr) = refused(&["serve", "--dev-iam"], &[("QS_SERVER__MAX_CONNECTIONS", "1")]);
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("server.max_connections: must be at least 16"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_connections_waits_in_the_kernel() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if most.trim().parse::<u32>().unwrap() < 1_000 {
        skipped("a_burst_of_connections_waits_in_the_kernel (net.core.somaxconn is below 1000)");
        return;
    }
    let server = Server::start(&[]);
    server.signal("-STOP");
    let address = address(&server);
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(900));
    let waiting: Vec<_> = (0..600).map(|_| connect()).collect();
    server.signal("-CONT");
    assert_eq!(waiting.iter().filter(|stream| stream.is_err()).count(), 0);
    assert_healthy(&server).await;
}

/// A request whose body the server waits for.
async fn under_way(server: &Server) -> TcpStream {
    let token = server.token().await;
    let stream = connect(
        server,
        format!(
            "POST /api/v1/plans HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 2\r\n\r\n{{"
        )
        .as_bytes(),
    );
    until_metric(server, r#"qs_connections{phase="body"}"#).await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_server_closes_what_waits_and_ends_what_it_does() {
    let mut server = Server::start(&ACCOUNT);
    let mut half = connect(&server, HALF);
    let mut working = under_way(&server).await;
    server.signal("-TERM");
    assert_eq!(rest(&mut half), "");
    assert!(server.lives(), "it waits for the request");
    working.write_all(b"}").unwrap();
    let reply = rest(&mut working);
    assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains("connection: close"), "{reply}");
    assert_eq!(server.terminated().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        let mut server = Server::start(&ACCOUNT);
        let _working = under_way(&server).await;
        server.signal("-TERM");
        until("it is told", async || server.log().contains("may end").then_some(())).await;
        let begin = Instant::now();
        assert_eq!(server.terminate(signal).0, Some(code), "{}", server.log());
        assert!(begin.elapsed() < Duration::from_secs(10), "the grace is 30 s: {:?}", begin.elapsed());
        let said = server.log();
        assert!(said.contains("ended at once by a second signal"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_closed_ends_the_server_in_order() {
    let mut server = Server::start(&ACCOUNT);
    let mut working = under_way(&server).await;
    server.signal("-HUP");
    until("it is told", async || server.log().contains("may end").then_some(())).await;
    assert!(server.lives(), "it waits for the request");
    working.write_all(b"}").unwrap();
    assert!(rest(&mut working).starts_with("HTTP/1.1 400 "));
    assert_eq!(server.terminated().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_asks_for_nothing_here_ends_nothing() {
    let mut server = Server::start(&[]);
    for signal in ["-USR1", "-USR2", "-PIPE", "-ALRM", "-VTALRM", "-PROF", "-IO", "-PWR", "-XFSZ", "-CONT"] {
        server.signal(signal);
        assert_healthy(&server).await;
    }
    assert_ends_at_once(&mut server);
    // What the process was started to ignore stays ignored, as by nohup.
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::launch_limited(dir, "trap '' HUP", &["serve", "--dev-iam"], &[]);
    server.signal("-HUP");
    assert_healthy(&server).await;
    assert!(!server.log().contains("may end"), "{}", server.log());
    assert_ends_at_once(&mut server);
}

/// Asks for paths that make long lines in the log, until some of these were dropped.
async fn fill_the_log(server: &Server) {
    let path = format!("/{}", "x".repeat(8_000));
    for _ in 0..400 {
        let reply = server.send(Method::GET, &path, &[], "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
    assert!(metric(server, "qs_log_lines_dropped_total").await > 0);
    assert_healthy(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut server = Server::launch_to(writer, &["serve", "--dev-iam"], &[]);
    fill_the_log(&server).await;
    let begin = Instant::now();
    assert_eq!(server.terminate("-TERM").0, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    drop(reader);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_lost_is_told_in_it_when_somebody_reads_again() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut server = Server::launch_to(writer, &["serve", "--dev-iam"], &[("QS_LOG__LEVEL", "info")]);
    fill_the_log(&server).await;
    let dropped = metric(&server, "qs_log_lines_dropped_total").await;
    let read = std::thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        log
    });
    assert_eq!(server.terminate("-TERM").0, Some(0));
    let log = read.join().unwrap();
    let told = log.lines().find(|line| line.contains("lines of the log were dropped here")).unwrap();
    let lines: u64 = told.rsplit_once("lines=").unwrap().1.parse().unwrap();
    assert!(lines >= dropped, "{dropped}, and what came after: {told}");
    assert!(log.lines().last().unwrap().contains("stopped"), "the rest follows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_nobody_reads_ends_all_the_same() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&dir, &[("QS_SERVER__HEADER_TIMEOUT", "1ms")])
        .args(["serve", "--dev-iam"])
        .stderr(writer)
        .spawn()
        .unwrap();
    let ended = until("it ends", async || child.try_wait().unwrap()).await;
    assert_eq!(ended.code(), Some(78));
    drop(reader);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted() {
    let server = Server::start(&[]);
    let _half = connect(&server, HALF);
    until_metric(&server, r#"qs_connections{phase="head"}"#).await;
    assert!(metric(&server, "qs_connections_accepted_total").await >= 2);
    assert_eq!(metric(&server, "qs_connections_refused_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_read_is_counted() {
    let server = Server::start(&[]);
    for (sent, refused, reason) in [
        (&b"nonsense\r\n\r\n"[..], "400", "malformed"),
        (b"GET /health HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n", "400", "malformed"),
        (&[HALF, &b"a".repeat(40_000)].concat(), "431", "too_long"),
    ] {
        assert_eq!(status(&mut connect(&server, sent)), refused);
        until_metric(&server, &format!("qs_http_heads_refused_total{{reason=\"{reason}\"}}")).await;
    }
    let malformed = metric(&server, r#"qs_http_heads_refused_total{reason="malformed"}"#).await;
    assert_eq!(malformed, 2);
}
