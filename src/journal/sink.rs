//! What a log is written to: a file of its own, or a stream that is somebody else's.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::rotation::{LOG_MODE, Rotation};
use crate::files;

/// How much room is made sure of before a call: its lines, with a reply of the default length.
const ROOM: u64 = 16 * 1024;

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Sink {
    /// A regular file: it is locked, rotated, and found again by its name.
    File(LogPlace),
    /// A pipe, a terminal, a socket or a device: the log of a container. There is no file of ours beside it.
    Stream(File),
}

/// Most that a pipe takes at once when it is said to take something (`PIPE_BUF` of Linux).
const PIECE: usize = 4096;

/// Writes `lines` to a stream and takes from them what was written. A reader that stalls holds a call no longer than
/// `patience` for a piece: a write that waits in the kernel would not even end with a signal.
///
/// # Errors
/// `TimedOut`, and the system's.
pub(super) fn write_to_stream(stream: &mut File, lines: &mut String, patience: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    while !lines.is_empty() {
        let ready = loop {
            match poll(&mut [PollFd::new(&*stream, PollFlags::OUT)], Some(&timeout)) {
                Err(Errno::INTR) => {}
                ready => break ready?,
            }
        };
        if ready == 0 {
            let reason = format!("nobody has read it for {patience:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        let end = lines.floor_char_boundary(PIECE);
        stream.write_all(&lines.as_bytes()[..end])?;
        drop(lines.drain(..end));
    }
    Ok(())
}

impl Sink {
    /// Opens the log, creating the file and the last directory of its path, and makes sure that it can be locked within
    /// `lock_wait`.
    ///
    /// # Errors
    /// The system's; a pipe without a reader is one.
    pub(super) fn open(path: &Path, lock_wait: Duration) -> io::Result<Self> {
        if let Some(stream) = standard(path)? {
            return Ok(Self::Stream(stream));
        }
        match files::if_there(std::fs::metadata(path))? {
            Some(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Some(found) if !found.is_file() => stream(path, &found).map(Self::Stream),
            _ => {
                let mut place = LogPlace::open(path)?;
                place.lock(lock_wait)?;
                place.unlock()?;
                Ok(Self::File(place))
            }
        }
    }

    /// Makes sure of room for the lines of a call. False where that cannot be known without writing.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn has_room(&self) -> io::Result<bool> {
        let Self::File(LogPlace { file, .. }) = self else { return Ok(false) };
        // Room behind the end of the file is taken without making the file longer.
        match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, file.metadata()?.len(), ROOM) {
            Ok(()) => Ok(true),
            Err(Errno::NOSPC) => Err(Errno::NOSPC.into()),
            Err(Errno::DQUOT) => Err(Errno::DQUOT.into()),
            Err(Errno::FBIG) => Err(Errno::FBIG.into()),
            // Not every file system can do that.
            Err(_) => Ok(false),
        }
    }
}

/// A log that is a regular file, and its lock.
#[derive(Debug)]
pub(super) struct LogPlace {
    /// Where it is, behind all links.
    path: PathBuf,
    file: File,
    lock: Lock,
}

/// What is locked.
#[derive(Debug)]
enum Lock {
    /// A file beside the log.
    Beside(File),
    /// The log itself, since none can be made beside it, for this reason: a log of ours in a directory of somebody else.
    /// It cannot be moved away either.
    Itself(io::Error),
}

impl Lock {
    /// Opens the lock file, or makes it for everybody who may write to the log.
    fn open(log_path: &Path, log: &File) -> io::Result<Self> {
        let path = lock_path(log_path);
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let opened = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::create_like(&options, &path, &log.metadata()?)
            }
            opened => opened,
        };
        match opened {
            Err(error) if is_forbidden(&error) => Ok(Self::Itself(error)),
            lock => lock.map(Self::Beside),
        }
    }
}

