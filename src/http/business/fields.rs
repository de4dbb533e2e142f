//! The fields of plans and tasks that only this program has.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::domain::plan_schedule::first_instant;
use crate::http::edge::ApiError;
use crate::http::edge::fields::{kept, rfc3339};

/// An instant. Without an offset it is the wall clock of this zone; a day alone is its first instant.
pub(super) fn moment(field: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, ApiError> {
    let expected = "expected YYYY-MM-DD HH:mm:ss, YYYY-MM-DD, or RFC 3339 such as YYYY-MM-DDTHH:mm:ssZ";
    let day = || {
        let day: Date = text.parse().ok()?;
        first_instant(day, zone).filter(|_| day.to_string() == text)
    };
    let wall = || {
        let form = "%Y-%m-%d %H:%M:%S";
        let wall = DateTime::strptime(form, text).ok()?;
        zone.to_timestamp(wall).ok().filter(|_| wall.strftime(form).to_string() == text)
    };
    let read = rfc3339(text).or_else(day).or_else(wall);
    kept(field, read.ok_or_else(|| ApiError::invalid(field, expected))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system before read what it did not understand as the year 1, and opened nothing; and it read local times as
    /// UTC.
    #[test]
    fn a_moment_is_understood_or_refused() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        for (text, expected) in [
            ("2026-11-21 08:30:00", "2026-11-21T00:30:00Z"),
            ("2026-11-21", "2026-11-20T16:00:00Z"),
            ("2026-11-21T08:30:00Z", "2026-11-21T08:30:00Z"),
            ("2026-11-21T08:30:00+02:00", "2026-11-21T06:30:00Z"),
        ] {
            assert_eq!(moment("before", text, &shanghai).unwrap().to_string(), expected, "{text}");
        }
        for bad in [
            "",
            "now",
            "2026-11-31",
            "2026-11-21 25:00:00",
            "2026-11-21T08:30:00",
            "21.11.2026",
            "1700000000",
            "2026-1-2 03:04:05",
            " 2026-11-21 08:30:00",
            "+026-11-21",
            "2026-11-21T08:30:00Z[UTC]",
        ] {
            let message = moment("before", bad, &shanghai).unwrap_err().message;
            assert!(message.starts_with("before: expected YYYY-MM-DD HH:mm:ss"), "{bad}: {message}");
        }
        for early in ["0000-01-01", "0999-12-31 23:59:59", "1000-01-01", "0001-01-01T00:00:00Z"] {
            let message = moment("before", early, &shanghai).unwrap_err().message;
            assert_eq!(message, "before: expected an instant of the years 1000 to 9999", "{early}");
        }
    }
}
