//! The line of a call as an HTTP request: everything is checked before anything is sent.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;
use uuid::Uuid;

use super::address::{self, AddressError};
use super::departure::Departure;
use super::transport::Outgoing;
use crate::config::call::CallConfig;
use crate::crontab::invocation::Invocation;
use crate::domain::id::ExecutionId;
use crate::domain::outcome::CallOutcome;
use crate::domain::trace;
use crate::secret::Secret;

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

/// Longest address that the HTTP library takes.
const LONGEST_URL: usize = 65_534;

/// What is called.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Whole address.
    pub url: Url,
    /// Further headers; they win over the ones made here, except `Authorization`.
    pub headers: HeaderMap,
    /// Body; none for methods without one, and with `--no-body`.
    pub body: Option<Bytes>,
    /// Its type.
    pub content_type: HeaderValue,
    /// Request id of every attempt, and its idempotency key where no scheduler has another.
    pub run_id: ExecutionId,
    /// Trace context.
    pub traceparent: String,
    /// Whether an accepted call is followed to its end.
    pub wait: bool,
    /// Whether the bytes of the reply are wanted as they came.
    pub keeps_reply: bool,
    /// Whether a byte of any attempt may have left.
    pub departure: Departure,
    /// The execution of a scheduler that this is an attempt of, if it is one.
    pub attempt: Option<Attempt>,
}

/// Why a line is no call that can be made. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The line names no endpoint.
    #[error("no endpoint and no command")]
    NoEndpoint,
    /// The endpoint is no path.
    #[error("endpoint {0:?}: expected a path that begins with /")]
    NoPath(String),
    /// The endpoint is no path that can be called.
    #[error(transparent)]
    Endpoint(AddressError),
    /// The server's address is not usable.
    #[error("api.base_url: {0}")]
    Base(#[source] AddressError),
    /// Longer than a request can be.
    #[error(
        "the address is {0} bytes long: at most {LONGEST_URL} can be sent (hint: POST can send a body, by --data)"
    )]
    LongUrl(usize),
    /// The method is none.
    #[error("--method {0:?}: expected POST, GET, PUT, PATCH, DELETE, HEAD or OPTIONS")]
    Method(String),
    /// A query parameter without `=`.
    #[error("--query {0:?}: expected KEY=VALUE")]
    Query(String),
    /// A header that the call makes itself, or a secret. Its value is not shown.
    #[error("--header {0}: made by the call itself, or a secret")]
    RefusedHeader(String),
    /// A header that cannot be read. Its value is not shown: it may be what should not have been written there.
    #[error("--header {0:?}: expected 'NAME: VALUE'")]
    Header(String),
    /// The type of the body is named twice.
    #[error("--content-type: a --header names the type too")]
    TwoTypes,
    /// The body is no JSON.
    #[error("{what}: expected JSON: {source}")]
    NotJson {
        /// Where the body is from.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The body is too long.
    #[error("{0}: longer than 64 MiB")]
    LongBody(String),
    /// The file of the body cannot be opened.
    #[error("--data @{}: {source}", path.display())]
    NoBodyFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The body cannot be read to its end.
    #[error("{what}: {source}")]
    Unreadable {
        /// Where the body is from.
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl RequestError {
    /// What a call comes to that cannot be made.
    pub fn outcome(&self) -> CallOutcome {
        match self {
            Self::Base(_) => CallOutcome::Misconfigured,
            Self::NoBodyFile { .. } => CallOutcome::NoInput,
            Self::Unreadable { .. } => CallOutcome::Io,
            _ => CallOutcome::Usage,
        }
    }
}

/// An attempt of an execution, as a scheduler tells its target of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The idempotency key: the same in every attempt of the execution.
    pub key: Uuid,
    /// Which attempt it is.
    pub number: u32,
    /// For which time the execution was planned, if it was.
    pub scheduled_for: Option<Timestamp>,
}

impl Attempt {
    fn tell(&self, execution: &str, headers: &mut HeaderMap) {
        tell(headers, "x-execution-id", execution);
        tell(headers, "x-attempt", &self.number.to_string());
        if let Some(time) = self.scheduled_for {
            tell(headers, "x-scheduled-for", &time.to_string());
        }
    }
}

impl Request {
    /// The request that `invocation` describes; `parent` is the `traceparent` that it continues.
    ///
    /// # Errors
    /// What is wrong with the line, the configured address, or the file of the body.
    pub fn new(
        invocation: &Invocation,
        config: &CallConfig,
        run_id: ExecutionId,
        parent: Option<&str>,
    ) -> Result<Self, RequestError> {
        let endpoint = invocation.endpoint.as_deref().ok_or(RequestError::NoEndpoint)?;
        if !endpoint.starts_with('/') {
            return Err(RequestError::NoPath(endpoint.to_owned()));
        }
        let base =
            address::base(&config.api.base_url.0, config.call.allow_plaintext).map_err(RequestError::Base)?;
        let query = query(&invocation.query)?;
        let url = address::join(&base, endpoint, &query).map_err(RequestError::Endpoint)?;
        if url.as_str().len() > LONGEST_URL {
            return Err(RequestError::LongUrl(url.as_str().len()));
        }
        let method = method(invocation.method())?;
        let has_body = matches!(method.as_str(), "POST" | "PUT" | "PATCH") && !invocation.no_body;
        let body = match &invocation.data {
            Some(data) => Some(body(data, invocation.sends_json())?),
            // Some servers and proxies want a length, and some binders want a document.
            None => has_body.then(|| Bytes::from_static(b"{}")),
        };
        let headers = headers(&invocation.header)?;
        let content_type = match &invocation.content_type {
            None => HeaderValue::from_static("application/json"),
            Some(_) if headers.contains_key(CONTENT_TYPE) => return Err(RequestError::TwoTypes),
            Some(given) => HeaderValue::from_str(given)
                .map_err(|_| RequestError::Header(format!("Content-Type: {given}")))?,
        };
        Ok(Self {
            method,
            url,
            headers,
            body,
            content_type,
            run_id,
            traceparent: trace::traceparent(parent, run_id, fastrand::u64(..)),
            wait: invocation.wait,
            keeps_reply: invocation.output.is_some(),
            departure: Departure::default(),
            attempt: None,
        })
    }

    /// The request on the wire, with a token if there is one; the same run id in every attempt, so that a repeat is known
    /// for a repeat.
    pub fn outgoing(&self, token: Option<&Secret>) -> Outgoing {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, self.content_type.clone());
        }
        let run_id = self.run_id.to_string();
        if let Some(attempt) = &self.attempt {
            attempt.tell(&run_id, &mut headers);
        }
        // The draft's value is a structured-field string, hence the quotes.
        let key = self.attempt.as_ref().map_or_else(|| run_id.clone(), |attempt| attempt.key.to_string());
        tell(&mut headers, "idempotency-key", &format!("\"{key}\""));
        tell(&mut headers, "x-request-id", &run_id);
        tell(&mut headers, "traceparent", &self.traceparent);
        // What is given takes the place of what is made, and what is given twice is sent twice.
        headers.extend(self.headers.clone());
        if let Some(token) = token {
            authorize(&mut headers, token);
        }
        let (body, departure) = (self.body.clone(), self.departure.clone());
        Outgoing { body, departure, ..Outgoing::bare(self.method.clone(), self.url.clone(), headers) }
    }
}

