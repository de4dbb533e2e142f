//! What happens to an assessment, and what it adds to the counts.

use jiff::Timestamp;
use jiff::civil::Date;

use super::counts::{DailyCount, Distribution};
use super::subject::{DailyKey, Subject};

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
    use super::super::StatisticType;
    use super::*;

    #[test]
    fn an_event_adds_one_to_each_subject() {
        let event = StatisticsEvent {
            event_id: "e1".to_owned(),
            event_type: EventType::Interpreted,
            occurred_at: Timestamp::UNIX_EPOCH,
            date: "1970-01-01".parse().unwrap(),
            subjects: vec![
                Subject { statistic: StatisticType::Questionnaire, key: "a:b".to_owned() },
                Subject { statistic: StatisticType::Plan, key: "7".to_owned() },
            ],
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
}
