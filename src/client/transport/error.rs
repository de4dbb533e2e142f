//! Why a request could not be sent, or brought no response.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;

use crate::domain::outcome::CallOutcome;

/// A file or proxy setting that connections cannot be made with. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A PEM file cannot be read.
    #[error("{what} {}: {source}", path.display())]
    Unreadable {
        /// What it is for.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A PEM file does not hold what it should.
    #[error("{what} {}: {reason}", path.display())]
    Invalid {
        /// What it is for.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The proxy setting is no URL. It is not shown, since it may hold a password.
    #[error("{variable}: expected the URL of a proxy")]
    Proxy {
        /// The variable.
        variable: &'static str,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[source] reqwest::Error),
}

impl TransportError {
    /// What a call comes to that cannot be sent.
    pub fn outcome(&self) -> CallOutcome {
        match self {
            Self::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                CallOutcome::NoInput
            }
            Self::Client(_) => CallOutcome::Internal,
            _ => CallOutcome::Misconfigured,
        }
    }
}

/// Why a request brought no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFailure {
    /// At which step.
    pub step: SendStep,
    /// Whether any byte of the request may have left. `false` is certain, `true` is caution.
    pub sent: bool,
    /// The cause, without URL and without secrets.
    pub detail: String,
}

/// The step of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStep {
    /// The name was not found.
    Dns,
    /// No connection.
    Connect,
    /// No secure connection.
    Tls,
    /// The deadline ended first.
    Deadline,
    /// The connection ended before an answer.
    Exchange,
}

impl fmt::Display for SendFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.step, self.sent) {
            (SendStep::Dns, _) => "name not found",
            (SendStep::Connect, _) => "no connection",
            (SendStep::Tls, _) => "no secure connection",
            (SendStep::Deadline, false) => "deadline before the request was sent",
            (SendStep::Deadline, true) => "no answer before the deadline",
            (SendStep::Exchange, false) => "connection lost before the request was sent",
            (SendStep::Exchange, true) => "connection lost after the request was sent",
        };
        f.write_str(what)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl SendFailure {
    /// Tells at which step the exchange failed.
    pub(super) fn of(error: &reqwest::Error, sent: bool) -> Self {
        let (connecting, tls) = (error.is_connect(), tls_cause(error));
        let step = if error.is_dns() {
            SendStep::Dns
        } else if connecting && tls.is_some() {
            SendStep::Tls
        } else if connecting {
            SendStep::Connect
        } else if error.is_timeout() {
            SendStep::Deadline
        } else {
            SendStep::Exchange
        };
        Self { step, sent: sent && !connecting, detail: tls.unwrap_or_else(|| root_cause(error)) }
    }
}

/// The TLS library's own words, which say which certificate was refused and why.
fn tls_cause(error: &reqwest::Error) -> Option<String> {
    causes(error).find_map(|cause| {
        let mut inner: &(dyn StdError + 'static) = cause;
        // An I/O error hides what it wraps from `source`, and is itself wrapped more than once.
        while let Some(io) = inner.downcast_ref::<std::io::Error>() {
            inner = io.get_ref()?;
        }
        inner.downcast_ref::<rustls::Error>().map(ToString::to_string)
    })
}

/// The last cause in the chain: the system's or the peer's own words, without the URL.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "unknown cause".to_owned(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
