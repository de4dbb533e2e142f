//! What cron's log says about the file that was placed.

use std::time::Duration;

use tokio::time::Instant;

use super::Install;
use crate::deploy::cron_log::{CronLog, Said};
use crate::deploy::error::DeployError;
use crate::deploy::place;

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// An error follows the RELOAD at once; the log may take a moment.
const ERROR_FOLLOWS: Duration = Duration::from_secs(2);
/// How many seconds into a minute cron has surely looked at its files.
const LOOKED: i64 = 5;

/// What the log said in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Reload,
    Error(String),
    Nothing,
}

impl Install<'_> {
    /// Listens to cron's log until it says something about the file, no longer than the order's patience after the
    /// file was last changed.
    pub(super) async fn listen(&mut self, log: &mut CronLog) -> Result<Heard, DeployError> {
        let (name, patience) = (&self.order.name, self.order.proof_timeout);
        let path = self.host.crontab(name);
        let minute = self.second().div_euclid(60);
        let mut again = Some((minute + 1) * 60 + LOOKED);
        let mut deadline = Instant::now() + patience;
        let mut reloaded: Option<Instant> = None;
        loop {
            for said in log.said(name).await {
                match said {
                    Said::Error(error) => return Ok(Heard::Error(error)),
                    Said::Reload => reloaded = reloaded.or_else(|| Some(Instant::now())),
                }
            }
            if reloaded.is_some_and(|at| at.elapsed() >= ERROR_FOLLOWS) {
                return Ok(Heard::Reload);
            }
            if reloaded.is_none() && Instant::now() >= deadline {
                return Ok(Heard::Nothing);
            }
            // Cron has looked and said nothing: it did not know the file before. Now it does.
            let now = self.second();
            if reloaded.is_none() && again.is_some_and(|at| now >= at) {
                again = None;
                place::touch(&path, now).map_err(DeployError::io(&path))?;
                deadline = Instant::now() + patience;
            }
            self.stop.or(tokio::time::sleep(PAUSE)).await?;
        }
    }
}
