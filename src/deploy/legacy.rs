//! What the scripts of the replaced system left on a host.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::DeployError;
use super::host::Host;
use super::{machine, place};
use crate::files;

const SCRIPTS: [&str; 2] = ["/usr/local/bin/qs-api-call.sh", "/usr/local/bin/qs-refresh-token.sh"];
const LOGROTATE: &str = "/etc/logrotate.d/qs-scheduler";
/// The crontabs of the users.
const SPOOL: &str = "/var/spool/cron/crontabs";
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
    pub(super) fn summary(&self) -> String {
        let gone = self.gone.iter().map(|path| format!("removed {}", path.display()));
        let kept = self.kept.iter().map(|kept| format!("kept: {kept}"));
        let done: Vec<String> = gone.chain(kept).collect();
        if done.is_empty() { "nothing was left".to_owned() } else { done.join("; ") }
    }
}

/// Looks for it. A script that a crontab names stays, whichever crontab that is: its lines would break.
pub(super) fn find(host: &Host, name: &str, crontab: &str) -> Legacy {
    let mut found = Legacy::default();
    let mut callers = callers(host, name, crontab);
    for script in SCRIPTS {
        let path = host.path(script);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let content = if metadata.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let name = script.rsplit('/').next().unwrap_or(script);
        let reasons: Vec<_> = callers.iter().filter_map(|caller| caller.reason_to_keep(name)).collect();
        if !content.starts_with(b"#!") {
            found.kept.push(format!("{} is no script", path.display()));
        } else if reasons.is_empty() {
            found.gone.push(path);
        } else {
            found.kept.push(format!("{}: {}", path.display(), reasons.join(", ")));
            // One script calls the other.
            let text = Some(String::from_utf8_lossy(&content).into_owned());
            callers.push(Caller { place: path.display().to_string(), text });
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

/// What may call a script.
struct Caller {
    place: String,
    /// What it says; nothing when it cannot be read.
    text: Option<String>,
}

impl Caller {
    fn of(path: &Path) -> Self {
        let text = fs::read(path).ok().map(|content| String::from_utf8_lossy(&content).into_owned());
        Self { place: path.display().to_string(), text }
    }

    /// Why a script of this name has to stay, if it has to.
    fn reason_to_keep(&self, name: &str) -> Option<String> {
        match &self.text {
            None => Some(format!("{} cannot be read", self.place)),
            Some(text) => calls(text, name).then(|| format!("{} names it", self.place)),
        }
    }
}

/// Every crontab of the host: the new one, those that the system has, and those of its users.
fn callers(host: &Host, name: &str, crontab: &str) -> Vec<Caller> {
    let mut callers = vec![Caller { place: "the new crontab".to_owned(), text: Some(crontab.to_owned()) }];
    callers.extend(machine::other_crontabs(host, name).iter().map(|path| Caller::of(path)));
    let spool = host.path(SPOOL);
    match files::if_there(fs::read_dir(&spool)) {
        Ok(entries) => {
            let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
            let mut paths: Vec<_> = paths.filter(|path| path.is_file()).collect();
            paths.sort();
            callers.extend(paths.iter().map(|path| Caller::of(path)));
        }
        Err(_) => callers.push(Caller { place: spool.display().to_string(), text: None }),
    }
    callers
}

/// Whether a line that is no comment has the name as a word of its own, with or without a directory.
fn calls(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
        line.match_indices(name).any(|(at, _)| {
            !line[..at].ends_with(part_of_name) && !line[at + name.len()..].starts_with(part_of_name)
        })
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_called_by_its_name_as_a_word() {
        for (line, expected) in [
            ("0 * * * * root /usr/local/bin/qs-api-call.sh /x", true),
            ("0 * * * * root cd /usr/local/bin && ./qs-api-call.sh /x", true),
            ("0 * * * * root qs-api-call.sh /x", true),
            ("0 * * * * root bash -c 'qs-api-call.sh'", true),
            ("0 * * * * root (qs-api-call.sh;true)", true),
            ("# 0 * * * * root qs-api-call.sh /x", false),
            ("0 * * * * root my-qs-api-call.sh /x", false),
            ("0 * * * * root qs-api-call.sh.old /x", false),
            ("0 * * * * root qs-api-call /x", false),
        ] {
            assert_eq!(calls(&format!("A=b\n{line}\n"), "qs-api-call.sh"), expected, "{line}");
        }
    }
}