/// Adds a header that is made here.
fn tell(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Adds the token. It is ASCII without control characters, checked where it is read.
pub fn authorize(headers: &mut HeaderMap, token: &Secret) {
    if let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
}

fn method(name: String) -> Result<Method, RequestError> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok(method),
        _ => Err(RequestError::Method(name)),
    }
}

fn query(pairs: &[String]) -> Result<Vec<(String, String)>, RequestError> {
    let split = |pair: &String| {
        let (key, value) = pair.split_once('=').ok_or_else(|| RequestError::Query(pair.clone()))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    pairs.iter().map(split).collect()
}

fn headers(lines: &[String]) -> Result<HeaderMap, RequestError> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = name.trim();
        if REFUSED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(RequestError::RefusedHeader(name.to_owned()));
        }
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.trim())) {
            (Ok(name), Ok(value)) if line.contains(':') => headers.append(name, value),
            _ => return Err(RequestError::Header(name.to_owned())),
        };
    }
    Ok(headers)
}

/// A text, `@FILE`, or `@-` for standard input; where it must be JSON, it is checked and sent as it is.
fn body(data: &str, json: bool) -> Result<Bytes, RequestError> {
    let (text, what) = match data.strip_prefix('@') {
        Some("-") => (read(io::stdin().lock(), "standard input")?, "standard input"),
        Some(path) => (read_file(Path::new(path))?, path),
        None => (data.as_bytes().to_vec(), "--data"),
    };
    if !json {
        return Ok(Bytes::from(text));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(Bytes::from(text)),
        Err(source) => Err(RequestError::NotJson { what: what.to_owned(), source }),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, RequestError> {
    let file = std::fs::File::open(path)
        .map_err(|source| RequestError::NoBodyFile { path: path.to_owned(), source })?;
    read(file, &path.display().to_string())
}

fn read(source: impl Read, what: &str) -> Result<Vec<u8>, RequestError> {
    let mut bytes = Vec::new();
    source
        .take(LARGEST_BODY + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| RequestError::Unreadable { what: what.to_owned(), source })?;
    if bytes.len() as u64 > LARGEST_BODY {
        return Err(RequestError::LongBody(what.to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_would_betray_a_secret_is_refused_without_repeating_it() {
        for line in ["Authorization: Bearer hunter2", "cookie: hunter2", "Host: x"] {
            let error = headers(&[line.to_owned()]).unwrap_err();
            assert_eq!(error.outcome(), CallOutcome::Usage);
            assert!(!error.to_string().contains("hunter2"));
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
        assert_eq!(body(&format!("@{}", path.display()), true).unwrap(), "{\"a\": 1}\n");
        assert_eq!(body("[1]", true).unwrap(), "[1]");
        assert_eq!(body("{a:1}", true).unwrap_err().outcome(), CallOutcome::Usage);
        assert_eq!(body("{a:1}", false).unwrap(), "{a:1}");
        assert_eq!(body("@/nonexistent", true).unwrap_err().outcome(), CallOutcome::NoInput);
    }
}
