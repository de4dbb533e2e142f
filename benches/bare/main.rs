//! A bare HTTP client of the same kind as `qs-api-call`: the same libraries, one POST, nothing around it. The benchmark
//! measures what everything else that `qs-api-call` does costs on top of this.
//!
//! `bare URL TOKEN_FILE [CA_FILE]`

use std::sync::Arc;

use anyhow::{Context, ensure};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("no URL")?;
    let token = std::fs::read_to_string(args.next().context("no token file")?)?;
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
    authorization.set_sensitive(true);
    let client = client(args.next().as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let request = client.post(url).header(AUTHORIZATION, authorization);
        let reply = request.header(CONTENT_TYPE, "application/json").body("{}").send().await?;
        ensure!(reply.status().is_success(), "HTTP {}", reply.status());
        let body: serde_json::Value = serde_json::from_slice(&reply.bytes().await?)?;
        ensure!(body["code"] == 0, "the reply's code is {}", body["code"]);
        Ok(())
    })
}

/// Trusts the certificates in one file, or nobody: for plain http.
fn client(ca_file: Option<&str>) -> anyhow::Result<Client> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let pem = std::fs::read(path)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
        roots.add_parsable_certificates(certificates);
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Client::builder().http1_only().no_proxy().tls_backend_preconfigured(tls).build()?)
}
