//! What is counted: events, daily counts and the days that a sync covers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

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

/// What is counted: a type and which one. The order is that of the tables' keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What is counted.
    pub statistic: StatisticType,
    /// Which one: a code or an id. Any character may stand in it.
    pub key: String,
}

/// Longest key of a subject and longest id of an event, in characters: the width of the columns.
pub const MAX_KEY: usize = 255;

/// The one rule for what a key may be, whoever wrote it: any character but NUL may stand in it, and no space at its
/// ends, because databases overlook those.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(key: &str, longest: usize) -> Result<(), String> {
    let length = key.chars().count();
    if length == 0 {
        return Err("must not be empty".to_owned());
    }
    if length > longest {
        return Err(format!("must not be longer than {longest} characters, has {length}"));
    }
    if key.trim() != key {
        return Err("must not begin or end with a space".to_owned());
    }
    if key.contains('\u{0}') {
        return Err("must not hold a NUL character".to_owned());
    }
    Ok(())
}

/// By word, not by the place in the enum: databases and Redis sort words.
impl Ord for Subject {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.statistic.as_str(), &self.key).cmp(&(other.statistic.as_str(), &other.key))
    }
}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.statistic, self.key)
    }
}

/// One subject on one day: what a daily count is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DailyKey {
    /// Which subject.
    pub subject: Subject,
    /// Which day.
    pub date: Date,
}

impl fmt::Display for DailyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date, self.subject)
    }
}

/// Where the assessments of a subject came from and what they found: value → how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Of submitted ones, by origin.
    pub origin: BTreeMap<String, i64>,
    /// Of interpreted ones, by level of risk.
    pub risk: BTreeMap<String, i64>,
}

/// The form of `statistics_daily.extra_metrics`.
#[derive(Serialize, Deserialize)]
struct ExtraMetrics {
    #[serde(default)]
    risk_distribution: BTreeMap<String, i64>,
    #[serde(default)]
    origin_distribution: BTreeMap<String, i64>,
}

/// The form of `statistics_accumulated.distribution`.
#[derive(Serialize, Deserialize)]
struct Dimensions {
    #[serde(default)]
    risk: BTreeMap<String, i64>,
    #[serde(default)]
    origin: BTreeMap<String, i64>,
    #[serde(default)]
    status: BTreeMap<String, i64>,
}

impl Distribution {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.origin.is_empty() && self.risk.is_empty()
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Distribution) {
        for (mine, theirs) in [(&mut self.origin, &other.origin), (&mut self.risk, &other.risk)] {
            for (value, count) in theirs {
                *mine.entry(value.clone()).or_default() += count;
            }
        }
    }

    /// As `statistics_daily.extra_metrics` has it; nothing when nothing was counted.
    pub fn to_extra_metrics(&self) -> Option<String> {
        let metrics =
            ExtraMetrics { risk_distribution: self.risk.clone(), origin_distribution: self.origin.clone() };
        (!self.is_empty()).then(|| serde_json::to_string(&metrics).unwrap_or_default())
    }

    /// Reads what [`Distribution::to_extra_metrics`] or an empty column gives.
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn from_extra_metrics(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else { return Ok(Self::default()) };
        let metrics: ExtraMetrics = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self { origin: metrics.origin_distribution, risk: metrics.risk_distribution })
    }
}

/// The counts of one subject on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyCount {
    /// Which subject and day.
    pub key: DailyKey,
    /// Answer sheets that were submitted.
    pub submissions: i64,
    /// Assessments that were interpreted.
    pub completions: i64,
    /// By origin and risk.
    pub distribution: Distribution,
}

/// The counts of one subject over its whole life, and over the last days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulated {
    /// Which subject.
    pub subject: Subject,
    /// Answer sheets that were submitted.
    pub total_submissions: i64,
    /// Assessments that were interpreted.
    pub total_completions: i64,
    /// Submissions of the last 7, 15 and 30 days, the day itself included.
    pub last_days: [i64; 3],
    /// By origin and risk; the statuses follow from the totals.
    pub distribution: Distribution,
    /// First and last day with a count.
    pub occurred: Option<DayRange>,
}

/// The lengths of the sliding windows, in days.
pub const WINDOWS: [i64; 3] = [7, 15, 30];

impl Accumulated {
    /// Nothing yet.
    pub fn empty(subject: Subject) -> Self {
        Self {
            subject,
            total_submissions: 0,
            total_completions: 0,
            last_days: [0; 3],
            distribution: Distribution::default(),
            occurred: None,
        }
    }

    /// Adds one day of this subject, seen from the day `as_of`.
    pub fn add(&mut self, day: &DailyCount, as_of: Date) {
        self.total_submissions += day.submissions;
        self.total_completions += day.completions;
        let date = day.key.date;
        let age = date.until(as_of).map_or(i64::MAX, |span| i64::from(span.get_days()));
        for (count, days) in self.last_days.iter_mut().zip(WINDOWS) {
            if (0..days).contains(&age) {
                *count += day.submissions;
            }
        }
        self.distribution.add(&day.distribution);
        if day.submissions != 0 || day.completions != 0 {
            let seen = self.occurred.get_or_insert(DayRange { start: date, end: date });
            seen.start = seen.start.min(date);
            seen.end = seen.end.max(date);
        }
    }

