//! Rotation of a log by size and age, done by whichever process finds it due.
//!
//! A full log is renamed to `<log>-<time>` and compressed to `<log>-<time>.gz`. Names carry the time instead of a
//! number, so nothing is ever shifted: a process killed at any point leaves every line in exactly one readable file,
//! and the next rotation finishes what it left.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};

use crate::files;

/// What failed beside a line that was written all the same.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The log grows beyond its limit.
    #[error("The log cannot be rotated and grows on: {0}")]
    NotRotated(io::Error),
    /// Rotated logs stay as they are.
    #[error("Rotated logs cannot be compressed or removed: {0}")]
    NotTidied(io::Error),
}

impl Trouble {
    /// The name of the event.
    pub fn event(&self) -> &'static str {
        match self {
            Self::NotRotated(_) => "log_not_rotated",
            Self::NotTidied(_) => "log_not_tidied",
        }
    }
}

/// When a log is rotated and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Rotate before a line would make the log longer than this; 0 is never.
    pub size: u64,
    /// Rotate a log that was begun this long ago; zero is never.
    pub age: Duration,
    /// Rotated files kept.
    pub keep: u32,
    /// Compress rotated files.
    pub compress: bool,
}

impl Rotation {
    /// Whether a log of `length` bytes, begun at `begun`, must be rotated before `more` bytes are added.
    pub fn is_due(&self, length: u64, begun: Option<Timestamp>, now: Timestamp, more: u64) -> bool {
        let too_long = self.size > 0 && length + more > self.size;
        let limit = SignedDuration::try_from(self.age).unwrap_or(SignedDuration::MAX);
        let too_old = !self.age.is_zero() && begun.is_some_and(|begun| now.duration_since(begun) >= limit);
        length > 0 && (too_long || too_old)
    }

    /// Moves the log away. The caller holds the log's lock.
    pub fn rotate(log: &Path, now: Timestamp) -> io::Result<()> {
        let stamp = now.strftime("-%Y%m%dT%H%M%SZ").to_string();
        let mut target = files::sibling(log, &stamp);
        let mut counter = 1;
        while target.exists() || files::sibling(&target, ".gz").exists() {
            target = files::sibling(log, &format!("{stamp}.{counter}"));
            counter += 1;
        }
        std::fs::rename(log, target)
    }

    /// Compresses and prunes what earlier rotations left. The log's lock is not needed: rotated files are never
    /// written again, and each is locked while it is compressed.
    ///
    /// # Errors
    /// The first one; a file that cannot be compressed is kept as it is, and counts among those that are kept.
    pub fn tidy(&self, log: &Path) -> io::Result<()> {
        let mut plain = rotated_files(log)?.into_iter().filter(|path| self.compress && !is_compressed(path));
        let compressed = plain.try_for_each(|path| compress(&path));
        let mut rotated = rotated_files(log)?;
        let excess = rotated.len().saturating_sub(usize::try_from(self.keep).unwrap_or(usize::MAX));
        rotated.truncate(excess);
        for oldest in rotated {
            files::remove(&oldest)?;
        }
        compressed
    }
}

/// The rotated files of `log`, oldest first.
pub fn rotated_files(log: &Path) -> io::Result<Vec<PathBuf>> {
    let prefix = format!("{}-", log.file_name().unwrap_or_default().to_string_lossy());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(files::parent(log))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(stamp) = name.strip_prefix(&prefix).and_then(stamp) {
            found.push((stamp, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Reads `20261120T230000Z`, perhaps with `.1` and `.gz`, as what it is sorted by: the time, then the counter as a
/// number. Only such files are ever removed.
fn stamp(text: &str) -> Option<(String, u32)> {
    let text = text.strip_suffix(".gz").unwrap_or(text);
    let (stamp, counter) = text.split_once('.').unwrap_or((text, "0"));
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let counter = counter.parse().ok()?;
    (digits(date, 8) && digits(time, 6)).then(|| (stamp.to_owned(), counter))
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// Compresses one rotated file: the `.gz` appears whole, then the original goes. A file that another process is
/// compressing is left to it.
fn compress(path: &Path) -> io::Result<()> {
    let Some(source) = files::if_there(File::open(path))? else { return Ok(()) };
    if source.try_lock().is_err() {
        return Ok(());
    }
    let target = files::sibling(path, ".gz");
    if !target.exists() {
        let partial = files::sibling(path, ".gz.partial");
        // A killed process may have left its part; the lock says that nobody is writing it now.
        files::remove(&partial)?;
        // Without room for it there must be room again for the lines to come.
        write_compressed(&source, &partial).inspect_err(|_| drop(files::remove(&partial)))?;
        std::fs::rename(&partial, &target)?;
    }
    files::remove(path).map(|_| ())
}

fn write_compressed(mut source: &File, partial: &Path) -> io::Result<()> {
    let out = files::create_like(OpenOptions::new().write(true), partial, &source.metadata()?)?;
    let mut encoder = GzEncoder::new(out, Compression::fast());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.sync_all()
}

/// Logs are readable by the owner and the group: replies may hold what is not for everyone.
pub(super) const LOG_MODE: u32 = 0o640;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const ROTATION: Rotation =
        Rotation { size: 100, age: Duration::from_secs(3600), keep: 3, compress: true };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_log_is_due_by_size_or_by_age() {
        for (length, begun, more, due) in [
            (0, None, 500, false),
            (50, Some(7200), 50, false),
            (51, Some(7200), 50, true),
            (1, Some(3601), 1, false),
            (1, Some(3600), 1, true),
            (1, None, 1, false),
        ] {
            let verdict = ROTATION.is_due(length, begun.map(at), at(7200), more);
            assert_eq!(verdict, due, "{length} {begun:?} {more}");
        }
        let never = Rotation { size: 0, age: Duration::ZERO, ..ROTATION };
        assert!(!never.is_due(u64::MAX / 2, Some(at(0)), at(1 << 32), 1));
    }

    #[test]
    fn rotated_logs_are_compressed_and_pruned_and_foreign_files_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        for foreign in ["a.log-notes", "a.log-20261120", "b.log-20261120T230000Z"] {
            std::fs::write(dir.path().join(foreign), "keep").unwrap();
        }
        for (i, second) in [0, 0, 60, 120, 180].into_iter().enumerate() {
            std::fs::write(&log, format!("line {i}\n")).unwrap();
            Rotation::rotate(&log, at(second)).unwrap();
            ROTATION.tidy(&log).unwrap();
        }
        let kept = rotated_files(&log).unwrap();
        let text = |path: &PathBuf| {
            let mut text = String::new();
            flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(kept.iter().map(text).collect::<Vec<_>>(), ["line 2\n", "line 3\n", "line 4\n"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 6);
    }

    #[test]
    fn what_a_killed_process_left_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        let rotated = dir.path().join("a.log-20261120T230000Z");
        std::fs::write(&rotated, "line\n").unwrap();
        std::fs::write(files::sibling(&rotated, ".gz.partial"), "torn").unwrap();
        ROTATION.tidy(&log).unwrap();
        assert_eq!(rotated_files(&log).unwrap(), [files::sibling(&rotated, ".gz")]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
