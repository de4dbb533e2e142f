//! Why a request could not be sent, or brought no response.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

use rustls::AlertDescription;

use super::certificate::{certificate, identity};

use crate::domain::outcome::CallOutcome;

/// Most lines that the head of a response may have; a response with more is no answer.
pub(super) const MOST_HEADERS: usize = 256;

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
    /// A kind of proxy that there is not here.
    #[error(
        "{variable}: {scheme}:// proxies are not supported, expected http:// or https:// (hint: --no-proxy goes without)"
    )]
    ProxyKind {
        /// The variable.
        variable: &'static str,
        /// The scheme of the proxy's URL.
        scheme: String,
    },
    /// An entry of the list of what is reached without a proxy.
    #[error(
        "{variable}: {entry:?} is not understood, expected a name, an address or a network such as 10.0.0.0/8, perhaps with a port"
    )]
    NoProxy {
        /// The variable.
        variable: &'static str,
        /// The entry.
        entry: String,
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
    /// A setting does not allow a connection.
    Setting,
    /// The name was not found.
    Dns,
    /// No connection.
    Connect,
    /// No secure connection.
    Tls,
    /// The server wants a client certificate, or another one.
    Identity,
    /// What answers does not speak TLS, or not HTTP/1.1.
    Language,
    /// The proxy refuses to go on.
    Proxy,
    /// The proxy refuses whoever asks.
    ProxyIdentity,
    /// The deadline ended first.
    Deadline,
    /// The connection ended before an answer.
    Exchange,
}

/// What a failure to send means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nothing was processed, and nothing will be before a setting changes.
    Setting,
    /// Whoever answers is not the server that was meant.
    Protocol,
    /// Nothing was processed; later it may be.
    NeverSent,
    /// It may or may not have been processed.
    Unanswered,
}

impl fmt::Display for SendFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.step, self.sent) {
            (SendStep::Setting, _) => "no connection is possible",
            (SendStep::Dns, _) => "name not found",
            (SendStep::Connect, _) => "no connection",
            (SendStep::Tls, _) => "no secure connection",
            (SendStep::Identity, _) => "the server refuses the connection",
            (SendStep::Language, _) => "not the answer of an HTTP server",
            (SendStep::Proxy | SendStep::ProxyIdentity, _) => "the proxy refuses",
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
    /// Tells at which step the exchange failed. `asked` is whether the server wanted a client certificate, `own` the one
    /// that it was offered, `peer` the host that showed one.
    pub(super) fn of(
        error: &reqwest::Error,
        sent: bool,
        asked: bool,
        own: Option<&Path>,
        peer: &str,
    ) -> Self {
        let connecting = error.is_connect();
        let never = |step, detail| Self { step, sent: false, detail };
        if let Some(tls) = tls_cause(error) {
            return match tls {
                rustls::Error::AlertReceived(alert) if refuses(*alert) => {
                    let identity = Self::by_alert(*alert, own).filter(|_| asked);
                    identity.unwrap_or_else(|| never(SendStep::Tls, tls.to_string()))
                }
                rustls::Error::InvalidMessage(_) if connecting => never(
                    SendStep::Language,
                    format!("it does not speak TLS: {tls} (hint: http instead of https?)"),
                ),
                rustls::Error::InvalidCertificate(flaw) => never(SendStep::Tls, certificate(flaw, peer)),
                _ if connecting => never(SendStep::Tls, format!("{peer}: {tls}")),
                _ => Self { step: SendStep::Exchange, sent, detail: tls.to_string() },
            };
        }
        if connecting {
            let step = if error.is_dns() { SendStep::Dns } else { SendStep::Connect };
            return tunnel_cause(error).unwrap_or_else(|| never(step, root_cause(error)));
        }
        if let Some(flaw) = language_cause(error) {
            return Self { step: SendStep::Language, sent, detail: flaw };
        }
        let step = if error.is_timeout() { SendStep::Deadline } else { SendStep::Exchange };
        Self { step, sent, detail: root_cause(error) }
    }

    /// What a server says that refuses the client certificate, or that there is none; nothing for other alerts.
    pub(super) fn by_alert(alert: AlertDescription, own: Option<&Path>) -> Option<Self> {
        let step = SendStep::Identity;
        refuses(alert).then(|| Self { step, sent: false, detail: identity(alert, own) })
    }

    /// What a proxy says to the request itself.
    pub(super) fn by_proxy(detail: &str) -> Self {
        Self { step: SendStep::ProxyIdentity, sent: false, detail: detail.to_owned() }
    }

    /// The same with the name of the proxy that was in between.
    pub(super) fn through(mut self, proxy: Option<&str>) -> Self {
        if let Some(proxy) = proxy {
            let colon = if self.detail.is_empty() { "" } else { ": " };
            self.detail = format!("proxy {proxy}{colon}{}", self.detail);
        }
        self
    }

    /// What it means for the call.
    pub fn nature(&self) -> Nature {
        match self.step {
            SendStep::Setting | SendStep::Identity | SendStep::ProxyIdentity => Nature::Setting,
            SendStep::Language => Nature::Protocol,
            _ if self.sent => Nature::Unanswered,
            _ => Nature::NeverSent,
        }
    }
}

/// Alerts by which a server ends a handshake. With TLS 1.3 it may do so when the client thinks that the handshake is over
/// and has sent its request, which then nobody has read.
fn refuses(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure
            | Alert::DecryptError
            | Alert::IllegalParameter
            | Alert::MissingExtension
            | Alert::ProtocolVersion
            | Alert::InsufficientSecurity
            | Alert::UnrecognisedName
            | Alert::NoApplicationProtocol
    )
}

/// The TLS library's own words, which say which certificate was refused and why.
fn tls_cause(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| {
        let mut inner: &(dyn StdError + 'static) = cause;
        // An I/O error hides what it wraps from `source`, and is itself wrapped more than once.
        while let Some(io) = inner.downcast_ref::<std::io::Error>() {
            inner = io.get_ref()?;
        }
        inner.downcast_ref::<rustls::Error>()
    })
}

/// What the parser of HTTP says of bytes that are no response.
fn language_cause(error: &reqwest::Error) -> Option<String> {
    let hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>())?;
    let words = causes(error).last().map(ToString::to_string)?;
    // hyper has a method for it where it is built as a server, too, which a call is not.
    if words == "message head is too large" {
        return Some(format!("its head has more than {MOST_HEADERS} lines or is too long"));
    }
    // The error for bytes that come before the request has no other mark than its words.
    let early = words.contains("unexpected message");
    (hyper.is_parse() || early).then(|| {
        let early = if early { "it spoke before it was asked" } else { &words };
        format!("{early} (hint: is it the right port, and http where it must be https?)")
    })
}

/// What a proxy says instead of opening a tunnel.
fn tunnel_cause(error: &reqwest::Error) -> Option<SendFailure> {
    let words = causes(error).map(ToString::to_string).find(|words| words.starts_with("tunnel error: "))?;
    let said = words.trim_start_matches("tunnel error: ");
    let step = match said {
        "proxy authorization required" => SendStep::ProxyIdentity,
        "unsuccessful" => SendStep::Proxy,
        _ => return None,
    };
    let said = if step == SendStep::Proxy {
        "it opens no tunnel to the server"
    } else {
        "HTTP 407, it wants another user or password"
    };
    Some(SendFailure { step, sent: false, detail: said.to_owned() })
}

/// The last cause in the chain: the system's or the peer's own words, without the URL.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "unknown cause".to_owned(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
