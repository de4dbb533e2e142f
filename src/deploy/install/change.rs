//! The change itself: placed, proved, tried.

use std::fs::File;

use jiff::Timestamp;

use crate::crontab::file::Crontab;
use crate::deploy::canary::{Canary, Choice};
use crate::deploy::cron;
use crate::deploy::error::DeployError;
use crate::deploy::history::{Backup, Before};
use crate::deploy::host::User;
use crate::deploy::legacy;
use crate::deploy::place::{self, Placed};
use crate::deploy::prove::{Proof, ProofKind, WantedProof};
use crate::deploy::record::{Deployment, UnderWay};
use crate::deploy::rehearsal::Verdict;
use crate::deploy::steps::StepResult;
use crate::deploy::version::Version;
use crate::files;

use super::listen::Heard;
use super::{BINARY_MODE, CRONTAB_MODE, Install, Outcome, Ready};

impl Install<'_> {
    /// The part that is either finished or undone.
    pub(super) async fn change(
        &mut self,
        version: &Version,
        mut ready: Ready,
        new_binary: bool,
    ) -> Result<Outcome, DeployError> {
        let (number, at) = (self.next_number()?, self.clock.now());
        let backup = self.history.take(number, at, new_binary)?;
        self.memory.begin(&UnderWay {
            number,
            at,
            crontab_sha256: version.crontab_sha256.clone(),
            binary_sha256: version.binary.as_ref().map(|binary| binary.sha256.clone()),
        })?;
        match self.place_and_prove(version, &mut ready, new_binary, (number, at)).await {
            Ok(deployment) => {
                self.tidy(&backup, version);
                Ok(Outcome::Installed(Box::new(deployment)))
            }
            Err(reason) => Err(self.roll_back(reason, &backup, &mut ready).await),
        }
    }

    pub(super) async fn place_and_prove(
        &mut self,
        version: &Version,
        ready: &mut Ready,
        new_binary: bool,
        (number, at): (u32, Timestamp),
    ) -> Result<Deployment, DeployError> {
        self.place(version, new_binary)?;
        self.stop.check().await?;
        let proof = self.prove(ready).await?;
        let canary = self.try_canary(&ready.checked.crontab, &ready.users).await?;
        let path = self.host.crontab(&self.order.name);
        let crontab = Placed::at(&path)?.filter(|placed| placed.sha256 == version.crontab_sha256);
        let crontab = crontab.ok_or_else(|| {
            DeployError::Unproven(format!("{} was changed by somebody else meanwhile", path.display()))
        })?;
        let known = self.memory.last()?.is_some_and(|last| last.binary.is_some());
        let ours = version.binary.is_some() || known;
        let binary = if ours { Placed::at(&self.host.binary())? } else { None };
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
        self.steps.ok("record", format!("deployment {number}"));
        Ok(deployment)
    }

    /// The program first: the lines of the new crontab may need it.
    pub(super) fn place(&mut self, version: &Version, new_binary: bool) -> Result<(), DeployError> {
        let owner = files::is_root().then_some((0, 0));
        let (path, binary) = (self.host.crontab(&self.order.name), self.host.binary());
        if self.host.root().is_some() {
            for dir in [files::parent(&path), files::parent(&binary)] {
                files::create_dir(dir, 0o755).map_err(DeployError::create(dir))?;
            }
        }
        if let Some(new) = version.binary.as_ref().filter(|_| new_binary) {
            let mut content = File::open(&new.path).map_err(DeployError::io(&new.path))?;
            place::put(&binary, &mut content, (BINARY_MODE, owner), self.second(), None)?;
            self.steps.ok("place", binary.display().to_string());
        }
        let known = [Placed::at(&path)?, self.memory.last()?.map(|last| last.crontab)];
        let after = known.into_iter().flatten().map(|placed| placed.mtime).max();
        place::put(&path, &mut version.crontab.as_slice(), (CRONTAB_MODE, owner), self.second(), after)?;
        self.steps.ok("place", path.display().to_string());
        Ok(())
    }

    pub(super) async fn prove(&mut self, ready: &mut Ready) -> Result<Proof, DeployError> {
        let clock = self.clock;
        let proof = |kind, evidence: String| Proof { kind, evidence, at: clock.now() };
        let wanted = self.order.proof;
        if wanted == WantedProof::None {
            let proof = proof(ProofKind::None, "no proof was asked for".to_owned());
            self.steps.skip("prove", proof.evidence.clone());
            return Ok(proof);
        }
        let mut silent = None;
        if let Some(log) = ready.log.as_mut().filter(|_| wanted != WantedProof::Parse) {
            match self.listen(log).await? {
                Heard::Reload => {
                    let proof = proof(ProofKind::Log, format!("cron logged RELOAD of it in {}", log.place()));
                    self.steps.ok("prove", proof.evidence.clone());
                    return Ok(proof);
                }
                Heard::Error(error) => {
                    return Err(DeployError::Unproven(format!("cron refuses the file: {error}")));
                }
                Heard::Nothing => silent = Some(format!("cron logged nothing about it in {}", log.place())),
            }
        }
        let accepted = ready.verdict == Verdict::Accepted;
        if wanted == WantedProof::Log || !accepted {
            let why = silent.unwrap_or_else(|| "there is no log of cron".to_owned());
            let why = format!("{why}: it is not proved that cron has read the file");
            return Err(DeployError::Unproven(why));
        }
        let pid = cron::running(self.host);
        let pid = pid.ok_or_else(|| DeployError::Unproven("cron has ended".to_owned()))?;
        let log = silent.map_or_else(|| "its log was not read".to_owned(), |silent| format!("but {silent}"));
        let said = "cron's own parser has accepted the same bytes";
        let evidence = format!("{said}, and cron is running (process {pid}); {log}");
        let proof = proof(ProofKind::Parse, evidence);
        let mark = if wanted == WantedProof::Parse { StepResult::Ok } else { StepResult::Warning };
        self.steps.add("prove", mark, proof.evidence.clone());
        Ok(proof)
    }

    pub(super) async fn try_canary(
        &mut self,
        crontab: &Crontab,
        users: &[User],
    ) -> Result<Option<String>, DeployError> {
        let Some(canary) = Canary::choose(crontab, &self.order.canary) else {
            let none = self.order.canary == Choice::None;
            let why = if none { "none was asked for" } else { "no line makes a call" };
            self.steps.skip("canary", why);
            return Ok(None);
        };
        let good = canary.try_out(self.host, users, self.stop).await?;
        self.steps.ok("canary", good);
        Ok(Some(canary.endpoint))
    }

    /// What is done behind the install. It is in force, so a failure here is told and changes nothing about that.
    pub(super) fn tidy(&mut self, backup: &Backup, version: &Version) {
        let first = backup.crontab == Before::Absent;
        let forgotten = if first { self.history.forget(backup.number) } else { Ok(()) };
        // The mark of the install goes last: as long as it is there, the next install looks after it.
        let done = forgotten.and_then(|()| self.history.prune()).and_then(|()| self.memory.end());
        if let Err(error) = done {
            self.steps.warn("tidy", error.to_string());
        }
        self.purge_legacy(version);
    }

    /// Takes away what the scripts left, if that was asked for.
    pub(super) fn purge_legacy(&mut self, version: &Version) {
        if !self.order.purge_legacy || self.order.dry_run {
            return;
        }
        let found = legacy::find(self.host, &self.order.name, &String::from_utf8_lossy(&version.crontab));
        match legacy::purge(self.host, &found.gone, self.second()) {
            Ok(()) => self.steps.ok("purge-legacy", found.summary()),
            Err(error) => self.steps.warn("purge-legacy", error.to_string()),
        }
    }

    pub(super) fn next_number(&self) -> Result<u32, DeployError> {
        let last = self.memory.last()?.map_or(0, |last| last.number);
        let backup = self.history.list()?.last().map_or(0, |backup| backup.number);
        Ok(last.max(backup).saturating_add(1))
    }

    pub(super) fn second(&self) -> i64 {
        self.clock.now().as_second()
    }
}
