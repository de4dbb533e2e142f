//! What a host says to the linter: its users, its files, its zone, and the crontabs on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::DeployError;
use super::host::{Host, User};
use crate::clock;
use crate::config::{ConfigFile, target_names};
use crate::crontab::file::{Crontab, Format};
use crate::crontab::lint::{self, FileFacts, Owner, is_file_name};
use crate::files;

/// Where a call finds its configuration, and below the home of its user.
const SYSTEM_CONFIG: &str = "/etc/qs-server/qs-api-call.yaml";
const USER_CONFIG: &str = ".config/qs-scheduler/qs-api-call.yaml";

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

    fn targets(&self, user: Option<&str>, config: Option<&str>) -> Option<Vec<String>> {
        let read = |path: &Path| files::if_there(ConfigFile::read(&self.host.path(path))).ok();
        if let Some(config) = config {
            return target_names(&read(Path::new(config))??);
        }
        let user = self.users.iter().find(|known| known.name == user.unwrap_or("root"));
        let of_user = user.map(|user| Path::new(&user.home).join(USER_CONFIG));
        let mut names = Vec::new();
        for path in [Some(PathBuf::from(SYSTEM_CONFIG)), of_user].into_iter().flatten() {
            if let Some(file) = read(&path)? {
                names.extend(target_names(&file)?);
            }
        }
        Some(names)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crontab::lint::Host as _;

    #[test]
    fn the_targets_of_a_host_are_those_that_the_user_of_a_line_would_read() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::below(dir.path()).unwrap();
        let users = [User { name: "ops".to_owned(), uid: 7, gid: 7, home: "/home/ops".to_owned() }];
        let machine = Machine { host: &host, users: &users, brings_binary: false };
        let write = |path: &str, text: &str| {
            let path = host.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(machine.targets(None, None), Some(vec![]), "nothing is configured");
        write(SYSTEM_CONFIG, "targets: {a: {api: {base_url: http://a}}}\n");
        write("/home/ops/.config/qs-scheduler/qs-api-call.yaml", "targets: {b: }\n");
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(machine.targets(None, None), names(&["a"]));
        assert_eq!(machine.targets(Some("ops"), None), names(&["a", "b"]));
        assert_eq!(machine.targets(Some("ops"), Some(SYSTEM_CONFIG)), names(&["a"]));
        assert_eq!(machine.targets(None, Some("/etc/other.yaml")), None, "what is not there is not judged");
        write(SYSTEM_CONFIG, "targets: [\n");
        assert_eq!(machine.targets(None, None), None);
    }
}
