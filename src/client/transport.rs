//! One request on the wire: who is trusted, through which proxy, until when, and whether a byte of it has left.

use std::error::Error as StdError;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, NoProxy, Proxy};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::debug;
use url::Url;

use super::reply::{BodyEnd, Reply};
use crate::domain::host::is_loopback;
use crate::secret::file::{SecretFileError, SecretFiles};

/// Where Linux distributions keep the bundle of trusted CAs, most common first.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// How connections are made.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// Deadline of TCP and TLS set-up.
    pub connect_timeout: Duration,
    /// Most bytes of a reply that are read.
    pub max_body: u64,
    /// CA bundle instead of the system's.
    pub cacert: Option<PathBuf>,
    /// CA bundle of the environment (`SSL_CERT_FILE`), when `cacert` is not set.
    pub ssl_cert_file: Option<PathBuf>,
    /// Client certificate chain and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Proxy for https targets.
    pub https_proxy: Option<String>,
    /// Proxy for http targets.
    pub http_proxy: Option<String>,
    /// Hosts, suffixes and networks that are reached directly.
    pub no_proxy: Option<String>,
    /// Accept a client key that others may read.
    pub allow_insecure_permissions: bool,
    /// `$CREDENTIALS_DIRECTORY`: a client key in it may be shown as readable by a group.
    pub credentials_directory: Option<PathBuf>,
}

/// A file or proxy setting that connections cannot be made with. Nothing has been sent.
#[derive(Debug)]
pub enum TransportError {
    /// A PEM file cannot be read.
    Unreadable {
        /// What it is for.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A PEM file does not hold what it should.
    Invalid {
        /// What it is for.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The proxy setting is no URL. It is not shown, since it may hold a password.
    Proxy {
        /// The variable.
        variable: &'static str,
    },
    /// The HTTP client cannot be built.
    Client(reqwest::Error),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportError::Unreadable { what, path, source } => {
                write!(f, "{what} {}: {source}", path.display())
            }
            TransportError::Invalid { what, path, reason } => {
                write!(f, "{what} {}: {reason}", path.display())
            }
            TransportError::Proxy { variable } => write!(f, "{variable}: expected the URL of a proxy"),
            TransportError::Client(error) => write!(f, "the HTTP client cannot be built: {error}"),
        }
    }
}

impl StdError for TransportError {}

/// Why a request brought no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFailure {
    /// At which step.
    pub step: Step,
    /// Whether any byte of the request may have left. `false` is certain, `true` is caution.
    pub sent: bool,
    /// The cause, without URL and without secrets.
    pub detail: String,
}

/// The step of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
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
            (Step::Dns, _) => "name not found",
            (Step::Connect, _) => "no connection",
            (Step::Tls, _) => "no secure connection",
            (Step::Deadline, false) => "deadline before the request was sent",
            (Step::Deadline, true) => "no answer before the deadline",
            (Step::Exchange, false) => "connection lost before the request was sent",
            (Step::Exchange, true) => "connection lost after the request was sent",
        };
        f.write_str(what)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// A request that is ready to go.
#[derive(Debug)]
pub struct Outgoing {
    /// Method.
    pub method: Method,
    /// Address.
    pub url: Url,
    /// Headers; secrets among them are marked sensitive.
    pub headers: HeaderMap,
    /// Body; none for methods without one.
    pub body: Option<Bytes>,
}

/// Makes connections: one client for plain http, one for https, each built when first needed, since reading the
/// trusted CAs costs more than a whole call over plain http.
pub struct Transport {
    options: TransportOptions,
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
}

impl Transport {
    /// A transport that connects as `options` say.
    pub fn new(options: TransportOptions) -> Self {
        Self { options, plain: OnceCell::new(), secure: OnceCell::new() }
    }

    /// Builds the client that `url` needs, so that a wrong certificate file or proxy is found before anything is sent.
    ///
    /// # Errors
    /// The file or setting that is wrong.
    pub async fn client(&self, url: &Url) -> Result<&Client, TransportError> {
        let secure = url.scheme() == "https";
        let cell = if secure { &self.secure } else { &self.plain };
        cell.get_or_try_init(|| async { self.build(secure) }).await
    }

