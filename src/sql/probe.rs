//! Whether there is room for what is written next. A database that writes over its own log again can take a small change
//! on a full disk, and the next large one not.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sqlx::Sqlite;

use super::Db;
use super::outage::Connections;
use super::private::{FileIdentity, file_of};
use crate::files;

/// What is written: more than one change needs.
const ROOM: usize = 64 << 10;

impl Db {
    /// Makes sure that the file of SQLite is still the one that was opened: after a backup was put in its place, what this
    /// process writes goes into the file that has no name any more. Then writes as much beside a SQLite file as a change may need, and takes it back. A server looks after its own disk.
    ///
    /// # Errors
    /// The system's, as one of the database.
    pub async fn room(&self) -> Result<(), sqlx::Error> {
        let Self::Sqlite(connections) = self else { return Ok(()) };
        let Some(file) = file_of(&connections.pool) else { return Ok(()) };
        let opened = connections.opened;
        let looked = move || is_still(&file, opened).and_then(|()| write_beside(&file));
        let written = tokio::task::spawn_blocking(looked).await;
        written.map_err(io::Error::other)?.map_err(sqlx::Error::Io)
    }
}

/// Makes sure of the same before something is written: nothing is acknowledged that the next start does not find.
pub(super) fn has_its_file(connections: &Connections<Sqlite>) -> Result<(), sqlx::Error> {
    let Some(file) = file_of(&connections.pool) else { return Ok(()) };
    is_still(&file, connections.opened).map_err(sqlx::Error::Io)
}

fn is_still(file: &Path, opened: Option<FileIdentity>) -> io::Result<()> {
    let Some(opened) = opened else { return Ok(()) };
    let hint = "(hint: restart the server)";
    match FileIdentity::of(file) {
        Ok(found) if found == opened => Ok(()),
        Ok(_) => {
            let file = file.display();
            Err(io::Error::other(format!("{file} is another file than the one that was opened {hint}")))
        }
        Err(error) => Err(io::Error::other(format!("{}: {error} {hint}", file.display()))),
    }
}

/// The file has no name any more when it is written, so that nothing is left of it after a kill.
fn write_beside(file: &Path) -> io::Result<()> {
    let path = files::sibling(file, "-room");
    let options = File::options().write(true).create(true).to_owned();
    let mut room = files::open_or_create(&options, &path, files::PRIVATE)?;
    files::remove(&path)?;
    room.write_all(&vec![0; ROOM])
}