    /// As `statistics_accumulated.distribution` has it.
    pub fn to_json(&self) -> String {
        let status = [("submitted", self.total_submissions), ("interpreted", self.total_completions)];
        let dimensions = Dimensions {
            risk: self.distribution.risk.clone(),
            origin: self.distribution.origin.clone(),
            status: status.into_iter().map(|(word, count)| (word.to_owned(), count)).collect(),
        };
        serde_json::to_string(&dimensions).unwrap_or_default()
    }

    /// Reads the distribution that [`Accumulated::to_json`] or an empty column gives.
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn distribution_of(text: Option<&str>) -> Result<Distribution, String> {
        let Some(text) = text else { return Ok(Distribution::default()) };
        let dimensions: Dimensions = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Distribution { origin: dimensions.origin, risk: dimensions.risk })
    }
}

/// The tasks of one plan, by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanCounts {
    /// Which plan.
    pub plan_id: i64,
    /// All of them, canceled ones included.
    pub total_tasks: i64,
    /// Completed ones.
    pub completed_tasks: i64,
    /// Pending and opened ones.
    pub pending_tasks: i64,
    /// Expired ones.
    pub expired_tasks: i64,
    /// Persons with a task.
    pub enrolled_testees: i64,
    /// Persons with a completed task.
    pub active_testees: i64,
}

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
    pub subjects: Vec<Subject>,
    /// Where a submitted one came from: `adhoc`, `plan`, `screening`.
    pub origin: Option<String>,
    /// What an interpreted one found: `none`, `low`, `medium`, `high`, `severe`.
    pub risk_level: Option<String>,
}

impl StatisticsEvent {
    /// What this event adds to the day: one count per subject.
    pub fn increments(&self) -> Vec<DailyCount> {
        let one = |value: &Option<String>| value.iter().map(|value| (value.clone(), 1)).collect();
        let (submissions, completions, distribution) = match self.event_type {
            EventType::Submitted => {
                (1, 0, Distribution { origin: one(&self.origin), ..Distribution::default() })
            }
            EventType::Interpreted => {
                (0, 1, Distribution { risk: one(&self.risk_level), ..Distribution::default() })
            }
        };
        self.subjects
            .iter()
            .map(|subject| DailyCount {
                key: DailyKey { subject: subject.clone(), date: self.date },
                submissions,
                completions,
                distribution: distribution.clone(),
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
            subjects: vec![subject("a:b"), Subject { statistic: StatisticType::Plan, key: "7".to_owned() }],
            origin: Some("adhoc".to_owned()),
            risk_level: Some("high".to_owned()),
        };
        let added = event.increments();
        assert_eq!(added.iter().map(|c| c.key.subject.key.as_str()).collect::<Vec<_>>(), ["a:b", "7"]);
        for count in added {
            assert_eq!((count.submissions, count.completions), (0, 1));
            assert_eq!(
                count.distribution.to_extra_metrics().unwrap(),
                r#"{"risk_distribution":{"high":1},"origin_distribution":{}}"#
            );
        }
    }

    fn subject(key: &str) -> Subject {
        Subject { statistic: StatisticType::Questionnaire, key: key.to_owned() }
    }

    #[test]
    fn keys_keep_colons_and_globs_and_are_as_long_in_every_script() {
        for key in ["a:*?[b", "x", &"x".repeat(255), &"问".repeat(255)] {
            assert_eq!(check_key(key, MAX_KEY), Ok(()), "{key:?}");
        }
        for key in ["", " ", " a", "a ", "a\u{0}b", &"x".repeat(256), &"问".repeat(256)] {
            assert!(check_key(key, MAX_KEY).is_err(), "{key:?}");
        }
    }

    #[test]
    fn windows_hold_the_day_itself_and_the_days_before() {
        let as_of: Date = "2026-03-31".parse().unwrap();
        let mut total = Accumulated::empty(subject("a"));
        for (date, submissions) in [
            ("2026-03-31", 1),
            ("2026-03-25", 10),
            ("2026-03-24", 100),
            ("2026-03-17", 1_000),
            ("2026-03-16", 10_000),
            ("2026-03-02", 100_000),
            ("2026-03-01", 1_000_000),
            ("2026-04-01", 10_000_000),
        ] {
            let key = DailyKey { subject: subject("a"), date: date.parse().unwrap() };
            let risk = [("low".to_owned(), 2)].into();
            let distribution = Distribution { risk, ..Distribution::default() };
            total.add(&DailyCount { key, submissions, completions: 1, distribution }, as_of);
        }
        assert_eq!(total.last_days, [11, 1_111, 111_111], "a day of the future is in no window");
        assert_eq!((total.total_submissions, total.total_completions), (11_111_111, 8));
        let seen = total.occurred.unwrap();
        assert_eq!(
            (seen.start.to_string(), seen.end.to_string()),
            ("2026-03-01".to_owned(), "2026-04-01".to_owned())
        );
        assert_eq!(Accumulated::distribution_of(Some(&total.to_json())).unwrap(), total.distribution);
        assert_eq!(
            total.to_json(),
            r#"{"risk":{"low":16},"origin":{},"status":{"interpreted":8,"submitted":11111111}}"#
        );
    }

    #[test]
    fn a_distribution_is_read_back_and_upstreams_empty_one_too() {
        let empty = r#"{"risk_distribution":{},"origin_distribution":{}}"#;
        assert_eq!(Distribution::from_extra_metrics(Some(empty)).unwrap(), Distribution::default());
        assert_eq!(Distribution::default().to_extra_metrics(), None);
        assert!(Distribution::from_extra_metrics(Some(r#"{"risk_distribution":3}"#)).is_err());
    }
}
