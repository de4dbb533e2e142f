//! When a task runs: the rule of its crontab line, in a time zone.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cron::{CronExpr, Occurrence};

/// A rule that yields times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// By a cron expression, on the wall clock of a zone.
    Cron {
        /// The rule.
        expr: CronExpr,
        /// Whose wall clock.
        zone: TimeZone,
    },
    /// Once, when the machine starts; no clock tells when.
    Reboot,
}

impl Schedule {
    /// The first occurrence after `after`, which itself is excluded.
    pub fn next_after(&self, after: Timestamp) -> Option<Occurrence> {
        match self {
            Schedule::Cron { expr, zone } => expr.next_after(after, zone),
            Schedule::Reboot => None,
        }
    }

    /// Every occurrence after `after`, one by one.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Occurrence> + '_ {
        let mut last = after;
        std::iter::from_fn(move || {
            let next = self.next_after(last)?;
            last = next.at;
            Some(next)
        })
    }

    /// The rule, unless it is the start of the machine.
    pub fn expr(&self) -> Option<&CronExpr> {
        match self {
            Schedule::Cron { expr, .. } => Some(expr),
            Schedule::Reboot => None,
        }
    }

    /// A sentence without its capital and its full stop.
    pub fn describe(&self) -> String {
        match self {
            Schedule::Cron { expr, .. } => expr.describe(),
            Schedule::Reboot => "once, when the machine starts".to_owned(),
        }
    }
}

/// As a crontab writes it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Cron { expr, .. } => expr.fmt(f),
            Schedule::Reboot => f.write_str("@reboot"),
        }
    }
}
