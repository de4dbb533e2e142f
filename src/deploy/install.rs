//! A new version on a host, from the files that were sent to the proof that cron runs them; or everything as before.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::canary::{Canary, Choice};
use super::changes::changes;
use super::check::{Checked, check};
use super::cron;
use super::cron_log::CronLog;
use super::error::DeployError;
use super::history::{Backup, History};
use super::host::{self, Host, User};
use super::legacy;
use super::place::{self, Attributes, Placed};
use super::process;
use super::prove::{self, Heard, Proof, ProofKind, Wanted};
use super::record::{Deployment, Memory, UnderWay};
use super::rehearsal::{self, Verdict};
use super::steps::{Mark, Steps};
use super::stop::Stop;
use super::version::{self, Source, Version};
use crate::clock::Clock;
use crate::crontab::lint::is_file_name;
use crate::crontab::problem::Severity;
use crate::files::{self, FileLock};

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
    pub proof: Wanted,
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
    steps: &mut Steps<'_>,
    stop: &mut Stop,
) -> Result<Outcome, DeployError> {
    if !is_file_name(&order.name) {
        return Err(DeployError::Name(order.name.clone()));
    }
    let memory = Memory::new(&host.state(), &order.name);
    let history = History::new(host, &order.name);
    let install = Install { order, host, clock, memory, history };
    let result = install.run(steps, stop).await;
    if let Err(error) = &result
        && !matches!(error, DeployError::RolledBack(_))
    {
        steps.add("end", Mark::Failed, error.to_string());
    }
    result
}

struct Install<'a> {
    order: &'a Order,
    host: &'a Host,
    clock: &'a dyn Clock,
    memory: Memory,
    history: History,
}

/// What was found out before anything was changed.
struct Ready {
    checked: Checked,
    users: Vec<User>,
    log: Option<CronLog>,
    verdict: Verdict,
}

