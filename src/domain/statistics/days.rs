//! Days, as syncs ask for them.

use std::collections::BTreeSet;

use jiff::civil::Date;

/// Days in a row, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    /// First day.
    pub start: Date,
    /// Last day.
    pub end: Date,
}

/// Which days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Days {
    /// Every day.
    All,
    /// These, in order, without overlap.
    Ranges(Vec<DayRange>),
}

impl Days {
    /// Whether this day is one of them.
    pub fn contains(&self, date: Date) -> bool {
        match self {
            Self::All => true,
            Self::Ranges(ranges) => ranges.iter().any(|range| range.start <= date && date <= range.end),
        }
    }
}

impl DayRange {
    /// The fewest ranges that hold exactly these days, in order.
    pub fn covering(days: &BTreeSet<Date>) -> Vec<DayRange> {
        let mut ranges: Vec<DayRange> = Vec::new();
        for day in days {
            match ranges.last_mut() {
                Some(last) if last.end.tomorrow().is_ok_and(|next| next == *day) => last.end = *day,
                _ => ranges.push(DayRange { start: *day, end: *day }),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_the_fewest_ranges() {
        let days = |list: &[&str]| list.iter().map(|day| day.parse::<Date>().unwrap()).collect();
        let covering = |list: &[&str]| -> Vec<String> {
            DayRange::covering(&days(list)).iter().map(|r| format!("{}..{}", r.start, r.end)).collect()
        };
        assert_eq!(covering(&[]), [""; 0]);
        assert_eq!(
            covering(&["2026-03-01", "2026-02-28", "2026-03-05", "2025-12-31", "2026-01-01"]),
            ["2025-12-31..2026-01-01", "2026-02-28..2026-03-01", "2026-03-05..2026-03-05"]
        );
    }
}
