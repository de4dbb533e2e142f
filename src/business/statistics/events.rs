//! The intake of events: each is checked and counted at once, under its day.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::{Statistics, StatisticsError, invalid};
use crate::domain::statistics::{EventType, StatisticType, StatisticsEvent, Subject};

/// Longest id of an event and longest key of a count, in characters: the width of the columns.
const MAX_KEY: usize = 255;

/// Longest origin and risk level, in characters.
const MAX_WORD: usize = 50;

/// How far ahead of our clock an event may be.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// An event before it is checked.
#[derive(Clone, Debug)]
pub struct EventInput {
    /// Identity.
    pub event_id: String,
    /// What happened.
    pub event_type: EventType,
    /// Which questionnaire.
    pub questionnaire_code: Option<String>,
    /// Which person.
    pub testee_id: Option<String>,
    /// Which plan.
    pub plan_id: Option<String>,
    /// Where a submitted one came from.
    pub origin: Option<String>,
    /// What an interpreted one found.
    pub risk_level: Option<String>,
    /// When; unset means now.
    pub occurred_at: Option<Timestamp>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The day that it belongs to.
    pub date: Date,
    /// False when its id was counted before.
    pub counted: bool,
}

impl Statistics {
    /// Counts an event, once.
    ///
    /// # Errors
    /// When it has no subject, a key is too long, it lies in the future, or the counters do not answer.
    pub async fn count(&self, org_id: i64, input: EventInput) -> Result<Counted, StatisticsError> {
        let now = self.context.clock.now();
        let event = self.event(input, now)?;
        let counted = self.context.counters.count(org_id, &event, now).await;
        Ok(Counted { date: event.date, counted: counted.map_err(StatisticsError::Counters)? })
    }

    fn event(&self, input: EventInput, now: Timestamp) -> Result<StatisticsEvent, StatisticsError> {
        let occurred_at = input.occurred_at.unwrap_or(now);
        if occurred_at.duration_since(now) > MAX_AHEAD {
            return Err(invalid("occurred_at", "lies more than a day in the future"));
        }
        let date = self.context.day(occurred_at);
        if date.year() < 1000 {
            return Err(invalid("occurred_at", "lies before the year 1000"));
        }
        let subjects: Vec<Subject> = [
            (StatisticType::Questionnaire, "questionnaire_code", input.questionnaire_code),
            (StatisticType::Testee, "testee_id", input.testee_id),
            (StatisticType::Plan, "plan_id", input.plan_id),
        ]
        .into_iter()
        .filter_map(|(statistic, field, key)| Some((statistic, field, key?)))
        .map(|(statistic, field, key)| Ok(Subject { statistic, key: check_text(field, key, MAX_KEY)? }))
        .collect::<Result<_, _>>()?;
        if subjects.is_empty() {
            return Err(invalid("subject", "expected questionnaire_code, testee_id or plan_id"));
        }
        let word =
            |field, word: Option<String>| word.map(|word| check_text(field, word, MAX_WORD)).transpose();
        Ok(StatisticsEvent {
            event_id: check_text("event_id", input.event_id, MAX_KEY)?,
            event_type: input.event_type,
            occurred_at,
            date,
            subjects,
            origin: word("origin", input.origin)?,
            risk_level: word("risk_level", input.risk_level)?,
        })
    }
}

/// Any character but NUL may stand in a key; spaces at its ends are refused, because databases overlook them.
fn check_text(field: &'static str, text: String, longest: usize) -> Result<String, StatisticsError> {
    if text.is_empty() {
        return Err(invalid(field, "must not be empty"));
    }
    if text.chars().count() > longest {
        return Err(invalid(field, format!("must not be longer than {longest} characters")));
    }
    if text.trim() != text {
        return Err(invalid(field, "must not begin or end with a space"));
    }
    if text.contains('\u{0}') {
        return Err(invalid(field, "must not hold a NUL character"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_colons_and_globs_but_are_neither_empty_nor_padded() {
        assert_eq!(check_text("plan_id", "a:*?[b".to_owned(), 255).unwrap(), "a:*?[b");
        for wrong in ["", " ", " a", "a ", "a\u{0}b", &"x".repeat(256)] {
            assert!(check_text("plan_id", wrong.to_owned(), 255).is_err(), "{wrong:?}");
        }
    }
}
