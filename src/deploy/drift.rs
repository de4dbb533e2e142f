//! Whether a host still has what was sent to it. It only looks.

use std::path::Path;

use serde::Serialize;

use super::check::check;
use super::cron;
use super::cron_log::{CronLog, Said};
use super::digest::{self, Manifest};
use super::error::DeployError;
use super::host::{self, Host};
use super::install::{BINARY_MODE, CRONTAB_MODE};
use super::place::Placed;
use super::record::{Deployment, Memory};
use crate::clock::Clock;
use crate::crontab::lint::is_file_name;
use crate::files::FileLock;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: `crontab`, `binary`, `cron` …
    pub what: &'static str,
    /// What was found, what was expected.
    pub message: String,
}

/// What a host has.
#[derive(Clone, Debug, Serialize)]
pub struct Inventory {
    /// The crontab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crontab: Option<Placed>,
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<Placed>,
    /// The last deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Deployment>,
    /// The process of cron.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<u32>,
    /// What is not as it must be.
    pub findings: Vec<Finding>,
}

impl Inventory {
    fn add(&mut self, what: &'static str, message: impl Into<String>) {
        self.findings.push(Finding { what, message: message.into() });
    }

    fn compare(&mut self, what: &'static str, path: &Path, sha256: Option<&str>, mode: u32) {
        let placed = if what == "crontab" { self.crontab.clone() } else { self.binary.clone() };
        let shown = path.display();
        let Some(placed) = placed else { return self.add(what, format!("{shown} is not there")) };
        if let Some(expected) = sha256.filter(|expected| *expected != placed.sha256) {
            self.add(what, format!("{shown} has the digest {}, expected {expected}", placed.sha256));
        }
        if placed.mode != mode {
            self.add(what, format!("{shown} has mode {:04o}, expected {mode:04o}", placed.mode));
        }
        let owner = host::own_uid();
        if placed.owner != owner {
            self.add(what, format!("{shown} belongs to user number {}, expected {owner}", placed.owner));
        }
    }
}

/// Compares a host with what should be on it.
///
/// # Errors
/// A file that cannot be read, or a manifest that does not fit.
pub fn drift(
    host: &Host,
    name: &str,
    crontab: &Path,
    binary: Option<&Path>,
    manifest: Option<&Path>,
) -> Result<Inventory, DeployError> {
    let mut found = look(host, name)?;
    let digest = |path: &Path| digest::of_file(path).map_err(DeployError::io(path));
    let expected = digest(crontab)?;
    let mut expected_binary = binary.map(digest).transpose()?;
    if let Some(path) = manifest {
        let manifest = Manifest::read(path)?;
        manifest.expect(crontab, &expected)?;
        if let (Some(path), Some(found)) = (binary, &expected_binary) {
            manifest.expect(path, found)?;
        } else if manifest.names("qs-api-call") {
            expected_binary = Some(manifest.digest(Path::new(Host::binary_on_host()))?.to_owned());
        }
    }
    found.compare("crontab", &host.crontab(name), Some(&expected), CRONTAB_MODE);
    if let Some(expected) = &expected_binary {
        found.compare("binary", &host.binary(), Some(expected), BINARY_MODE);
    }
    Ok(found)
}

/// Compares a host with what its records say, and asks whether cron runs it.
///
/// # Errors
/// A file that cannot be read.
pub async fn verify(host: &Host, name: &str, clock: &dyn Clock) -> Result<Inventory, DeployError> {
    let mut found = look(host, name)?;
    let path = host.crontab(name);
    found.findings.extend(unfinished(host, name, &found)?);
    let last = found.last.clone();
    found.compare("crontab", &path, last.as_ref().map(|last| &*last.crontab.sha256), CRONTAB_MODE);
    if let Some(binary) = last.as_ref().and_then(|last| last.binary.as_ref()) {
        found.compare("binary", &host.binary(), Some(&binary.sha256), BINARY_MODE);
    }
    if found.cron.is_none() {
        found.add("cron", "it is not running");
    }
    if found.crontab.is_some() {
        let source = std::fs::read(&path).map_err(DeployError::io(&path))?;
        let users = host.users().map_err(DeployError::io(Path::new("/etc/passwd")))?;
        let checked = check(host, &users, name, &source, false, clock)?;
        if let Some(first) = checked.first_error() {
            found.add("check", first.to_string());
        }
    }
    // The last thing that cron said of it counts: an error that a later RELOAD ended is over.
    if let Some(mut log) = CronLog::whole(host).await
        && let Some(Said::Error(error)) = log.said(name).await.pop()
    {
        found.add("log", format!("the last that cron logged about it in {}: {error}", log.place()));
    }
    Ok(found)
}

/// An install that has begun and not ended, and which files are in place.
fn unfinished(host: &Host, name: &str, found: &Inventory) -> Result<Option<Finding>, DeployError> {
    let Some(under_way) = Memory::new(&host.state(), name).under_way()? else { return Ok(None) };
    if found.last.as_ref().is_some_and(|last| last.number == under_way.number) {
        return Ok(None);
    }
    let which = |placed: Option<&Placed>, new: &str| match placed {
        Some(placed) if placed.sha256 == new => "new",
        Some(_) => "old",
        None => "missing",
    };
    let crontab = which(found.crontab.as_ref(), &under_way.crontab_sha256);
    let state = match &under_way.binary_sha256 {
        Some(new) => format!("the crontab is {crontab}, the program {}", which(found.binary.as_ref(), new)),
        None => format!("the crontab is {crontab}"),
    };
    let lock = host.state().join("lock");
    let at_work = FileLock::try_take(&lock).map_err(DeployError::io(&lock))?.is_none();
    let what = if at_work { "is at work" } else { "was interrupted, and the next one rolls it back" };
    let message =
        format!("one that began at {} {what}: {state}", under_way.at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    Ok(Some(Finding { what: "install", message }))
}

fn look(host: &Host, name: &str) -> Result<Inventory, DeployError> {
    if !is_file_name(name) {
        return Err(DeployError::Name(name.to_owned()));
    }
    Ok(Inventory {
        crontab: Placed::at(&host.crontab(name))?,
        binary: Placed::at(&host.binary())?,
        last: Memory::new(&host.state(), name).last()?,
        cron: cron::running(host),
        findings: Vec::new(),
    })
}
