//! The occurrences of a window: after one instant and not after another. The planner asks how many there are and which
//! are the latest; neither answer is found by walking over all of them.

use jiff::Timestamp;

use super::{Every, Schedule};

impl Schedule {
    /// How many occurrences lie after `after` and not after `through`.
    pub fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        match self {
            Schedule::Every(every) => {
                let count = every.count_through(through) - every.count_through(after);
                u64::try_from(count).unwrap_or_default()
            }
            Schedule::Once { at } => u64::from(after < *at && *at <= through),
            _ => self.rule().map_or(0, |(rule, zone)| rule.count(after, through, zone)),
        }
    }

    /// The first occurrence after `after`, unless it is after `through`.
    pub fn first(&self, after: Timestamp, through: Timestamp) -> Option<Timestamp> {
        self.next_after(after).map(|next| next.at).filter(|at| *at <= through)
    }

    /// The last occurrence that is not after `through`, unless it is not after `after`.
    pub fn last(&self, after: Timestamp, through: Timestamp) -> Option<Timestamp> {
        self.latest(after, through, 1).pop()
    }

    /// The latest occurrences after `after` and not after `through`, `most` at most, the earliest of them first.
    pub fn latest(&self, after: Timestamp, through: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut found: Vec<Timestamp> = match self {
            Schedule::Every(every) => every.backwards(after, through).take(most).collect(),
            Schedule::Once { at } => {
                let within = Some(*at).filter(|at| after < *at && *at <= through);
                within.into_iter().take(most).collect()
            }
            _ => self.rule().map_or_else(Vec::new, |(rule, zone)| {
                rule.backwards(after, through, zone).take(most).collect()
            }),
        };
        found.reverse();
        found
    }

    /// Every occurrence after `after` and not after `through`, one by one.
    pub fn walk(&self, after: Timestamp, through: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        self.after(after).map(|next| next.at).take_while(move |at| *at <= through)
    }
}

impl Every {
    /// The occurrences after `after` and not after `through`, the latest first.
    fn backwards(self, after: Timestamp, through: Timestamp) -> impl Iterator<Item = Timestamp> {
        let numbers = self.count_through(after) + 1..=self.count_through(through);
        numbers.rev().map_while(move |number| self.occurrence(number))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use jiff::tz::TimeZone;

    use super::*;
    use crate::domain::cron::{CronDialect, CronExpr};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(text: &str, zone: &str) -> Schedule {
        let expr = CronExpr::parse(text, CronDialect::Scheduler, 0).unwrap();
        Schedule::Cron { expr, zone: TimeZone::get(zone).unwrap() }
    }

    #[test]
    fn long_windows_are_counted_without_walking() {
        let (begin, end) = (at("2026-11-13T00:00:00Z"), at("2026-11-27T00:00:00Z"));
        let five_seconds = Every::new(Duration::from_secs(5), begin).unwrap();
        let decade = (at("2017-01-01T05:00:00Z"), at("2027-01-01T05:00:00Z"));
        for (schedule, (after, through), count) in [
            (cron("*/5 * * * * *", "UTC"), (begin, end), 241_920),
            (Schedule::Every(five_seconds), (begin, end), 241_920),
            // 3,652 days, of which ten have 23 hours and ten have 25.
            (cron("* * * * *", "America/New_York"), decade, 3_652 * 1_440),
            (cron("30 2 * * *", "America/New_York"), decade, 3_652),
            (cron("30 1 * * *", "America/New_York"), decade, 3_652),
            // Ten of the days have no 02:30 for what follows the clock.
            (cron("*/30 2 * * *", "America/New_York"), decade, 2 * 3_642),
            (cron("*/30 1 * * *", "America/New_York"), decade, 2 * 3_662),
            (cron("0 0 29 2 *", "UTC"), (at("1999-01-01T00:00:00Z"), at("2101-01-01T00:00:00Z")), 25),
        ] {
            let started = Instant::now();
            assert_eq!(schedule.count(after, through), count, "{schedule}");
            let last = schedule.latest(after, through, 3);
            assert!(last.len() == 3 && schedule.count(last[0], through) == 2, "{schedule}");
            // Walking would take seconds.
            assert!(started.elapsed() < Duration::from_millis(100), "{schedule}: {:?}", started.elapsed());
        }
    }

    #[test]
    fn a_window_that_is_empty_or_turned_round_has_nothing() {
        let (before, behind) = (at("2026-11-27T00:00:00Z"), at("2026-11-28T00:00:00Z"));
        let every = Every::new(Duration::from_secs(1), before).unwrap();
        for schedule in [
            cron("* * * * * *", "UTC"),
            Schedule::Every(every),
            Schedule::Once { at: before },
            Schedule::Once { at: behind },
            Schedule::Reboot,
        ] {
            for (after, through) in [(before, before), (behind, before)] {
                assert_eq!(schedule.count(after, through), 0, "{schedule}");
                assert_eq!(schedule.first(after, through), None);
                assert_eq!(schedule.last(after, through), None);
                assert_eq!(schedule.latest(after, through, 5), []);
                assert_eq!(schedule.walk(after, through).next(), None);
            }
        }
        let once = Schedule::Once { at: behind };
        assert_eq!((once.count(before, behind), once.last(before, behind)), (1, Some(behind)));
        assert_eq!(once.latest(before, behind, 0), []);
    }

    #[test]
    fn the_ends_of_the_calendar_are_ends() {
        for schedule in [cron("0 0 1 1 *", "America/New_York"), cron("0 0 1 1 *", "UTC")] {
            let count = schedule.count(Timestamp::MIN, Timestamp::MAX);
            assert!((19_990..20_000).contains(&count), "{count}");
            assert!(schedule.last(Timestamp::MIN, Timestamp::MAX) > Some(at("9998-12-31T00:00:00Z")));
        }
    }
}
