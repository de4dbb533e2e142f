//! What a host says to the linter: its users, its files, its zone, and the crontabs on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::DeployError;
use super::host::{Host, User};
use crate::clock;
use crate::crontab::file::{Crontab, Format};
use crate::crontab::lint::{self, FileFacts, Owner, is_file_name};

/// A host as the linter asks it.
pub struct Machine<'a> {
    /// Where its files are.
    pub host: &'a Host,
    /// Its accounts.
    pub users: &'a [User],
    /// The program of the calls comes with the crontab, so it need not be there yet.
    pub brings_binary: bool,
}

impl lint::Host for Machine<'_> {
    fn has_user(&self, name: &str) -> bool {
        self.users.iter().any(|user| user.name == name)
    }

    fn file(&self, path: &str) -> Option<FileFacts> {
        if self.brings_binary && path == Host::binary_on_host() {
            return Some(FileFacts { regular: true, mode: 0o755, owner: 0, links: 1, link_owner: None });
        }
        // Below a root that is not a whole system, programs of the system are the machine's, as for `Host::tool`.
        let of_system =
            ["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"].iter().any(|dir| path.starts_with(dir));
        facts(&self.host.path(path)).or_else(|| of_system.then(|| facts(Path::new(path))).flatten())
    }

    fn zone(&self) -> Option<String> {
        // The zone of a root is that of the machine which it will be the root of.
        self.host.root().is_none().then(|| clock::local_zone().iana_name().map(str::to_owned)).flatten()
    }
}

/// What the file system says about a path; none when nothing is there.
pub fn facts(path: &Path) -> Option<FileFacts> {
    let (link, file) = (fs::symlink_metadata(path).ok()?, fs::metadata(path).ok()?);
    Some(FileFacts {
        regular: file.is_file(),
        mode: file.mode(),
        owner: file.uid(),
        links: file.nlink(),
        link_owner: link.is_symlink().then(|| link.uid()),
    })
}

/// The system's crontabs that cron reads, but for the one of this name.
pub fn other_crontabs(host: &Host, name: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(host.cron_dir())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|other| is_file_name(other) && other != name))
        .map(|entry| entry.path())
        .chain([host.path("/etc/crontab")])
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
}

/// The tasks of crontabs.
///
/// # Errors
/// A file that cannot be read.
pub fn owners(paths: &[PathBuf], format: &Format) -> Result<Vec<Owner>, DeployError> {
    let mut owners = Vec::new();
    for path in paths {
        let crontab = Crontab::parse(&fs::read(path).map_err(DeployError::io(path))?, format.clone());
        let place = |line: usize| format!("{}, line {line}", path.display());
        owners.extend(crontab.entries().filter_map(|entry| Owner::of(entry, place(entry.line))));
    }
    Ok(owners)
}
