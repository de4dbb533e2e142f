//! Configuration files as every program finds them, and the rule that a secret makes a file a secret.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::{ConfigError, ConfigFile, Env, Loaded};
use crate::domain::exit::Exit;
use crate::domain::failure::Failure;
use crate::secret::file::{SecretFileError, SecretFiles};

/// Directory of the system's configuration.
pub const SYSTEM: &str = "/etc/qs-server";

/// What was found of the configuration.
#[derive(Default)]
pub struct Found {
    /// The files, weakest first.
    pub files: Vec<ConfigFile>,
    /// Why the system's file cannot be seen by this user, if it cannot.
    pub unseen: Option<Failure>,
}

/// The files to read, weakest first: the one that is named, or the system's and the user's as far as they exist.
///
/// # Errors
/// A named file that is not there or cannot be read (66), or one that is there and is no text (78): it must not silently leave the
/// defaults in force. The system's file that this user may not see is told apart: the user's own settings may suffice.
pub fn read(named: Option<&Path>, name: &str) -> Result<Found, Failure> {
    if let Some(path) = named {
        let file = ConfigFile::read(path).map_err(|error| unreadable(Exit::NoInput, path, &error))?;
        return Ok(Found { files: vec![file], unseen: None });
    }
    let system = Path::new(SYSTEM).join(name);
    let user = ProjectDirs::from("", "", "qs-scheduler").map(|user| user.config_dir().join(name));
    let mut found = Found::default();
    for path in [Some(&system), user.as_ref()].into_iter().flatten() {
        match ConfigFile::read(path) {
            Ok(file) => found.files.push(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let failure = unreadable(Exit::Config, path, &error);
                if *path != system || error.kind() != ErrorKind::PermissionDenied {
                    return Err(failure);
                }
                found.unseen = Some(failure);
            }
        }
    }
    Ok(found)
}

fn unreadable(exit: Exit, path: &Path, error: &std::io::Error) -> Failure {
    let (exit, hint) = match error.kind() {
        ErrorKind::InvalidData => (Exit::Config, "save it as UTF-8, for example by iconv -f UTF-16 -t UTF-8"),
        ErrorKind::IsADirectory => (Exit::Config, "name the file in it"),
        ErrorKind::NotFound => (exit, "config default prints one to begin with"),
        _ => (exit, "make it readable for this user, or name another with --config"),
    };
    Failure::new(exit, format!("configuration {}: {error}", path.display())).with_hint(hint)
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, format!("configuration: {error}"))
    }
}

/// Where systemd, or whoever does the same, puts the secrets of this process.
pub fn credentials_directory(env: &Env) -> Option<PathBuf> {
    env.get("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// Refuses a file that holds a secret and that others may read, also when the environment has another value.
///
/// # Errors
/// Which file, which key, and what to do.
pub fn check_modes<C>(loaded: &Loaded<C>, env: &Env) -> Result<(), Failure> {
    let files = SecretFiles { credentials: credentials_directory(env), allow_insecure: false };
    for (key, path) in &loaded.secrets_in_files {
        if let Err(SecretFileError::Insecure { mode, .. }) = files.open(path) {
            let (file, key) = (path.display(), loaded.full_key(key));
            return Err(Failure::new(
                Exit::Config,
                format!("configuration {file}: it holds {key} and its mode {mode:04o} lets others read it"),
            )
            .with_hint(format!("chmod 600 {file}")));
        }
    }
    Ok(())
}
