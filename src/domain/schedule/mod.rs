//! When a task runs: a rule that yields times.
//!
//! The times of the wall clock (cron, daily, weekly, monthly) are those of a time zone, and do at changes of the clocks
//! what Debian's cron does: see [`super::cron`]. The command line knows what a crontab says alone; the rest is the
//! scheduler's.

#[cfg(feature = "server")]
mod json;
#[cfg(feature = "server")]
mod kinds;
#[cfg(feature = "server")]
mod parts;
#[cfg(feature = "server")]
mod window;

use std::fmt;

#[cfg(feature = "server")]
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::cron::{CronExpr, Occurrence};
#[cfg(feature = "server")]
pub use parts::{Every, MonthDay, Weekday, Weekdays};

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
    /// Again and again after the same time, whatever the wall clock says.
    #[cfg(feature = "server")]
    Every(Every),
    /// Every day.
    #[cfg(feature = "server")]
    Daily {
        /// The time of the wall clock, in whole seconds.
        at: Time,
        /// Whose wall clock.
        zone: TimeZone,
    },
    /// On some days of the week.
    #[cfg(feature = "server")]
    Weekly {
        /// The days.
        on: Weekdays,
        /// The time of the wall clock, in whole seconds.
        at: Time,
        /// Whose wall clock.
        zone: TimeZone,
    },
    /// On one day of each month that has it. A month without the day is left out, as by cron (and by RFC 5545), so that a
    /// day never means another one; whoever wants the last day of every month says so.
    #[cfg(feature = "server")]
    Monthly {
        /// The day.
        day: MonthDay,
        /// The time of the wall clock, in whole seconds.
        at: Time,
        /// Whose wall clock.
        zone: TimeZone,
    },
    /// One time.
    #[cfg(feature = "server")]
    Once {
        /// When.
        at: Timestamp,
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
            #[cfg(feature = "server")]
            _ => self.kind_after(after),
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

    /// The expression, if it is one.
    pub fn expr(&self) -> Option<&CronExpr> {
        if let Schedule::Cron { expr, .. } = self { Some(expr) } else { None }
    }

    /// Whose wall clock it goes by, if it goes by one.
    pub fn zone(&self) -> Option<&TimeZone> {
        match self {
            Schedule::Cron { zone, .. } => Some(zone),
            #[cfg(feature = "server")]
            Schedule::Daily { zone, .. } | Schedule::Weekly { zone, .. } | Schedule::Monthly { zone, .. } => {
                Some(zone)
            }
            #[cfg(feature = "server")]
            Schedule::Every(_) | Schedule::Once { .. } => None,
            Schedule::Reboot => None,
        }
    }

    /// A sentence without its capital and its full stop.
    pub fn describe(&self) -> String {
        match self {
            Schedule::Cron { expr, .. } => expr.describe(),
            Schedule::Reboot => "once, when the machine starts".to_owned(),
            #[cfg(feature = "server")]
            _ => self.describe_kind(),
        }
    }
}

/// As a crontab writes it; what none can write, as a sentence.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Cron { expr, .. } => expr.fmt(f),
            Schedule::Reboot => f.write_str("@reboot"),
            #[cfg(feature = "server")]
            _ => f.write_str(&self.kind_line()),
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
