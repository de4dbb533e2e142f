//! A new version on a host, from the files that were sent to the proof that cron runs them; or everything as before.

mod change;
mod listen;
mod ready;
mod undo;

use std::path::Path;
use std::time::Duration;

use super::canary::Choice;
use super::changes::changes;
use super::check::Checked;
use super::cron_log::CronLog;
use super::error::DeployError;
use super::host::{self, Host, User};
use super::legacy;
use super::place::Placed;
use super::prove::WantedProof;
use super::record::{Deployment, Memory};
use super::rehearsal::Verdict;
use super::steps::{StepResult, Steps};
use super::stop::Stop;
use super::version::{Source, Version};
use crate::clock::Clock;
use crate::crontab::file::Crontab;
use crate::crontab::lint::{is_file_name, secret_lines};
use crate::deploy::history::History;
use crate::files;

/// The mode of an installed crontab.
pub(super) const CRONTAB_MODE: u32 = 0o644;
/// The mode of an installed program.
pub(super) const BINARY_MODE: u32 = 0o755;
/// How long a program may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// The file's name in `/etc/cron.d`.
    pub name: String,
    /// What is installed.
    pub source: Source,
    /// Which call is tried.
    pub canary: Choice,
    /// What proof is asked for.
    pub proof: WantedProof,
    /// How long cron's log may say nothing.
    pub proof_timeout: Duration,
    /// Show what would change, and change nothing.
    pub dry_run: bool,
    /// Install what is installed already, and replace a file that somebody else has changed.
    pub force: bool,
    /// Take away what the scripts left.
    pub purge_legacy: bool,
}

/// How an install ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was there already; nothing was written.
    Unchanged,
    /// What would change; nothing was.
    WouldChange(Vec<String>),
    /// It is in force.
    Installed(Box<Deployment>),
}

/// Installs, or rolls back to a backup: both take the same steps.
///
/// # Errors
/// Why nothing was changed, or why it was rolled back.
pub async fn install(
    order: &Order,
    host: &Host,
    clock: &dyn Clock,
    steps: &mut Steps,
    stop: &mut Stop,
) -> Result<Outcome, DeployError> {
    if !is_file_name(&order.name) {
        return Err(DeployError::Name(order.name.clone()));
    }
    let memory = Memory::new(&host.state(), &order.name);
    let history = History::new(host, &order.name);
    let result = Install { order, host, clock, memory, history, steps, stop }.run().await;
    if let Err(error) = &result
        && !matches!(error, DeployError::RolledBack(_))
    {
        steps.add("end", StepResult::Failed, error.to_string());
    }
    result
}

struct Install<'a> {
    order: &'a Order,
    host: &'a Host,
    clock: &'a dyn Clock,
    memory: Memory,
    history: History,
    steps: &'a mut Steps,
    stop: &'a mut Stop,
}

/// What was found out before anything was changed.
struct Ready {
    checked: Checked,
    users: Vec<User>,
    log: Option<CronLog>,
    verdict: Verdict,
}

impl Install<'_> {
    async fn run(&mut self) -> Result<Outcome, DeployError> {
        // The files first: without them there is nothing to lock for.
        if let Source::Files { .. } = self.order.source {
            Version::read(&self.order.source, self.host, &self.order.name)?;
        }
        let _lock = if self.order.dry_run { None } else { Some(self.lock()?) };
        self.repair()?;
        let mut version = Version::read(&self.order.source, self.host, &self.order.name)?;
        self.steps.ok("read", self.summary(&version));
        let users = self.host.users().map_err(DeployError::io(Path::new("/etc/passwd")))?;
        let checked = self.check(&version, &users)?;
        let (path, binary) = (self.host.crontab(&self.order.name), self.host.binary());
        let (current, current_binary) = (Placed::at(&path)?, Placed::at(&binary)?);
        let new_binary = version
            .binary
            .as_ref()
            .is_some_and(|new| !is_in_place(current_binary.as_ref(), &new.sha256, BINARY_MODE));
        let unchanged = is_in_place(current.as_ref(), &version.crontab_sha256, CRONTAB_MODE) && !new_binary;
        if unchanged && !self.order.force {
            self.steps.ok("compare", "unchanged");
            // What is around the file may have changed: the password, for one.
            if self.order.dry_run {
                self.steps.skip("canary", "nothing is tried in a dry run");
            } else {
                self.try_canary(&checked.crontab, &users).await?;
            }
            self.purge_legacy(&version);
            return Ok(Outcome::Unchanged);
        }
        self.expect_no_drift(current.as_ref(), &version)?;
        if self.order.dry_run {
            return self.would_change(&version, &checked.crontab, new_binary);
        }
        let staged = self.memory.staged();
        let result = async {
            version.stage(&staged)?;
            self.steps.ok("stage", staged.display().to_string());
            let ready = self.make_ready(checked, users, &version).await?;
            self.change(&version, ready, new_binary).await
        }
        .await;
        // Whatever happened, nobody needs it any more; what cannot be removed is removed by the next install.
        drop(files::remove_dir(&staged));
        result
    }

    fn summary(&self, version: &Version) -> String {
        let short = |sha256: &str| sha256.chars().take(12).collect::<String>();
        let crontab = short(&version.crontab_sha256);
        let program = version.binary.as_ref().map(|binary| format!(", program {}", short(&binary.sha256)));
        let whence = match (&self.order.source, version.restored) {
            (Source::Files { manifest: Some(_), .. }, _) => ", as the manifest says".to_owned(),
            (_, Some(number)) => format!(", from backup {number}"),
            _ => String::new(),
        };
        format!("crontab {crontab}{}{whence}", program.unwrap_or_default())
    }

    fn would_change(
        &mut self,
        version: &Version,
        crontab: &Crontab,
        new_binary: bool,
    ) -> Result<Outcome, DeployError> {
        let path = self.host.crontab(&self.order.name);
        let old = files::if_there(std::fs::read(&path)).map_err(DeployError::io(&path))?.unwrap_or_default();
        let of_old = Crontab::parse(&old, crontab.format.clone());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (old_secret, new_secret) = (secret_lines(&of_old), secret_lines(crontab));
        let mut lines = changes(&text(&old), &text(&version.crontab), &old_secret, &new_secret);
        if lines.is_empty() {
            lines.push("the crontab is written anew: same text, other mode or owner, or --force".to_owned());
        }
        if let (true, Some(binary)) = (new_binary, &version.binary) {
            lines.push(format!("program {}: {}", self.host.binary().display(), &binary.sha256[..12]));
        }
        if self.order.purge_legacy {
            let found = legacy::find(self.host, &self.order.name, &text(&version.crontab));
            lines.extend(found.gone.iter().map(|path| format!("removed: {}", path.display())));
        }
        self.steps.skip("dry-run", "nothing was changed, and cron's parser was not asked");
        Ok(Outcome::WouldChange(lines))
    }
}

fn is_in_place(current: Option<&Placed>, sha256: &str, mode: u32) -> bool {
    let owner = host::own_uid();
    current.is_some_and(|now| now.sha256 == sha256 && now.mode == mode && now.owner == owner)
}
