//! When a task runs: the rule of its crontab line, in a time zone.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

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

    /// The last occurrence up to `until`, which itself is included; none in the eight years before it, which hold every
    /// rule's.
    pub fn last_until(&self, until: Timestamp) -> Option<Occurrence> {
        // A rule that fires often is found in a short span, one that fires seldom has few occurrences in a long one.
        [1, 24, 24 * 40, 24 * 400, 24 * 366 * 8].into_iter().find_map(|hours| {
            let from = until.checked_sub(SignedDuration::from_hours(hours)).ok()?;
            self.after(from).take_while(|next| next.at <= until).last()
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

#[cfg(test)]
mod tests {
    use super::super::cron::CronDialect;
    use super::*;

    #[test]
    fn the_last_start_is_found_however_seldom_it_is() {
        let until: Timestamp = "2026-11-27T12:30:00Z".parse().unwrap();
        for (rule, expected) in [
            ("* * * * *", "2026-11-27T12:30:00Z"),
            ("31 * * * *", "2026-11-27T11:31:00Z"),
            ("31 12 * * *", "2026-11-26T12:31:00Z"),
            ("0 0 1 * *", "2026-11-01T00:00:00Z"),
            ("0 0 28 11 *", "2025-11-28T00:00:00Z"),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ] {
            let expr = CronExpr::parse(rule, CronDialect::Debian, 0).unwrap();
            let schedule = Schedule::Cron { expr, zone: TimeZone::UTC };
            let last = schedule.last_until(until).unwrap().at;
            assert_eq!(last, expected.parse().unwrap(), "{rule}");
            assert!(schedule.next_after(last).unwrap().at > until, "{rule}");
        }
        assert_eq!(Schedule::Reboot.last_until(until), None);
    }
}
