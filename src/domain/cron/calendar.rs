//! Which times of the wall clock a rule names. Time zones come in [`super::next`].

use jiff::civil::{Date, DateTime};

use super::Field;

/// Which times a rule names, and what it does when the clocks change. Two rules are equal when they name the same times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::domain) struct Rule {
    /// The values of each field as bits, in the order of the fields; Sunday is bit 0.
    pub(super) sets: [u64; 6],
    /// A day matches by its number *or* its weekday: neither field begins with `*`.
    pub(super) either_day: bool,
    /// The last day of a month is one of the days, whatever its number.
    pub(super) last_day: bool,
    /// Its second, minute or hour begins with `*`: it follows the wall clock through changes; otherwise its times are
    /// fixed, and each is served once.
    pub(super) follows_clock: bool,
}

/// Days of the longest form of each month, from January.
const LONGEST: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Rule {
    /// The values of a field, as bits.
    pub(super) fn set(&self, field: Field) -> u64 {
        self.sets[field as usize]
    }

    /// Whether some day of some year matches. Every date, 29 February too, falls on every weekday in the 400 years after
    /// which the calendar repeats, so only the length of months can rule a day out.
    pub(super) fn fires(&self) -> bool {
        let (months, month_days) = (self.set(Field::Month), self.set(Field::DayOfMonth));
        let lengths = (1..).zip(LONGEST).filter(|(month, _)| months & 1 << month != 0);
        let days = lengths.map(|(_, length)| all_days(length)).any(|days| month_days & days != 0);
        let others = [Field::Second, Field::Minute, Field::Hour, Field::Month];
        let weekdays = self.set(Field::DayOfWeek) != 0;
        others.iter().all(|field| self.set(*field) != 0)
            && if self.either_day { days || weekdays } else { days && weekdays }
    }

    /// The first time from `from` on, itself included; none when the calendar ends, in the year 9999.
    pub(super) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let (date, time) = (from.date(), from.time());
        if self.has_day(date)
            && let Some((h, m, s)) = self.time_from(time.hour(), time.minute(), time.second())
        {
            return Some(date.at(h, m, s, 0));
        }
        let date = self.day_from(date.tomorrow().ok()?)?;
        let (h, m, s) = self.time_from(0, 0, 0)?;
        Some(date.at(h, m, s, 0))
    }

    pub(super) fn has_day(&self, date: Date) -> bool {
        self.month_days(date.year(), date.month()) & 1 << date.day() != 0
    }

    fn time_from(&self, hour: i8, minute: i8, second: i8) -> Option<(i8, i8, i8)> {
        let hours = |from| first_from(self.set(Field::Hour), from);
        let minutes = |from| first_from(self.set(Field::Minute), from);
        let seconds = |from| first_from(self.set(Field::Second), from);
        if hours(hour) == Some(hour) {
            if minutes(minute) == Some(minute)
                && let Some(second) = seconds(second)
            {
                return Some((hour, minute, second));
            }
            if let Some(minute) = minutes(minute + 1) {
                return Some((hour, minute, seconds(0)?));
            }
        }
        Some((hours(hour + 1)?, minutes(0)?, seconds(0)?))
    }

    fn day_from(&self, from: Date) -> Option<Date> {
        let (mut year, mut month, mut day) = (from.year(), from.month(), from.day());
        loop {
            let rest = self.month_days(year, month) >> day << day;
            if rest != 0 {
                return Date::new(year, month, i8::try_from(rest.trailing_zeros()).ok()?).ok();
            }
            day = 1;
            month += 1;
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            if year > 9999 {
                return None;
            }
        }
    }

    /// The matching days of a month, as bits 1 to 31.
    pub(super) fn month_days(&self, year: i16, month: i8) -> u64 {
        if self.set(Field::Month) & 1 << month == 0 {
            return 0;
        }
        let Ok(first) = Date::new(year, month, 1) else { return 0 };
        let last = first.days_in_month();
        let (length, last) = (all_days(last), if self.last_day { 1 << last } else { 0 });
        let (days, week) = (self.set(Field::DayOfMonth) | last, self.set(Field::DayOfWeek));
        if week == 0x7f && !self.either_day {
            return days & length;
        }
        // Bit d of six weeks in a row is the weekday of day d + 1 when the month begins on a Sunday.
        let weeks = week | week << 7 | week << 14 | week << 21 | week << 28 | week << 35;
        let by_weekday = weeks >> first.weekday().to_sunday_zero_offset() << 1;
        length & if self.either_day { days | by_weekday } else { days & by_weekday }
    }
}

/// Bits 1 to `last`.
fn all_days(last: i8) -> u64 {
    (1 << (last + 1)) - 2
}

/// The lowest value from `from` on.
fn first_from(set: u64, from: i8) -> Option<i8> {
    let rest = set.checked_shr(from.unsigned_abs().into())?;
    (rest != 0).then(|| from + i8::try_from(rest.trailing_zeros()).unwrap_or_default())
}
