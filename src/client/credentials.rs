//! Where secrets come from, strongest first: `$CREDENTIALS_DIRECTORY/<name>`, the `*_file` setting, the value itself.
//!
//! There is no option that takes a secret: the command line of a process is public.

use std::path::Path;

use thiserror::Error;

use crate::secret::Secret;
use crate::secret::file::{SecretFileError, SecretFiles};

/// Why a secret cannot be used. Nothing has been sent.
#[derive(Debug, Error)]
#[error("{name}: {}", explain(.source))]
pub struct CredentialError {
    /// Which secret.
    pub name: String,
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

/// Finds and reads a secret; `None` when it is not configured anywhere. `name` says what it is and is the name of its
/// file in `$CREDENTIALS_DIRECTORY`: `iam-password`, or `NAME.iam-password` for a target of its own. `file` is the `*_file` setting, `value` the value itself.
pub fn read(
    files: &SecretFiles,
    name: &str,
    file: Option<&Path>,
    value: Option<Secret>,
) -> Result<Option<Secret>, CredentialError> {
    let given = files.credentials.as_ref().map(|dir| dir.join(name)).filter(|path| path.exists());
    match given.as_deref().or(file) {
        Some(path) => {
            files.read(path).map(Some).map_err(|source| CredentialError { name: name.to_owned(), source })
        }
        None => Ok(value),
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
        let named = SecretFiles { credentials: Some(dir.path().to_owned()), allow_insecure: false };
        let value = Secret::new("from value");
        let both = || read(&named, "iam-password", Some(&file), Some(value.clone())).unwrap().unwrap();
        assert_eq!(both().expose(), "from file");
        write(&dir.path().join("iam-password"), " spaced \n\r\n", 0o400);
        assert_eq!(both().expose(), " spaced \n");
        let none = SecretFiles::default();
        assert_eq!(read(&none, "iam-password", None, Some(value.clone())).unwrap(), Some(value));
        assert_eq!(read(&none, "iam-password", None, None).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_missing_open_or_empty_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        let read = |allow_insecure| {
            let files = SecretFiles { credentials: None, allow_insecure };
            read(&files, "iam-password", Some(&path), Some(Secret::new("must not be used instead")))
        };
        assert!(read(false).unwrap_err().source.is_missing());
        write(&path, "hunter2", 0o644);
        let error = read(false).unwrap_err();
        assert!(matches!(error.source, SecretFileError::Insecure { mode: 0o644, .. }), "{error}");
        assert_eq!(read(true).unwrap().unwrap().expose(), "hunter2");
        write(&path, "\n", 0o600);
        assert!(read(true).unwrap_err().source.is_invalid());
    }
}
