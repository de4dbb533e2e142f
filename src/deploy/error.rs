//! Why an install ended.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::domain::exit::Exit;

/// Something that ends an install, a roll back or a look at a host.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The name cannot be a crontab's.
    #[error("the name {0:?} cannot be a crontab's")]
    Name(String),
    /// A file that must be there is not.
    #[error("{}: there is no such file", .0.display())]
    Missing(PathBuf),
    /// A directory or a file cannot be made.
    #[error("{} cannot be made: {source}", .path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else installs right now.
    #[error("another install is at work ({} is locked)", .0.display())]
    Locked(PathBuf),
    /// A file is not the one that the manifest names.
    #[error("manifest: {0}")]
    Manifest(String),
    /// The check or cron's own parser refuses the file.
    #[error("{by} {}: {first}; nothing was changed", refusal(*.errors))]
    Refused {
        /// By whom.
        by: &'static str,
        /// How many errors.
        errors: usize,
        /// The first.
        first: String,
    },
    /// The host is not ready.
    #[error("{what}")]
    Host {
        /// What is not as it must be.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The installed file is not the one that was installed.
    #[error("{} is not what was installed: somebody else has changed it", .0.display())]
    Drifted(PathBuf),
    /// Cron did not say that it has read the file, or said that it refuses it.
    #[error("{0}")]
    Unproven(String),
    /// The canary failed.
    #[error("the canary failed: {0}")]
    Canary(String),
    /// A signal came.
    #[error("stopped by {0}")]
    Stopped(&'static str),
    /// What is above, after which everything is as it was before.
    #[error("rolled back: {0}")]
    RolledBack(#[source] Box<DeployError>),
    /// What is above, and then the way back failed, too.
    #[error("THE HOST IS HALF INSTALLED: {reason}; and the way back failed: {failure}")]
    Half {
        /// Why there was a way back to go.
        reason: Box<DeployError>,
        /// Why it failed.
        #[source]
        failure: Box<DeployError>,
        /// What to type.
        by_hand: String,
    },
}

fn refusal(errors: usize) -> String {
    if errors > 1 { format!("finds {errors} errors, the first") } else { "refuses it".to_owned() }
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
            _ => Exit::Failed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::Name(_) => "letters, digits, '-' and '_': cron ignores any other name without a word",
            Self::Locked(_) => "wait until the other one has ended",
            Self::Manifest(_) => "send the files again",
            Self::Refused { .. } => "qs-api-call crontab check FILE shows every error",
            Self::Host { hint, .. } => hint,
            Self::Drifted(_) => "look at it; --force replaces it and keeps it as a backup",
            Self::RolledBack(reason) => return reason.hint(),
            Self::Half { by_hand, .. } => by_hand,
            _ => return None,
        })
    }

    pub(super) fn host(what: impl Into<String>, hint: &str) -> Self {
        Self::Host { what: what.into(), hint: hint.to_owned() }
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
