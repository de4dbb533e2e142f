//! What schedules are made of; each part is checked when it is made.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::duration;
use crate::domain::invalid::Invalid;
use crate::domain::word::words;

/// Shortest period.
const SHORTEST: Duration = Duration::from_secs(1);

/// The same time again and again: the anchor, and what lies whole periods after it. Nothing is before the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    /// Milliseconds, 1,000 or more.
    period: i64,
    /// Milliseconds since 1970.
    anchor: i64,
}

impl Every {
    /// From a period of a second to 366 days and an anchor, both in whole milliseconds.
    ///
    /// # Errors
    /// Which of the two is none.
    pub fn new(period: Duration, anchor: Timestamp) -> Result<Self, Invalid> {
        let whole = period.subsec_nanos().is_multiple_of(1_000_000);
        if !whole || period < SHORTEST || period > duration::MAX {
            let found = format!("expected 1s to 366d in whole milliseconds, found {period:?}");
            return Err(Invalid::new("every", found));
        }
        let anchor = whole_milliseconds(anchor).ok_or_else(|| {
            Invalid::new("anchor", format!("expected an instant in whole milliseconds, found {anchor}"))
        })?;
        Ok(Self { period: i64::try_from(duration::millis(period)).unwrap_or(i64::MAX), anchor })
    }

    /// The time from one occurrence to the next.
    pub fn period(&self) -> Duration {
        Duration::from_millis(self.period.unsigned_abs())
    }

    /// The first occurrence.
    pub fn anchor(&self) -> Timestamp {
        Timestamp::from_millisecond(self.anchor).unwrap_or_default()
    }

    /// How many occurrences there have been when it is this instant.
    pub(super) fn count_through(&self, at: Timestamp) -> i64 {
        let at = at.as_nanosecond().div_euclid(1_000_000);
        let since = i64::try_from(at).unwrap_or(i64::MAX).saturating_sub(self.anchor);
        if since < 0 { 0 } else { since / self.period + 1 }
    }

    /// The occurrence of a number; the anchor is 1. `None` beyond the calendar.
    pub(super) fn occurrence(&self, number: i64) -> Option<Timestamp> {
        let at = self.period.checked_mul(number - 1)?.checked_add(self.anchor)?;
        Timestamp::from_millisecond(at).ok()
    }
}

/// Milliseconds since 1970, if it is so many and no fraction of one.
pub(super) fn whole_milliseconds(at: Timestamp) -> Option<i64> {
    let whole = at.as_nanosecond() % 1_000_000 == 0;
    whole.then(|| at.as_millisecond())
}

words! {
    /// A day of the week.
    pub enum Weekday: "weekday" {
        /// Sunday.
        Sunday = "sun",
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
    }
}

/// One or more days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays {
    /// A bit for each, Sunday the lowest.
    bits: u64,
}

impl Weekdays {
    /// These days.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(days: impl IntoIterator<Item = Weekday>) -> Result<Self, Invalid> {
        match days.into_iter().fold(0, |bits, day| bits | 1 << day as u64) {
            0 => Err(Invalid::new("on", "expected at least one weekday")),
            bits => Ok(Self { bits }),
        }
    }

    /// The days, from Sunday.
    pub fn days(self) -> impl Iterator<Item = Weekday> {
        Weekday::ALL.iter().copied().filter(move |day| self.bits & 1 << *day as u64 != 0)
    }

    pub(super) fn bits(self) -> u64 {
        self.bits
    }
}

/// A day of a month, counted from its beginning, or the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthDay(Option<u8>);

impl MonthDay {
    /// The last day of every month, whatever its number.
    pub const LAST: Self = Self(None);

    /// The day of this number.
    ///
    /// # Errors
    /// When no month has it.
    pub fn new(day: u8) -> Result<Self, Invalid> {
        if (1..=31).contains(&day) {
            return Ok(Self(Some(day)));
        }
        Err(Invalid::new("day", format!("expected 1 to 31, or \"last\", found {day}")))
    }

    /// Its number, unless it is the last.
    pub fn number(self) -> Option<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_make_no_sense_are_refused() {
        let at = Timestamp::UNIX_EPOCH;
        for period in ["0", "0.999", "1.0005", "8784h"] {
            let period = duration::parse(period).unwrap();
            assert_eq!(Every::new(period, at).is_ok(), period == duration::MAX, "{period:?}");
        }
        assert!(Every::new(duration::MAX + Duration::from_millis(1), at).is_err());
        let fine = "2026-11-27T00:00:00.0005Z".parse().unwrap();
        assert_eq!(Every::new(SHORTEST, fine).unwrap_err().field, "anchor");
        assert!(Weekdays::new([]).is_err());
        for day in [0, 32, 255] {
            assert!(MonthDay::new(day).is_err(), "{day}");
        }
    }

    #[test]
    fn occurrences_are_numbered_from_the_anchor() {
        let anchor: Timestamp = "1969-12-31T23:59:59.5Z".parse().unwrap();
        let every = Every::new(Duration::from_secs(2), anchor).unwrap();
        for (at, count) in [
            ("1969-12-31T23:59:59.499999999Z", 0),
            ("1969-12-31T23:59:59.5Z", 1),
            ("1970-01-01T00:00:01.499999999Z", 1),
            ("1970-01-01T00:00:01.5Z", 2),
        ] {
            assert_eq!(every.count_through(at.parse().unwrap()), count, "{at}");
        }
        assert_eq!(every.occurrence(1), Some(anchor));
        assert_eq!(every.occurrence(i64::MAX), None);
        let last = every.count_through(Timestamp::MAX);
        assert!(every.occurrence(last).is_some() && every.occurrence(last + 1).is_none());
    }
}
