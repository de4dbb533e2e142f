//! One field of a cron expression: its bounds and its names.

use crate::domain::word::words;

words! {
    /// The fields of an expression, in the order in which they are written, by their names in messages.
    pub enum Field: "field" {
        /// 0 to 59; only in six fields.
        Second = "second",
        /// 0 to 59.
        Minute = "minute",
        /// 0 to 23.
        Hour = "hour",
        /// 1 to 31.
        DayOfMonth = "day of month",
        /// 1 to 12, or jan to dec.
        Month = "month",
        /// 0 to 7, or sun to sat; 0 and 7 are Sunday.
        DayOfWeek = "day of week",
    }
}

/// The names of values; an expression has their first three letters.
const MONTHS: &str = "January February March April May June July August September October November December";
const DAYS: &str = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday";

impl Field {
    /// Lowest and highest value.
    pub fn bounds(self) -> (u8, u8) {
        match self {
            Field::Second | Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            Field::DayOfWeek => (0, 7),
        }
    }

    /// Lowest and highest value, each value once.
    pub(super) fn extremes(self) -> (u8, u8) {
        let (low, high) = self.bounds();
        (low, if self == Field::DayOfWeek { 6 } else { high })
    }

    /// The names of its values, the first of which is the lowest value.
    pub(in crate::domain) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let names = match self {
            Field::Month => MONTHS,
            Field::DayOfWeek => DAYS,
            _ => "",
        };
        names.split_ascii_whitespace()
    }

    /// Every value, as bits. Sunday is bit 0 alone.
    pub(super) fn every(self) -> u64 {
        let (low, high) = self.extremes();
        (low..=high).fold(0, |set, value| set | 1 << value)
    }

    pub(super) fn expected(self) -> String {
        let (low, high) = self.bounds();
        match self {
            Field::Month => format!("{low} to {high} or jan to dec"),
            Field::DayOfWeek => format!("{low} to {high} or sun to sat (0 and 7 are Sunday)"),
            _ => format!("{low} to {high}"),
        }
    }
}
