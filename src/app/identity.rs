//! Who may call `qs-apiserver`: the IAM whose tokens count, and what verifies them.

use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use super::secrets::Secrets;
use super::stop;

use crate::cli::output::Failure;
use crate::clock::SharedClock;
use crate::config::UrlText;
use crate::config::apiserver::ApiserverConfig;
use crate::config::auth::SignatureAlgorithm;
use crate::domain::exit::Exit;
use crate::identity::dev_iam::{Account, DevIam, generate_password};
use crate::identity::fetch::{ClientError, HttpFetch};
use crate::identity::jwks::{Freshness, RemoteKeys};
use crate::identity::keys::KeySource;
use crate::identity::{Algorithm, Rules, Verifier};
use crate::secret::Secret;

/// The verifier, and the IAM inside this server if it is the one.
pub(super) struct Callers {
    pub(super) verifier: Verifier,
    pub(super) dev_iam: Option<Arc<DevIam>>,
    /// The password of its account, if it was generated.
    pub(super) generated: Option<Secret>,
}

impl Callers {
    /// Must be called inside the runtime: the keys of a remote IAM are fetched beside everything else, and a server
    /// whose IAM is down starts all the same.
    pub(super) fn new(
        config: &ApiserverConfig,
        secrets: &Secrets,
        clock: &SharedClock,
    ) -> Result<Self, Failure> {
        let verifier = |keys| {
            let algorithms: Vec<Algorithm> = config.auth.algorithms.iter().copied().map(algorithm).collect();
            Verifier::new(keys, rules(config), Arc::clone(clock)).only(&algorithms)
        };
        if let Some(url) = &config.auth.jwks_url {
            let keys = remote(config, url, clock)?;
            keys.warm();
            return Ok(Self { verifier: verifier(Arc::new(keys)), dev_iam: None, generated: None });
        }
        let (iam, generated) = development(config, secrets, clock)?;
        let keys: Arc<dyn KeySource> = iam.key();
        Ok(Self { verifier: verifier(keys), dev_iam: Some(iam), generated })
    }
}

fn rules(config: &ApiserverConfig) -> Rules {
    Rules {
        issuer: config.auth.issuer.clone(),
        audience: config.auth.audience.clone(),
        leeway: config.auth.leeway,
    }
}

fn algorithm(setting: SignatureAlgorithm) -> Algorithm {
    match setting {
        SignatureAlgorithm::Rs256 => Algorithm::RS256,
        SignatureAlgorithm::Es256 => Algorithm::ES256,
    }
}

fn remote(config: &ApiserverConfig, url: &UrlText, clock: &SharedClock) -> Result<RemoteKeys, Failure> {
    let auth = &config.auth;
    let url = Url::parse(&url.0).map_err(|error| stop(Exit::Config, format!("auth.jwks_url: {error}")))?;
    let read = |path: &PathBuf| {
        let unreadable = |error| format!("auth.ca_file: cannot read {}: {error}", path.display());
        std::fs::read(path).map_err(|error| stop(Exit::NoInput, unreadable(error)))
    };
    let authority = auth.ca_file.as_ref().map(read).transpose()?;
    let fetch =
        HttpFetch::new(url, auth.jwks_timeout, authority.as_deref()).map_err(|error| match error {
            ClientError::Authority => stop(Exit::Config, format!("auth.ca_file: {error}")),
            ClientError::Tls(_) => {
                let hint = "hint: auth.ca_file names the CAs to trust";
                stop(Exit::Config, format!("auth.jwks_url: {error} ({hint})"))
            }
        })?;
    let freshness = Freshness {
        refresh: auth.jwks_refresh,
        cooldown: auth.jwks_cooldown,
        max_stale: auth.jwks_max_stale,
    };
    Ok(RemoteKeys::new(fetch, freshness, Arc::clone(clock)))
}

/// The IAM for development, and its password if it was generated.
fn development(
    config: &ApiserverConfig,
    secrets: &Secrets,
    clock: &SharedClock,
) -> Result<(Arc<DevIam>, Option<Secret>), Failure> {
    let section = &config.dev_iam;
    let internal = |error| stop(Exit::Internal, error);
    let (text, file) = (section.password.as_ref(), section.password_file.as_deref());
    let (password, generated) = if let Some(given) = secrets.read(text, "dev_iam.password_file", file)? {
        (given, None)
    } else {
        let password = generate_password().map_err(internal)?;
        (password.clone(), Some(password))
    };
    let account = Account {
        username: section.username.clone(),
        password,
        ttl: section.ttl,
        lockout_threshold: section.lockout_threshold,
        lockout_duration: section.lockout_duration,
    };
    let iam = DevIam::new(account, rules(config), Arc::clone(clock)).map_err(internal)?;
    Ok((Arc::new(iam), generated))
}
