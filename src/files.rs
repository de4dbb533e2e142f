//! L1 · Files that several processes share: private directories, whole-file replacement, kernel locks.
//!
//! Locks are the kernel's (`flock`), so a killed process frees its own. A lock file that was removed keeps nobody away,
//! since others lock its successor, so a lock counts only while its file still has a name.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, OFlags, RenameFlags};
use tokio::time::Instant;

/// Readable and writable by the owner alone.
pub const PRIVATE: u32 = 0o600;
/// Readable by everyone: metrics.
pub const PUBLIC: u32 = 0o644;

/// Creates a directory and its parents with `mode`; an existing one is left as it is.
pub fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Creates the last directory of a path with `mode`, not those above it: a mistyped path is an error and no tree.
pub fn create_last_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("there is no directory {}", parent(path).display());
            Err(io::Error::new(error.kind(), message))
        }
        result => result,
    }
}

/// Creates the last directory of a path with exactly this mode, whatever the umask is; an existing one is left as it is.
pub fn create_exact_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_last_dir(path, mode)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
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
/// its first byte on. When the file exists and belongs to someone else, root keeps its owner and group.
pub fn replace(path: &Path, content: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    Draft::begin(path, mode)?.finish(content, durability)
}

/// A replacement that has a place and no content yet: that the place can be written is known before there is anything to
/// write. One that is not finished leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    renamed: bool,
}

impl Draft {
    /// Begins the replacement of the file at `path`, as [`replace`] says.
    pub fn begin(path: &Path, mode: u32) -> io::Result<Self> {
        let temporary = temporary_name(path);
        let file = create_new(&temporary, mode)?;
        let draft = Self { path: path.to_owned(), temporary, file, renamed: false };
        keep_owner(path, &draft.file)?;
        Ok(draft)
    }

    /// Gives it its content and its name.
    pub fn finish(mut self, content: &[u8], durability: Durability) -> io::Result<()> {
        self.file.write_all(content)?;
        if durability == Durability::Disk {
            self.file.sync_all()?;
        }
        std::fs::rename(&self.temporary, &self.path)?;
        self.renamed = true;
        let directory = parent(&self.path);
        if durability == Durability::Disk { File::open(directory)?.sync_all() } else { Ok(()) }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.renamed {
            // A temporary file that cannot be removed is harmless.
            drop(std::fs::remove_file(&self.temporary));
        }
    }
}

/// A new file of `mode`. What is meant for everybody has its mode whatever the umask is: a service has a strict one.
fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    if mode == PUBLIC && file.metadata()?.mode() & 0o777 != PUBLIC {
        file.set_permissions(std::fs::Permissions::from_mode(PUBLIC))?;
    }
    Ok(file)
}

/// Gives `file` the owner and group of what is at `path`, if anything is.
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    if let Ok(existing) = std::fs::metadata(path) {
        let mine = file.metadata()?;
        if (existing.uid(), existing.gid()) != (mine.uid(), mine.gid()) {
            std::os::unix::fs::fchown(file, Some(existing.uid()), Some(existing.gid()))?;
        }
    }
    Ok(())
}

/// Replaces a file that is replaced on every run, as [`replace`] with [`Durability::Rename`] does, without a file that
/// is created and another that is deleted, and without the write to disk that some file systems add to a rename: the
/// content is written over the file that the last replacement took away, kept as `.name.spare`, and the two change
/// names. Where that cannot be done it is [`replace`]. The caller keeps other writers away.
pub fn exchange(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let spare = spare(path);
    if write_and_exchange(path, &spare, content, mode).is_ok() {
        return Ok(());
    }
    replace(path, content, mode, Durability::Rename)?;
    // The next replacement can be an exchange. One that cannot have a spare has been made all the same.
    drop(make_spare(path, &spare, mode));
    Ok(())
}

/// Where the file is that the next [`exchange`] of `path` writes over.
pub fn spare(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.spare"))
}

fn write_and_exchange(path: &Path, spare: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().write(true).custom_flags(no_link).open(spare)?;
    let (old, new) = (std::fs::symlink_metadata(path)?, file.metadata()?);
    // Somebody else's file, one with another name elsewhere, or one of another mode is not ours to write over.
    let kind = |metadata: &Metadata| (metadata.uid(), metadata.gid(), metadata.mode(), metadata.nlink());
    if kind(&old) != kind(&new) || !new.is_file() || new.nlink() != 1 || new.mode() & 0o777 != mode {
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
    keep_owner(path, &create_new(spare, mode)?)
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
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(path)
    }

    /// Takes the lock if it is free.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = Self::open(path)?;
            if !Self::attempt(&file)? {
                return Ok(None);
            }
            if Self::counts(&file)? {
                return Ok(Some(Self(file)));
            }
        }
    }

    /// Takes the lock, waiting for whoever has it: for locks that are held for microseconds.
    pub fn take(path: &Path) -> io::Result<Self> {
        loop {
            let file = Self::open(path)?;
            file.lock()?;
            if Self::counts(&file)? {
                return Ok(Self(file));
            }
        }
    }

    /// Takes the lock before `deadline`, or returns `None`. The kernel has no lock with a deadline, so this asks
    /// again after pauses that grow from 2 to 50 ms, with jitter so that many waiters do not ask in step.
    pub async fn take_before(path: &Path, deadline: Instant) -> io::Result<Option<Self>> {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
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

    /// Whether a locked file still has its name: one that was removed meanwhile keeps nobody away.
    fn counts(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.nlink() > 0)
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
