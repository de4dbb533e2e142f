//! `--output`: the reply in a file, whole or not at all. The place is opened before anything is sent, so that a reply is
//! never fetched for nothing.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::domain::exit::Exit;
use crate::domain::outcome::CallReport;
use crate::files::{Draft, Durability, if_there};

/// What the umask is taken from.
const EVERYBODY: u32 = 0o666;

/// Where a reply is written to.
pub enum ReplyFile {
    /// Standard output.
    Stdout,
    /// Something that takes bytes as they come: a pipe, a device, another descriptor of this process.
    Stream(std::fs::File),
    /// A file that is replaced.
    File(Draft),
}

impl ReplyFile {
    /// Opens the place.
    ///
    /// # Errors
    /// Which place it is, and why nothing can be written there.
    pub fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("--output {}: {error}", path.display());
        if is_stdout(path) {
            return Ok(Self::Stdout);
        }
        let stream = || OpenOptions::new().append(true).open(path).map(Self::Stream).map_err(failed);
        if ["/dev/fd/", "/proc/self/fd/"].iter().any(|dir| path.starts_with(dir))
            || path == Path::new("/dev/stderr")
        {
            return stream();
        }
        match if_there(std::fs::metadata(path)).map_err(failed)? {
            Some(there) if there.is_dir() => Err(failed(io::ErrorKind::IsADirectory.into())),
            Some(there) if !there.is_file() => stream(),
            _ => Draft::begin(path, EVERYBODY).map(Self::File).map_err(failed),
        }
    }

    /// Writes the reply of a call that succeeded; after any other, what was there stays.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn write(self, path: &Path, report: &CallReport) -> Result<(), String> {
        let Some(received) = report.received.as_ref().filter(|_| report.outcome.exit() == Exit::Ok) else {
            return Ok(());
        };
        let bytes = &received.0;
        let written = match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Stream(mut file) => file.write_all(bytes),
            Self::File(draft) => draft.finish(bytes, Durability::Disk),
        };
        match written {
            // A reader that has gone away wants no more.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("--output {}: {error}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a place is standard output, by whichever name.
pub fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// The place of `--output`, as it was given.
pub type Place = Option<(PathBuf, ReplyFile)>;

/// Opens the place of `--output`, if one was given.
///
/// # Errors
/// As [`ReplyFile::open`].
pub fn open(path: Option<&Path>) -> Result<Place, String> {
    path.map(|path| Ok((path.to_owned(), ReplyFile::open(path)?))).transpose()
}
