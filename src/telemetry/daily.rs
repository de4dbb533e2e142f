//! A file a day, which is looked after: whoever tidies up takes away a file or its directory while the server writes, and
//! what is written into a file without a name is gone.

use std::fs::Metadata;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};

/// Daily files that are kept.
const FILES_KEPT: usize = 30;

/// How often it is looked whether the file is there.
const EVERY: Duration = Duration::from_secs(1);

/// The file that is written: its name, which has its day, and what tells it from another one with this name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    name: std::ffi::OsString,
    device: u64,
    inode: u64,
}

/// The daily files of a program in one directory.
#[derive(Debug)]
pub(super) struct Daily {
    dir: PathBuf,
    program: &'static str,
    /// None while no file can be made.
    file: Option<RollingFileAppender>,
    newest: Option<Named>,
    looked: Instant,
}

impl Daily {
    /// Makes the file of today, in a directory that is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn open(dir: &Path, program: &'static str) -> Result<Self, InitError> {
        let file = Some(appender(dir, program)?);
        let (dir, newest) = (dir.to_owned(), newest(dir, program));
        Ok(Self { dir, program, file, newest, looked: Instant::now() })
    }

    /// Makes the file again if it is gone. It is told once, by a line that standard error has as well.
    fn look(&mut self) {
        let found = newest(&self.dir, self.program);
        let is_there = match (&self.newest, &found) {
            // Tomorrow's file has a later name; another file with the same one is not the one that is written.
            (Some(written), Some(found)) => found.name > written.name || found == written,
            _ => false,
        };
        if is_there && self.file.is_some() {
            self.newest = found;
            return;
        }
        let (dir, was_there) = (self.dir.display(), self.file.take().is_some());
        // What the process makes is for its owner alone (`files::only_for_owner`).
        let made = std::fs::create_dir_all(&self.dir).map_err(|error| error.to_string());
        match made.and_then(|()| appender(&self.dir, self.program).map_err(|error| error.to_string())) {
            Ok(file) => {
                self.file = Some(file);
                self.newest = newest(&self.dir, self.program);
                tracing::warn!(%dir, "the log file was gone and is made again: its last lines may be missing");
            }
            Err(error) if was_there => {
                tracing::error!(%dir, error, "the log file is gone and cannot be made again: make log.dir writable");
            }
            Err(_) => {}
        }
    }
}

impl Write for Daily {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.looked.elapsed() >= EVERY {
            self.look();
            self.looked = Instant::now();
        }
        match &mut self.file {
            Some(file) => file.write(lines),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn appender(dir: &Path, program: &str) -> Result<RollingFileAppender, InitError> {
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(program)
        .filename_suffix("log")
        .max_log_files(FILES_KEPT)
        .build(dir)
}

/// The last of a program's files, by their names.
fn newest(dir: &Path, program: &str) -> Option<Named> {
    let begin = format!("{program}.");
    let files = std::fs::read_dir(dir).ok()?.flatten().filter(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with(&begin) && name.ends_with(".log")
    });
    let named = |(file, found): (std::fs::DirEntry, Metadata)| Named {
        name: file.file_name(),
        device: found.dev(),
        inode: found.ino(),
    };
    files.filter_map(|file| file.metadata().ok().map(|found| named((file, found)))).max()
}
