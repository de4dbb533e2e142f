//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// Makes server certificates for 127.0.0.1 and writes its own certificate where a client can trust it.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Two authorities of one name would be told apart by their signatures only.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("test authority {:016x}", fastrand::u64(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a root");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Writes the CA certificate to `dir`.
    pub fn write(&self, dir: &Path) -> PathBuf {
        let path = dir.join("ca.pem");
        std::fs::write(&path, &self.pem).expect("the directory is writable");
        path
    }

    /// Writes a client's certificate and its private key to `dir`.
    pub fn write_client(&self, dir: &Path) -> (PathBuf, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["client".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (cert_path, key_path) = (dir.join("client.pem"), dir.join("client.key"));
        std::fs::write(&cert_path, certificate.pem()).expect("the directory is writable");
        std::fs::write(&key_path, key.serialize_pem()).expect("the directory is writable");
        std::fs::set_permissions(&key_path, std::fs::Permissions::from_mode(0o600))
            .expect("the file is ours");
        (cert_path, key_path)
    }

    /// A server configuration with a certificate for 127.0.0.1.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.configured(None, rustls::DEFAULT_VERSIONS)
    }

    /// The same that speaks this version alone.
    pub fn server_of(&self, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
        self.configured(None, &[version])
    }

    /// The same, for clients with a certificate of this authority alone.
    pub fn server_asking_for_a_certificate(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        self.configured(Some(verifier.build().expect("a verifier")), rustls::DEFAULT_VERSIONS)
    }

    fn configured(
        &self,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key");
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("known versions");
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("key and certificate belong together");
        Arc::new(config)
    }
}
