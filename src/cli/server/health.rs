//! `health`: asks the running server whether it is ready. The answer is the exit code, the reason is one line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::cli::output::{Failure, Output};
use crate::client::reply::Reply;
use crate::client::transport::{Outgoing, Transport, TransportOptions};
use crate::config::Env;
use crate::domain::duration;
use crate::domain::exit::Exit;

/// Longest answer that is read; the one that is expected is far shorter.
const LONGEST: u64 = 64 << 10;

/// `health`
#[derive(Debug, Args)]
#[group(skip)]
pub(in crate::cli) struct Health {
    /// Where the server is; /ready is appended [default: server.addr, a wildcard on loopback]
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    /// How long it may take; of a store that hangs the server tells after 2s
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration::parse)]
    timeout: Duration,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// What was found.
struct Found {
    /// The status of the answer, if there was one.
    status: Option<u16>,
    /// What the server says of each of its stores.
    checks: Map<String, Value>,
    /// Why it is not ready.
    reason: Option<String>,
}

/// What `/ready` says.
#[derive(Deserialize)]
struct Ready {
    status: String,
    checks: Map<String, Value>,
}

impl Health {
    /// Asks once, at the address of the configuration unless another is named.
    ///
    /// # Errors
    /// An address that cannot be asked (78), a server that is not there or not ready (75).
    pub(in crate::cli) fn run(
        self,
        configured: impl FnOnce() -> Result<SocketAddr, Failure>,
        env: &Env,
        output: Output,
    ) -> Result<(), Failure> {
        let url = match &self.url {
            Some(text) => of_option(text)?,
            None => of_listener(configured()?)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Internal, format!("cannot start the runtime: {error}")))?;
        let began = Instant::now();
        let found = runtime.block_on(ask(&url, self.timeout, env, output.program))?;
        let ready = found.reason.is_none();
        if self.json {
            output.json(&json!({
                "ready": ready,
                "url": url.as_str(),
                "status": found.status,
                "checks": found.checks,
                "reason": found.reason,
                "duration_ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            }))?;
        } else if ready {
            output.data("ready")?;
        }
        match found.reason {
            None => Ok(()),
            Some(reason) => Err(Failure::new(Exit::TryLater, format!("{url}: {reason}"))),
        }
    }
}

/// What is asked of the server that `--url` names.
fn of_option(text: &str) -> Result<Url, Failure> {
    let wrong = |reason: &str| Failure::new(Exit::Usage, format!("--url: {reason}"));
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("expected http://HOST:PORT or https://HOST:PORT"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("/ready needs no account; an address must not carry one"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = format!("{}/ready", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// Where a server that listens there can be asked from its own machine.
fn of_listener(addr: SocketAddr) -> Result<Url, Failure> {
    if addr.port() == 0 {
        let message = "server.addr: port 0 is another one at every start";
        return Err(Failure::new(Exit::Config, message).with_hint("name the server with --url"));
    }
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let addr = SocketAddr::new(ip, addr.port());
    Url::parse(&format!("http://{addr}/ready"))
        .map_err(|error| Failure::new(Exit::Config, format!("server.addr: {addr}: {error}")))
}

/// # Errors
/// Only when nothing can be asked at all: the trusted CAs cannot be read.
async fn ask(url: &Url, timeout: Duration, env: &Env, program: &str) -> Result<Found, Failure> {
    let transport = Transport::new(TransportOptions {
        connect_timeout: timeout,
        max_body: LONGEST,
        ssl_cert_file: env.get("SSL_CERT_FILE").map(PathBuf::from),
        ..TransportOptions::default()
    });
    transport.client(url).await.map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    let outgoing = Outgoing::bare(Method::GET, url.clone(), HeaderMap::new());
    let deadline = tokio::time::Instant::now() + timeout;
    Ok(match transport.send(outgoing, deadline).await {
        Ok(reply) => judge(&reply, program),
        Err(failure) => {
            Found { status: None, checks: Map::new(), reason: Some(format!("not reachable: {failure}")) }
        }
    })
}

/// Ready is what says so itself: another server on that port is not.
fn judge(reply: &Reply, program: &str) -> Found {
    let status = Some(reply.status);
    let Ok(Ready { status: word, checks }) = serde_json::from_slice(&reply.body) else {
        let reason = format!("HTTP {} without the answer of {program}", reply.status);
        return Found { status, checks: Map::new(), reason: Some(reason) };
    };
    let missing: Vec<String> = checks
        .iter()
        .filter(|(_, answer)| *answer != "ok")
        .map(|(name, answer)| format!("{name} {}", answer.as_str().unwrap_or("unknown")))
        .collect();
    let reason = match (reply.status, word.as_str(), missing.is_empty()) {
        (200, "ready", true) => None,
        (_, _, false) => Some(format!("not ready: {}", missing.join(", "))),
        (code, word, true) => Some(format!("not ready: HTTP {code}, {word}")),
    };
    Found { status, checks, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(status: u16, body: &str) -> Option<String> {
        judge(&Reply::of(status, "application/json", body), "qs-apiserver").reason
    }

    #[test]
    fn ready_is_only_what_says_so() {
        let ok = r#"{"status":"ready","checks":{"store":"ok","counters":"ok"}}"#;
        assert_eq!(reason(200, ok), None);
        for (status, body, expected) in [
            (503, ok, "not ready: HTTP 503, ready"),
            (
                503,
                r#"{"status":"not ready","checks":{"store":"ok","counters":"unreachable"}}"#,
                "not ready: counters unreachable",
            ),
            (
                200,
                r#"{"status":"ready","checks":{"store":"unreachable","counters":"unreachable"}}"#,
                "not ready: store unreachable, counters unreachable",
            ),
            (200, r#"{"status":"healthy"}"#, "HTTP 200 without the answer of qs-apiserver"),
            (200, "<html>Welcome to nginx!</html>", "HTTP 200 without the answer of qs-apiserver"),
            (404, "", "HTTP 404 without the answer of qs-apiserver"),
        ] {
            assert_eq!(reason(status, body).as_deref(), Some(expected), "{status} {body}");
        }
    }

    #[test]
    fn a_listener_is_asked_where_it_can_be_reached() {
        for (addr, asked) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/ready"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080/ready"),
            ("[::]:80", "http://[::1]/ready"),
            ("10.1.2.3:9000", "http://10.1.2.3:9000/ready"),
        ] {
            assert_eq!(of_listener(addr.parse().unwrap()).unwrap().as_str(), asked);
        }
        assert_eq!(of_listener("0.0.0.0:0".parse().unwrap()).unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn a_url_names_the_server_and_not_the_question() {
        for (url, asked) in [
            ("http://qs:8080", "http://qs:8080/ready"),
            ("https://example.com/qs/?x=1", "https://example.com/qs/ready"),
        ] {
            assert_eq!(of_option(url).unwrap().as_str(), asked);
        }
        for url in ["qs:8080", "ftp://qs", "unix:/run/qs", "http://amy:secret@qs", ""] {
            let failure = of_option(url).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{url}");
            assert!(!failure.message.contains("secret"), "{failure:?}");
        }
    }
}
