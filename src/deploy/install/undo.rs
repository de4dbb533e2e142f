//! The way back.

use crate::deploy::error::DeployError;
use crate::deploy::history::{Backup, Before};
use crate::deploy::prove::WantedProof;
use crate::deploy::steps::StepResult;

use super::listen::Heard;
use super::{Install, Ready};

impl Install<'_> {
    /// Everything as it was before, and the same proof of that.
    pub(super) async fn roll_back(
        &mut self,
        reason: DeployError,
        backup: &Backup,
        ready: &mut Ready,
    ) -> DeployError {
        self.steps.add("fail", StepResult::Failed, reason.to_string());
        if let Some(log) = &mut ready.log {
            // What cron said about the new file is no proof of the old one.
            log.said(&self.order.name).await;
        }
        let restored = self.history.restore(backup, self.second());
        let done = match restored.and_then(|done| self.memory.end().map(|()| done)) {
            Ok(done) => done,
            Err(failure) => {
                let by_hand = self.history.by_hand(backup);
                return DeployError::Half { reason: Box::new(reason), failure: Box::new(failure), by_hand };
            }
        };
        // A backup of what is in force again helps nobody; one that stays does no harm either.
        drop(self.history.forget(backup.number));
        let what = if done.is_empty() { "nothing had been changed".to_owned() } else { done.join("; ") };
        self.steps.ok("roll-back", what);
        let was_there = backup.crontab != Before::Absent;
        if was_there && !done.is_empty() && !matches!(reason, DeployError::Stopped(_)) {
            self.prove_old(ready).await;
        }
        DeployError::RolledBack(Box::new(reason))
    }

    pub(super) async fn prove_old(&mut self, ready: &mut Ready) {
        let by_log = matches!(self.order.proof, WantedProof::Auto | WantedProof::Log);
        let Some(log) = ready.log.as_mut().filter(|_| by_log) else {
            self.steps.skip("prove", "the old file's return was not proved");
            return;
        };
        match self.listen(log).await {
            Ok(Heard::Reload) => self.steps.ok("prove", "cron logged RELOAD of the old file"),
            Ok(Heard::Error(error)) => {
                self.steps.warn("prove", format!("cron refuses the old file, too: {error}"));
            }
            Ok(Heard::Nothing) => self.steps.warn("prove", "cron logged nothing about the old file's return"),
            Err(error) => self.steps.warn("prove", error.to_string()),
        }
    }
}