impl Install<'_> {
    async fn run(&self, steps: &mut Steps<'_>, stop: &mut Stop) -> Result<Outcome, DeployError> {
        // The files first: without them there is nothing to lock for.
        if let Source::Files { .. } = self.order.source {
            Version::read(&self.order.source, self.host, &self.order.name)?;
        }
        let _lock = if self.order.dry_run { None } else { Some(self.lock(steps)?) };
        self.repair(steps)?;
        let mut version = Version::read(&self.order.source, self.host, &self.order.name)?;
        steps.ok("read", self.told(&version));
        let users = self.host.users().map_err(DeployError::io(Path::new("/etc/passwd")))?;
        let checked = self.check(&version, &users, steps)?;
        let (path, binary) = (self.host.crontab(&self.order.name), self.host.binary());
        let (current, current_binary) = (Placed::at(&path)?, Placed::at(&binary)?);
        let new_binary = version
            .binary
            .as_ref()
            .is_some_and(|new| !is_in_place(current_binary.as_ref(), &new.sha256, BINARY_MODE));
        let same = is_in_place(current.as_ref(), &version.crontab_sha256, CRONTAB_MODE) && !new_binary;
        if same && !self.order.force {
            steps.ok("compare", "unchanged");
            self.purge_legacy(&version, steps);
            return Ok(Outcome::Unchanged);
        }
        self.expect_no_drift(current.as_ref(), &version)?;
        if self.order.dry_run {
            return self.would_change(&version, &checked, &users, new_binary, steps);
        }
        let staged = self.memory.staged();
        let result = match version.stage(&staged) {
            Ok(()) => {
                steps.ok("stage", staged.display().to_string());
                self.make_ready_and_change(&version, checked, users, new_binary, steps, stop).await
            }
            Err(error) => Err(error),
        };
        // Whatever happened, nobody needs it any more; what cannot be removed is removed by the next install.
        drop(version::clear(&staged));
        result
    }

    async fn make_ready_and_change(
        &self,
        version: &Version,
        checked: Checked,
        users: Vec<User>,
        new_binary: bool,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> Result<Outcome, DeployError> {
        let ready = self.make_ready(checked, users, version, steps, stop).await?;
        self.change(version, ready, new_binary, steps, stop).await
    }

    fn lock(&self, steps: &mut Steps<'_>) -> Result<FileLock, DeployError> {
        self.memory.create()?;
        let path = self.host.state().join("lock");
        let lock = FileLock::try_take(&path).map_err(DeployError::create(&path))?;
        let lock = lock.ok_or(DeployError::Locked(path))?;
        steps.ok("lock", "no other install is at work");
        Ok(lock)
    }

    /// Ends what a killed install began.
    fn repair(&self, steps: &mut Steps<'_>) -> Result<(), DeployError> {
        let Some(under_way) = self.memory.under_way()? else { return Ok(()) };
        if self.order.dry_run {
            steps.add("repair", Mark::Warning, "an interrupted install is there; the next one rolls it back");
            return Ok(());
        }
        if self.memory.last()?.is_some_and(|last| last.number == under_way.number) {
            self.memory.end()?;
            steps.ok("repair", "the last install was complete when it was killed");
            return Ok(());
        }
        let backup = self.history.get(under_way.number)?;
        let done = self.history.restore(&backup, self.second())?;
        self.memory.end()?;
        self.history.forget(backup.number)?;
        let done = if done.is_empty() { "it had changed nothing".to_owned() } else { done.join("; ") };
        steps.add("repair", Mark::Warning, format!("an interrupted install was rolled back: {done}"));
        Ok(())
    }

    fn told(&self, version: &Version) -> String {
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

    fn check(
        &self,
        version: &Version,
        users: &[User],
        steps: &mut Steps<'_>,
    ) -> Result<Checked, DeployError> {
        let brings_binary = version.binary.is_some();
        let checked = check(self.host, users, &self.order.name, &version.crontab, brings_binary, self.clock)?;
        let (errors, warnings) = (checked.count(Severity::Error), checked.count(Severity::Warning));
        let Some(first) = checked.first_error() else {
            let entries = match checked.crontab.entries().count() {
                1 => "1 entry".to_owned(),
                entries => format!("{entries} entries"),
            };
            let (mark, warnings) = match warnings {
                0 => (Mark::Ok, "no warning".to_owned()),
                1 => (Mark::Warning, "1 warning".to_owned()),
                _ => (Mark::Warning, format!("{warnings} warnings")),
            };
            steps.add("check", mark, format!("{entries}, no error, {warnings}"));
            return Ok(checked);
        };
        // It ran before, whatever the rules say of it today; cron itself still has its say.
        if version.restored.is_some() {
            steps.add("check", Mark::Warning, format!("{errors} errors, the first: {first}"));
            return Ok(checked);
        }
        Err(DeployError::Refused { by: "the check", errors, first: first.to_string() })
    }

    /// A file that somebody has changed by hand is not thrown away without a word.
    fn expect_no_drift(&self, current: Option<&Placed>, version: &Version) -> Result<(), DeployError> {
        let (Some(current), Some(last)) = (current, self.memory.last()?) else { return Ok(()) };
        let known = current.sha256 == last.crontab.sha256 || current.sha256 == version.crontab_sha256;
        if known || self.order.force {
            return Ok(());
        }
        Err(DeployError::Drifted(self.host.crontab(&self.order.name)))
    }

    fn would_change(
        &self,
        version: &Version,
        checked: &Checked,
        users: &[User],
        new_binary: bool,
        steps: &mut Steps<'_>,
    ) -> Result<Outcome, DeployError> {
        let path = self.host.crontab(&self.order.name);
        let old = match std::fs::read(&path) {
            Ok(old) => old,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(DeployError::io(&path)(error)),
        };
        let of_old = check(self.host, users, &self.order.name, &old, true, self.clock)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (old_secret, new_secret) = (of_old.secret_lines(), checked.secret_lines());
        let mut lines = changes(&text(&old), &text(&version.crontab), &old_secret, &new_secret);
        if lines.is_empty() {
            lines.push("the crontab is written anew: same text, other mode or owner, or --force".to_owned());
        }
        if let (true, Some(binary)) = (new_binary, &version.binary) {
            lines.push(format!("program {}: {}", self.host.binary().display(), &binary.sha256[..12]));
        }
        if self.order.purge_legacy {
            let found = legacy::find(self.host, &text(&version.crontab));
            lines.extend(found.gone.iter().map(|path| format!("removed: {}", path.display())));
        }
        steps.add("dry-run", Mark::Skipped, "nothing was changed, and cron's parser was not asked");
        Ok(Outcome::WouldChange(lines))
    }

    /// Everything that can be known before the first change.
    async fn make_ready(
        &self,
        checked: Checked,
        users: Vec<User>,
        version: &Version,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> Result<Ready, DeployError> {
        self.look_at_host(&checked, version, steps, stop).await?;
        let verdict = rehearsal::ask(
            self.host,
            &self.memory.staged(),
            &self.order.name,
            &checked.crontab,
            &version.crontab,
            self.clock,
            stop,
        )
        .await?;
        match &verdict {
            Verdict::Accepted => steps.ok("parse", "the host's cron reads it without a complaint"),
            Verdict::Unavailable(why) => {
                steps.add("parse", Mark::Skipped, format!("the host's cron was not asked: {why}"));
            }
            Verdict::Refused(errors) => {
                let first = errors.join("; ");
                return Err(DeployError::Refused { by: "the host's cron", errors: 1, first });
            }
        }
        let canary = Canary::choose(&checked.crontab, &self.order.canary);
        if let (Choice::Endpoint(endpoint), None) = (&self.order.canary, canary) {
            return Err(DeployError::Host {
                what: format!("no line makes a call, so none can try {endpoint}; nothing was changed"),
                hint: "--no-canary installs without one".to_owned(),
            });
        }
        let log = CronLog::from_now(self.host).await;
        self.expect_provable(&verdict, log.is_some())?;
        stop.check().await?;
        Ok(Ready { checked, users, log, verdict })
    }

    async fn look_at_host(
        &self,
        checked: &Checked,
        version: &Version,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> Result<(), DeployError> {
        let mut told = Vec::new();
        match cron::running(self.host) {
            Some(pid) => told.push(format!("cron is running (process {pid})")),
            None if self.order.proof == Wanted::None => told.push("cron is not running".to_owned()),
            None => {
                return Err(DeployError::Host {
                    what: "cron is not running; nothing was changed".to_owned(),
                    hint: "systemctl start cron, or --proof none where it will only run later".to_owned(),
                });
            }
        }
        let calls = checked.crontab.entries().any(|entry| entry.call().is_some());
        let installed = self.host.binary();
        let program = version.binary.as_ref().map(|binary| binary.path.clone());
        let program = program.or_else(|| Some(installed).filter(|path| calls && path.exists()));
        if let Some(program) = program {
            let mut command = process::command(&program);
            let ran = stop.or(process::run(command.arg("--version"), VERSION_LIMIT)).await?;
            let not_a_program = |why: String| DeployError::Host {
                what: format!("{} does not tell its version: {why}; nothing was changed", program.display()),
                hint: "is it built for this machine?".to_owned(),
            };
            let ran = ran.map_err(|error| not_a_program(error.to_string()))?;
            if !ran.success {
                return Err(not_a_program(ran.complaint()));
            }
            told.push(ran.stdout.lines().next().unwrap_or_default().to_owned());
        }
        steps.ok("host", told.join(", "));
        Ok(())
    }

    /// A proof that cannot come is not waited for.
    fn expect_provable(&self, verdict: &Verdict, has_log: bool) -> Result<(), DeployError> {
        let accepted = *verdict == Verdict::Accepted;
        let why = match self.order.proof {
            Wanted::None => return Ok(()),
            Wanted::Log if has_log => return Ok(()),
            Wanted::Parse if accepted => return Ok(()),
            Wanted::Auto if has_log || accepted => return Ok(()),
            Wanted::Log => "no log of cron can be read",
            Wanted::Parse => "the host's cron cannot be asked",
            Wanted::Auto => "no log of cron can be read, and the host's cron cannot be asked",
        };
        Err(DeployError::Host {
            what: format!("it could not be proved that cron runs it: {why}; nothing was changed"),
            hint: "--proof none installs without a proof".to_owned(),
        })
    }

    /// The part that is either finished or undone.
    async fn change(
        &self,
        version: &Version,
        mut ready: Ready,
        new_binary: bool,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> Result<Outcome, DeployError> {
        let (number, at) = (self.next_number()?, self.clock.now());
        let backup = self.history.take(number, at, new_binary)?;
        self.memory.begin(&UnderWay {
            number,
            at,
            crontab_sha256: version.crontab_sha256.clone(),
            binary_sha256: version.binary.as_ref().map(|binary| binary.sha256.clone()),
        })?;
        match self.place_and_prove(version, &mut ready, new_binary, (number, at), steps, stop).await {
            Ok(deployment) => {
                self.tidy(&backup, version, steps);
                Ok(Outcome::Installed(Box::new(deployment)))
            }
            Err(reason) => Err(self.roll_back(reason, &backup, &mut ready, steps, stop).await),
        }
    }

    async fn place_and_prove(
        &self,
        version: &Version,
        ready: &mut Ready,
        new_binary: bool,
        (number, at): (u32, Timestamp),
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> Result<Deployment, DeployError> {
        self.place(version, new_binary, steps)?;
        stop.check().await?;
        let proof = self.prove(ready, steps, stop).await?;
        let canary = self.try_canary(ready, steps, stop).await?;
        let path = self.host.crontab(&self.order.name);
        let crontab = Placed::at(&path)?.filter(|placed| placed.sha256 == version.crontab_sha256);
        let crontab = crontab.ok_or_else(|| {
            DeployError::Unproven(format!("{} was changed by somebody else meanwhile", path.display()))
        })?;
        let known_binary = self.memory.last()?.is_some_and(|last| last.binary.is_some());
        let binary =
            if version.binary.is_some() || known_binary { Placed::at(&self.host.binary())? } else { None };
        let deployment = Deployment {
            number,
            at,
            by: if version.restored.is_some() { "rollback" } else { "install" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            restored: version.restored,
            crontab,
            binary,
            proof,
            canary,
        };
        // From here on it is in force, whatever happens.
        self.memory.set_last(&deployment)?;
        steps.ok("record", format!("deployment {number}"));
        Ok(deployment)
    }

    /// The program first: the lines of the new crontab may need it.
    fn place(&self, version: &Version, new_binary: bool, steps: &mut Steps<'_>) -> Result<(), DeployError> {
        let owner = (host::own_uid() == 0).then_some((0, 0));
        let (path, binary) = (self.host.crontab(&self.order.name), self.host.binary());
        if self.host.root().is_some() {
            for dir in [files::parent(&path), files::parent(&binary)] {
                files::create_dir(dir, 0o755).map_err(DeployError::create(dir))?;
            }
        }
        if let Some(new) = version.binary.as_ref().filter(|_| new_binary) {
            let mut content = File::open(&new.path).map_err(DeployError::io(&new.path))?;
            place::put(&binary, &mut content, Attributes { mode: BINARY_MODE, owner }, self.second(), None)?;
            steps.ok("place", binary.display().to_string());
        }
        let known = [Placed::at(&path)?, self.memory.last()?.map(|last| last.crontab)];
        let after = known.into_iter().flatten().map(|placed| placed.mtime).max();
        let attributes = Attributes { mode: CRONTAB_MODE, owner };
        place::put(&path, &mut version.crontab.as_slice(), attributes, self.second(), after)?;
        steps.ok("place", path.display().to_string());
        Ok(())
    }

    async fn prove(
        &self,
        ready: &mut Ready,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> Result<Proof, DeployError> {
        let proof = |kind, evidence: String| Proof { kind, evidence, at: self.clock.now() };
        let wanted = self.order.proof;
        if wanted == Wanted::None {
            let proof = proof(ProofKind::None, "no proof was asked for".to_owned());
            steps.add("prove", Mark::Skipped, proof.evidence.clone());
            return Ok(proof);
        }
        let mut silent = None;
        if let Some(log) = ready.log.as_mut().filter(|_| wanted != Wanted::Parse) {
            let (name, patience) = (&self.order.name, self.order.proof_timeout);
            match prove::listen(log, self.host, name, patience, self.clock, stop).await? {
                Heard::Reload => {
                    let proof = proof(ProofKind::Log, format!("cron logged RELOAD of it in {}", log.place()));
                    steps.ok("prove", proof.evidence.clone());
                    return Ok(proof);
                }
                Heard::Error(error) => {
                    return Err(DeployError::Unproven(format!("cron refuses the file: {error}")));
                }
                Heard::Nothing => silent = Some(format!("cron logged nothing about it in {}", log.place())),
            }
        }
        let accepted = ready.verdict == Verdict::Accepted;
        if wanted == Wanted::Log || !accepted {
            let why = silent.unwrap_or_else(|| "there is no log of cron".to_owned());
            return Err(DeployError::Unproven(format!(
                "{why}: it is not proved that cron has read the file"
            )));
        }
        let pid =
            cron::running(self.host).ok_or_else(|| DeployError::Unproven("cron has ended".to_owned()))?;
        let said = "cron's own parser has accepted the same bytes";
        let evidence = match silent {
            Some(silent) => format!("{said}, and cron is running (process {pid}); but {silent}"),
            None => format!("{said}, and cron is running (process {pid}); its log was not read"),
        };
        let proof = proof(ProofKind::Parse, evidence);
        let mark = if wanted == Wanted::Parse { Mark::Ok } else { Mark::Warning };
        steps.add("prove", mark, proof.evidence.clone());
        Ok(proof)
    }

    async fn try_canary(
        &self,
        ready: &Ready,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> Result<Option<String>, DeployError> {
        let Some(canary) = Canary::choose(&ready.checked.crontab, &self.order.canary) else {
            let why =
                if self.order.canary == Choice::None { "none was asked for" } else { "no line makes a call" };
            steps.add("canary", Mark::Skipped, why);
            return Ok(None);
        };
        let sung = canary.sing(self.host, &ready.users, stop).await?;
        steps.ok("canary", sung);
        Ok(Some(canary.endpoint))
    }

    /// What is done behind the install. It is in force, so a failure here is told and changes nothing about that.
    fn tidy(&self, backup: &Backup, version: &Version, steps: &mut Steps<'_>) {
        let first = backup.crontab == super::history::Before::Absent;
        let forgotten = if first { self.history.forget(backup.number) } else { Ok(()) };
        // The mark of the install goes last: as long as it is there, the next install looks after it.
        let done = forgotten.and_then(|()| self.history.prune()).and_then(|()| self.memory.end());
        if let Err(error) = done {
            steps.add("tidy", Mark::Warning, error.to_string());
        }
        self.purge_legacy(version, steps);
    }

    /// Takes away what the scripts left, if that was asked for.
    fn purge_legacy(&self, version: &Version, steps: &mut Steps<'_>) {
        if !self.order.purge_legacy || self.order.dry_run {
            return;
        }
        let found = legacy::find(self.host, &String::from_utf8_lossy(&version.crontab));
        match legacy::purge(self.host, &found.gone, self.second()) {
            Ok(()) => steps.ok("purge-legacy", found.told()),
            Err(error) => steps.add("purge-legacy", Mark::Warning, error.to_string()),
        }
    }

    /// Everything as it was before, and the same proof of that.
    async fn roll_back(
        &self,
        reason: DeployError,
        backup: &Backup,
        ready: &mut Ready,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> DeployError {
        steps.add("fail", Mark::Failed, reason.to_string());
        if let Some(log) = &mut ready.log {
            // What cron said about the new file is no proof of the old one.
            log.said(&self.order.name).await;
        }
        let restored = self.history.restore(backup, self.second()).and_then(|done| {
            self.memory.end()?;
            Ok(done)
        });
        let done = match restored {
            Ok(done) => done,
            Err(failure) => {
                let by_hand = self.history.by_hand(backup);
                return DeployError::Half { reason: Box::new(reason), failure: Box::new(failure), by_hand };
            }
        };
        // A backup of what is in force again helps nobody; one that stays does no harm either.
        drop(self.history.forget(backup.number));
        steps.ok(
            "roll-back",
            if done.is_empty() { "nothing had been changed".to_owned() } else { done.join("; ") },
        );
        let was_there = backup.crontab != super::history::Before::Absent;
        if was_there && !done.is_empty() && !matches!(reason, DeployError::Stopped(_)) {
            self.prove_old(ready, steps, stop).await;
        }
        DeployError::RolledBack(Box::new(reason))
    }

    async fn prove_old(&self, ready: &mut Ready, steps: &mut Steps<'_>, stop: &mut Stop) {
        let Some(log) = ready.log.as_mut().filter(|_| matches!(self.order.proof, Wanted::Auto | Wanted::Log))
        else {
            steps.add("prove", Mark::Skipped, "the old file's return was not proved");
            return;
        };
        let (name, patience) = (&self.order.name, self.order.proof_timeout);
        match prove::listen(log, self.host, name, patience, self.clock, stop).await {
            Ok(Heard::Reload) => steps.ok("prove", "cron logged RELOAD of the old file"),
            Ok(Heard::Error(error)) => {
                steps.add("prove", Mark::Warning, format!("cron refuses the old file, too: {error}"));
            }
            Ok(Heard::Nothing) => {
                steps.add("prove", Mark::Warning, "cron logged nothing about the old file's return");
            }
            Err(error) => steps.add("prove", Mark::Warning, error.to_string()),
        }
    }

    fn next_number(&self) -> Result<u32, DeployError> {
        let last = self.memory.last()?.map_or(0, |last| last.number);
        let backup = self.history.list()?.last().map_or(0, |backup| backup.number);
        Ok(last.max(backup).saturating_add(1))
    }

    fn second(&self) -> i64 {
        self.clock.now().as_second()
    }
}

fn is_in_place(current: Option<&Placed>, sha256: &str, mode: u32) -> bool {
    let owner = host::rightful_owner();
    current.is_some_and(|now| now.sha256 == sha256 && now.mode == mode && now.owner == owner)
}
