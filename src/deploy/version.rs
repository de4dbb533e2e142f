//! What is to be installed: read once, so that what was checked is what is placed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::digest::{self, Manifest};
use super::error::DeployError;
use super::history::{Backup, Before, History};
use super::host::Host;
use super::record::Memory;
use crate::files::{self, Durability};

/// Where a version comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files of a release.
    Files {
        /// The crontab.
        crontab: PathBuf,
        /// The program, if it is to be installed, too.
        binary: Option<PathBuf>,
        /// The digests of both.
        manifest: Option<PathBuf>,
    },
    /// A backup; the one before the current version when no number is given.
    Backup(Option<u32>),
}

/// A crontab and perhaps a program.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) crontab: Vec<u8>,
    pub(super) crontab_sha256: String,
    pub(super) binary: Option<Binary>,
    /// The backup that it is.
    pub(super) restored: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Binary {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
}

impl Version {
    pub(super) fn read(source: &Source, host: &Host, name: &str) -> Result<Self, DeployError> {
        match source {
            Source::Files { crontab, binary, manifest } => {
                let version = Self::of_files(crontab, binary.as_deref(), None)?;
                if let Some(manifest) = manifest {
                    let manifest = Manifest::read(manifest)?;
                    manifest.expect(crontab, &version.crontab_sha256)?;
                    if let Some(binary) = &version.binary {
                        manifest.expect(&binary.path, &binary.sha256)?;
                    }
                }
                Ok(version)
            }
            Source::Backup(number) => Self::of_backup(*number, host, name),
        }
    }

    fn of_files(crontab: &Path, binary: Option<&Path>, restored: Option<u32>) -> Result<Self, DeployError> {
        let content = fs::read(crontab).map_err(DeployError::io(crontab))?;
        let read = |path: &Path| match digest::of_file(path) {
            Ok(sha256) => Ok(Binary { path: path.to_owned(), sha256 }),
            Err(error) => Err(DeployError::io(path)(error)),
        };
        let binary = binary.map(read).transpose()?;
        Ok(Self { crontab_sha256: digest::of(&content), crontab: content, binary, restored })
    }

    fn of_backup(number: Option<u32>, host: &Host, name: &str) -> Result<Self, DeployError> {
        let history = History::new(host, name);
        let number = match number {
            Some(number) => number,
            None => previous(&history, &Memory::new(&host.state(), name))?,
        };
        let backup = history.get(number)?;
        if !matches!(backup.crontab, Before::Saved(_)) {
            return Err(DeployError::Missing(history.crontab(number)));
        }
        let binary = match history.binary_of(number)? {
            Some((Before::Saved(_), path)) => Some(path),
            _ => None,
        };
        Self::of_files(&history.crontab(number), binary.as_deref(), Some(number))
    }

    /// Copies it into a private directory, where nobody changes it between here and its place.
    pub(super) fn stage(&mut self, dir: &Path) -> Result<(), DeployError> {
        files::remove_dir(dir).map_err(DeployError::io(dir))?;
        files::create_dir(dir, 0o700).map_err(DeployError::create(dir))?;
        let crontab = dir.join("crontab");
        files::replace(&crontab, &self.crontab, files::PRIVATE, Durability::Disk)
            .map_err(DeployError::io(&crontab))?;
        if let Some(binary) = &mut self.binary {
            let to = dir.join("qs-api-call");
            let copied = copy_program(&binary.path, &to).map_err(DeployError::io(&to))?;
            if copied != binary.sha256 {
                let what = format!("{} changed while it was read", binary.path.display());
                return Err(DeployError::Manifest(what));
            }
            binary.path = to;
        }
        Ok(())
    }
}

fn copy_program(from: &Path, to: &Path) -> io::Result<String> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o700).open(to)?;
    let digest = digest::copy(&mut File::open(from)?, &mut target)?;
    target.sync_all()?;
    Ok(digest)
}

/// The backup before the current version. One roll back after another goes further back, not to and fro.
fn previous(history: &History, memory: &Memory) -> Result<u32, DeployError> {
    let before = memory.last()?.and_then(|last| last.restored).unwrap_or(u32::MAX);
    let is_older = |backup: &Backup| backup.number < before && matches!(backup.crontab, Before::Saved(_));
    let older = history.list()?.into_iter().rev().find(is_older).map(|backup| backup.number);
    let hint = "qs-api-call crontab rollback --list shows every one";
    older.ok_or_else(|| DeployError::host("there is no earlier version", hint))
}
