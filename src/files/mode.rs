//! Who may read what a server keeps: its owner alone, whoever made the files and with which umask.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::umask;

use super::if_there;

/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// From now on this process, and what it starts, makes files and directories for their owner alone.
pub fn only_for_owner() {
    let before = umask(Mode::from_raw_mode(OTHERS));
    // What was forbidden before stays so.
    umask(before | Mode::from_raw_mode(OTHERS));
}

/// Takes from a file what others may do with it. Answers whether they could do anything; what is not there has no rights.
///
/// # Errors
/// The system's: the file is another user's, or the disk is read-only.
pub fn tighten(path: &Path) -> io::Result<bool> {
    let Some(found) = if_there(std::fs::metadata(path))? else { return Ok(false) };
    let mode = found.permissions().mode() & 0o7777;
    if !found.is_file() || mode & OTHERS == 0 {
        return Ok(false);
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_do_is_taken_from_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        for (before, tightened, after) in
            [(0o644, true, 0o600), (0o600, false, 0o600), (0o440, true, 0o400), (0o2770, true, 0o2700)]
        {
            std::fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            assert_eq!((tighten(&path).unwrap(), mode(&path)), (tightened, after), "{before:o}");
        }
        let before = mode(dir.path());
        assert!(!tighten(dir.path()).unwrap() && !tighten(&dir.path().join("missing")).unwrap());
        assert_eq!(mode(dir.path()), before);
    }
}
