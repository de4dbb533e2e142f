//! Directories that are made when they are missing. What root makes in another user's directory is that user's.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::{owner, parent};

/// Creates a directory and its parents with `mode`; an existing one is left as it is.
pub fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> =
        path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    missing.into_iter().rev().try_for_each(owner::inherit_dir)
}

/// Creates the last directory of a path with `mode`, not those above it: a mistyped path is an error and no tree.
pub fn create_last_dir(path: &Path, mode: u32) -> io::Result<()> {
    make_last(path, mode).map(drop)
}

/// Creates the last directory of a path with exactly this mode, whatever the umask is; an existing one is left as it is.
pub fn create_exact_dir(path: &Path, mode: u32) -> io::Result<()> {
    if make_last(path, mode)? {
        // Not by its name, which the owner of the directory above may have given to something else meanwhile.
        owner::open_dir(path)?.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Returns whether it made one.
fn make_last(path: &Path, mode: u32) -> io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => owner::inherit_dir(path).map(|()| true),
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("there is no directory {}", parent(path).display());
            Err(io::Error::new(error.kind(), message))
        }
        Err(error) => Err(error),
    }
}
