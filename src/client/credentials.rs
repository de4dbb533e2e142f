//! Where secrets come from, strongest first: `$CREDENTIALS_DIRECTORY/<name>`, the `*_file` setting, the value itself.
//!
//! There is no option that takes a secret: the command line of a process is public.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::SecretText;
use crate::files::check_secret_mode;
use crate::secret::Secret;

/// Longest credential that is read.
const LONGEST: u64 = 16 * 1024;

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
#[derive(Debug)]
pub enum CredentialError {
    /// The file that is configured is not there.
    Missing {
        /// Which secret.
        name: &'static str,
        /// Which file.
        path: PathBuf,
    },
    /// It is there and cannot be read, or is no credential.
    Unreadable {
        /// Which secret.
        name: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Others can read it.
    Insecure {
        /// Which secret.
        name: &'static str,
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialError::Missing { name, path } => write!(f, "{name}: no file {}", path.display()),
            CredentialError::Unreadable { name, path, reason } => {
                write!(f, "{name}: {}: {reason}", path.display())
            }
            CredentialError::Insecure { name, path, mode } => write!(
                f,
                "{name}: mode {mode:04o} of {} lets others read it (hint: chmod 600 {0}, or --allow-insecure-permissions)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for CredentialError {}

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
        let (name, unreadable) = (self.name, |reason: String| CredentialError::Unreadable {
            name: self.name,
            path: path.to_owned(),
            reason,
        });
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => CredentialError::Missing { name, path: path.to_owned() },
            _ => unreadable(error.to_string()),
        })?;
        let verdict = check_secret_mode(path, &file, self.directory.as_deref())
            .map_err(|error| unreadable(error.to_string()))?;
        if let (Err(insecure), false) = (verdict, self.allow_insecure) {
            return Err(CredentialError::Insecure { name, path: path.to_owned(), mode: insecure.mode });
        }
        let mut text = String::new();
        file.take(LONGEST + 1)
            .read_to_string(&mut text)
            .map_err(|_| unreadable("expected UTF-8 text".to_owned()))?;
        if text.len() as u64 > LONGEST {
            return Err(unreadable(format!("longer than {LONGEST} bytes")));
        }
        // Editors and `echo` end a file with one newline; any other newline belongs to the secret.
        let secret = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
        if secret.is_empty() {
            return Err(unreadable("the file is empty".to_owned()));
        }
        Ok((Secret::new(secret), Found::File(path.to_owned())))
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
        assert!(matches!(credential.read(), Err(CredentialError::Missing { .. })));
        write(&path, "hunter2", 0o644);
        let error = credential.read().unwrap_err();
        assert!(matches!(error, CredentialError::Insecure { mode: 0o644, .. }), "{error}");
        credential.allow_insecure = true;
        assert_eq!(credential.read().unwrap().unwrap().0.expose(), "hunter2");
        write(&path, "\n", 0o600);
        assert!(matches!(credential.read(), Err(CredentialError::Unreadable { .. })));
    }
}
