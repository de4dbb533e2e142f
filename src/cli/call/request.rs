//! A command line as an HTTP request: everything is checked before anything is sent.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::args::Command;
use super::settings::Settings;
use crate::cli::output::Failure;
use crate::client::{Request, address, trace};
use crate::crontab::invocation::Invocation;
use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::domain::nearest::nearest;

/// Headers that the call itself makes, or that would carry a secret on the public command line.
const REFUSED_HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
];

/// Largest body that is sent.
const LARGEST_BODY: u64 = 64 << 20;

/// Builds the request of a call.
///
/// # Errors
/// Usage (64), configuration (78), or a body file that is not there (66).
pub(super) fn build(
    invocation: &Invocation,
    settings: &Settings,
    run_id: ExecutionId,
) -> Result<Request, Failure> {
    let config = settings.config();
    let Some(endpoint) = invocation.endpoint.as_deref() else {
        return Err(
            Failure::new(Exit::Usage, "no endpoint and no command").with_hint("see qs-api-call --help")
        );
    };
    check_endpoint(endpoint)?;
    let base = address::base(&config.api.base_url.0, config.call.allow_plaintext)
        .map_err(|error| Failure::new(Exit::Config, format!("api.base_url: {error}")))?;
    let query = query(&invocation.query)?;
    let url = address::join(&base, endpoint, &query)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let method = method(&invocation.method())?;
    let has_body = matches!(method.as_str(), "POST" | "PUT" | "PATCH");
    let body = match &invocation.data {
        Some(data) => Some(body(data)?),
        // Some servers and proxies want a length, and some binders want a document.
        None => has_body.then(|| Bytes::from_static(b"{}")),
    };
    Ok(Request {
        method,
        url,
        headers: headers(&invocation.header)?,
        body,
        run_id,
        traceparent: trace::traceparent(settings.traceparent(), run_id, fastrand::u64(..)),
    })
}

/// A word that is no path is probably a mistyped command.
fn check_endpoint(endpoint: &str) -> Result<(), Failure> {
    if endpoint.starts_with('/') {
        return Ok(());
    }
    let failure =
        Failure::new(Exit::Usage, format!("endpoint {endpoint:?}: expected a path that begins with /"));
    let command = nearest(endpoint, Command::NAMES);
    Err(match (command, endpoint.contains("://")) {
        (Some(command), _) => failure.with_hint(format!("did you mean the command `{command}`?")),
        (None, true) => failure.with_hint("the host belongs into API_BASE_URL or api.base_url"),
        (None, false) => failure.with_hint("for example /api/v1/statistics/sync/daily"),
    })
}

impl Command {
    /// Every command.
    pub const NAMES: [&'static str; 8] =
        ["token", "check", "status", "history", "explain", "config", "completions", "man"];
}

fn method(name: &str) -> Result<Method, Failure> {
    Method::from_bytes(name.as_bytes()).ok().filter(|method| *method != Method::CONNECT).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("--method {name:?}: expected POST, GET, PUT, PATCH, DELETE, HEAD or OPTIONS"),
        )
    })
}

fn query(pairs: &[String]) -> Result<Vec<(String, String)>, Failure> {
    pairs
        .iter()
        .map(|pair| {
            pair.split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .ok_or_else(|| Failure::new(Exit::Usage, format!("--query {pair:?}: expected KEY=VALUE")))
        })
        .collect()
}

fn headers(lines: &[String]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in lines {
        // The value is not repeated in the error: it may be what should not have been written here.
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = name.trim();
        let refuse = |message: String| Failure::new(Exit::Usage, message);
        if REFUSED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(refuse(format!("--header {name}: made by the call itself, or a secret"))
                .with_hint("the command line of a process is public; the token comes from the token file"));
        }
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value.trim()).ok());
        match parsed {
            Some((name, value)) if line.contains(':') => headers.append(name, value),
            _ => return Err(refuse(format!("--header {name:?}: expected 'NAME: VALUE'"))),
        };
    }
    Ok(headers)
}

/// A JSON text, `@FILE`, or `@-` for standard input.
fn body(data: &str) -> Result<Bytes, Failure> {
    let (text, what) = match data.strip_prefix('@') {
        Some("-") => (read(std::io::stdin().lock(), "standard input")?, "standard input".to_owned()),
        Some(path) => (read_file(Path::new(path))?, path.to_owned()),
        None => (data.as_bytes().to_vec(), "--data".to_owned()),
    };
    match serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(Bytes::from(text)),
        Err(error) => Err(Failure::new(Exit::Usage, format!("{what}: expected JSON: {error}"))
            .with_hint("quote it for the shell, or write it to a file and give --data @FILE")),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = std::fs::File::open(path)
        .map_err(|error| Failure::new(Exit::NoInput, format!("--data @{}: {error}", path.display())))?;
    read(file, &path.display().to_string())
}

fn read(source: impl Read, what: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    source
        .take(LARGEST_BODY + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(Exit::Io, format!("{what}: {error}")))?;
    if bytes.len() as u64 > LARGEST_BODY {
        return Err(Failure::new(Exit::Usage, format!("{what}: longer than 64 MiB")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_would_betray_a_secret_is_refused_without_repeating_it() {
        for line in ["Authorization: Bearer hunter2", "cookie: hunter2", "Host: x"] {
            let failure = headers(&[line.to_owned()]).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(!failure.message.contains("hunter2"));
        }
        for line in ["no colon", "bad name: x", ": x", "X: a\nb"] {
            assert!(headers(&[line.to_owned()]).is_err(), "{line:?}");
        }
        let fine = headers(&["X-Org: 1".to_owned(), "Prefer: respond-async".to_owned()]).unwrap();
        assert_eq!(
            (&fine["x-org"], &fine["prefer"]),
            (&HeaderValue::from_static("1"), &HeaderValue::from_static("respond-async"))
        );
    }

    #[test]
    fn a_body_is_json_from_the_line_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("body.json");
        std::fs::write(&path, "{\"a\": 1}\n").unwrap();
        assert_eq!(body(&format!("@{}", path.display())).unwrap(), "{\"a\": 1}\n");
        assert_eq!(body("[1]").unwrap(), "[1]");
        assert_eq!(body("{a:1}").unwrap_err().exit, Exit::Usage);
        assert_eq!(body("@/nonexistent").unwrap_err().exit, Exit::NoInput);
    }

    #[test]
    fn a_mistyped_command_is_recognised() {
        let hint = |word| check_endpoint(word).unwrap_err().hint.unwrap();
        assert_eq!(hint("statsu"), "did you mean the command `status`?");
        assert_eq!(hint("http://x/y"), "the host belongs into API_BASE_URL or api.base_url");
        assert!(hint("api/v1").contains("for example"));
    }
}
