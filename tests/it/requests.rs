//! Requests that HTTP/1.1 forbids, or that this server does not understand: refused with the status that says so, before
//! anything is done.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::support::apiserver::{ACCOUNT, Server};

/// What comes in reply to these bytes until the server closes or says no more.
fn exchange(server: &Server, sent: &str) -> String {
    let mut stream = TcpStream::connect(server.base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    String::from_utf8(reply).unwrap()
}

#[track_caller]
fn refused(server: &Server, sent: &str, status: u16, says: &str) {
    let reply = exchange(server, sent);
    let is_so = reply.starts_with(&format!("HTTP/1.1 {status} ")) && reply.contains(says);
    assert!(is_so, "{sent:?}: expected {status} with {says:?}, found {reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_its_host_once() {
    let server = Server::start(&[]);
    for lines in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: a@b\r\n", "Host: a/b\r\n"] {
        let sent = format!("GET /health HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
        refused(&server, &sent, 400, "host: ");
    }
    for lines in ["Host: a:80", "Host: [::1]:80", "Host:", "Host: 127.0.0.1"] {
        let sent = format!("GET /health HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n");
        assert!(exchange(&server, &sent).starts_with("HTTP/1.1 200 "), "{lines}");
    }
    // Which HTTP/1.0 did not know.
    assert!(exchange(&server, "GET /health HTTP/1.0\r\n\r\n").contains(" 200 OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_of_a_body_that_is_not_undone_is_refused() {
    let server = Server::start(&ACCOUNT);
    let token = server.token().await;
    let head = format!("POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    for (lines, status, says) in [
        ("Transfer-Encoding: gzip, chunked\r\n", 501, "transfer-encoding: "),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501, "transfer-encoding: "),
        ("Transfer-Encoding: chunked, chunked\r\n", 400, "transfer-encoding: "),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 400, "content-length: "),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n", 415, "content-encoding: "),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: identity, br\r\n", 415, "content-encoding: "),
    ] {
        refused(&server, &format!("{head}{lines}\r\n2\r\n{{}}\r\n0\r\n\r\n"), status, says);
    }
    // Understood: the empty plan is refused for what it lacks.
    for lines in
        ["Transfer-Encoding: Chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Encoding: identity\r\n"]
    {
        let sent = format!("{head}{lines}Connection: close\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
        refused(&server, &sent, 400, "scale_code");
    }
    let bearer = format!("Bearer {token}");
    let zipped = [("authorization", bearer.as_str()), ("content-encoding", "gzip")];
    for path in ["/api/v1/statistics/events", "/api/v1/statistics/sync/daily", "/api/v1/authn/login"] {
        let reply = server.send(Method::POST, path, &zipped, "{}").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, 110_415), "{reply:?}");
        assert_eq!(reply.headers["accept-encoding"], "identity");
    }
    let reply = server.send(Method::GET, "/api/v1/plans", &zipped, "").await;
    assert_eq!(reply.status, StatusCode::OK, "there is no body: {reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_not_asked_for() {
    let server = Server::start(&ACCOUNT);
    let token = server.token().await;
    let head = format!("POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    let large = format!("{head}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    refused(&server, &large, 413, "connection: close");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preference_may_have_parameters() {
    let server = Server::start(&ACCOUNT);
    let bearer = format!("Bearer {}", server.token().await);
    for (prefer, expected) in [
        ("respond-async;x=1", StatusCode::ACCEPTED),
        ("wait=10; a=\",\" ; b, Respond-Async ; x", StatusCode::ACCEPTED),
        ("respond-async=\"\"", StatusCode::ACCEPTED),
        ("x=\"a, respond-async\"", StatusCode::OK),
        ("respond-async-not", StatusCode::OK),
    ] {
        let headers = [("authorization", bearer.as_str()), ("prefer", prefer)];
        let path = "/api/v1/statistics/sync/accumulated";
        let reply = crate::support::wait::until("it is free", async || {
            let reply = server.send(Method::POST, path, &headers, "").await;
            (reply.status != StatusCode::CONFLICT).then_some(reply)
        });
        assert_eq!(reply.await.status, expected, "{prefer}");
    }
}
