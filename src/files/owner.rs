//! Whose a new file is. A call that root makes by hand must not break the calls of the user whose directories it uses:
//! what root makes in another user's directory is that user's.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{Access, OFlags};

/// Opens a file as `options` say, or makes it with `mode`. One that was there stays whose it is: anybody may have put it
/// there for root to give away.
pub fn open_or_create(options: &OpenOptions, path: &Path, mode: u32) -> io::Result<File> {
    let opened = options.open(path);
    if !opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return opened;
    }
    match options.clone().create_new(true).mode(mode).open(path) {
        Ok(file) => inherit(&file, super::parent(path)).map(|()| file),
        // Another process was faster, or it is a link to what is not there yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.clone().create(true).mode(mode).open(path)
        }
        Err(error) => Err(error),
    }
}

/// Makes a file with owner, group and mode of another one; opens it as `options` say if another process was faster.
pub fn create_like(options: &OpenOptions, path: &Path, model: &Metadata) -> io::Result<File> {
    match options.clone().create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            give(&file, (model.uid(), model.gid()))?;
            file.set_permissions(Permissions::from_mode(model.mode() & 0o666))?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}

/// Gives what root has just made in `dir` to the owner and the group of `dir`.
pub(super) fn inherit(made: &File, dir: &Path) -> io::Result<()> {
    if !super::is_root() {
        return Ok(());
    }
    let dir = std::fs::metadata(dir)?;
    if dir.uid() == 0 { Ok(()) } else { give(made, (dir.uid(), dir.gid())) }
}

/// The same for a directory.
pub(super) fn inherit_dir(made: &Path) -> io::Result<()> {
    if !super::is_root() {
        return Ok(());
    }
    inherit(&open_dir(made)?, super::parent(made))
}

/// Opens a directory that is no link to another one.
pub(super) fn open_dir(path: &Path) -> io::Result<File> {
    let itself = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(itself).open(path)
}

/// Gives a file to a user and a group, as far as this process may: whose it is decides who comes next, and is no reason
/// to fail what it is made for.
pub(super) fn give(file: &File, (user, group): (u32, u32)) -> io::Result<()> {
    let mine = file.metadata()?;
    if (mine.uid(), mine.gid()) == (user, group) {
        return Ok(());
    }
    // A member of the group may give it to the group, though not to the user.
    match fchown(file, Some(user), Some(group)).or_else(|_| fchown(file, None, Some(group))) {
        Err(error) if is_refused(error.kind()) => Ok(()),
        given => given,
    }
}

/// Not permitted, an owner that the file system cannot name, or a file system without owners.
fn is_refused(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Whether this process may write to what is at `path`, or make files in it if it is a directory; what is not there is
/// no obstacle.
///
/// # Errors
/// Who may, for the message.
pub fn check_writable(path: &Path) -> io::Result<()> {
    let Some(found) = super::if_there(std::fs::metadata(path))? else { return Ok(()) };
    let access = if found.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
    rustix::fs::access(path, access).map_err(|error| {
        let error = io::Error::from(error);
        let reason = format!(
            "{error}; it has owner {}, group {} and mode {:04o} (hint: give it to the user of the call with chown)",
            found.uid(),
            found.gid(),
            found.mode() & 0o7777
        );
        io::Error::new(error.kind(), reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{self, Durability, FileLock, PRIVATE};

    const USER: u32 = 65_534;

    /// A directory of another user; none where that cannot be made.
    fn of_another_user() -> Option<tempfile::TempDir> {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(USER), Some(USER)).ok().map(|()| dir)
    }

    fn owner(path: &Path) -> (u32, u32) {
        let found = std::fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid())
    }

    #[test]
    fn what_root_makes_in_the_directory_of_another_user_is_that_users() {
        let Some(dir) = of_another_user() else { return };
        let at = |name: &str| dir.path().join(name);
        files::create_dir(&at("deep/er"), 0o750).unwrap();
        drop(open_or_create(OpenOptions::new().append(true), &at("deep/er/log"), 0o640).unwrap());
        files::replace(&at("token"), b"t", PRIVATE, Durability::Disk).unwrap();
        files::exchange(&at("metrics"), b"m", files::PUBLIC).unwrap();
        drop(FileLock::take(&at("lock")).unwrap());
        for name in ["deep", "deep/er", "deep/er/log", "token", "metrics", ".metrics.spare", "lock"] {
            assert_eq!(owner(&at(name)), (USER, USER), "{name}");
        }
    }

    #[test]
    fn what_was_there_is_not_given_away() {
        let Some(dir) = of_another_user() else { return };
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "root's").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link] {
            drop(open_or_create(OpenOptions::new().append(true), path, 0o640).unwrap());
            assert_eq!(owner(&file), (0, 0));
        }
    }

    #[test]
    fn a_file_like_another_has_its_owner_and_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (model, path) = (dir.path().join("model"), dir.path().join("new"));
        std::fs::write(&model, "").unwrap();
        std::fs::set_permissions(&model, Permissions::from_mode(0o664)).unwrap();
        // Where this is not permitted, the model is this user's.
        drop(std::os::unix::fs::chown(&model, Some(USER), Some(4)));
        let like = std::fs::metadata(&model).unwrap();
        drop(create_like(OpenOptions::new().append(true), &path, &like).unwrap());
        assert_eq!(owner(&path), owner(&model));
        assert_eq!(std::fs::metadata(&path).unwrap().mode(), like.mode());
    }

    #[test]
    fn what_is_not_there_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        check_writable(dir.path()).unwrap();
        check_writable(&dir.path().join("missing")).unwrap();
    }
}
