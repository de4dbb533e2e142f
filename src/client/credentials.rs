//! Where secrets come from, strongest first: `$CREDENTIALS_DIRECTORY/<name>`, the `*_file` setting, the value itself.
//!
//! There is no option that takes a secret: the command line of a process is public.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::SecretText;
use crate::secret::Secret;
use crate::secret::file::{SecretFileError, SecretFiles};

/// One secret as it is configured.
#[derive(Clone, Debug)]
pub struct Credential {
    /// What it is, and the name of its file in `$CREDENTIALS_DIRECTORY`: `iam-password`.
    pub name: &'static str,
    /// `$CREDENTIALS_DIRECTORY`.
    pub directory: Option<PathBuf>,
    /// The `*_file` setting.
    pub file: Option<PathBuf>,
    /// The value itself.
    pub value: Option<SecretText>,
    /// Accept files that others may read.
    pub allow_insecure: bool,
}

/// Where a secret was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// In this file.
    File(PathBuf),
    /// In the environment or the configuration file.
    Value,
}

/// Why a secret cannot be used. Nothing has been sent.
#[derive(Debug, Error)]
#[error("{name}: {}", explain(.source))]
pub struct CredentialError {
    /// Which secret.
    pub name: &'static str,
    /// What is wrong with its file.
    pub source: SecretFileError,
}

fn explain(error: &SecretFileError) -> String {
    match error {
        SecretFileError::Insecure { path, .. } => {
            format!("{error} (hint: chmod 600 {}, or --allow-insecure-permissions)", path.display())
        }
        SecretFileError::Unreadable { path, .. } if error.is_missing() => {
            format!("no file {}", path.display())
        }
        SecretFileError::Unreadable { .. } => error.to_string(),
    }
}

impl Credential {
    /// Finds and reads the secret; `None` when it is not configured anywhere.
    pub fn read(&self) -> Result<Option<(Secret, Found)>, CredentialError> {
        if let Some(path) =
            self.directory.as_ref().map(|dir| dir.join(self.name)).filter(|path| path.exists())
        {
            return self.read_file(&path).map(Some);
        }
        if let Some(path) = &self.file {
            return self.read_file(path).map(Some);
        }
        Ok(self.value.as_ref().map(|value| (value.0.clone(), Found::Value)))
    }

    fn read_file(&self, path: &Path) -> Result<(Secret, Found), CredentialError> {
        let files = SecretFiles { credentials: self.directory.clone(), allow_insecure: self.allow_insecure };
        let secret = files.read(path).map_err(|source| CredentialError { name: self.name, source })?;
        Ok((secret, Found::File(path.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_directory_beats_the_file_and_the_file_beats_the_value() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password.txt");
        write(&file, "from file\n", 0o600);
        let mut credential = Credential {
            name: "iam-password",
            directory: Some(dir.path().to_owned()),
            file: Some(file.clone()),
            value: Some(SecretText(Secret::new("from value"))),
            allow_insecure: false,
        };
        let (secret, found) = credential.read().unwrap().unwrap();
        assert_eq!((secret.expose(), found), ("from file", Found::File(file)));
        write(&dir.path().join("iam-password"), " spaced \n\r\n", 0o400);
        assert_eq!(credential.read().unwrap().unwrap().0.expose(), " spaced \n");
        credential.directory = None;
        credential.file = None;
        assert_eq!(credential.read().unwrap().unwrap(), (Secret::new("from value"), Found::Value));
        credential.value = None;
        assert!(credential.read().unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_missing_open_or_empty_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        let mut credential = Credential {
            name: "iam-password",
            directory: None,
            file: Some(path.clone()),
            value: Some(SecretText(Secret::new("must not be used instead"))),
            allow_insecure: false,
        };
        assert!(credential.read().unwrap_err().source.is_missing());
        write(&path, "hunter2", 0o644);
        let error = credential.read().unwrap_err();
        assert!(matches!(error.source, SecretFileError::Insecure { mode: 0o644, .. }), "{error}");
        credential.allow_insecure = true;
        assert_eq!(credential.read().unwrap().unwrap().0.expose(), "hunter2");
        write(&path, "\n", 0o600);
        assert!(credential.read().unwrap_err().source.is_invalid());
    }
}
