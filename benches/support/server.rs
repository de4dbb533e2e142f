//! The server of the benchmarks: the same small reply to every authorised POST, over http and https, and a login that
//! grants the token. It is a process of its own, because a measuring process must stay small: a child's peak memory
//! begins with that of the process that started it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// First argument of the benchmark's own binary that makes it the server.
const SERVE: &str = "--serve";
/// The token that the login grants: as long as a small JWT, made of nothing.
pub(crate) const TOKEN: &str = "benchmark-token-00000000000000000000000000000000000000000000000000000000000000\
     00000000000000000000000000000000000000000000000000000000000000000000000000000000";
const LOGIN: &str = "/api/v1/authn/login";

/// The running server; it ends with this value.
pub(crate) struct Server {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Origin of the plain server.
    pub(crate) http: String,
    /// Origin of the TLS server.
    pub(crate) https: String,
}

impl Server {
    /// Starts the server; its CA certificate is `ca.pem` in `dir`.
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = process.stdin.take().context("standard input is a pipe")?;
        let mut answers = BufReader::new(process.stdout.take().context("standard output is a pipe")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let (http, https) = line.trim().split_once(' ').context("the server did not start")?;
        let (http, https) = (format!("http://{http}"), format!("https://{https}"));
        Ok(Self { process, questions, answers, http, https })
    }

    /// How many authorised calls there have been.
    pub(crate) fn authorised(&mut self) -> anyhow::Result<u64> {
        self.questions.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; there is nothing left to tell it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Whether this process was started as the server: then it serves until standard input ends.
pub(crate) fn served() -> anyhow::Result<bool> {
    let mut args = std::env::args_os().skip(1);
    match (args.next(), args.next()) {
        (Some(word), Some(dir)) if word == SERVE => serve(Path::new(&dir)).map(|()| true),
        _ => Ok(false),
    }
}

fn serve(dir: &Path) -> anyhow::Result<()> {
    let tls = tls(dir)?;
    let (plain, secure) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    let mut out = io::stdout().lock();
    writeln!(out, "{} {}", plain.local_addr()?, secure.local_addr()?)?;
    let calls = Arc::new(AtomicU64::new(0));
    for (listener, tls) in [(plain, None), (secure, Some(tls))] {
        let calls = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One client at a time is all there is; one that goes away has been answered.
                drop(connection(stream, tls.clone(), &calls));
            }
        });
    }
    for _ in io::stdin().lock().lines() {
        writeln!(out, "{}", calls.load(Ordering::SeqCst))?;
    }
    Ok(())
}

/// A CA, written to `dir`, and a leaf of it (ECDSA on P-256) for 127.0.0.1.
fn tls(dir: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a leaf of the same name as its CA for self-signed.
    params.distinguished_name.push(DnType::CommonName, "Benchmark CA");
    std::fs::write(dir.join("ca.pem"), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    Ok(Arc::new(config))
}

fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, calls: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    match tls {
        None => requests(stream, calls),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            requests(StreamOwned::new(connection, stream), calls)
        }
    }
}

/// Answers until the client closes the connection.
fn requests(stream: impl Read + Write, calls: &AtomicU64) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(": "))
                .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        reader.read_exact(&mut vec![0; length])?;
        let path = head.split(' ').nth(1).unwrap_or_default();
        let authorised =
            header("authorization").and_then(|value| value.strip_prefix("Bearer ")) == Some(TOKEN);
        let (status, body) = if path == LOGIN {
            let data = format!("{{\"access_token\":\"{TOKEN}\",\"expires_in\":86400}}");
            ("200 OK", format!("{{\"code\":0,\"message\":\"success\",\"data\":{data}}}"))
        } else if authorised && head.starts_with("POST ") {
            calls.fetch_add(1, Ordering::SeqCst);
            ("200 OK", "{\"code\":0,\"message\":\"success\",\"data\":{\"written\":3}}".to_owned())
        } else {
            ("401 Unauthorized", "{\"code\":100203,\"message\":\"not authorised\"}".to_owned())
        };
        let length = body.len();
        let reply = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let stream = reader.get_mut();
        stream.write_all(reply.as_bytes())?;
        stream.flush()?;
    }
}
