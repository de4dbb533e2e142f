//! What is counted: events, daily counts and the days that a sync covers.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;

/// What a count is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatisticType {
    /// A whole organisation.
    System,
    /// One questionnaire.
    Questionnaire,
    /// One person who is assessed.
    Testee,
    /// One assessment plan.
    Plan,
    /// One screening project.
    Screening,
}

impl StatisticType {
    /// Every type with its word in tables and keys.
    pub const WORDS: [(&str, StatisticType); 5] = [
        ("system", StatisticType::System),
        ("questionnaire", StatisticType::Questionnaire),
        ("testee", StatisticType::Testee),
        ("plan", StatisticType::Plan),
        ("screening", StatisticType::Screening),
    ];

    /// The word in tables and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Questionnaire => "questionnaire",
            Self::Testee => "testee",
            Self::Plan => "plan",
            Self::Screening => "screening",
        }
    }
}

impl fmt::Display for StatisticType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StatisticType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::WORDS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, known)| *known)
            .ok_or_else(|| format!("unknown statistic type {text:?}"))
    }
}

/// The counts of one subject on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyCount {
    /// The day.
    pub date: Date,
    /// What is counted.
    pub statistic: StatisticType,
    /// Which one: a code or an id. Any character may stand in it.
    pub key: String,
    /// Answer sheets that were submitted.
    pub submissions: i64,
    /// Assessments that were interpreted.
    pub completions: i64,
}

/// Days in a row, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    /// First day.
    pub start: Date,
    /// Last day.
    pub end: Date,
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

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// An answer sheet was submitted.
    Submitted,
    /// An assessment was interpreted.
    Interpreted,
}

/// Something that is counted, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsEvent {
    /// Identity: a second event of the same id changes nothing.
    pub event_id: String,
    /// What happened.
    pub event_type: EventType,
    /// When.
    pub occurred_at: Timestamp,
    /// The day of `occurred_at` in the zone of the business.
    pub date: Date,
    /// What it is about, at least one.
    pub subjects: Vec<(StatisticType, String)>,
}

impl StatisticsEvent {
    /// What this event adds to the day: one count per subject.
    pub fn increments(&self) -> Vec<DailyCount> {
        let (submissions, completions) = match self.event_type {
            EventType::Submitted => (1, 0),
            EventType::Interpreted => (0, 1),
        };
        self.subjects
            .iter()
            .map(|(statistic, key)| DailyCount {
                date: self.date,
                statistic: *statistic,
                key: key.clone(),
                submissions,
                completions,
            })
            .collect()
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

    #[test]
    fn words_are_read_back() {
        for (word, statistic) in StatisticType::WORDS {
            assert_eq!((statistic.as_str(), word.parse()), (word, Ok(statistic)));
        }
        assert!("stats".parse::<StatisticType>().is_err());
    }

    #[test]
    fn an_event_adds_one_to_each_subject() {
        let event = StatisticsEvent {
            event_id: "e1".to_owned(),
            event_type: EventType::Interpreted,
            occurred_at: Timestamp::UNIX_EPOCH,
            date: "1970-01-01".parse().unwrap(),
            subjects: vec![
                (StatisticType::Questionnaire, "a:b".to_owned()),
                (StatisticType::Plan, "7".to_owned()),
            ],
        };
        let added: Vec<_> =
            event.increments().into_iter().map(|c| (c.key, c.submissions, c.completions)).collect();
        assert_eq!(added, [("a:b".to_owned(), 0, 1), ("7".to_owned(), 0, 1)]);
    }
}
