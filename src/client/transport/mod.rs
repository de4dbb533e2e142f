//! One request on the wire: who is trusted, through which proxy, until when, and whether a byte of it has left.

mod error;
mod tls;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, NoProxy, Proxy};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::debug;
use url::Url;

use self::error::root_cause;
pub use self::error::{SendFailure, SendStep, TransportError};
use super::reply::{BodyEnd, Reply};
use crate::config::Env;
use crate::config::call::CallConfig;
use crate::domain::host::is_loopback;

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

impl TransportOptions {
    /// What the settings say, and the environment where they say nothing.
    pub fn new(config: &CallConfig, env: &Env) -> Self {
        let options = Self {
            connect_timeout: config.call.connect_timeout,
            max_body: config.call.max_body.0,
            cacert: config.tls.cacert.clone(),
            ssl_cert_file: env.get("SSL_CERT_FILE").map(PathBuf::from),
            identity: config.tls.cert.clone().zip(config.tls.key.clone()),
            allow_insecure_permissions: config.token.allow_insecure_permissions,
            credentials_directory: env.get("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            ..Self::default()
        };
        if config.call.no_proxy { options } else { options.with_proxies(env) }
    }

    /// Proxy settings as curl reads them: `HTTPS_PROXY` or `https_proxy` for https; only the lower-case `http_proxy`
    /// for http, because a CGI program can be made to see `HTTP_PROXY`.
    fn with_proxies(self, env: &Env) -> Self {
        let either = |lower: &str, upper: &str| env.get(lower).or_else(|| env.get(upper)).map(str::to_owned);
        let all = either("all_proxy", "ALL_PROXY");
        Self {
            https_proxy: either("https_proxy", "HTTPS_PROXY").or_else(|| all.clone()),
            http_proxy: env.get("http_proxy").map(str::to_owned).or(all),
            no_proxy: either("no_proxy", "NO_PROXY"),
            ..self
        }
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

    /// Whether `url` is reached without a proxy.
    pub fn goes_direct(&self, url: &Url) -> bool {
        let secure = url.scheme() == "https";
        let proxy = if secure { &self.options.https_proxy } else { &self.options.http_proxy };
        proxy.is_none() || url.host_str().is_some_and(is_loopback)
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
            step: SendStep::Connect,
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
            Ok(Err(error)) => Err(SendFailure::of(&error, sent.load(Ordering::SeqCst))),
            Err(_) => Err(SendFailure {
                step: SendStep::Deadline,
                sent: sent.load(Ordering::SeqCst),
                detail: String::new(),
            }),
        }
    }

    async fn read(&self, mut response: reqwest::Response, deadline: Instant) -> Reply {
        let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let content_type = text(CONTENT_TYPE)
            .map(|value: String| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let (location, retry_after, date) = (text(LOCATION), text(RETRY_AFTER), text(DATE));
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
        Reply { status: response.status().as_u16(), content_type, location, retry_after, date, body, end }
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
            .tls_backend_preconfigured(if secure { tls::secure(&self.options)? } else { tls::none()? });
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
