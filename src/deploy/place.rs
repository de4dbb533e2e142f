//! One file put where another one is, whole or not at all, so that cron notices.
//!
//! Cron reads a crontab again only when the second of its mtime is another than the one that it knows. Two installs in
//! one second, or an old file that comes back with its old time, would go unnoticed; so every placed file is younger
//! than the one before it, if need be by a second that has not come yet. A file that is new, or gone, it notices by the
//! second of the directory's mtime, so that one grows in the same way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest;
use super::error::DeployError;
use crate::files;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The digest of its content.
    pub sha256: String,
    /// Its permission bits.
    pub mode: u32,
    /// The number of its owner.
    pub owner: u32,
    /// The number of its group.
    pub group: u32,
    /// The second of its mtime.
    pub mtime: i64,
}

impl Placed {
    /// Looks at a path; none when nothing is there.
    ///
    /// # Errors
    /// It cannot be read, or is something that must not be replaced: a link, a directory, a file with two names.
    pub fn at(path: &Path) -> Result<Option<Self>, DeployError> {
        let metadata = files::if_there(fs::symlink_metadata(path)).map_err(DeployError::io(path))?;
        let Some(metadata) = metadata else { return Ok(None) };
        if !metadata.is_file() {
            let what = if metadata.is_symlink() { "a link" } else { "no file" };
            let what = format!("{} is {what}, and would be replaced by a file", path.display());
            return Err(DeployError::host(what, "remove it first, if that is meant"));
        }
        let sha256 = digest::of_file(path).map_err(DeployError::io(path))?;
        Ok(Some(Self {
            sha256,
            mode: metadata.mode() & 0o7777,
            owner: metadata.uid(),
            group: metadata.gid(),
            mtime: metadata.mtime(),
        }))
    }
}

/// Owner and group of a placed file; none leaves those of this process.
pub(super) type Owner = Option<(u32, u32)>;

/// Puts `content` at `path`. Its mtime is that of now, but later than `after`, a second since 1970.
pub(super) fn put(
    path: &Path,
    content: &mut impl Read,
    (mode, owner): (u32, Owner),
    now: i64,
    after: Option<i64>,
) -> Result<(), DeployError> {
    let temporary = temporary(path);
    let result = changing(files::parent(path), now, || {
        // One is there when an install was killed.
        files::remove(&temporary)?;
        write(&temporary, content, (mode, owner), younger(now, after))?;
        fs::rename(&temporary, path)
    });
    result.map_err(|source| {
        // The first error is the one that matters.
        drop(files::remove(&temporary));
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound => {
                DeployError::create(path)(source)
            }
            _ => DeployError::Io { path: path.to_owned(), source },
        }
    })
}

/// The file beside `path` that becomes it. Its dot keeps cron from reading it.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    files::parent(path).join(format!(".{name}.new"))
}

fn write(path: &Path, content: &mut impl Read, (mode, owner): (u32, Owner), mtime: i64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(content, &mut file)?;
    if let Some((owner, group)) = owner {
        std::os::unix::fs::fchown(&file, Some(owner), Some(group))?;
    }
    // After the owner, whose change takes bits away; and past the umask.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    set_mtime(&file, mtime)?;
    file.sync_all()
}

fn set_mtime(file: &File, second: i64) -> io::Result<()> {
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second.max(0).unsigned_abs()))
}

fn younger(now: i64, after: Option<i64>) -> i64 {
    after.map_or(now, |after| now.max(after.saturating_add(1)))
}

/// Makes a file a second younger, so that cron reads it once more; and its directory, if it has not seen it at all.
pub(super) fn touch(path: &Path, now: i64) -> io::Result<()> {
    changing(files::parent(path), now, || {
        let file = File::options().write(true).open(path)?;
        let mtime = file.metadata()?.mtime();
        set_mtime(&file, younger(now, Some(mtime)))
    })
}

/// Changes something in a directory, which is then younger than before, and written.
fn changing<T>(dir: &Path, now: i64, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let handle = File::open(dir)?;
    let before = handle.metadata()?.mtime();
    let done = change()?;
    set_mtime(&handle, younger(now, Some(before)))?;
    handle.sync_all()?;
    Ok(done)
}

/// Removes a file for good.
pub(super) fn remove(path: &Path, now: i64) -> Result<bool, DeployError> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(false);
    }
    changing(files::parent(path), now, || files::remove(path)).map_err(DeployError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: (u32, Owner) = (0o644, None);

    #[test]
    fn a_placed_file_is_younger_than_the_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tab");
        put(&path, &mut &b"one"[..], PLAIN, 1000, None).unwrap();
        let first = Placed::at(&path).unwrap().unwrap();
        assert_eq!((first.mtime, first.mode), (1000, 0o644));
        put(&path, &mut &b"two"[..], PLAIN, 1000, Some(first.mtime)).unwrap();
        assert_eq!(Placed::at(&path).unwrap().unwrap().mtime, 1001);
        put(&path, &mut &b"three"[..], PLAIN, 1000, Some(5000)).unwrap();
        assert_eq!(Placed::at(&path).unwrap().unwrap().mtime, 5001);
        touch(&path, 1000).unwrap();
        let last = Placed::at(&path).unwrap().unwrap();
        assert_eq!((last.mtime, last.sha256), (5002, digest::of(b"three")));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let young = fs::metadata(dir.path()).unwrap().mtime();
        assert!(remove(&path, 1000).unwrap() && !remove(&path, 1000).unwrap());
        assert_eq!(fs::metadata(dir.path()).unwrap().mtime(), young + 1, "cron sees that it is gone");
    }

    #[test]
    fn what_a_killed_install_left_is_no_obstacle_and_a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tab");
        fs::write(temporary(&path), "half").unwrap();
        put(&path, &mut &b"one"[..], PLAIN, 1, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let blocked = dir.path().join("dir");
        fs::create_dir(&blocked).unwrap();
        fs::write(blocked.join("in-it"), "").unwrap();
        assert!(put(&blocked, &mut &b"x"[..], PLAIN, 1, None).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_and_directories_are_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tab");
        assert_eq!(Placed::at(&path).unwrap(), None);
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(Placed::at(&path).is_err());
        assert!(Placed::at(dir.path()).is_err());
    }
}
