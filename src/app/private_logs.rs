//! The daily files of a server's log are for their owner alone, like everything else that it keeps. Whoever else shall read
//! its log reads standard error, which systemd and container runtimes keep under rules of their own.

use std::path::Path;

use super::stop;
use crate::cli::output::Failure;
use crate::domain::exit::Exit;
use crate::files;

/// What helps where a log cannot be.
pub(super) const LOG_DIR: &str =
    "name a directory that this user may write, or remove the key: standard error has the log too";

/// Makes the directory of the log if it is missing. One that is there stays as it is: it may have other files.
pub(super) fn make_dir(dir: Option<&Path>) -> Result<(), Failure> {
    let Some(dir) = dir else { return Ok(()) };
    files::create_dir(dir, files::PRIVATE_DIR).map_err(|error| {
        stop(Exit::CannotCreate, format!("log.dir: cannot create {}: {error}", dir.display()))
            .with_hint(LOG_DIR)
    })
}

/// Takes the rights of others from this program's files in it, those of older releases too, and tells of each.
pub(super) fn tighten(dir: Option<&Path>, program: &str) {
    let Some(dir) = dir else { return };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "whether others can read older logs is not known");
            return;
        }
    };
    let (begin, mut tightened) = (format!("{program}."), 0_u32);
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&begin) || path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        match files::tighten(&path) {
            Ok(changed) => tightened += u32::from(changed),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "others may read this log, and that cannot be changed");
            }
        }
    }
    if tightened > 0 {
        tracing::warn!(files = tightened, dir = %dir.display(), "others could read logs; now only their owner can");
    }
}
