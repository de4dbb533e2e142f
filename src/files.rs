//! L1 · Files that several processes share: private directories, whole-file replacement, kernel locks.
//!
//! Locks are the kernel's (`flock`), so a killed process frees its own; lock files are never removed, because a
//! removed lock file can be held by one process while another locks its successor.

mod link;
mod owner;

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{self, Duration};

use rustix::fs::{CWD, OFlags, RenameFlags};
use tokio::time::Instant;

pub use link::resolve;
pub use owner::{check_writable, create_like, open_or_create};

/// Readable and writable by the owner alone.
pub const PRIVATE: u32 = 0o600;
/// Readable by everyone: metrics.
pub const PUBLIC: u32 = 0o644;
/// How long a lock is waited for that is held for microseconds: whoever has it longer is stopped or frozen.
pub const LOCK_WAIT: Duration = Duration::from_secs(3);

/// Creates a directory and its parents with `mode`; an existing one is left as it is.
pub fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> =
        path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    missing.into_iter().rev().try_for_each(owner::inherit_dir)
}

/// Whether a replacement must survive a power cut, or only a killed process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The data reach the disk before the name does: for what cannot be made again.
    Disk,
    /// The rename alone: a killed process leaves the old or the new file, never a torn one.
    Rename,
}

/// Replaces a file as a whole: readers see the old or the new content, never a part. The new file has `mode` from
/// its first byte on, and owner and group of the old one or of its directory as far as this process may give them. A
/// link stays, and what it leads to is replaced. A file that is a mount of its own has no name that could be given to
/// another one: it is written over.
pub fn replace(path: &Path, content: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let path = &resolve(path)?;
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file: it is not replaced"));
    }
    let temporary = temporary_name(path);
    let write_and_rename = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        keep_owner(path, &file)?;
        file.write_all(content)?;
        if durability == Durability::Disk {
            file.sync_all()?;
        }
        match std::fs::rename(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                write_over(path, content)?;
                std::fs::remove_file(&temporary)?;
            }
            renamed => renamed?,
        }
        if durability == Durability::Disk { File::open(parent(path))?.sync_all() } else { Ok(()) }
    };
    // The error that matters is the first one; a temporary file that cannot be removed either is harmless.
    write_and_rename().inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

/// Gives `file` the owner and group of what is at `path`, else those of its directory.
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(existing) => owner::give(file, (existing.uid(), existing.gid())),
        Err(_) => owner::inherit(file, parent(path)),
    }
}

