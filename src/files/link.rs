//! Where a symbolic link leads. A file that is replaced or moved away is the one at the end of the link: the link is
//! somebody's decision about the place, and stays.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// The path of what `path` stands for, whether it is there or not. What is no regular file, such as `/dev/stdout`, keeps
/// the name that was given: it has no other one.
///
/// # Errors
/// `InvalidInput` for links in a circle, and `PermissionDenied` where root would follow a link of another user to what is not that user's:
/// such a link could make root replace any file of the machine.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = std::fs::read_link(&path) else { return Ok(path) };
        let is_special = std::fs::metadata(&path).is_ok_and(|found| !found.is_file());
        if is_special || path.starts_with("/proc") {
            return Ok(path);
        }
        let target = super::parent(&path).join(target);
        if super::is_root() {
            check_trust(&path, &target)?;
        }
        path = target;
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} leads in a circle of links", path.display())))
}

/// Whether root may follow a link from `path` to `target`.
fn check_trust(path: &Path, target: &Path) -> io::Result<()> {
    let owner = std::fs::symlink_metadata(path)?.uid();
    if owner == 0 {
        return Ok(());
    }
    let found = std::fs::metadata(path).or_else(|_| std::fs::metadata(super::parent(target)))?;
    if found.uid() == owner {
        return Ok(());
    }
    let reason = format!(
        "{} is a link of user {owner} to {}, which is not that user's: root does not follow it (hint: chown -h root {0})",
        path.display(),
        target.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn a_link_is_followed_to_its_end_even_if_nothing_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("volume")).unwrap();
        symlink("volume/second", at("first")).unwrap();
        symlink("../end", at("volume/second")).unwrap();
        symlink("itself", at("itself")).unwrap();
        for (path, end) in
            [("end", at("end")), ("volume/second", at("volume/../end")), ("first", at("volume/../end"))]
        {
            assert_eq!(resolve(&at(path)).unwrap(), end, "{path}");
        }
        assert_eq!(resolve(&at("itself")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        symlink("/dev/null", at("device")).unwrap();
        assert_eq!(resolve(&at("device")).unwrap(), at("device"));
    }

    #[test]
    fn root_follows_no_link_by_which_a_user_reaches_what_is_not_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        symlink(&target, &link).unwrap();
        if lchown(&link, Some(65_534), None).is_err() {
            return; // Only root can make links of other users.
        }
        assert!(resolve(&link).unwrap_err().to_string().contains("chown -h root"), "its directory is root's");
        std::fs::write(&target, "precious").unwrap();
        assert_eq!(resolve(&link).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        lchown(&target, Some(65_534), None).unwrap();
        assert_eq!(resolve(&link).unwrap(), target);
    }
}
