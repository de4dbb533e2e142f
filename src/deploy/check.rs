//! The file as it will be on this host, checked by every rule of `crontab check`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::DeployError;
use super::host::{Host, User};
use crate::clock::{self, Clock};
use crate::crontab::file::{Crontab, Format};
use crate::crontab::lint::{self, Facts, FileFacts, FileKind, Owner, is_file_name, lint};
use crate::crontab::problem::{Problem, Severity};
use crate::domain::cron::Dialect;

/// A crontab and what is wrong with it here.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The crontab.
    pub crontab: Crontab,
    /// Every problem, by line.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// How many problems are this bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// The first error.
    pub fn first_error(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.severity == Severity::Error)
    }

    /// The lines that hold a secret, from 1.
    pub(super) fn secret_lines(&self) -> Vec<usize> {
        let secret = |problem: &&Problem| problem.rule == crate::crontab::problem::Rule::Secret;
        self.problems.iter().filter(secret).map(|problem| problem.line).collect()
    }
}

/// Checks a file that will have this name. `brings_binary`: the program of its calls is installed with it.
pub fn check(
    host: &Host,
    users: &[User],
    name: &str,
    source: &[u8],
    brings_binary: bool,
    clock: &dyn Clock,
) -> Result<Checked, DeployError> {
    let format =
        Format { dialect: Dialect::Cron, user_column: true, zone: clock::local_zone(), fixed_zone: false };
    let others = others(host, name, &format)?;
    let crontab = Crontab::parse(source, format);
    let machine = Machine { host, users, brings_binary };
    let facts = Facts {
        name: Some(name),
        host: Some(&machine),
        others: &others,
        from: clock.now(),
        ..Facts::default()
    };
    let problems = lint(&crontab, &facts);
    Ok(Checked { crontab, problems })
}

/// The tasks of the host's other crontabs.
fn others(host: &Host, name: &str, format: &Format) -> Result<Vec<Owner>, DeployError> {
    let dir = host.cron_dir();
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|other| is_file_name(other) && other != name))
        .map(|entry| entry.path())
        .chain([host.path("/etc/crontab")])
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    let mut owners = Vec::new();
    for path in paths {
        let crontab = Crontab::parse(&fs::read(&path).map_err(DeployError::io(&path))?, format.clone());
        owners.extend(crontab.entries().filter(|entry| entry.call().is_some()).map(|entry| Owner {
            task: entry.task(),
            place: format!("{}, line {}", path.display(), entry.line),
        }));
    }
    Ok(owners)
}

struct Machine<'a> {
    host: &'a Host,
    users: &'a [User],
    brings_binary: bool,
}

impl lint::Host for Machine<'_> {
    fn has_user(&self, name: &str) -> bool {
        self.users.iter().any(|user| user.name == name)
    }

    fn file(&self, path: &str) -> Option<FileFacts> {
        if self.brings_binary && path == Host::binary_on_host() {
            return Some(FileFacts {
                kind: FileKind::Regular,
                mode: 0o755,
                owner: 0,
                links: 1,
                link_owner: None,
            });
        }
        facts(&self.host.path(path))
    }

    fn zone(&self) -> Option<String> {
        // The zone of a root is that of the machine which it will be the root of.
        self.host.root().is_none().then(|| clock::local_zone().iana_name().map(str::to_owned)).flatten()
    }
}

fn facts(path: &Path) -> Option<FileFacts> {
    let (link, file) = (fs::symlink_metadata(path).ok()?, fs::metadata(path).ok()?);
    Some(FileFacts {
        kind: if file.is_file() { FileKind::Regular } else { FileKind::Other },
        mode: file.mode(),
        owner: file.uid(),
        links: file.nlink(),
        link_owner: link.is_symlink().then(|| link.uid()),
    })
}