/// Writes a file from its beginning, in one write for what is short, and cuts it off only then: whoever reads meanwhile
/// sees no empty file.
fn write_over(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(content, 0)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

/// Replaces a file that is replaced on every run, as [`replace`] with [`Durability::Rename`] does, without a file that
/// is created and another that is deleted, and without the write to disk that some file systems add to a rename: the
/// content is written over the file that the last replacement took away, kept as `.name.spare`, and the two change
/// names. Where that cannot be done it is [`replace`]. The caller keeps other writers away.
pub fn exchange(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let path = &resolve(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let spare = parent(path).join(format!(".{name}.spare"));
    if write_and_exchange(path, &spare, content).is_ok() {
        return Ok(());
    }
    replace(path, content, mode, Durability::Rename)?;
    // The next replacement can be an exchange. One that cannot have a spare has been made all the same.
    drop(make_spare(path, &spare, mode));
    Ok(())
}

fn write_and_exchange(path: &Path, spare: &Path, content: &[u8]) -> io::Result<()> {
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().write(true).custom_flags(no_link).open(spare)?;
    let (old, new) = (std::fs::symlink_metadata(path)?, file.metadata()?);
    // Somebody else's file, or one with another name elsewhere, is not ours to write over.
    let kind = |metadata: &Metadata| (metadata.uid(), metadata.gid(), metadata.mode(), metadata.nlink());
    if kind(&old) != kind(&new) || !new.is_file() || new.nlink() != 1 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    file.write_all_at(content, 0)?;
    if new.len() > content.len() as u64 {
        file.set_len(content.len() as u64)?;
    }
    Ok(rustix::fs::renameat_with(CWD, spare, CWD, path, RenameFlags::EXCHANGE)?)
}

/// An empty file of the same owner.
fn make_spare(path: &Path, spare: &Path, mode: u32) -> io::Result<()> {
    remove(spare)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(spare)?;
    keep_owner(path, &file)
}

/// A name beside `path` that no other process uses: `.name.<pid>.<random>.tmp`.
fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{}.{:08x}.tmp", std::process::id(), fastrand::u32(..)))
}

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

/// An exclusive lock, held until it is dropped or the process dies.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Opens or creates the lock file, mode 0600.
    fn open(path: &Path) -> io::Result<File> {
        open_or_create(OpenOptions::new().read(true).write(true), path, PRIVATE)
    }

    /// Takes the lock if it is free.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = Self::open(path)?;
        Ok(Self::attempt(&file)?.then_some(Self(file)))
    }

    /// Takes the lock, waiting at most [`LOCK_WAIT`] for whoever has it.
    pub fn take(path: &Path) -> io::Result<Self> {
        Self::take_within(path, LOCK_WAIT)
    }

    /// Takes the lock, waiting at most `patience` for whoever has it: for locks that are held for microseconds, where
    /// nothing else can be done meanwhile. It asks again after pauses, since nothing ends a wait in the kernel in time.
    ///
    /// # Errors
    /// `TimedOut`, and the system's.
    #[expect(
        clippy::disallowed_methods,
        reason = "a line of the log is written by an event, which cannot await"
    )]
    pub fn take_within(path: &Path, patience: Duration) -> io::Result<Self> {
        let begun = time::Instant::now();
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let reason = format!(
                    "the lock {0} has been held by another process for longer than {patience:?} (hint: `fuser {0}` names it)",
                    path.display()
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            let pause = Duration::from_micros(fastrand::u64(200..2_000));
            std::thread::sleep(pause.min(left));
        }
    }

    /// Takes the lock before `deadline`, or returns `None`. The kernel has no lock with a deadline, so this asks
    /// again after pauses that grow from 2 to 50 ms, with jitter so that many waiters do not ask in step.
    pub async fn take_before(path: &Path, deadline: Instant) -> io::Result<Option<Self>> {
        let file = Self::open(path)?;
        let mut pause = Duration::from_millis(2);
        loop {
            if Self::attempt(&file)? {
                return Ok(Some(Self(file)));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let wake = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::time::sleep_until(wake.min(deadline)).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Whether the file is locked now by us.
    fn attempt(file: &File) -> io::Result<bool> {
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The locked file: its content belongs to the holder.
    pub fn file(&self) -> &File {
        &self.0
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_replacement_is_whole_private_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        replace(&path, b"a longer first text", PRIVATE, Durability::Disk).unwrap();
        replace(&path, b"short", PRIVATE, Durability::Rename).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn exchanged_files_are_two_and_always_the_same_two() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics");
        let inode = || std::fs::metadata(&path).unwrap().ino();
        let mut inodes = Vec::new();
        for content in ["first", "the second, which is longer", "third", "", "the fifth"] {
            exchange(&path, content.as_bytes(), PUBLIC).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            inodes.push(inode());
        }
        assert_eq!((inodes[0], inodes[1]), (inodes[2], inodes[3]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_spare_that_is_not_ours_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (path, spare) = (dir.path().join("metrics"), dir.path().join(".metrics.spare"));
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        for plant in
            [std::fs::hard_link, |victim: &Path, spare: &Path| std::os::unix::fs::symlink(victim, spare)]
        {
            exchange(&path, b"old", PUBLIC).unwrap();
            remove(&spare).unwrap();
            plant(&victim, &spare).unwrap();
            exchange(&path, b"new", PUBLIC).unwrap();
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
            exchange(&path, b"newer", PUBLIC).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "newer");
        }
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"x", PRIVATE, Durability::Rename).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("token"), dir.path().join("volume/token"));
        std::fs::create_dir(dir.path().join("volume")).unwrap();
        std::os::unix::fs::symlink("volume/token", &link).unwrap();
        for content in ["first", "second"] {
            replace(&link, content.as_bytes(), PRIVATE, Durability::Disk).unwrap();
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(std::fs::read_to_string(&target).unwrap(), content);
        }
        exchange(&link, b"third", PUBLIC).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "third");
    }

    #[test]
    fn a_device_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(replace(&link, b"x", PRIVATE, Durability::Rename).is_err());
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_lock_that_is_held_is_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = FileLock::take(&path).unwrap();
        let error = FileLock::take_within(&path, Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        drop(held);
        FileLock::take_within(&path, Duration::ZERO).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_excludes_and_frees_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::take(&path).unwrap();
        assert!(FileLock::try_take(&path).unwrap().is_none());
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(FileLock::take_before(&path, deadline).await.unwrap().is_none());
        assert!(Instant::now() >= deadline, "it waited for the whole time");
        drop(first);
        assert!(FileLock::take_before(&path, Instant::now()).await.unwrap().is_some());
    }
}
