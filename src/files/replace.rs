//! Replacing a file as a whole.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags};

use super::{PUBLIC, link, owner, parent, remove};

/// Whether a replacement must survive a power cut, or only a killed process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The data reach the disk before the name does: for what cannot be made again.
    Disk,
    /// The rename alone: a killed process leaves the old or the new file, never a torn one.
    Rename,
}

/// Replaces a file as a whole: readers see the old or the new content, never a part. The new file has `mode` from
/// its first byte on, and owner and group of the old one or of its directory as far as this process may give them. A
/// link stays, and what it leads to is replaced. A file that is a mount of its own has no name that could be given to
/// another one: it is written over.
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
        let path = link::resolve(path)?;
        if std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file: it is not replaced",
            ));
        }
        let temporary = temporary_name(&path);
        let file = create_new(&temporary, mode)?;
        let draft = Self { path, temporary, file, renamed: false };
        keep_owner(&draft.path, &draft.file)?;
        Ok(draft)
    }

    /// Gives it its content and its name.
    pub fn finish(mut self, content: &[u8], durability: Durability) -> io::Result<()> {
        self.file.write_all(content)?;
        if durability == Durability::Disk {
            self.file.sync_all()?;
        }
        match std::fs::rename(&self.temporary, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                return write_over(&self.path, content);
            }
            renamed => renamed?,
        }
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
        file.set_permissions(Permissions::from_mode(PUBLIC))?;
    }
    Ok(file)
}

/// Gives `file` the owner and group of what is at `path`, else those of its directory.
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(existing) => owner::give(file, (existing.uid(), existing.gid())),
        Err(_) => owner::inherit(file, parent(path)),
    }
}

/// Writes a file from its beginning, in one write for what is short, and cuts it off only then: whoever reads meanwhile
/// sees no empty file.
fn write_over(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(content, 0)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

/// Replaces a file that is replaced on every run, as [`replace`] with [`Durability::Rename`] does, without a file that
/// is created and another that is deleted, and without the write to disk that some file systems add to a rename: the
/// content is written over the file that the last replacement took away, kept as `.name.spare`, and the two change
/// names. Where that cannot be done it is [`replace`]. The caller keeps other writers away.
pub fn exchange(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let path = &link::resolve(path)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::PRIVATE;

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

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("token"), dir.path().join("volume/token"));
        std::fs::create_dir(dir.path().join("volume")).unwrap();
        std::os::unix::fs::symlink("volume/token", &link).unwrap();
        for content in ["first", "second"] {
            replace(&link, content.as_bytes(), PRIVATE, Durability::Disk).unwrap();
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(std::fs::read_to_string(&target).unwrap(), content);
        }
        exchange(&link, b"third", PUBLIC).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "third");
    }

    #[test]
    fn a_device_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(replace(&link, b"x", PRIVATE, Durability::Rename).is_err());
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
