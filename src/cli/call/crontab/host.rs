//! What this machine says about itself: users, files, its zone, and the crontabs on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::crontab::file::{Crontab, Format};
use crate::crontab::lint::{FileFacts, FileKind, Host, Owner, is_file_name};

/// Where cron looks for crontabs of the system.
pub(super) const CRON_D: &str = "/etc/cron.d";
const CRONTAB: &str = "/etc/crontab";

/// The machine that the program runs on.
pub(super) struct Machine {
    users: String,
}

impl Machine {
    /// Reads the list of users. A machine that keeps them elsewhere (LDAP) is asked by `getent`'s file alone: the C
    /// library's answer cannot be had without it.
    pub(super) fn new() -> std::io::Result<Self> {
        let known = std::process::Command::new("getent").arg("passwd").output();
        let users = match known {
            Ok(known) if known.status.success() => String::from_utf8_lossy(&known.stdout).into_owned(),
            _ => fs::read_to_string("/etc/passwd")?,
        };
        Ok(Self { users })
    }
}

impl Host for Machine {
    fn has_user(&self, name: &str) -> bool {
        self.users.lines().any(|line| line.split(':').next() == Some(name))
    }

    fn file(&self, path: &str) -> Option<FileFacts> {
        facts(Path::new(path)).ok()
    }

    fn zone(&self) -> Option<String> {
        clock::local_zone().iana_name().map(str::to_owned)
    }
}

/// What the file system says about a path.
pub(super) fn facts(path: &Path) -> std::io::Result<FileFacts> {
    let (link, file) = (fs::symlink_metadata(path)?, fs::metadata(path)?);
    Ok(FileFacts {
        kind: if file.is_file() { FileKind::Regular } else { FileKind::Other },
        mode: file.mode(),
        owner: file.uid(),
        links: file.nlink(),
        link_owner: link.is_symlink().then(|| link.uid()),
    })
}

/// The crontabs of the system, without `except`.
pub(super) fn crontabs(except: &Path) -> Vec<PathBuf> {
    let except = fs::canonicalize(except).unwrap_or_else(|_| except.to_owned());
    let mut found: Vec<PathBuf> = fs::read_dir(CRON_D)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_file_name))
        .map(|entry| entry.path())
        .chain([PathBuf::from(CRONTAB)])
        .filter(|path| fs::canonicalize(path).is_ok_and(|path| path != except))
        .collect();
    found.sort();
    found
}

/// The tasks of other crontabs.
pub(super) fn owners(paths: &[PathBuf], format: &Format) -> std::io::Result<Vec<Owner>> {
    let mut owners = Vec::new();
    for path in paths {
        let crontab = Crontab::parse(&fs::read(path)?, format.clone());
        let place = |line| format!("{}, line {line}", path.display());
        owners.extend(
            crontab
                .entries()
                .filter(|entry| entry.call().is_some())
                .map(|entry| Owner { task: entry.task(), place: place(entry.line) }),
        );
    }
    Ok(owners)
}
