//! Counts of one subject: on one day, over its whole life, and of the tasks of a plan.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::days::DayRange;
use super::subject::{DailyKey, Subject};

/// Most different origins, and most different levels of risk, of one counter on one day. Upstream has three origins and
/// five levels; the bound keeps a sender that takes ids for origins from making every event dearer than the one before.
pub const MAX_VALUES: usize = 64;

/// Where the assessments of a subject came from and what they found: value → how often. Written down, it has the form of
/// `statistics_daily.extra_metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Distribution {
    /// Of interpreted ones, by level of risk.
    #[serde(rename = "risk_distribution")]
    pub risk: BTreeMap<String, i64>,
    /// Of submitted ones, by origin.
    #[serde(rename = "origin_distribution")]
    pub origin: BTreeMap<String, i64>,
}

/// The form of `statistics_accumulated.distribution`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Dimensions {
    risk: BTreeMap<String, i64>,
    origin: BTreeMap<String, i64>,
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

    /// Whether these can be added without more than [`MAX_VALUES`] different ones on one side. What is there already can
    /// always be counted on, however much there is.
    pub fn has_room_for(&self, other: &Distribution) -> bool {
        [(&self.origin, &other.origin), (&self.risk, &other.risk)].into_iter().all(|(mine, theirs)| {
            let new = theirs.keys().filter(|value| !mine.contains_key(*value)).count();
            new == 0 || mine.len() + new <= MAX_VALUES
        })
    }

    /// As `statistics_daily.extra_metrics` has it; nothing when nothing was counted.
    pub fn to_extra_metrics(&self) -> Option<String> {
        (!self.is_empty()).then(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads what [`Distribution::to_extra_metrics`] or an empty column gives.
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn from_extra_metrics(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else { return Ok(Self::default()) };
        serde_json::from_str(text).map_err(|error| error.to_string())
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

impl DailyCount {
    /// Whether it says nothing.
    pub fn is_zero(&self) -> bool {
        self.submissions == 0 && self.completions == 0 && self.distribution.is_empty()
    }

    /// The field of a number that is below 0, as no counting makes it.
    pub fn negative(&self) -> Option<String> {
        let plain = [("submission_count", self.submissions), ("completion_count", self.completions)];
        let plain = plain.into_iter().map(|(field, number)| (field.to_owned(), number));
        let Distribution { origin, risk } = &self.distribution;
        let named = [("origin", origin), ("risk", risk)].into_iter().flat_map(|(what, values)| {
            values.iter().map(move |(value, number)| (format!("{what}:{value}"), *number))
        });
        plain.chain(named).find(|(_, number)| *number < 0).map(|(field, _)| field)
    }

    /// Whether the numbers of another one of the same key can be added.
    pub fn has_room_for(&self, other: &DailyCount) -> bool {
        let values = |mine: &BTreeMap<String, i64>, theirs: &BTreeMap<String, i64>| {
            theirs.iter().all(|(value, count)| {
                mine.get(value).copied().unwrap_or_default().checked_add(*count).is_some()
            })
        };
        self.submissions.checked_add(other.submissions).is_some()
            && self.completions.checked_add(other.completions).is_some()
            && values(&self.distribution.origin, &other.distribution.origin)
            && values(&self.distribution.risk, &other.distribution.risk)
    }

    /// What this one counts more than another one of the same key; nothing where it counts less.
    #[must_use]
    pub fn beyond(&self, other: &DailyCount) -> DailyCount {
        let more = |mine: i64, theirs: i64| mine.saturating_sub(theirs).max(0);
        let values = |mine: &BTreeMap<String, i64>, theirs: &BTreeMap<String, i64>| {
            mine.iter()
                .map(|(value, count)| (value.clone(), more(*count, theirs.get(value).copied().unwrap_or(0))))
                .filter(|(_, count)| *count > 0)
                .collect()
        };
        DailyCount {
            key: self.key.clone(),
            submissions: more(self.submissions, other.submissions),
            completions: more(self.completions, other.completions),
            distribution: Distribution {
                risk: values(&self.distribution.risk, &other.distribution.risk),
                origin: values(&self.distribution.origin, &other.distribution.origin),
            },
        }
    }
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

#[cfg(test)]
mod tests {
    use super::super::StatisticType;
    use super::*;

    fn subject(key: &str) -> Subject {
        Subject { statistic: StatisticType::Questionnaire, key: key.to_owned() }
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
    fn a_full_distribution_takes_the_values_that_it_has() {
        let of = |values: std::ops::Range<usize>| Distribution {
            origin: values.map(|number| (number.to_string(), 1)).collect(),
            ..Distribution::default()
        };
        let risk = Distribution { risk: [("high".to_owned(), 1)].into(), ..Distribution::default() };
        let full = of(0..MAX_VALUES);
        assert!(of(1..MAX_VALUES).has_room_for(&of(0..1)) && full.has_room_for(&of(3..5)));
        assert!(!full.has_room_for(&of(MAX_VALUES..MAX_VALUES + 1)) && full.has_room_for(&risk));
        assert!(of(0..MAX_VALUES + 9).has_room_for(&of(0..1)), "one that is larger is counted on");
    }

    #[test]
    fn a_distribution_is_read_back_and_upstreams_empty_one_too() {
        let empty = r#"{"risk_distribution":{},"origin_distribution":{}}"#;
        assert_eq!(Distribution::from_extra_metrics(Some(empty)).unwrap(), Distribution::default());
        assert_eq!(Distribution::default().to_extra_metrics(), None);
        assert!(Distribution::from_extra_metrics(Some(r#"{"risk_distribution":3}"#)).is_err());
    }
}