    /// Sends one request and reads its response until `deadline`. Redirects are not followed.
    ///
    /// # Errors
    /// Why there is no response at all; a response whose body was cut is a [`Reply`].
    pub async fn send(&self, outgoing: Outgoing, deadline: Instant) -> Result<Reply, SendFailure> {
        let client = self.client(&outgoing.url).await.map_err(|error| SendFailure {
            step: Step::Connect,
            sent: false,
            detail: error.to_string(),
        })?;
        let has_body = outgoing.body.is_some();
        // A request without a body has no moment at which its sending can be seen: caution calls it sent.
        let sent = Arc::new(AtomicBool::new(!has_body));
        let mut request = client.request(outgoing.method, outgoing.url).headers(outgoing.headers);
        if let Some(data) = outgoing.body {
            request =
                request.body(reqwest::Body::wrap(Tracked { data: Some(data), sent: Arc::clone(&sent) }));
        }
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => {
                let reply = self.read(response, deadline).await;
                let (status, content_type) = (u64::from(reply.status), reply.content_type.as_deref());
                debug!(status, content_type, bytes = reply.body.len(), end = ?reply.end, "Reply received");
                Ok(reply)
            }
            Ok(Err(error)) => Err(explain(&error, sent.load(Ordering::SeqCst))),
            Err(_) => Err(SendFailure {
                step: Step::Deadline,
                sent: sent.load(Ordering::SeqCst),
                detail: String::new(),
            }),
        }
    }

    async fn read(&self, mut response: reqwest::Response, deadline: Instant) -> Reply {
        let text = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
                .map(str::to_owned)
        };
        let content_type = text(CONTENT_TYPE)
            .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let (location, retry_after) = (text(LOCATION), text(RETRY_AFTER));
        let mut body = Vec::new();
        let end = loop {
            match tokio::time::timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let room = usize::try_from(self.options.max_body).unwrap_or(usize::MAX) - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break BodyEnd::OverCap(self.options.max_body);
                    }
                }
                Ok(Ok(None)) => break BodyEnd::Whole,
                Ok(Err(error)) => break BodyEnd::Cut(root_cause(&error)),
                Err(_) => break BodyEnd::Cut("deadline".to_owned()),
            }
        };
        Reply { status: response.status().as_u16(), content_type, location, retry_after, body, end }
    }

    fn build(&self, secure: bool) -> Result<Client, TransportError> {
        let mut builder = Client::builder()
            .user_agent(concat!("qs-api-call/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.options.connect_timeout)
            .pool_max_idle_per_host(0)
            // Every exchange has its own deadline: the kernel need not watch the connection as well.
            .tcp_keepalive(None)
            .http1_only()
            .no_proxy()
            .tls_backend_preconfigured(if secure { self.tls()? } else { no_tls()? });
        if let Some(proxy) = self.proxy(secure)? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(TransportError::Client)
    }

    fn proxy(&self, secure: bool) -> Result<Option<Proxy>, TransportError> {
        let (url, variable) = if secure {
            (&self.options.https_proxy, "HTTPS_PROXY")
        } else {
            (&self.options.http_proxy, "http_proxy")
        };
        let Some(url) = url else { return Ok(None) };
        let proxy = if secure { Proxy::https(url) } else { Proxy::http(url) };
        let direct = self.options.no_proxy.clone().unwrap_or_default();
        let direct = NoProxy::from_string(&format!("localhost,127.0.0.0/8,::1,{direct}"));
        proxy.map(|proxy| Some(proxy.no_proxy(direct))).map_err(|_| TransportError::Proxy { variable })
    }

    fn tls(&self) -> Result<ClientConfig, TransportError> {
        let builder = versions()?.with_root_certificates(self.roots()?);
        let Some((cert, key)) = &self.options.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates("client certificate", cert)?;
        let invalid =
            |reason: String| TransportError::Invalid { what: "client key", path: key.clone(), reason };
        let pem = self.read_key(key)?;
        let der = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| invalid("no PEM private key in it".to_owned()))?;
        builder
            .with_client_auth_cert(chain, der)
            .map_err(|error| invalid(format!("does not fit the certificate {}: {error}", cert.display())))
    }

    fn read_key(&self, path: &Path) -> Result<Vec<u8>, TransportError> {
        let what = "client key";
        let unreadable = |source| TransportError::Unreadable { what, path: path.to_owned(), source };
        let secrets = SecretFiles {
            credentials: self.options.credentials_directory.clone(),
            allow_insecure: self.options.allow_insecure_permissions,
        };
        let mut file = secrets.open(path).map_err(|error| match error {
            SecretFileError::Insecure { mode, .. } => {
                let reason = format!("mode {mode:04o} lets others read it (hint: chmod 600)");
                TransportError::Invalid { what, path: path.to_owned(), reason }
            }
            SecretFileError::Unreadable { source, .. } => unreadable(source),
        })?;
        let mut pem = Vec::new();
        file.read_to_end(&mut pem).map_err(unreadable)?;
        Ok(pem)
    }

    /// The trusted CAs: `--cacert`, else `SSL_CERT_FILE`, else the distribution's bundle. One file is read rather
    /// than a directory of hundreds, which is most of the start-up time of other clients.
    fn roots(&self) -> Result<RootCertStore, TransportError> {
        let given = self.options.cacert.as_deref().or(self.options.ssl_cert_file.as_deref());
        let path = given
            .or_else(|| BUNDLES.iter().map(Path::new).find(|bundle| bundle.exists()))
            .ok_or_else(|| TransportError::Unreadable {
                what: "CA bundle",
                path: BUNDLES[0].into(),
                source: std::io::ErrorKind::NotFound.into(),
            })?;
        let mut store = RootCertStore::empty();
        // The system's bundle may hold a certificate that this TLS library cannot use; the others still count.
        let (added, _) = store.add_parsable_certificates(certificates("CA bundle", path)?);
        if added == 0 {
            let reason = "no usable certificate in it".to_owned();
            return Err(TransportError::Invalid { what: "CA bundle", path: path.to_owned(), reason });
        }
        debug!(path = %path.display(), added, "Trusted CAs read");
        Ok(store)
    }
}

