//! L1 · Files that several processes share: private directories, whole-file replacement, kernel locks.

mod dir;
mod link;
mod lock;
mod mode;
mod owner;
mod replace;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use dir::{create_dir, create_exact_dir, create_last_dir};
pub use link::resolve;
pub use lock::{FileLock, counts, lock_within};
pub use mode::{only_for_owner, tighten};
pub use owner::{check_writable, create_like, open_or_create};
pub use replace::{Draft, Durability, exchange, replace, spare};

/// Readable and writable by the owner alone.
pub const PRIVATE: u32 = 0o600;
/// A directory that the owner alone can look into.
pub const PRIVATE_DIR: u32 = 0o700;
/// Readable by everyone: metrics.
pub const PUBLIC: u32 = 0o644;
/// How long a lock is waited for that is held for microseconds: whoever has it longer is stopped or frozen.
pub const LOCK_WAIT: Duration = Duration::from_secs(3);

/// The directory of `path`; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `path` with `suffix` appended to its file name.
pub fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// None where the file is not there.
pub fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file; one that is not there is removed already. Returns whether it was there.
pub fn remove(path: &Path) -> io::Result<bool> {
    if_there(std::fs::remove_file(path)).map(|removed| removed.is_some())
}

/// Removes a directory and everything in it, if it is there.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    if_there(std::fs::remove_dir_all(path)).map(drop)
}

/// Whether the file ends in the middle of a line: a process that is killed while its line crosses a page of the file
/// leaves the first part. The file must be open for reading and `length` bytes long.
pub fn ends_torn(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last != [b'\n'])
}

/// Whether this process runs as root: its entry in /proc belongs to its user.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The host's name, as the kernel has it.
pub fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
