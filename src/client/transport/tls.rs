//! Who is trusted, and who we are, on a secure connection.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tracing::debug;

use super::{TransportError, TransportOptions, certificate};
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
pub(super) fn secure(options: &TransportOptions, asked: &Asked) -> Result<ClientConfig, TransportError> {
    let builder = versions()?.with_root_certificates(roots(options)?);
    let mut config = match &options.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates("client certificate", cert)?;
            let der = private_key(key, &read_key(key, options)?)?;
            builder.with_client_auth_cert(chain, der).map_err(|error| match &error {
                rustls::Error::InvalidCertificate(flaw) => {
                    invalid("client certificate", cert, certificate::of_client(flaw))
                }
                _ => invalid(
                    "client key",
                    key,
                    format!("does not fit the certificate {}: {error}", cert.display()),
                ),
            })?
        }
    };
    let own = Arc::clone(&config.client_auth_cert_resolver);
    config.client_auth_cert_resolver = Arc::new(Asking { own, asked: asked.clone() });
    Ok(config)
}

/// Whether a server has asked for a client certificate: then a handshake that it refuses is refused for that.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    /// Whether one has asked since this was made.
    pub(super) fn ever(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Gives the client's certificate and notes that it was asked for.
#[derive(Debug)]
struct Asking {
    own: Arc<dyn ResolvesClientCert>,
    asked: Asked,
}

impl ResolvesClientCert for Asking {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.0.store(true, Ordering::SeqCst);
        self.own.resolve(issuers, schemes)
    }

    fn has_certs(&self) -> bool {
        self.own.has_certs()
    }
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

/// The file of the trusted CAs, if there is one.
pub(super) fn bundle(options: &TransportOptions) -> Option<&Path> {
    let given = options.cacert.as_deref().or(options.ssl_cert_file.as_deref());
    given.or_else(|| BUNDLES.iter().map(Path::new).find(|bundle| bundle.exists()))
}

/// The trusted CAs: `--cacert`, else `SSL_CERT_FILE`, else the distribution's bundle. One file is read rather than a
/// directory of hundreds, which is most of the start-up time of other clients.
fn roots(options: &TransportOptions) -> Result<RootCertStore, TransportError> {
    let path = bundle(options)
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

/// The key in a PEM text. One with a password is of no use where nobody is there to type it.
fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TransportError> {
    PrivateKeyDer::from_pem_slice(&apart(pem)).map_err(|_| {
        // PKCS #8 has the word in its first line, the older forms in a header (RFC 1421).
        let is_encrypted = pem.windows(9).any(|word| word == b"ENCRYPTED");
        let reason = if is_encrypted {
            "it is encrypted (hint: decrypt it with openssl pkey -in KEY -out NEW, mode 0600)"
        } else {
            "no PEM private key in it"
        };
        invalid("client key", path, reason)
    })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let pem = apart(&std::fs::read(path).map_err(|source| unreadable(what, path, source))?);
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => Err(invalid(what, path, "no PEM certificate in it")),
        Ok(chain) => Ok(chain),
        Err(_) => Err(invalid(what, path, "broken PEM")),
    }
}

/// PEM whose every part begins on a line of its own: files that were joined where the first had no newline at its end,
/// and files that begin with a byte order mark, lose a part otherwise.
fn apart(pem: &[u8]) -> Vec<u8> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let mut text = Vec::with_capacity(pem.len());
    for (at, byte) in pem.iter().enumerate() {
        if pem[at..].starts_with(BEGIN) && text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        text.push(*byte);
    }
    text
}

fn unreadable(what: &'static str, path: &Path, source: std::io::Error) -> TransportError {
    TransportError::Unreadable { what, path: path.to_owned(), source }
}

fn invalid(what: &'static str, path: impl Into<PathBuf>, reason: impl Into<String>) -> TransportError {
    TransportError::Invalid { what, path: path.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_key_is_called_so() {
        for (head, says) in [
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "encrypted",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
                "encrypted",
            ),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no PEM private key"),
        ] {
            let error = private_key(Path::new("/k.pem"), head.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("client key /k.pem: ") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn every_part_of_a_pem_file_begins_a_line() {
        let part = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("joined.pem");
        for (text, parts) in [
            (format!("{part}{part}"), 2),
            (format!("{part}\n{part}\n"), 2),
            (format!("\u{feff}{part}\r\n{part}"), 2),
            (format!("subject=x {part} {part}{part}"), 3),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(certificates("CA bundle", &path).unwrap().len(), parts, "{text:?}");
        }
    }
}