impl LogPlace {
    /// Opens or creates the log where a link leads, and its lock.
    fn open(path: &Path) -> io::Result<Self> {
        files::create_last_dir(files::parent(path), 0o750)?;
        let path = files::resolve(path)?;
        let file = append_to(&path)?;
        let lock = Lock::open(&path, &file)?;
        Ok(Self { path, file, lock })
    }

    /// Where the log is, behind all links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock, waiting no longer than this for whoever has it.
    ///
    /// # Errors
    /// `TimedOut`, and the system's.
    pub(super) fn lock(&mut self, lock_wait: Duration) -> io::Result<()> {
        loop {
            match &self.lock {
                Lock::Itself(_) => return files::lock_within(&self.file, &self.path, lock_wait),
                Lock::Beside(lock) => {
                    files::lock_within(lock, &lock_path(&self.path), lock_wait)?;
                    if files::counts(lock)? {
                        return Ok(());
                    }
                }
            }
            self.lock = Lock::open(&self.path, &self.file)?;
        }
    }

    /// Frees the lock.
    pub(super) fn unlock(&self) -> io::Result<()> {
        match &self.lock {
            Lock::Beside(lock) => lock.unlock(),
            Lock::Itself(_) => self.file.unlock(),
        }
    }

    /// Follows the name: another process, or logrotate, may have moved the file that is open. Returns whether it did.
    pub(super) fn follow_name(&mut self) -> io::Result<bool> {
        let mine = self.file.metadata()?;
        let named = std::fs::metadata(&self.path);
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (mine.dev(), mine.ino())) {
            return Ok(false);
        }
        self.file = append_to(&self.path)?;
        Ok(true)
    }

    /// Bytes in the log.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Moves the log away and begins one of the same owner, group and mode. The caller holds the lock.
    pub(super) fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        if let Lock::Itself(error) = &self.lock {
            let reason = format!("{}: {error}", lock_path(&self.path).display());
            return Err(io::Error::new(error.kind(), reason));
        }
        let old = self.file.metadata()?;
        Rotation::rotate(&self.path, now)?;
        self.file = files::create_like(OpenOptions::new().read(true).append(true), &self.path, &old)?;
        Ok(())
    }

    /// Appends lines in one write. What a killed process began stays readable, on a line of its own.
    pub(super) fn append(&mut self, lines: &str) -> io::Result<()> {
        let line_break = if files::ends_torn(&self.file, self.length()?)? { "\n" } else { "" };
        self.file.write_all(format!("{line_break}{lines}").as_bytes())
    }

    /// As in a directory of somebody else.
    #[cfg(test)]
    pub(super) fn lose_lock_file(&mut self, reason: io::Error) {
        self.lock = Lock::Itself(reason);
    }
}

/// Opens a log that is a regular file.
fn append_to(path: &Path) -> io::Result<File> {
    files::open_or_create(OpenOptions::new().read(true).append(true), path, LOG_MODE)
}

fn lock_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    files::parent(path).join(format!(".{name}.lock"))
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Standard output or standard error by any of their names. The stream itself is taken: its name cannot be opened when
/// it is a socket, as below systemd, or belongs to another user.
fn standard(path: &Path) -> io::Result<Option<File>> {
    let number = match path.to_str() {
        Some("/dev/stdout") => "1",
        Some("/dev/stderr") => "2",
        Some(path) => match path.strip_prefix("/proc/self/fd/").or_else(|| path.strip_prefix("/dev/fd/")) {
            Some(number) => number,
            None => return Ok(None),
        },
        None => return Ok(None),
    };
    let stream = match number {
        "1" => io::stdout().as_fd().try_clone_to_owned()?,
        "2" => io::stderr().as_fd().try_clone_to_owned()?,
        _ => return Ok(None),
    };
    Ok(Some(File::from(stream)))
}

/// Opens what is no regular file. A pipe without a reader is refused instead of waited for.
fn stream(path: &Path, found: &Metadata) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().append(true).custom_flags(flags).open(path).map_err(|error| {
        if found.file_type().is_fifo() && error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) {
            return io::Error::new(error.kind(), "a pipe that nobody reads");
        }
        error
    })?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}
