//! What is found out before anything is changed.

use crate::crontab::problem::{self, Severity};
use crate::deploy::canary::{Canary, Choice};
use crate::deploy::check::{Checked, check};
use crate::deploy::cron;
use crate::deploy::cron_log::CronLog;
use crate::deploy::error::DeployError;
use crate::deploy::host::User;
use crate::deploy::place::Placed;
use crate::deploy::process;
use crate::deploy::prove::WantedProof;
use crate::deploy::rehearsal::{self, Verdict};
use crate::deploy::steps::StepResult;
use crate::deploy::version::Version;
use crate::domain::plural::plural;
use crate::files::FileLock;

use super::{Install, Ready, VERSION_LIMIT};

impl Install<'_> {
    pub(super) fn lock(&mut self) -> Result<FileLock, DeployError> {
        self.memory.create()?;
        let path = self.host.state().join("lock");
        let lock = FileLock::try_take(&path).map_err(DeployError::create(&path))?;
        let lock = lock.ok_or(DeployError::Locked(path))?;
        self.steps.ok("lock", "no other install is at work");
        Ok(lock)
    }

    /// Ends what a killed install began.
    pub(super) fn repair(&mut self) -> Result<(), DeployError> {
        let Some(under_way) = self.memory.under_way()? else { return Ok(()) };
        if self.order.dry_run {
            self.steps.warn("repair", "an interrupted install is there; the next one rolls it back");
            return Ok(());
        }
        if self.memory.last()?.is_some_and(|last| last.number == under_way.number) {
            self.memory.end()?;
            self.steps.ok("repair", "the last install was complete when it was killed");
            return Ok(());
        }
        let backup = self.history.get(under_way.number)?;
        let done = self.history.restore(&backup, self.second())?;
        self.memory.end()?;
        self.history.forget(backup.number)?;
        let done = if done.is_empty() { "it had changed nothing".to_owned() } else { done.join("; ") };
        self.steps.warn("repair", format!("an interrupted install was rolled back: {done}"));
        Ok(())
    }

    pub(super) fn check(&mut self, version: &Version, users: &[User]) -> Result<Checked, DeployError> {
        let brings_binary = version.binary.is_some();
        let checked = check(self.host, users, &self.order.name, &version.crontab, brings_binary, self.clock)?;
        let count = |severity| problem::count(&checked.problems, severity);
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let Some(first) = checked.first_error() else {
            let entries = plural(checked.crontab.entries().count(), "entry");
            let (result, warnings) = match warnings {
                0 => (StepResult::Ok, "no warning".to_owned()),
                _ => (StepResult::Warning, plural(warnings, "warning")),
            };
            self.steps.add("check", result, format!("{entries}, no error, {warnings}"));
            return Ok(checked);
        };
        // It ran before, whatever the rules say of it today; cron itself still has its say.
        if version.restored.is_some() {
            self.steps.warn("check", format!("{errors} errors, the first: {first}"));
            return Ok(checked);
        }
        Err(DeployError::Refused { by: "the check", errors, first: first.to_string() })
    }

    /// A file that somebody has changed by hand is not thrown away without a word.
    pub(super) fn expect_no_drift(
        &self,
        current: Option<&Placed>,
        version: &Version,
    ) -> Result<(), DeployError> {
        let (Some(current), Some(last)) = (current, self.memory.last()?) else { return Ok(()) };
        let known = current.sha256 == last.crontab.sha256 || current.sha256 == version.crontab_sha256;
        if known || self.order.force {
            return Ok(());
        }
        Err(DeployError::Drifted(self.host.crontab(&self.order.name)))
    }

    pub(super) async fn look_at_host(
        &mut self,
        checked: &Checked,
        version: &Version,
    ) -> Result<(), DeployError> {
        let mut good = Vec::new();
        match cron::running(self.host) {
            Some(pid) => good.push(format!("cron is running (process {pid})")),
            None if self.order.proof == WantedProof::None => good.push("cron is not running".to_owned()),
            None => {
                let hint = "systemctl start cron, or --proof none where it will only run later";
                return Err(DeployError::host("cron is not running; nothing was changed", hint));
            }
        }
        let calls = checked.crontab.entries().any(|entry| entry.call().is_some());
        let installed = || Some(self.host.binary()).filter(|path| calls && path.exists());
        let new = version.binary.as_ref().map(|binary| binary.path.clone());
        if let Some(program) = new.or_else(installed) {
            let mut command = process::command(&program);
            let ran = self.stop.or(process::run(command.arg("--version"), VERSION_LIMIT)).await?;
            let not_a_program = |why: String| {
                let program = program.display();
                let what = format!("{program} does not tell its version: {why}; nothing was changed");
                DeployError::host(what, "is it built for this machine?")
            };
            let ran = ran.map_err(|error| not_a_program(error.to_string()))?;
            if !ran.status.success() {
                return Err(not_a_program(ran.complaint()));
            }
            good.push(ran.stdout.lines().next().unwrap_or_default().to_owned());
        }
        self.steps.ok("host", good.join(", "));
        Ok(())
    }

    /// A proof that cannot come is not waited for.
    pub(super) fn expect_provable(&self, verdict: &Verdict, has_log: bool) -> Result<(), DeployError> {
        let accepted = *verdict == Verdict::Accepted;
        let (provable, why) = match self.order.proof {
            WantedProof::None => return Ok(()),
            WantedProof::Log => (has_log, "no log of cron can be read"),
            WantedProof::Parse => (accepted, "the host's cron cannot be asked"),
            WantedProof::Auto => {
                (has_log || accepted, "no log of cron can be read, and the host's cron cannot be asked")
            }
        };
        if provable {
            return Ok(());
        }
        let what = format!("it could not be proved that cron runs it: {why}; nothing was changed");
        Err(DeployError::host(what, "--proof none installs without a proof"))
    }

    /// Everything that can be known before the first change.
    pub(super) async fn make_ready(
        &mut self,
        checked: Checked,
        users: Vec<User>,
        version: &Version,
    ) -> Result<Ready, DeployError> {
        self.look_at_host(&checked, version).await?;
        let (staged, name) = (self.memory.staged(), &self.order.name);
        let file = (&checked.crontab, version.crontab.as_slice());
        let verdict = rehearsal::ask(self.host, &staged, name, file, self.clock, self.stop).await?;
        match &verdict {
            Verdict::Accepted => self.steps.ok("parse", "the host's cron reads it without a complaint"),
            Verdict::Unavailable(why) => {
                self.steps.skip("parse", format!("the host's cron was not asked: {why}"));
            }
            Verdict::Refused(errors) => {
                let first = errors.join("; ");
                return Err(DeployError::Refused { by: "the host's cron", errors: 1, first });
            }
        }
        let canary = Canary::choose(&checked.crontab, &self.order.canary);
        if let (Choice::Endpoint(endpoint), None) = (&self.order.canary, canary) {
            let what = format!("no line makes a call, so none can try {endpoint}; nothing was changed");
            return Err(DeployError::host(what, "--no-canary installs without one"));
        }
        let log = CronLog::from_now(self.host).await;
        self.expect_provable(&verdict, log.is_some())?;
        self.stop.check().await?;
        Ok(Ready { checked, users, log, verdict })
    }
}
