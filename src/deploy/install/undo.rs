//! The way back.

use crate::deploy::error::DeployError;
use crate::deploy::history::Backup;
use crate::deploy::prove::{self, Heard, WantedProof};
use crate::deploy::steps::{StepResult, Steps};
use crate::deploy::stop::Stop;

use super::{Install, Ready};

impl Install<'_> {
    /// Everything as it was before, and the same proof of that.
    pub(super) async fn roll_back(
        &self,
        reason: DeployError,
        backup: &Backup,
        ready: &mut Ready,
        steps: &mut Steps<'_>,
        stop: &mut Stop,
    ) -> DeployError {
        steps.add("fail", StepResult::Failed, reason.to_string());
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
        let was_there = backup.crontab != crate::deploy::history::Before::Absent;
        if was_there && !done.is_empty() && !matches!(reason, DeployError::Stopped(_)) {
            self.prove_old(ready, steps, stop).await;
        }
        DeployError::RolledBack(Box::new(reason))
    }

    pub(super) async fn prove_old(&self, ready: &mut Ready, steps: &mut Steps<'_>, stop: &mut Stop) {
        let Some(log) =
            ready.log.as_mut().filter(|_| matches!(self.order.proof, WantedProof::Auto | WantedProof::Log))
        else {
            steps.add("prove", StepResult::Skipped, "the old file's return was not proved");
            return;
        };
        let (name, patience) = (&self.order.name, self.order.proof_timeout);
        match prove::listen(log, self.host, name, patience, self.clock, stop).await {
            Ok(Heard::Reload) => steps.ok("prove", "cron logged RELOAD of the old file"),
            Ok(Heard::Error(error)) => {
                steps.add("prove", StepResult::Warning, format!("cron refuses the old file, too: {error}"));
            }
            Ok(Heard::Nothing) => {
                steps.add("prove", StepResult::Warning, "cron logged nothing about the old file's return");
            }
            Err(error) => steps.add("prove", StepResult::Warning, error.to_string()),
        }
    }
}
