//! On which days the tasks of a plan fall.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::invalid::Invalid;
use super::word::words;

/// Most tasks that a plan gives one testee.
pub const MAX_TIMES: usize = 100;
/// Longest interval, in weeks or days, and the furthest week: far enough, and never out of the calendar.
const MAX_INTERVAL: i64 = 1_000;

words! {
    /// How a plan counts its days.
    pub enum ScheduleType: "schedule type" {
        /// Every so many weeks.
        ByWeek = "by_week",
        /// Every so many days.
        ByDay = "by_day",
        /// On these dates.
        FixedDate = "fixed_date",
        /// In these weeks after the start.
        Custom = "custom",
    }
}

/// On which days tasks fall, counted from a testee's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanSchedule {
    /// Every `interval` weeks, `times` times.
    ByWeek {
        /// Weeks between two tasks.
        interval: i64,
        /// How many tasks.
        times: i64,
    },
    /// Every `interval` days, `times` times.
    ByDay {
        /// Days between two tasks.
        interval: i64,
        /// How many tasks.
        times: i64,
    },
    /// On these dates, whatever the start.
    FixedDate(Vec<Date>),
    /// These many weeks after the start.
    Custom(Vec<i64>),
}

/// The fields that describe a schedule, before they are checked.
#[derive(Clone, Debug, Default)]
pub struct ScheduleFields {
    /// `interval`
    pub interval: Option<i64>,
    /// `total_times`
    pub total_times: Option<i64>,
    /// `fixed_dates`
    pub fixed_dates: Vec<Date>,
    /// `relative_weeks`
    pub relative_weeks: Vec<i64>,
}

/// A task that is not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its number, from 1.
    pub seq: u32,
    /// Its day.
    pub day: Date,
}

impl PlanSchedule {
    /// The schedule of a new plan.
    ///
    /// # Errors
    /// The first field that is missing, makes no sense, or says nothing for this type.
    pub fn new(kind: ScheduleType, fields: ScheduleFields) -> Result<Self, Invalid> {
        let unused = |field, is_set| {
            let reason = || format!("is not used by schedule_type {kind}");
            if is_set { Err(Invalid::new(field, reason())) } else { Ok(()) }
        };
        if kind != ScheduleType::FixedDate {
            unused("fixed_dates", !fields.fixed_dates.is_empty())?;
        }
        if kind != ScheduleType::Custom {
            unused("relative_weeks", !fields.relative_weeks.is_empty())?;
        }
        let listed = match kind {
            ScheduleType::ByWeek | ScheduleType::ByDay => {
                return Self::regular(kind, fields.interval, fields.total_times);
            }
            ScheduleType::FixedDate => check_dates(&fields.fixed_dates)?,
            ScheduleType::Custom => check_weeks(&fields.relative_weeks)?,
        };
        unused("interval", fields.interval.unwrap_or(0) != 0)?;
        match fields.total_times.unwrap_or(0) {
            0 => {}
            times if usize::try_from(times).is_ok_and(|times| times == listed) => {}
            times => {
                let reason = format!("expected {listed}, the length of the list, or nothing, found {times}");
                return Err(Invalid::new("total_times", reason));
            }
        }
        Ok(Self::stored(kind, 0, 0, fields.fixed_dates, fields.relative_weeks))
    }

    fn regular(kind: ScheduleType, interval: Option<i64>, times: Option<i64>) -> Result<Self, Invalid> {
        let within = |field, value: Option<i64>, most: i64| match value {
            Some(value) if (1..=most).contains(&value) => Ok(value),
            found => {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
                Err(Invalid::new(field, format!("expected a number from 1 to {most}, found {found}")))
            }
        };
        let interval = within("interval", interval, MAX_INTERVAL)?;
        let times = within("total_times", times, i64::try_from(MAX_TIMES).unwrap_or(i64::MAX))?;
        Ok(Self::stored(kind, interval, times, Vec::new(), Vec::new()))
    }

