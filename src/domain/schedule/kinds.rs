//! The kinds of schedules that no crontab has: their next time, and how they are told.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::{Every, MonthDay, Schedule, Weekdays};
use crate::domain::cron::{Dst, Field, Occurrence, Rule, and};
use crate::domain::duration;

impl Schedule {
    /// The rule of the wall clock, if it goes by one. A daily, weekly or monthly time is the cron expression that names
    /// it, so that all of them do the same when the clocks change.
    pub(super) fn rule(&self) -> Option<(Rule, &TimeZone)> {
        match self {
            Schedule::Cron { expr, zone } => Some((expr.rule(), zone)),
            Schedule::Daily { at, zone } => Some((Rule::daily(*at), zone)),
            Schedule::Weekly { on, at, zone } => Some((Rule::daily(*at).on_weekdays(on.bits()), zone)),
            Schedule::Monthly { day, at, zone } => Some((Rule::daily(*at).on_month_day(day.number()), zone)),
            Schedule::Every(_) | Schedule::Once { .. } | Schedule::Reboot => None,
        }
    }

    pub(super) fn kind_after(&self, after: Timestamp) -> Option<Occurrence> {
        let at = match self {
            Schedule::Every(every) => every.occurrence(every.count_through(after) + 1)?,
            Schedule::Once { at } => Some(*at).filter(|at| *at > after)?,
            _ => {
                let (rule, zone) = self.rule()?;
                return rule.next_after(after, zone);
            }
        };
        Some(Occurrence { at, dst: Dst::Plain })
    }

    pub(super) fn describe_kind(&self) -> String {
        match self {
            Schedule::Every(every) => describe_every(*every),
            Schedule::Daily { at, .. } => format!("at {}, every day", clock(*at)),
            Schedule::Weekly { on, at, .. } => format!("at {}, on {}", clock(*at), weekday_names(*on)),
            Schedule::Monthly { day, at, .. } => format!("at {}, on {}", clock(*at), describe_day(*day)),
            Schedule::Once { at } => format!("once, at {at}"),
            Schedule::Cron { expr, .. } => expr.describe(),
            Schedule::Reboot => String::new(),
        }
    }

    /// Five or six time fields; a sentence, where fields cannot say it.
    pub(super) fn kind_line(&self) -> String {
        match self {
            Schedule::Daily { at, .. } => format!("{} * * *", time_fields(*at)),
            Schedule::Weekly { on, at, .. } => {
                let days: Vec<String> = on.days().map(|day| (day as u8).to_string()).collect();
                format!("{} * * {}", time_fields(*at), days.join(","))
            }
            Schedule::Monthly { day, at, .. } if day.number().is_some() => {
                format!("{} {} * *", time_fields(*at), day.number().unwrap_or_default())
            }
            _ => self.describe_kind(),
        }
    }
}

/// A time of the wall clock: `02:30`, with seconds if it has some.
pub(super) fn clock(at: Time) -> String {
    at.strftime(if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

fn time_fields(at: Time) -> String {
    let minutes = format!("{} {}", at.minute(), at.hour());
    if at.second() == 0 { minutes } else { format!("{} {minutes}", at.second()) }
}

fn describe_every(every: Every) -> String {
    format!("every {} since {}", duration::show(every.period()), every.anchor())
}

fn describe_day(day: MonthDay) -> String {
    match day.number() {
        None => "the last day of the month".to_owned(),
        Some(day @ ..=28) => format!("day {day} of the month"),
        Some(day) => format!("day {day} of the months that have it"),
    }
}

fn weekday_names(on: Weekdays) -> String {
    let names: Vec<String> =
        on.days().filter_map(|day| Field::DayOfWeek.names().nth(day as usize)).map(str::to_owned).collect();
    and(&names)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Weekday;
    use super::*;
    use crate::domain::cron::{CronDialect, CronExpr};

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn monthly(day: MonthDay, at: &str) -> Schedule {
        Schedule::Monthly { day, at: time(at), zone: TimeZone::UTC }
    }

    #[test]
    fn each_kind_is_told_in_words_and_as_a_crontab_would_write_it() {
        let zone = TimeZone::UTC;
        let on = Weekdays::new([Weekday::Friday, Weekday::Sunday, Weekday::Monday]).unwrap();
        let anchor = "2026-11-27T00:00:00Z".parse().unwrap();
        let every = Every::new(Duration::from_secs(90), anchor).unwrap();
        for (schedule, sentence, line) in [
            (Schedule::Daily { at: time("02:30"), zone: zone.clone() }, "at 02:30, every day", "30 2 * * *"),
            (
                Schedule::Daily { at: time("02:30:05"), zone: zone.clone() },
                "at 02:30:05, every day",
                "5 30 2 * * *",
            ),
            (
                Schedule::Weekly { on, at: time("00:00"), zone },
                "at 00:00, on Sunday, Monday and Friday",
                "0 0 * * 0,1,5",
            ),
            (monthly(MonthDay::new(5).unwrap(), "02:30"), "at 02:30, on day 5 of the month", "30 2 5 * *"),
            (
                monthly(MonthDay::new(31).unwrap(), "02:30"),
                "at 02:30, on day 31 of the months that have it",
                "30 2 31 * *",
            ),
        ] {
            assert_eq!((schedule.describe().as_str(), schedule.to_string().as_str()), (sentence, line));
            // The line names the same times, and the same conduct when the clocks change.
            let expr = CronExpr::parse(line, CronDialect::Scheduler, 0).unwrap();
            assert_eq!(schedule.rule().map(|(rule, _)| rule), Some(expr.rule()), "{line}");
        }
        for (schedule, told) in [
            (monthly(MonthDay::LAST, "02:30"), "at 02:30, on the last day of the month"),
            (Schedule::Every(every), "every 1m30s since 2026-11-27T00:00:00Z"),
            (Schedule::Once { at: anchor }, "once, at 2026-11-27T00:00:00Z"),
        ] {
            assert_eq!((schedule.describe().as_str(), schedule.to_string().as_str()), (told, told));
        }
    }

    #[test]
    fn a_month_without_the_day_is_left_out_and_the_last_day_is_in_every_month() {
        let from = "2027-12-31T12:00:00Z".parse().unwrap();
        let days = |schedule: &Schedule, count| -> Vec<String> {
            schedule.after(from).take(count).map(|next| next.at.strftime("%y-%m-%d").to_string()).collect()
        };
        let day = |day| monthly(MonthDay::new(day).unwrap(), "00:00");
        assert_eq!(days(&day(31), 3), ["28-01-31", "28-03-31", "28-05-31"]);
        assert_eq!(days(&day(29), 3), ["28-01-29", "28-02-29", "28-03-29"]);
        let last = monthly(MonthDay::LAST, "00:00");
        assert_eq!(days(&last, 4), ["28-01-31", "28-02-29", "28-03-31", "28-04-30"]);
    }
}
