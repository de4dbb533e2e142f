//! What is remembered about installs: the last one that was proved, and the one that is under way.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::DeployError;
use super::place::Placed;
use super::prove::Proof;
use crate::files::{self, Durability};

/// An install or roll back that was proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its number, which grows.
    pub number: u32,
    /// When it was placed.
    pub at: Timestamp,
    /// What was done: `install` or `rollback`.
    pub by: String,
    /// The version of the program that did it.
    pub version: String,
    /// The backup that it brought back, if it was a roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u32>,
    /// The crontab.
    pub crontab: Placed,
    /// The program, if it was ever installed this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<Placed>,
    /// How it was proved that cron accepts the crontab.
    pub proof: Proof,
    /// The endpoint that the canary asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
}

/// Written before the first change and removed behind the last one: who finds it finds an install that was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The number that it would have got, which is also that of its backup.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// The digest of the crontab that it was to place.
    pub crontab_sha256: String,
    /// The same of the program, if it was to place one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_sha256: Option<String>,
}

/// The directory of what is kept about one crontab.
#[derive(Clone, Debug)]
pub struct Memory {
    dir: PathBuf,
}

impl Memory {
    /// That of a crontab; `state` is the directory for all of them.
    pub fn new(state: &Path, name: &str) -> Self {
        Self { dir: state.join(name) }
    }

    /// Makes it, readable by its owner alone, in a directory of which others may read the metrics.
    pub(super) fn create(&self) -> Result<(), DeployError> {
        let shared = files::parent(files::parent(&self.dir));
        files::create_dir(files::parent(shared), 0o755).map_err(DeployError::create(shared))?;
        files::create_exact_dir(shared, 0o711).map_err(DeployError::create(shared))?;
        files::create_dir(&self.dir, 0o700).map_err(DeployError::create(&self.dir))
    }

    /// Where backups are.
    pub fn backups(&self) -> PathBuf {
        self.dir.join("backups")
    }

    /// Where a new version is kept until it is placed.
    pub(super) fn staged(&self) -> PathBuf {
        self.dir.join("staged")
    }

    /// The last deployment that was proved.
    pub fn last(&self) -> Result<Option<Deployment>, DeployError> {
        read(&self.dir.join("last.json"))
    }

    pub(super) fn set_last(&self, deployment: &Deployment) -> Result<(), DeployError> {
        write(&self.dir.join("last.json"), deployment)
    }

    /// The install that is under way, or was when it was killed.
    pub fn under_way(&self) -> Result<Option<UnderWay>, DeployError> {
        read(&self.journal())
    }

    pub(super) fn begin(&self, under_way: &UnderWay) -> Result<(), DeployError> {
        write(&self.journal(), under_way)
    }

    pub(super) fn end(&self) -> Result<(), DeployError> {
        let path = self.journal();
        let removed = files::remove(&path).and_then(|_| std::fs::File::open(&self.dir)?.sync_all());
        removed.map_err(DeployError::io(&path))
    }

    fn journal(&self) -> PathBuf {
        self.dir.join("under-way.json")
    }
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DeployError> {
    let text = files::if_there(std::fs::read(path)).map_err(DeployError::io(path))?;
    let read = text.map(|text| serde_json::from_slice(&text)).transpose();
    read.map_err(|error| DeployError::io(path)(error.into()))
}

pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<(), DeployError> {
    let io = |source| DeployError::Io { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| io(error.into()))?;
    text.push(b'\n');
    files::replace(path, &text, files::PRIVATE, Durability::Disk).map_err(io)
}
