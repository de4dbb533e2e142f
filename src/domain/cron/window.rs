//! How many times of a rule lie between two instants, and the latest of them: by whole days, not one by one.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::next::{Stretch, second_after};
use super::{Field, Rule};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Rule {
    /// One fixed time of every day. What is finer than a second is left out.
    pub(in crate::domain) fn daily(at: Time) -> Self {
        let mut sets = [0; 6];
        for field in Field::ALL {
            sets[*field as usize] = field.every();
        }
        let times = [(Field::Second, at.second()), (Field::Minute, at.minute()), (Field::Hour, at.hour())];
        for (field, value) in times {
            sets[field as usize] = 1 << value;
        }
        Self { sets, either_day: false, last_day: false, follows_clock: false }
    }

    /// Only on these days of the week; bit 0 is Sunday.
    pub(in crate::domain) fn on_weekdays(mut self, weekdays: u64) -> Self {
        self.sets[Field::DayOfWeek as usize] = weekdays;
        self
    }

    /// Only on this day of each month that has it; `None` is the last one.
    pub(in crate::domain) fn on_month_day(mut self, day: Option<u8>) -> Self {
        self.sets[Field::DayOfMonth as usize] = day.map_or(0, |day| 1 << day);
        self.last_day = day.is_none();
        self
    }

    /// How many occurrences lie after `after` and not after `through`.
    pub(in crate::domain) fn count(&self, after: Timestamp, through: Timestamp, zone: &TimeZone) -> u64 {
        let of_stretch =
            |stretch: Stretch| u64::from(stretch.late.is_some()) + self.count_times(stretch.from, stretch.to);
        self.stretches(after, through, zone).map(of_stretch).sum()
    }

    /// The occurrences after `after` and not after `through`, the latest first.
    pub(in crate::domain) fn backwards(
        &self,
        after: Timestamp,
        through: Timestamp,
        zone: &TimeZone,
    ) -> impl Iterator<Item = Timestamp> {
        let stretches: Vec<Stretch> = self.stretches(after, through, zone).collect();
        stretches.into_iter().rev().flat_map(move |stretch| {
            let mut end = stretch.to;
            let times = std::iter::from_fn(move || {
                end = self.latest_time(stretch.from, end)?;
                stretch.offset.to_timestamp(end).ok()
            });
            times.chain(stretch.late.map(|late| late.at))
        })
    }

    /// The stretches between two instants, cut to what lies between them.
    fn stretches(
        &self,
        after: Timestamp,
        through: Timestamp,
        zone: &TimeZone,
    ) -> impl Iterator<Item = Stretch> {
        let second = |at| second_after(zone.to_datetime(at));
        let first = second(after).filter(|_| after < through);
        let first = first.map(|from| self.stretch(after, zone).after(after, from));
        let all = std::iter::successors(first, move |stretch| {
            let begin = stretch.end.filter(|begin| *begin <= through)?;
            Some(self.stretch_from(begin, zone))
        });
        all.map(move |stretch| Stretch {
            late: stretch.late.filter(|late| late.at <= through),
            to: second_after(stretch.offset.to_datetime(through)).map_or(stretch.to, |to| to.min(stretch.to)),
            ..stretch
        })
    }

    /// How many times of the wall clock the rule names from `from` on and before `end`.
    fn count_times(&self, from: DateTime, end: DateTime) -> u64 {
        let Ok(last) = end.checked_sub(SECOND) else { return 0 };
        if from > last {
            return 0;
        }
        let whole = self.count_days(from.date(), last.date()) * self.times_before(None);
        let before = if self.has_day(from.date()) { self.times_before(Some(from.time())) } else { 0 };
        let behind = if end.date() == last.date() && self.has_day(last.date()) {
            self.times_before(None) - self.times_before(Some(end.time()))
        } else {
            0
        };
        whole - before - behind
    }

    /// The days that match, both ends included.
    fn count_days(&self, from: Date, to: Date) -> u64 {
        let (mut year, mut month) = (from.year(), from.month());
        let mut count = 0;
        while (year, month) <= (to.year(), to.month()) {
            let mut days = self.month_days(year, month);
            if (year, month) == (from.year(), from.month()) {
                days &= u64::MAX << from.day();
            }
            if (year, month) == (to.year(), to.month()) {
                days &= below(to.day() + 1);
            }
            count += u64::from(days.count_ones());
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        count
    }

    /// How many times a day that matches has before this time; all of them without one.
    fn times_before(&self, time: Option<Time>) -> u64 {
        let sets = [Field::Hour, Field::Minute, Field::Second].map(|field| self.set(field));
        let [hours, minutes, seconds] = sets;
        let count = |set: u64| u64::from(set.count_ones());
        let Some(time) = time else { return count(hours) * count(minutes) * count(seconds) };
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let mut before = count(hours & below(hour)) * count(minutes) * count(seconds);
        if hours & 1 << hour != 0 {
            before += count(minutes & below(minute)) * count(seconds);
            if minutes & 1 << minute != 0 {
                before += count(seconds & below(second));
            }
        }
        before
    }

    /// The last time from `from` on and before `end`.
    fn latest_time(&self, from: DateTime, end: DateTime) -> Option<DateTime> {
        let to = end.checked_sub(SECOND).ok()?;
        let (date, time) = (to.date(), to.time());
        let of_day = self.time_upto(time.hour(), time.minute(), time.second());
        let (date, (h, m, s)) = match of_day.filter(|_| from <= to && self.has_day(date)) {
            Some(of_day) => (date, of_day),
            None => (self.day_upto(from.date(), date.yesterday().ok()?)?, self.time_upto(23, 59, 59)?),
        };
        Some(date.at(h, m, s, 0)).filter(|time| *time >= from)
    }

    fn time_upto(&self, hour: i8, minute: i8, second: i8) -> Option<(i8, i8, i8)> {
        let hours = |upto| last_upto(self.set(Field::Hour), upto);
        let minutes = |upto| last_upto(self.set(Field::Minute), upto);
        let seconds = |upto| last_upto(self.set(Field::Second), upto);
        if hours(hour) == Some(hour) {
            if minutes(minute) == Some(minute)
                && let Some(second) = seconds(second)
            {
                return Some((hour, minute, second));
            }
            if let Some(minute) = minutes(minute - 1) {
                return Some((hour, minute, seconds(59)?));
            }
        }
        Some((hours(hour - 1)?, minutes(59)?, seconds(59)?))
    }

    /// The last day that matches, not looked for before the month of `from`.
    fn day_upto(&self, from: Date, upto: Date) -> Option<Date> {
        let (mut year, mut month, mut end) = (upto.year(), upto.month(), upto.day());
        while (year, month) >= (from.year(), from.month()) {
            if let Some(day) = last_upto(self.month_days(year, month), end) {
                return Date::new(year, month, day).ok();
            }
            end = 31;
            (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
        }
        None
    }
}

/// The values below this one, as bits.
fn below(value: i8) -> u64 {
    (1 << value) - 1
}

/// The highest value up to this one.
fn last_upto(set: u64, upto: i8) -> Option<i8> {
    let values = set & below(upto + 1);
    i8::try_from(values.checked_ilog2()?).ok()
}
