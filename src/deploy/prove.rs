//! How it is known that cron runs the file that was placed.
//!
//! The best proof is cron's log: "RELOAD" and no error behind it. Cron says RELOAD of a file that it knew before, so a
//! first install is read without a word; it is then made a second younger, and the next minute cron says RELOAD of it,
//! too. Where there is no log, cron's own parser has judged the same bytes before, and cron is running: that is weaker,
//! and the report says which of the two it was.

use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::cron_log::{CronLog, Said};
use super::error::DeployError;
use super::host::Host;
use super::place;
use super::stop::Stop;
use crate::clock::Clock;
use crate::domain::word::words;

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// An error follows the RELOAD at once; the log may take a moment.
const ERROR_FOLLOWS: Duration = Duration::from_secs(2);
/// How many seconds into a minute cron has surely looked at its files.
const LOOKED: i64 = 5;

words! {
    /// What a proof rests on.
    pub enum ProofKind: "proof" {
        /// Cron's log.
        Log = "log",
        /// Cron's parser, asked before.
        Parse = "parse",
        /// Nothing: none was asked for.
        None = "none",
    }
}

/// How it is proved that cron runs the file; the comments are the help text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WantedProof {
    /// Cron's log if it can be read, else cron's parser
    #[default]
    Auto,
    /// Cron must log that it has read the file
    Log,
    /// Cron's own parser must accept it, and cron must be running
    Parse,
    /// None
    None,
}

/// A proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What it rests on.
    pub kind: ProofKind,
    /// What was seen.
    pub evidence: String,
    /// When.
    pub at: Timestamp,
}

/// What the log said in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Reload,
    Error(String),
    Nothing,
}

/// Listens to cron's log until it says something about the file, no longer than `patience` after the file was last
/// changed.
pub(super) async fn listen(
    log: &mut CronLog,
    host: &Host,
    name: &str,
    patience: Duration,
    clock: &dyn Clock,
    stop: &mut Stop,
) -> Result<Heard, DeployError> {
    let path = host.crontab(name);
    let minute = clock.now().as_second().div_euclid(60);
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
        let now = clock.now().as_second();
        if reloaded.is_none() && again.is_some_and(|at| now >= at) {
            again = None;
            place::touch(&path, now).map_err(DeployError::io(&path))?;
            deadline = Instant::now() + patience;
        }
        stop.or(tokio::time::sleep(PAUSE)).await?;
    }
}
