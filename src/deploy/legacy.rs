//! What the scripts of the replaced system left on a host.

use std::fs;
use std::path::PathBuf;

use super::error::DeployError;
use super::host::Host;
use super::place;
use crate::files;

const SCRIPTS: [&str; 2] = ["/usr/local/bin/qs-api-call.sh", "/usr/local/bin/qs-refresh-token.sh"];
const LOGROTATE: &str = "/etc/logrotate.d/qs-scheduler";
/// What our own file for logrotate says.
const OURS: &str = "qs-api-call rotates its logs by itself";

/// What is to go, and what stays although it has such a name.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    pub(super) gone: Vec<PathBuf>,
    pub(super) kept: Vec<String>,
}

impl Legacy {
    /// What was done, when it was purged.
    pub(super) fn told(&self) -> String {
        let gone = self.gone.iter().map(|path| format!("removed {}", path.display()));
        let kept = self.kept.iter().map(|kept| format!("kept: {kept}"));
        let told: Vec<String> = gone.chain(kept).collect();
        if told.is_empty() { "nothing was left".to_owned() } else { told.join("; ") }
    }
}

/// Looks for it. A script that the crontab names stays: its lines would break.
pub(super) fn find(host: &Host, crontab: &str) -> Legacy {
    let mut found = Legacy::default();
    for script in SCRIPTS {
        let path = host.path(script);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let is_script = metadata.is_file() && fs::read(&path).is_ok_and(|content| content.starts_with(b"#!"));
        if !is_script {
            found.kept.push(format!("{} is no script", path.display()));
        } else if crontab.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(script)) {
            found.kept.push(format!("{} is named by the crontab", path.display()));
        } else {
            found.gone.push(path);
        }
    }
    let path = host.path(LOGROTATE);
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
        if fs::read_to_string(&path).is_ok_and(|text| text.contains(OURS)) {
            found.kept.push(format!("{} is not the old one", path.display()));
        } else {
            found.gone.push(path);
        }
    }
    found
}

/// Takes it away, and keeps a copy in a private directory.
pub(super) fn purge(host: &Host, gone: &[PathBuf], now: i64) -> Result<(), DeployError> {
    if gone.is_empty() {
        return Ok(());
    }
    let dir = host.state().join("legacy");
    files::create_dir(&dir, 0o700).map_err(DeployError::create(&dir))?;
    for path in gone {
        let copy = dir.join(path.file_name().unwrap_or_default());
        let content = fs::read(path).map_err(DeployError::io(path))?;
        files::replace(&copy, &content, files::PRIVATE, files::Durability::Disk)
            .map_err(DeployError::io(&copy))?;
        place::remove(path, now)?;
    }
    Ok(())
}
