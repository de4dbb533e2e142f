//! Who is trusted, and who we are, on a secure connection.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tracing::debug;

use super::{TransportError, TransportOptions};
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

/// What https needs: trusted CAs, and the client's certificate if there is one.
pub(super) fn secure(options: &TransportOptions) -> Result<ClientConfig, TransportError> {
    let builder = versions()?.with_root_certificates(roots(options)?);
    let Some((cert, key)) = &options.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("client certificate", cert)?;
    let der = PrivateKeyDer::from_pem_slice(&read_key(key, options)?)
        .map_err(|_| invalid("client key", key, "no PEM private key in it"))?;
    builder.with_client_auth_cert(chain, der).map_err(|error| {
        invalid("client key", key, format!("does not fit the certificate {}: {error}", cert.display()))
    })
}

/// No CA at all: a client for plain http never meets one.
pub(super) fn none() -> Result<ClientConfig, TransportError> {
    Ok(versions()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn versions() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TransportError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS", Path::new(""), error.to_string()))
}

/// The trusted CAs: `--cacert`, else `SSL_CERT_FILE`, else the distribution's bundle. One file is read rather than a
/// directory of hundreds, which is most of the start-up time of other clients.
fn roots(options: &TransportOptions) -> Result<RootCertStore, TransportError> {
    let given = options.cacert.as_deref().or(options.ssl_cert_file.as_deref());
    let path = given
        .or_else(|| BUNDLES.iter().map(Path::new).find(|bundle| bundle.exists()))
        .ok_or_else(|| unreadable("CA bundle", Path::new(BUNDLES[0]), std::io::ErrorKind::NotFound.into()))?;
    let mut store = RootCertStore::empty();
    // The system's bundle may hold a certificate that this TLS library cannot use; the others still count.
    let (added, _) = store.add_parsable_certificates(certificates("CA bundle", path)?);
    if added == 0 {
        return Err(invalid("CA bundle", path, "no usable certificate in it"));
    }
    debug!(path = %path.display(), added, "Trusted CAs read");
    Ok(store)
}

fn read_key(path: &Path, options: &TransportOptions) -> Result<Vec<u8>, TransportError> {
    let what = "client key";
    let files = SecretFiles {
        credentials: options.credentials_directory.clone(),
        allow_insecure: options.allow_insecure_permissions,
    };
    let mut file = files.open(path).map_err(|error| match error {
        SecretFileError::Insecure { mode, .. } => {
            invalid(what, path, format!("mode {mode:04o} lets others read it (hint: chmod 600)"))
        }
        SecretFileError::Unreadable { source, .. } => unreadable(what, path, source),
    })?;
    let mut pem = Vec::new();
    file.read_to_end(&mut pem).map_err(|source| unreadable(what, path, source))?;
    Ok(pem)
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let pem = std::fs::read(path).map_err(|source| unreadable(what, path, source))?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => Err(invalid(what, path, "no PEM certificate in it")),
        Ok(chain) => Ok(chain),
        Err(_) => Err(invalid(what, path, "broken PEM")),
    }
}

fn unreadable(what: &'static str, path: &Path, source: std::io::Error) -> TransportError {
    TransportError::Unreadable { what, path: path.to_owned(), source }
}

fn invalid(what: &'static str, path: impl Into<PathBuf>, reason: impl Into<String>) -> TransportError {
    TransportError::Invalid { what, path: path.into(), reason: reason.into() }
}