    /// The schedule of a plan that exists: what an earlier program accepted is believed.
    pub fn stored(kind: ScheduleType, interval: i64, times: i64, dates: Vec<Date>, weeks: Vec<i64>) -> Self {
        match kind {
            ScheduleType::ByWeek => Self::ByWeek { interval, times },
            ScheduleType::ByDay => Self::ByDay { interval, times },
            ScheduleType::FixedDate => Self::FixedDate(dates),
            ScheduleType::Custom => Self::Custom(weeks),
        }
    }

    /// Its type.
    pub fn kind(&self) -> ScheduleType {
        match self {
            Self::ByWeek { .. } => ScheduleType::ByWeek,
            Self::ByDay { .. } => ScheduleType::ByDay,
            Self::FixedDate(_) => ScheduleType::FixedDate,
            Self::Custom(_) => ScheduleType::Custom,
        }
    }

    /// Weeks or days between two tasks; 0 where a list says it.
    pub fn interval(&self) -> i64 {
        match self {
            Self::ByWeek { interval, .. } | Self::ByDay { interval, .. } => *interval,
            Self::FixedDate(_) | Self::Custom(_) => 0,
        }
    }

    /// How many tasks a testee gets.
    pub fn total_times(&self) -> u32 {
        match self {
            Self::ByWeek { times, .. } | Self::ByDay { times, .. } => u32::try_from(*times).unwrap_or(0),
            Self::FixedDate(dates) => u32::try_from(dates.len()).unwrap_or(u32::MAX),
            Self::Custom(weeks) => u32::try_from(weeks.len()).unwrap_or(u32::MAX),
        }
    }

    /// The dates of `fixed_date`.
    pub fn fixed_dates(&self) -> &[Date] {
        if let Self::FixedDate(dates) = self { dates } else { &[] }
    }

    /// The weeks of `custom`.
    pub fn relative_weeks(&self) -> &[i64] {
        if let Self::Custom(weeks) = self { weeks } else { &[] }
    }

    /// The tasks of a testee that starts on this day, from the one after number `after` on. `None`: one of them lies
    /// outside the calendar.
    pub fn tasks(&self, start: Date, after: u32) -> Option<Vec<Planned>> {
        let task = |seq| Some(Planned { seq, day: self.day(start, seq)? });
        (after.saturating_add(1)..=self.total_times()).map(task).collect()
    }

    /// The start of a testee whose task of this number falls on this day; any day will do for fixed dates. `None`: the
    /// schedule has no such task.
    pub fn start(&self, seq: u32, day: Date) -> Option<Date> {
        let index = self.index(seq)?;
        if let Self::FixedDate(_) = self { Some(day) } else { day.checked_sub(self.offset(index)?).ok() }
    }

    fn day(&self, start: Date, seq: u32) -> Option<Date> {
        let index = self.index(seq)?;
        match self {
            Self::FixedDate(dates) => dates.get(index as usize).copied(),
            _ => start.checked_add(self.offset(index)?).ok(),
        }
    }

    fn index(&self, seq: u32) -> Option<u32> {
        seq.checked_sub(1).filter(|_| seq <= self.total_times())
    }

    /// How long after the start.
    fn offset(&self, index: u32) -> Option<Span> {
        let days = match self {
            Self::ByWeek { interval, .. } => interval.checked_mul(7)?.checked_mul(index.into())?,
            Self::ByDay { interval, .. } => interval.checked_mul(index.into())?,
            Self::Custom(weeks) => weeks.get(index as usize)?.checked_mul(7)?,
            Self::FixedDate(_) => return None,
        };
        Span::new().try_days(days).ok()
    }
}

fn check_dates(dates: &[Date]) -> Result<usize, Invalid> {
    let wrong = |reason: &str| Err(Invalid::new("fixed_dates", reason));
    match dates.len() {
        0 => wrong("expected at least one date"),
        n if n > MAX_TIMES => wrong("expected at most 100 dates"),
        _ if !dates.is_sorted() => wrong("expected dates of which none is before the one that precedes it"),
        n => Ok(n),
    }
}

