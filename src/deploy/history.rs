//! What was there before each install: kept outside cron's directory, and brought back from there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest;
use super::error::DeployError;
use super::host::Host;
use super::place::{self, Placed};
use super::record::{self, Memory};
use crate::files;

/// How many backups are kept.
const KEPT: usize = 5;

/// What a file was before an install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "was")]
pub enum Before {
    /// There was none.
    Absent,
    /// The install did not touch it.
    Untouched,
    /// It is in the backup.
    Saved(Placed),
}

/// What was there before one install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its number, that of the install which took it.
    pub number: u32,
    /// When it was taken.
    pub at: Timestamp,
    /// The crontab's name.
    pub name: String,
    /// The crontab.
    pub crontab: Before,
    /// The program.
    pub binary: Before,
}

/// The backups of one crontab.
#[derive(Clone, Debug)]
pub struct History {
    dir: PathBuf,
    host: Host,
    name: String,
}

impl History {
    /// Those of a crontab.
    pub fn new(host: &Host, name: &str) -> Self {
        let dir = Memory::new(&host.state(), name).backups();
        Self { dir, host: host.clone(), name: name.to_owned() }
    }

    /// Every backup, oldest first.
    pub fn list(&self) -> Result<Vec<Backup>, DeployError> {
        let entries = files::if_there(fs::read_dir(&self.dir)).map_err(DeployError::io(&self.dir))?;
        let mut found = Vec::new();
        for entry in entries.into_iter().flatten() {
            let path = entry.map_err(DeployError::io(&self.dir))?.path();
            // One without a record was being taken when its install was killed, before it changed anything.
            found.extend(record::read::<Backup>(&path.join("record.json"))?);
        }
        found.sort_by_key(|backup| backup.number);
        Ok(found)
    }

    /// The one with this number.
    pub fn get(&self, number: u32) -> Result<Backup, DeployError> {
        let path = self.dir_of(number).join("record.json");
        record::read(&path)?.ok_or(DeployError::Missing(path))
    }

    /// Where a backup keeps the crontab.
    pub fn crontab(&self, number: u32) -> PathBuf {
        self.dir_of(number).join("crontab")
    }

    /// Where a backup keeps the program.
    pub fn binary(&self, number: u32) -> PathBuf {
        self.dir_of(number).join("qs-api-call")
    }

    fn dir_of(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:04}"))
    }

    /// Keeps what is there now; the program only if it will be replaced.
    pub(super) fn take(&self, number: u32, at: Timestamp, with_binary: bool) -> Result<Backup, DeployError> {
        let dir = self.dir_of(number);
        files::create_dir(&self.dir, 0o700).map_err(DeployError::create(&self.dir))?;
        // A killed install left it, and changed nothing yet.
        self.forget(number)?;
        files::create_dir(&dir, 0o700).map_err(DeployError::create(&dir))?;
        let crontab = keep(&self.host.crontab(&self.name), &self.crontab(number))?;
        let binary =
            if with_binary { keep(&self.host.binary(), &self.binary(number))? } else { Before::Untouched };
        let backup = Backup { number, at, name: self.name.clone(), crontab, binary };
        record::write(&dir.join("record.json"), &backup)?;
        Ok(backup)
    }

    /// Brings back what a backup holds: the crontab first, so that no line of the new one meets the old program. A
    /// file that is what it was is not touched. Returns what was done.
    pub(super) fn restore(&self, backup: &Backup, now: i64) -> Result<Vec<String>, DeployError> {
        let (crontab, binary) = (self.host.crontab(&self.name), self.host.binary());
        let mut done = bring_back(&backup.crontab, &self.crontab(backup.number), &crontab, now)?;
        done.extend(bring_back(&backup.binary, &self.binary(backup.number), &binary, now)?);
        for path in [&crontab, &binary] {
            place::remove(&place::temporary(path), now)?;
        }
        Ok(done)
    }

    /// The shell commands that bring it back.
    pub(super) fn by_hand(&self, backup: &Backup) -> String {
        let lines = [
            (&backup.crontab, self.crontab(backup.number), self.host.crontab(&self.name)),
            (&backup.binary, self.binary(backup.number), self.host.binary()),
        ];
        let commands = lines.iter().filter_map(|(before, saved, path)| match before {
            Before::Absent => Some(format!("rm -f {}", path.display())),
            Before::Untouched => None,
            Before::Saved(Placed { mode, owner, group, .. }) => {
                let (saved, path) = (saved.display(), path.display());
                Some(format!("install -m {mode:o} -o {owner} -g {group} {saved} {path}"))
            }
        });
        format!("by hand: {}", commands.collect::<Vec<_>>().join(" && "))
    }

    /// The program as it was when the backup was taken: in it, or in the first later one that replaced it. None when
    /// it is still the same.
    pub(super) fn binary_of(&self, number: u32) -> Result<Option<(Before, PathBuf)>, DeployError> {
        let later = self.list()?.into_iter().filter(|backup| backup.number >= number);
        let found = later.into_iter().find(|backup| backup.binary != Before::Untouched);
        Ok(found.map(|backup| (backup.binary, self.binary(backup.number))))
    }

    /// Forgets a backup.
    pub(super) fn forget(&self, number: u32) -> Result<(), DeployError> {
        let dir = self.dir_of(number);
        files::remove_dir(&dir).map_err(DeployError::io(&dir))
    }

    /// Keeps the newest ones.
    pub(super) fn prune(&self) -> Result<(), DeployError> {
        let all = self.list()?;
        for backup in all.iter().take(all.len().saturating_sub(KEPT)) {
            self.forget(backup.number)?;
        }
        Ok(())
    }
}

fn keep(from: &Path, to: &Path) -> Result<Before, DeployError> {
    let Some(placed) = Placed::at(from)? else { return Ok(Before::Absent) };
    let mut source = File::open(from).map_err(DeployError::io(from))?;
    place::put(to, &mut source, (0o600, None), placed.mtime, None)?;
    let copied = digest::of_file(to).map_err(DeployError::io(to))?;
    if copied != placed.sha256 {
        let what = format!("{} changed while it was saved", from.display());
        return Err(DeployError::host(what, "try again"));
    }
    Ok(Before::Saved(placed))
}

fn bring_back(before: &Before, saved: &Path, path: &Path, now: i64) -> Result<Vec<String>, DeployError> {
    let current = Placed::at(path)?;
    let shown = path.display();
    match (before, &current) {
        (Before::Untouched, _) | (Before::Absent, None) => Ok(Vec::new()),
        (Before::Absent, Some(_)) => {
            place::remove(path, now)?;
            Ok(vec![format!("{shown} is removed, as there was none")])
        }
        (Before::Saved(old), Some(there)) if Placed { mtime: there.mtime, ..old.clone() } == *there => {
            Ok(Vec::new())
        }
        (Before::Saved(old), _) => {
            let mut source = File::open(saved).map_err(DeployError::io(saved))?;
            let owner = files::is_root().then_some((old.owner, old.group));
            let after = current.map_or(old.mtime, |current| current.mtime.max(old.mtime));
            place::put(path, &mut source, (old.mode, owner), now, Some(after))?;
            Ok(vec![format!("{shown} is again what it was")])
        }
    }
}
