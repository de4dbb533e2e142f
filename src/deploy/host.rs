//! Where everything is on a host, or below the root of an image or of a test; and who its users are.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where Debian's cron looks for crontabs of the system.
const CRON_D: &str = "/etc/cron.d";
/// The program that the lines call.
const BINARY: &str = "/usr/local/bin/qs-api-call";
/// What is kept about installs: readable by root alone, because an old crontab may hold a password.
const STATE: &str = "/var/lib/qs-scheduler/deploy";

/// A machine, or a directory that holds the files of one.
#[derive(Clone, Debug)]
pub struct Host {
    root: Option<PathBuf>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
}

impl Host {
    /// The machine itself.
    pub fn machine() -> Self {
        Self { root: None }
    }

    /// The files below a directory.
    pub fn below(root: &Path) -> io::Result<Self> {
        Ok(Self { root: Some(std::fs::canonicalize(root)?) })
    }

    /// The directory, if it is not the machine itself.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Where an absolute path of the host is.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        match &self.root {
            Some(root) => root.join(absolute.strip_prefix("/").unwrap_or(absolute)),
            None => absolute.to_owned(),
        }
    }

    /// The directory of the crontabs.
    pub fn cron_dir(&self) -> PathBuf {
        self.path(CRON_D)
    }

    /// A crontab.
    pub fn crontab(&self, name: &str) -> PathBuf {
        self.cron_dir().join(name)
    }

    /// The crontab as the host itself calls it, which is how cron's log does.
    pub fn crontab_on_host(name: &str) -> String {
        format!("{CRON_D}/{name}")
    }

    /// The program that the lines call.
    pub fn binary(&self) -> PathBuf {
        self.path(BINARY)
    }

    /// Its path as the lines name it.
    pub fn binary_on_host() -> &'static str {
        BINARY
    }

    /// What is kept about the installs of every crontab.
    pub fn state(&self) -> PathBuf {
        self.path(STATE)
    }

    /// A program of the system: the root's own, else the machine's.
    pub fn tool(&self, name: &str) -> Option<PathBuf> {
        let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|dir| Path::new(dir).join(name));
        let below = places.iter().filter(|_| self.root.is_some()).map(|place| self.path(place));
        let runs = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
        };
        below.chain(places.iter().cloned()).find(runs)
    }

    /// The list of accounts: the root's own if it has one, else everything that the machine knows.
    pub fn users(&self) -> io::Result<Vec<User>> {
        let own = Some(self.path("/etc/passwd")).filter(|own| self.root.is_some() && own.exists());
        // Accounts may be kept elsewhere, in LDAP for example, where cron finds them, too.
        let known = || std::process::Command::new("getent").arg("passwd").output();
        let text = match own {
            Some(own) => std::fs::read_to_string(own)?,
            None => match known() {
                Ok(known) if known.status.success() => String::from_utf8_lossy(&known.stdout).into_owned(),
                _ => std::fs::read_to_string("/etc/passwd")?,
            },
        };
        Ok(users(&text))
    }

    /// The name of the user that this process works as, as a crontab would have it.
    ///
    /// # Errors
    /// The list of accounts cannot be read.
    pub fn own_name(&self) -> io::Result<Option<String>> {
        let uid = own_uid();
        Ok(self.users()?.into_iter().find(|user| user.uid == uid).map(|user| user.name))
    }
}

fn users(text: &str) -> Vec<User> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.split(':');
            let name = parts.next()?.to_owned();
            let uid = parts.nth(1)?.parse().ok()?;
            let gid = parts.next()?.parse().ok()?;
            Some(User { name, uid, gid, home: parts.nth(1)?.to_owned() })
        })
        .collect()
}

/// The number of the user that this process works as: its entry in /proc belongs to it. Installed files must be that
/// user's, for cron root's.
pub(super) fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_put_before_every_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        let host = Host::below(dir.path()).unwrap();
        assert_eq!(host.crontab("x"), root.join("etc/cron.d/x"));
        assert_eq!(Host::machine().crontab("x"), Path::new("/etc/cron.d/x"));
        assert_eq!(Host::machine().binary(), Path::new("/usr/local/bin/qs-api-call"));
    }

    #[test]
    fn accounts_are_read_and_broken_lines_are_left_out() {
        let found = users("root:x:0:0:root:/root:/bin/bash\nbroken\nqs:x:7:8::/home/qs:\n");
        assert_eq!(found.len(), 2);
        let qs = User { name: "qs".to_owned(), uid: 7, gid: 8, home: "/home/qs".to_owned() };
        assert_eq!(found[1], qs);
    }
}