fn check_weeks(weeks: &[i64]) -> Result<usize, Invalid> {
    let wrong = |reason: &str| Err(Invalid::new("relative_weeks", reason));
    match weeks.len() {
        0 => wrong("expected at least one week"),
        n if n > MAX_TIMES => wrong("expected at most 100 weeks"),
        _ if weeks.iter().any(|week| !(1..=MAX_INTERVAL).contains(week)) => {
            wrong("expected weeks from 1 to 1000")
        }
        _ if !weeks.is_sorted_by(|a, b| a < b) => wrong("expected strictly increasing weeks"),
        n => Ok(n),
    }
}

/// The first instant of a day: midnight, or what comes after it where a clock change leaves midnight out.
pub fn first_instant(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let noon = day.at(12, 0, 0, 0).to_zoned(zone.clone()).ok()?;
    Some(noon.start_of_day().ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn new(
        kind: ScheduleType,
        interval: i64,
        times: i64,
        dates: &[&str],
        weeks: &[i64],
    ) -> Result<PlanSchedule, String> {
        let fields = ScheduleFields {
            interval: Some(interval),
            total_times: Some(times),
            fixed_dates: dates.iter().map(|text| date(text)).collect(),
            relative_weeks: weeks.to_vec(),
        };
        PlanSchedule::new(kind, fields).map_err(|error| error.to_string())
    }

    #[test]
    fn a_schedule_that_makes_no_sense_is_refused_by_field() {
        use ScheduleType::{ByDay, ByWeek, Custom, FixedDate};
        let dates = ["2026-01-02", "2026-01-02", "2026-02-01"];
        assert!(new(ByWeek, 2, 4, &[], &[]).is_ok());
        assert!(new(ByDay, 1, 100, &[], &[]).is_ok());
        assert_eq!(new(FixedDate, 0, 0, &dates, &[]).unwrap().total_times(), 3);
        assert_eq!(new(Custom, 0, 4, &[], &[2, 4, 8, 12]).unwrap().total_times(), 4);
        for (refused, field) in [
            (new(ByWeek, 0, 4, &[], &[]), "interval: expected a number from 1 to 1000, found 0"),
            (new(ByDay, -1, 4, &[], &[]), "interval: "),
            (new(ByDay, 1, 0, &[], &[]), "total_times: expected a number from 1 to 100, found 0"),
            (new(ByDay, 1, 101, &[], &[]), "total_times: "),
            (new(ByDay, 1, 1, &dates, &[]), "fixed_dates: is not used by schedule_type by_day"),
            (new(ByWeek, 1, 1, &[], &[1]), "relative_weeks: is not used"),
            (new(FixedDate, 0, 0, &[], &[]), "fixed_dates: expected at least one"),
            (
                new(FixedDate, 0, 0, &["2026-01-02", "2026-01-01"], &[]),
                "fixed_dates: expected dates of which",
            ),
            (new(FixedDate, 0, 2, &dates, &[]), "total_times: expected 3"),
            (new(FixedDate, 3, 0, &dates, &[]), "interval: is not used"),
            (new(Custom, 0, 0, &[], &[]), "relative_weeks: expected at least one"),
            (new(Custom, 0, 0, &[], &[0, 1]), "relative_weeks: expected weeks from 1"),
            (new(Custom, 0, 0, &[], &[2, 2]), "relative_weeks: expected strictly"),
        ] {
            let message = refused.unwrap_err();
            assert!(message.starts_with(field), "{message} is not {field}");
        }
    }

    #[test]
    fn days_are_counted_from_the_start() {
        let days = |schedule: &PlanSchedule, after| {
            let tasks = schedule.tasks(date("2026-02-27"), after).unwrap();
            tasks.iter().map(|task| format!("{} {}", task.seq, task.day)).collect::<Vec<_>>().join(", ")
        };
        let weekly = new(ScheduleType::ByWeek, 2, 3, &[], &[]).unwrap();
        assert_eq!(days(&weekly, 0), "1 2026-02-27, 2 2026-03-13, 3 2026-03-27");
        assert_eq!(days(&weekly, 2), "3 2026-03-27");
        assert_eq!(days(&weekly, 3), "");
        let daily = new(ScheduleType::ByDay, 1, 3, &[], &[]).unwrap();
        assert_eq!(days(&daily, 0), "1 2026-02-27, 2 2026-02-28, 3 2026-03-01");
        let custom = new(ScheduleType::Custom, 0, 0, &[], &[1, 4]).unwrap();
        assert_eq!(days(&custom, 0), "1 2026-03-06, 2 2026-03-27");
        let fixed = new(ScheduleType::FixedDate, 0, 0, &["2026-01-01", "2027-01-01"], &[]).unwrap();
        assert_eq!(days(&fixed, 0), "1 2026-01-01, 2 2027-01-01");
        assert_eq!(daily.tasks(Date::MAX, 0), None);
        assert_eq!((daily.start(0, date("2026-01-01")), daily.start(4, date("2026-01-01"))), (None, None));
    }

    #[test]
    fn a_day_begins_with_its_first_instant() {
        let begin = |day: &str, zone: &str| {
            first_instant(date(day), &TimeZone::get(zone).unwrap()).unwrap().to_string()
        };
        assert_eq!(begin("2026-11-21", "Asia/Shanghai"), "2026-11-20T16:00:00Z");
        assert_eq!(begin("2026-11-21", "UTC"), "2026-11-21T00:00:00Z");
        // Midnight does not exist on this day: clocks go from 23:59:59 to 01:00.
        assert_eq!(begin("2018-11-04", "America/Sao_Paulo"), "2018-11-04T03:00:00Z");
    }

    fn any_schedule() -> impl Strategy<Value = PlanSchedule> {
        prop_oneof![
            (1..=1_000i64, 1..=100i64).prop_map(|(interval, times)| PlanSchedule::ByWeek { interval, times }),
            (1..=1_000i64, 1..=100i64).prop_map(|(interval, times)| PlanSchedule::ByDay { interval, times }),
            prop::collection::btree_set(1..=1_000i64, 1..20)
                .prop_map(|weeks| PlanSchedule::Custom(weeks.into_iter().collect())),
            prop::collection::vec(0..20_000i32, 1..20).prop_map(|mut days| {
                days.sort_unstable();
                let first = Date::constant(2020, 1, 1);
                PlanSchedule::FixedDate(days.iter().map(|n| first + Span::new().days(*n)).collect())
            }),
        ]
    }

    proptest! {
        #[test]
        fn tasks_are_numbered_in_order_and_lead_back_to_the_start(schedule in any_schedule(), ago in 0..30_000i32) {
            let start = Date::constant(2030, 6, 1) - Span::new().days(ago);
            let tasks = schedule.tasks(start, 0).unwrap();
            prop_assert_eq!(tasks.len(), schedule.total_times() as usize);
            prop_assert!(tasks.iter().enumerate().all(|(index, task)| task.seq as usize == index + 1));
            prop_assert!(tasks.is_sorted_by_key(|task| task.day));
            for task in &tasks {
                let inferred = schedule.start(task.seq, task.day).unwrap();
                prop_assert_eq!(schedule.tasks(inferred, 0).unwrap(), tasks.clone());
            }
        }

        #[test]
        fn a_resumed_testee_gets_the_rest_and_only_that(schedule in any_schedule(), done in 0..120u32) {
            let start = Date::constant(2026, 1, 1);
            let (all, rest) = (schedule.tasks(start, 0).unwrap(), schedule.tasks(start, done).unwrap());
            prop_assert!(rest.iter().all(|task| task.seq > done));
            prop_assert_eq!(&all[(done as usize).min(all.len())..], &rest[..]);
        }
    }
}