/// No CA at all: a client for plain http never meets one.
fn no_tls() -> Result<ClientConfig, TransportError> {
    Ok(versions()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn versions() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TransportError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TransportError::Invalid {
            what: "TLS",
            path: PathBuf::new(),
            reason: error.to_string(),
        })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let pem = std::fs::read(path).map_err(|source| TransportError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let invalid =
        |reason: &str| TransportError::Invalid { what, path: path.to_owned(), reason: reason.to_owned() };
    match chain {
        Ok(chain) if chain.is_empty() => Err(invalid("no PEM certificate in it")),
        Ok(chain) => Ok(chain),
        Err(_) => Err(invalid("broken PEM")),
    }
}

/// A request body that notes when the connection asks for it: until then no byte of the request has left.
struct Tracked {
    data: Option<Bytes>,
    sent: Arc<AtomicBool>,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.sent.store(true, Ordering::SeqCst);
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// Tells at which step the exchange failed.
fn explain(error: &reqwest::Error, sent: bool) -> SendFailure {
    let connecting = error.is_connect();
    let step = match () {
        () if error.is_dns() => Step::Dns,
        () if connecting && tls_cause(error).is_some() => Step::Tls,
        () if connecting => Step::Connect,
        () if error.is_timeout() => Step::Deadline,
        () => Step::Exchange,
    };
    let detail = tls_cause(error).unwrap_or_else(|| root_cause(error));
    SendFailure { step, sent: sent && !connecting, detail }
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
fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "unknown cause".to_owned(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Proxy settings as curl reads them: `HTTPS_PROXY` or `https_proxy` for https; only the lower-case `http_proxy` for
/// http, because a CGI program can be made to see `HTTP_PROXY`.
pub fn proxies_of(get: impl Fn(&str) -> Option<String>, options: TransportOptions) -> TransportOptions {
    let either = |lower: &str, upper: &str| get(lower).or_else(|| get(upper));
    let all = either("all_proxy", "ALL_PROXY");
    TransportOptions {
        https_proxy: either("https_proxy", "HTTPS_PROXY").or_else(|| all.clone()),
        http_proxy: get("http_proxy").or(all),
        no_proxy: either("no_proxy", "NO_PROXY"),
        ..options
    }
}

/// Whether `url` would go through a proxy: for `check`.
pub fn goes_direct(options: &TransportOptions, url: &Url) -> bool {
    let proxy = if url.scheme() == "https" { &options.https_proxy } else { &options.http_proxy };
    proxy.is_none() || url.host_str().is_some_and(is_loopback)
}
