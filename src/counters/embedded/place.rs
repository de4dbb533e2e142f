//! A place among the counters, which are read in the order of day, type and key.

use crate::counters::{CountersError, Cursor, During};
use crate::domain::statistics::{DailyKey, Days};

/// A counter, or where it would be.
pub(super) struct Place {
    pub(super) date: String,
    pub(super) statistic: String,
    pub(super) key: String,
}

impl Place {
    /// Before every counter of this day: nothing sorts before an empty type.
    pub(super) fn start_of(date: impl Into<String>) -> Self {
        Self { date: date.into(), statistic: String::new(), key: String::new() }
    }

    pub(super) fn of(key: &DailyKey) -> Self {
        let subject = &key.subject;
        Self {
            date: key.date.to_string(),
            statistic: subject.statistic.to_string(),
            key: subject.key.clone(),
        }
    }

    /// No key holds a NUL.
    pub(super) fn to_cursor(&self) -> Cursor {
        Cursor(format!("{}\u{0}{}\u{0}{}", self.date, self.statistic, self.key))
    }

    pub(super) fn read(cursor: &Cursor) -> Result<Self, CountersError> {
        let mut parts = cursor.0.splitn(3, '\u{0}').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(date), Some(statistic), Some(key)) => Ok(Self { date, statistic, key }),
            _ => Err("a cursor of another adapter").corrupt("page"),
        }
    }
}

/// Where to begin and on which day to end: all of it, or what is left of the first range that is not done.
pub(super) fn first_part(days: &Days, after: Place) -> Option<(Place, String)> {
    let Days::Ranges(ranges) = days else { return Some((after, "9999-12-31".to_owned())) };
    let range = ranges.iter().find(|range| range.end.to_string() >= after.date)?;
    let start = range.start.to_string();
    let first = if start > after.date { Place::start_of(start) } else { after };
    Some((first, range.end.to_string()))
}

/// The beginning of the range after this day.
pub(super) fn following(days: &Days, last: &str) -> Option<Place> {
    let Days::Ranges(ranges) = days else { return None };
    let starts = ranges.iter().map(|range| range.start.to_string());
    starts.into_iter().find(|start| start.as_str() > last).map(Place::start_of)
}
