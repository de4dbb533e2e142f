//! Why an install ended.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::exit::Exit;

/// Something that ends an install, a roll back or a look at a host.
#[derive(Debug)]
pub enum DeployError {
    /// The name cannot be a crontab's.
    Name(String),
    /// A file that must be there is not.
    Missing(PathBuf),
    /// A directory or a file cannot be made.
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading or writing failed.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else installs right now.
    Locked(PathBuf),
    /// A file is not the one that the manifest names.
    Manifest(String),
    /// The check or cron's own parser refuses the file.
    Refused {
        /// By whom.
        by: &'static str,
        /// How many errors.
        errors: usize,
        /// The first.
        first: String,
    },
    /// The host is not ready.
    Host {
        /// What is not as it must be.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The installed file is not the one that was installed.
    Drifted(PathBuf),
    /// Cron did not say that it has read the file, or said that it refuses it.
    Unproven(String),
    /// The canary failed.
    Canary(String),
    /// A signal came.
    Stopped(&'static str),
    /// What is above, after which everything is as it was before.
    RolledBack(Box<DeployError>),
    /// What is above, and then the way back failed, too.
    Half {
        /// Why there was a way back to go.
        reason: Box<DeployError>,
        /// Why it failed.
        failure: Box<DeployError>,
        /// What to type.
        by_hand: String,
    },
}

impl DeployError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Name(_) => Exit::Usage,
            Self::Missing(_) => Exit::NoInput,
            Self::Create { .. } => Exit::CannotCreate,
            Self::Io { .. } => Exit::Io,
            Self::Locked(_) => Exit::TryLater,
            Self::Manifest(_) | Self::Refused { .. } => Exit::Config,
            Self::Stopped("SIGINT") => Exit::Interrupted,
            Self::Stopped(_) => Exit::Terminated,
            Self::RolledBack(reason)
                if matches!(**reason, Self::Stopped(_) | Self::Io { .. } | Self::Create { .. }) =>
            {
                reason.exit()
            }
            Self::Host { .. }
            | Self::Drifted(_)
            | Self::Unproven(_)
            | Self::Canary(_)
            | Self::RolledBack(_)
            | Self::Half { .. } => Exit::Failed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) => {
                Some("letters, digits, '-' and '_': cron ignores any other name without a word".to_owned())
            }
            Self::Locked(_) => Some("wait until the other one has ended".to_owned()),
            Self::Manifest(_) => Some("send the files again".to_owned()),
            Self::Refused { .. } => Some("qs-api-call crontab check FILE shows every error".to_owned()),
            Self::Host { hint, .. } => Some(hint.clone()).filter(|hint| !hint.is_empty()),
            Self::Drifted(_) => Some("look at it; --force replaces it and keeps it as a backup".to_owned()),
            Self::RolledBack(reason) => reason.hint(),
            Self::Half { by_hand, .. } => Some(by_hand.clone()),
            _ => None,
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            _ => Self::Io { path, source },
        }
    }

    pub(super) fn create(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Create { path, source }
    }
}

impl fmt::Display for DeployError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "the name {name:?} cannot be a crontab's"),
            Self::Missing(path) => write!(f, "{}: there is no such file", path.display()),
            Self::Create { path, source } => write!(f, "{} cannot be made: {source}", path.display()),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Locked(path) => write!(f, "another install is at work ({} is locked)", path.display()),
            Self::Manifest(what) => write!(f, "manifest: {what}"),
            Self::Refused { by, errors, first } if *errors > 1 => {
                write!(f, "{by} finds {errors} errors, the first: {first}; nothing was changed")
            }
            Self::Refused { by, first, .. } => write!(f, "{by} refuses it: {first}; nothing was changed"),
            Self::Host { what, .. } | Self::Unproven(what) => f.write_str(what),
            Self::Drifted(path) => {
                write!(f, "{} is not what was installed: somebody else has changed it", path.display())
            }
            Self::Canary(what) => write!(f, "the canary failed: {what}"),
            Self::Stopped(signal) => write!(f, "stopped by {signal}"),
            Self::RolledBack(reason) => write!(f, "rolled back: {reason}"),
            Self::Half { reason, failure, .. } => {
                write!(f, "THE HOST IS HALF INSTALLED: {reason}; and the way back failed: {failure}")
            }
        }
    }
}

impl std::error::Error for DeployError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Create { source, .. } | Self::Io { source, .. } => Some(source),
            Self::RolledBack(reason) => Some(&**reason),
            Self::Half { failure, .. } => Some(&**failure),
            _ => None,
        }
    }
}
