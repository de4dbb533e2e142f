//! Locks of the kernel (`flock`): a killed process frees its own. A lock file that was removed keeps nobody away, since
//! others lock its successor, so a lock counts only while its file still has a name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{self, Duration};

use tokio::time::Instant;

use super::{LOCK_WAIT, PRIVATE, owner};

/// Locks an open file, waiting at most `patience` for whoever has the lock, as [`FileLock::take_within`] does. `path` is
/// its name, for the message.
///
/// # Errors
/// `TimedOut`, and the system's.
pub fn lock_within(file: &File, path: &Path, patience: Duration) -> io::Result<()> {
    ask_within(path, patience, || Ok(attempt(file)?.then_some(())))
}

/// Asks for a lock until it is had or `patience` is at its end, after pauses, since nothing ends a wait in the kernel in
/// time.
#[expect(clippy::disallowed_methods, reason = "a line of the log is written by an event, which cannot await")]
fn ask_within<T>(
    path: &Path,
    patience: Duration,
    mut ask: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<T> {
    let begun = time::Instant::now();
    loop {
        if let Some(lock) = ask()? {
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

/// Whether the file is locked now by us.
fn attempt(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a locked file still has its name: one that was removed meanwhile keeps nobody away.
pub fn counts(locked: &File) -> io::Result<bool> {
    Ok(locked.metadata()?.nlink() > 0)
}

/// An exclusive lock, held until it is dropped or the process dies.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Opens or creates the lock file, mode 0600.
    fn open(path: &Path) -> io::Result<File> {
        owner::open_or_create(OpenOptions::new().read(true).write(true), path, PRIVATE)
    }

    /// Takes the lock if it is free.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = Self::open(path)?;
            if !attempt(&file)? {
                return Ok(None);
            }
            if counts(&file)? {
                return Ok(Some(Self(file)));
            }
        }
    }

    /// Takes the lock, waiting at most [`LOCK_WAIT`] for whoever has it.
    pub fn take(path: &Path) -> io::Result<Self> {
        Self::take_within(path, LOCK_WAIT)
    }

    /// Takes the lock, waiting at most `patience` for whoever has it: for locks that are held for microseconds, where
    /// nothing else can be done meanwhile.
    ///
    /// # Errors
    /// `TimedOut`, and the system's.
    pub fn take_within(path: &Path, patience: Duration) -> io::Result<Self> {
        ask_within(path, patience, || Self::try_take(path))
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

    /// The locked file: its content belongs to the holder.
    pub fn file(&self) -> &File {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
