//! The secrets that settings give as a text or name a file for.

use std::path::{Path, PathBuf};

use url::Url;

use super::stop;
use crate::cli::output::Failure;
use crate::config::files::credentials_directory;
use crate::config::{Env, SecretText};
use crate::domain::exit::Exit;
use crate::secret::Secret;
use crate::secret::file::{SecretFileError, SecretFiles};

/// Reads them, and refuses files that others may read.
pub(super) struct Secrets(SecretFiles);

impl Secrets {
    pub(super) fn new(env: &Env) -> Self {
        Self(SecretFiles { credentials: credentials_directory(env), allow_insecure: false })
    }

    /// The secret in `text`, or in the file that the setting `key` names; none if neither is set.
    pub(super) fn read(
        &self,
        text: Option<&SecretText>,
        key: &str,
        path: Option<&Path>,
    ) -> Result<Option<Secret>, Failure> {
        match (text, path) {
            (Some(text), _) => Ok(Some(text.0.clone())),
            (None, Some(path)) => self.0.read(path).map(Some).map_err(|error| refused(key, &error)),
            (None, None) => Ok(None),
        }
    }

    /// Refuses a database's URL whose private key (`ssl-key`) others may read.
    pub(super) fn check_key(&self, url: &Secret) -> Result<(), Failure> {
        let Some(path) = key_of(url) else { return Ok(()) };
        self.0.open(&path).map(drop).map_err(|error| refused("database.url: ssl-key", &error))
    }
}

/// The file of the private key that a URL of MySQL names.
fn key_of(url: &Secret) -> Option<PathBuf> {
    let url = Url::parse(url.expose()).ok()?;
    let names = ["ssl-key", "sslkey"];
    url.query_pairs().find(|(name, _)| names.contains(&name.as_ref())).map(|(_, path)| PathBuf::from(&*path))
}

fn refused(key: &str, error: &SecretFileError) -> Failure {
    match error {
        SecretFileError::Insecure { path, .. } => {
            stop(Exit::Config, format!("{key}: {error}")).with_hint(format!("chmod 600 {}", path.display()))
        }
        SecretFileError::Unreadable { path, source } if !error.is_invalid() => {
            stop(Exit::NoInput, format!("{key}: cannot read {}: {source}", path.display()))
        }
        SecretFileError::Unreadable { .. } => stop(Exit::Config, format!("{key}: {error}")),
    }
}
