//! Which days and instants are kept: MySQL's `DATE` and `DATETIME` hold the years 1000 to 9999. The rule is the same for
//! every database, so that none of them keeps what another one refuses or cannot give back.

use jiff::Timestamp;
use jiff::civil::Date;

/// The first day that is kept; the last one is the last of the calendar, 9999-12-31.
pub const FIRST_DAY: Date = Date::constant(1000, 1, 1);

/// The first instant that is kept, 1000-01-02T00:00:00Z: its wall clock lies in the year 1000 in every zone. The last one
/// is the last of the calendar, whose wall clock lies in the year 9999 in every zone.
pub const FIRST_INSTANT: Timestamp = Timestamp::constant(-30_610_137_600, 0);

/// What is said about days and instants that are not kept.
pub const KEPT: &str = "the years 1000 to 9999";

/// The day, if it is kept.
pub fn kept_day(day: Date) -> Option<Date> {
    (day >= FIRST_DAY).then_some(day)
}

/// The instant, if it is kept.
pub fn kept_instant(at: Timestamp) -> Option<Timestamp> {
    (at >= FIRST_INSTANT).then_some(at)
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};

    use super::*;

    #[test]
    fn kept_instants_show_four_digits_of_a_year_in_every_zone() {
        assert_eq!(FIRST_INSTANT.to_string(), "1000-01-02T00:00:00Z");
        // The widest offsets that zones ever had: the Philippines and Alaska before 1900.
        for seconds in [-15 * 3_600 - 830, 15 * 3_600 + 830] {
            let zone = TimeZone::fixed(Offset::from_seconds(seconds).unwrap());
            let year = |at: Timestamp| at.to_zoned(zone.clone()).year();
            assert_eq!((year(FIRST_INSTANT), year(Timestamp::MAX)), (1000, 9999));
        }
        assert_eq!(kept_instant(FIRST_INSTANT - jiff::SignedDuration::from_nanos(1)), None);
        assert_eq!(kept_day(Date::constant(999, 12, 31)), None);
        assert_eq!(kept_day(Date::MAX), Some(Date::MAX));
    }
}
