//! One request for the key set of the IAM: where it may go, how long it may take, how much of the answer is read.

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Certificate, Client, StatusCode};
use thiserror::Error;
use url::Url;

/// Largest answer that is read.
const MAX_BODY: usize = 256 << 10;

/// Brings the key set as the IAM wrote it.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Asks once.
    async fn fetch(&self) -> Result<Vec<u8>, FetchError>;
}

/// Why no answer came. It holds neither the URL nor the body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The time was over.
    #[error("no answer in time")]
    Timeout,
    /// Another status than 200; redirects are not followed.
    #[error("expected status 200, found {0}")]
    Status(u16),
    /// More than is read.
    #[error("the answer is larger than {} KiB", MAX_BODY >> 10)]
    TooLarge,
    /// No connection, or it ended.
    #[error("{0}")]
    Exchange(String),
}

/// Why no client could be made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The private CA is no PEM file with a certificate.
    #[error("expected a PEM file with a certificate")]
    Authority,
    /// Something else about TLS.
    #[error("the HTTP client cannot be built: {}", root_cause(.0))]
    Tls(reqwest::Error),
}

/// Asks a URL, directly: no proxy, no redirects, no cookies.
#[derive(Debug)]
pub struct HttpFetch {
    client: Client,
    url: Url,
}

impl HttpFetch {
    /// Asks `url` within `timeout`; `authority`, a PEM bundle, is trusted instead of the CAs of the machine.
    ///
    /// # Errors
    /// When the bundle holds no certificate, or the machine has no CAs.
    pub fn new(url: Url, timeout: Duration, authority: Option<&[u8]>) -> Result<Self, ClientError> {
        // One provider for the process; whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(timeout)
            .connect_timeout(timeout)
            // Minutes lie between two requests: a connection that is kept would be a dead one.
            .pool_max_idle_per_host(0);
        if let Some(pem) = authority {
            let authorities = Certificate::from_pem_bundle(pem).map_err(|_| ClientError::Authority)?;
            if authorities.is_empty() {
                return Err(ClientError::Authority);
            }
            builder = builder.tls_certs_only(authorities);
        } else if url.scheme() == "http" {
            // Plain http never meets a CA, and a machine may have none.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build().map_err(ClientError::Tls)?, url })
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let request = self.client.get(self.url.clone());
        let request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn failed(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::Timeout } else { FetchError::Exchange(root_cause(error)) }
}

/// The innermost cause: the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let Some(mut cause) = error.source() else { return "the exchange failed".to_owned() };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
