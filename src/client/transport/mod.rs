//! One request on the wire: who is trusted, through which proxy, until when, and whether a byte of it has left.

mod certificate;
mod error;
mod probe;
mod proxy;
mod resolve;
mod tls;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, Proxy, StatusCode};
use rustls::AlertDescription;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::debug;
use url::Url;

use self::error::{MOST_HEADERS, root_cause};
pub use self::error::{Nature, SendFailure, SendStep, TransportError};
pub use self::proxy::Proxies;
use self::resolve::SystemResolver;
use super::decode::{self, Body, Written};
use super::departure::Departure;
use super::reply::{BodyEnd, Reply};
use crate::config::Env;
use crate::config::call::CallConfig;

/// Most connections to one server that are kept for later.
const MOST_IDLE: usize = 16;

/// How connections are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Proxies, and what is reached without one.
    pub proxies: Proxies,
    /// Accept a client key that others may read.
    pub allow_insecure_permissions: bool,
    /// `$CREDENTIALS_DIRECTORY`: a client key in it may be shown as readable by a group.
    pub credentials_directory: Option<PathBuf>,
    /// How long a connection is kept for the next call; unset is not at all, since a command line makes one.
    pub keep_idle: Option<Duration>,
}

impl TransportOptions {
    /// The files that a secure connection is made of. They are read once for each [`Transport`].
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.identity.iter().flat_map(|(certificate, key)| [certificate.as_path(), key.as_path()]);
        tls::bundle(self).into_iter().chain(own)
    }

    /// What the settings say, and the environment where they say nothing.
    pub fn new(config: &CallConfig, env: &Env) -> Self {
        Self {
            connect_timeout: config.call.connect_timeout,
            max_body: config.call.max_body.0,
            cacert: config.tls.cacert.clone(),
            ssl_cert_file: env.get("SSL_CERT_FILE").map(PathBuf::from),
            identity: config.tls.cert.clone().zip(config.tls.key.clone()),
            allow_insecure_permissions: config.token.allow_insecure_permissions,
            credentials_directory: env.get("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            proxies: if config.call.no_proxy { Proxies::default() } else { Proxies::of(env) },
            keep_idle: None,
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
    /// Most bytes of the reply that are read, where that is not for `call.max_body` to say.
    pub longest_reply: Option<u64>,
    /// Whether a byte of the request may have left; every attempt shares it.
    pub departure: Departure,
}

impl Outgoing {
    /// A request without a body.
    pub fn bare(method: Method, url: Url, headers: HeaderMap) -> Self {
        Self { method, url, headers, body: None, longest_reply: None, departure: Departure::default() }
    }
}

/// Makes connections: one client for plain http, one for https, each built when first needed, since reading the
/// trusted CAs costs more than a whole call over plain http.
pub struct Transport {
    options: TransportOptions,
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
    asked: tls::Asked,
}

impl Transport {
    /// A transport that connects as `options` say.
    pub fn new(options: TransportOptions) -> Self {
        Self { options, plain: OnceCell::new(), secure: OnceCell::new(), asked: tls::Asked::default() }
    }

    /// The proxy that `url` is reached through, without its password.
    pub fn proxy(&self, url: &Url) -> Option<String> {
        self.options.proxies.of_url(url).ok().flatten().as_ref().map(proxy::show)
    }

    /// Builds the client that `url` needs, so that a wrong certificate file or proxy is found before anything is sent.
    ///
    /// # Errors
    /// The file or setting that is wrong.
    pub async fn client(&self, url: &Url) -> Result<&Client, TransportError> {
        let through = self.options.proxies.of_url(url)?;
        // A proxy that is itself reached by TLS needs what https needs.
        let secure = url.scheme() == "https" || through.is_some_and(|proxy| proxy.scheme() == "https");
        let cell = if secure { &self.secure } else { &self.plain };
        cell.get_or_try_init(|| async { self.build(secure) }).await
    }

    /// Sends one request and reads its response until `deadline`. Redirects are not followed.
    ///
    /// # Errors
    /// Why there is no response at all; a response whose body was cut is a [`Reply`].
    pub async fn send(&self, outgoing: Outgoing, deadline: Instant) -> Result<Reply, SendFailure> {
        let client = self.client(&outgoing.url).await.map_err(|error| SendFailure {
            step: SendStep::Setting,
            sent: false,
            detail: error.to_string(),
        })?;
        let proxy = self.proxy(&outgoing.url);
        let through = |failure: SendFailure| failure.through(proxy.as_deref());
        let peer = self.peer(&outgoing.url);
        let most = outgoing.longest_reply.unwrap_or(self.options.max_body);
        let has_body = outgoing.body.is_some();
        // A request without a body has no moment at which its sending can be seen: caution calls it sent.
        let sent = Arc::new(AtomicBool::new(!has_body));
        if !has_body && !outgoing.departure.leave() {
            let detail = Barred.to_string();
            return Err(SendFailure { step: SendStep::Setting, sent: false, detail });
        }
        let url = outgoing.url;
        let mut request = client.request(outgoing.method, url.clone()).headers(outgoing.headers);
        if let Some(data) = outgoing.body {
            let (sent, departure) = (Arc::clone(&sent), outgoing.departure);
            request = request.body(reqwest::Body::wrap(Tracked { data: Some(data), sent, departure }));
        }
        match tokio::time::timeout_at(deadline, request.send()).await {
            // Only a proxy asks for this, and what it asks it for has gone no further.
            Ok(Ok(response)) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(through(SendFailure::by_proxy("HTTP 407, it wants another user or password")))
            }
            Ok(Ok(response)) => {
                let reply = self.read(response, most, deadline).await;
                let (status, content_type) = (u64::from(reply.status), reply.content_type.as_deref());
                debug!(status, content_type, bytes = reply.body.len(), end = ?reply.end, "Reply received");
                Ok(reply)
            }
            Ok(Err(error)) => {
                let own = self.options.identity.as_ref().map(|(certificate, _)| certificate.as_path());
                let asked = self.asked.ever();
                let mut failure = SendFailure::of(&error, sent.load(Ordering::SeqCst), asked, own, &peer);
                if failure.step == SendStep::Connect && proxy.is_none() {
                    let port = url.port_or_known_default().unwrap_or_default();
                    failure.detail = format!("{peer}:{port}: {}", failure.detail);
                }
                let refusal = match failure.step {
                    SendStep::Exchange if asked && proxy.is_none() => self.refusal(&url, deadline).await,
                    _ => None,
                };
                Err(through(refusal.and_then(|alert| SendFailure::by_alert(alert, own)).unwrap_or(failure)))
            }
            Err(_) => Err(through(SendFailure {
                step: SendStep::Deadline,
                sent: sent.load(Ordering::SeqCst),
                detail: String::new(),
            })),
        }
    }

    /// Why a server that wanted a client certificate refuses whoever connects, if it does.
    async fn refusal(&self, url: &Url, deadline: Instant) -> Option<AlertDescription> {
        let config = Arc::new(tls::secure(&self.options, &self.asked).ok()?);
        let limit = deadline.min(Instant::now() + self.options.connect_timeout);
        tokio::time::timeout_at(limit, probe::refusal(url, config)).await.ok().flatten()
    }

    /// Who shows a certificate on the way to `url`: the server, or a proxy that is itself reached by TLS.
    fn peer(&self, url: &Url) -> String {
        let proxy = self.options.proxies.of_url(url).ok().flatten().filter(|proxy| proxy.scheme() == "https");
        let host = |url: &Url| url.host_str().unwrap_or_default().to_owned();
        match proxy {
            Some(proxy) if url.scheme() == "https" => format!("{} or {}", host(&proxy), host(url)),
            Some(proxy) => host(&proxy),
            None => host(url),
        }
    }

    async fn read(&self, mut response: reqwest::Response, most: u64, deadline: Instant) -> Reply {
        let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let declared: Option<String> = text(CONTENT_TYPE);
        let mut parts = declared.as_deref().unwrap_or_default().split(';').map(str::trim);
        let content_type = parts.next().filter(|_| declared.is_some()).map(str::to_ascii_lowercase);
        let charset = parts.find_map(charset).map(str::to_owned);
        let (location, retry_after, date) = (text(LOCATION), text(RETRY_AFTER), text(DATE));
        let encoding = text(CONTENT_ENCODING);
        let authenticate = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
        let authenticate = authenticate.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        let mut body = Vec::new();
        let end = loop {
            match tokio::time::timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let room = usize::try_from(most).unwrap_or(usize::MAX) - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break BodyEnd::OverCap(most);
                    }
                }
                Ok(Ok(None)) => break BodyEnd::Whole,
                Ok(Err(error)) => break BodyEnd::Cut(root_cause(&error)),
                Err(_) => break BodyEnd::Cut("deadline".to_owned()),
            }
        };
        let written = Written { encoding: encoding.as_deref(), charset: charset.as_deref() };
        let (body, end) = decode::decode(body, end, written, most);
        let unknown_charset = charset.filter(|name| !decode::is_known(name));
        let status = response.status().as_u16();
        let Body { text: body, as_sent } = body;
        Reply {
            status,
            content_type,
            location,
            retry_after,
            date,
            authenticate,
            unknown_charset,
            body,
            as_sent,
            end,
        }
    }

    fn build(&self, secure: bool) -> Result<Client, TransportError> {
        let tls = if secure { tls::secure(&self.options, &self.asked)? } else { tls::none()? };
        let mut builder = Client::builder()
            .user_agent(concat!("qs-api-call/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.options.connect_timeout)
            .pool_max_idle_per_host(self.options.keep_idle.map_or(0, |_| MOST_IDLE))
            // Every exchange has its own deadline: the kernel need not watch the connection as well. Any of the three
            // would switch that on.
            .tcp_keepalive(None)
            .tcp_keepalive_interval(None)
            .tcp_keepalive_retries(None)
            .http1_only()
            // What RFC 9112 §5.1 and §5.2 let a client read, and old gateways still write.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .dns_resolver(SystemResolver)
            .http1_max_headers(MOST_HEADERS)
            .no_proxy()
            .tls_backend_preconfigured(tls);
        if let Some(limit) = self.options.keep_idle {
            builder = builder.pool_idle_timeout(limit);
        }
        let proxies = self.options.proxies.clone();
        if proxies != Proxies::default() {
            builder = builder.proxy(Proxy::custom(move |url| proxies.of_url(url).ok().flatten()));
        }
        builder.build().map_err(TransportError::Client)
    }
}

/// The charset in a parameter of a `Content-Type`.
fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    let value = value.trim().trim_matches(['"', '\'']);
    (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then_some(value)
}

/// The call was stopped before a byte had left.
#[derive(Debug, thiserror::Error)]
#[error("the call was stopped before it was sent")]
struct Barred;

/// A request body that notes when the connection asks for it: until then no byte of the request has left.
struct Tracked {
    data: Option<Bytes>,
    sent: Arc<AtomicBool>,
    departure: Departure,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = Barred;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.departure.leave() {
            return Poll::Ready(Some(Err(Barred)));
        }
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
