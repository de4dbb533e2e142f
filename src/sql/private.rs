//! The files of SQLite hold everything that the business knows: they are for their owner alone.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{self, PRIVATE, if_there};

/// What SQLite puts beside a database: the log of what is to be written into it, its shared memory, and the journal of
/// older programs.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Whether this is the name of a file and not that of a database in memory.
pub(super) fn is_file(path: &Path) -> bool {
    !path.to_string_lossy().starts_with("file:") && path != Path::new(":memory:")
}

/// The files that SQLite puts beside this one.
pub(super) fn beside(file: &Path) -> impl Iterator<Item = PathBuf> {
    BESIDE.iter().map(move |suffix| files::sibling(file, suffix))
}

/// Makes the file with mode 0600 if it is missing, since SQLite gives its own files the mode of the database, and takes
/// the rights of others from what is there. What cannot be taken is told: the database can be used all the same.
pub(super) fn keep(file: &Path) -> io::Result<()> {
    if !is_file(file) {
        return Ok(());
    }
    if if_there(std::fs::metadata(file))?.is_none() {
        files::open_or_create(OpenOptions::new().read(true).write(true), file, PRIVATE)?;
    }
    for path in std::iter::once(file.to_owned()).chain(beside(file)) {
        match files::tighten(&path) {
            Ok(true) => {
                tracing::warn!(path = %path.display(), "others could read it; now only its owner can");
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "others may read it, and that cannot be changed");
            }
        }
    }
    Ok(())
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    number: u64,
}

impl FileIdentity {
    /// That of the file of this name.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self { device: found.dev(), number: found.ino() })
    }
}

/// The file of these connections; none for a database in memory.
pub(super) fn file_of(pool: &sqlx::SqlitePool) -> Option<PathBuf> {
    let options = pool.connect_options();
    let file: &Path = options.get_filename();
    is_file(file).then(|| file.to_owned())
}
