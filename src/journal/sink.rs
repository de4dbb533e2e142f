//! What a log is written to: a file of its own, or a stream that is somebody else's.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::rotation::LOG_MODE;
use crate::files;

/// How much room is made sure of before a call: its lines, with a reply of the default length.
const ROOM: u64 = 16 * 1024;

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Sink {
    /// A regular file: it is locked, rotated, and found again by its name.
    File {
        /// The log.
        file: File,
        /// What is locked: a file beside the log, or the log itself where none can be made.
        lock: File,
        /// Whether files beside the log can be made, as rotating it does.
        rotates: bool,
    },
    /// A pipe, a terminal, a socket or a device: the log of a container. There is no file of ours beside it.
    Stream(File),
}

impl Sink {
    /// Opens the log, creating the file and the last directory of its path, and makes sure that it can be locked.
    ///
    /// # Errors
    /// The system's; a pipe without a reader is one.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(stream) = standard(path)? {
            return Ok(Self::Stream(stream));
        }
        match files::if_there(std::fs::metadata(path))? {
            Some(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Some(found) if !found.is_file() => stream(path, &found).map(Self::Stream),
            _ => {
                files::create_last_dir(files::parent(path), 0o750)?;
                let file = append_to(path)?;
                let (lock, rotates) = match lock_file(&lock_path(path)) {
                    Err(error) if not_ours(&error) => (file.try_clone()?, false),
                    lock => (lock?, true),
                };
                lock.lock()?;
                lock.unlock()?;
                Ok(Self::File { file, lock, rotates })
            }
        }
    }

    /// Makes sure of room for the lines of a call. False where that cannot be known without writing.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn has_room(&self) -> io::Result<bool> {
        let Self::File { file, .. } = self else { return Ok(false) };
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

/// Opens a log that is a regular file.
pub(super) fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(LOG_MODE).open(path)
}

fn lock_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    files::parent(path).join(format!(".{name}.lock"))
}

fn lock_file(path: &Path) -> io::Result<File> {
    let mode = files::PRIVATE;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(mode).open(path)
}

/// A log of ours in a directory of somebody else.
fn not_ours(error: &io::Error) -> bool {
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
