//! The intake of events: each is checked and counted at once, under its day.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::{Statistics, StatisticsError};
use crate::domain::calendar::{KEPT, kept_day};
use crate::domain::invalid::Invalid;
use crate::domain::statistics::{EventType, MAX_KEY, StatisticType, StatisticsEvent, Subject, check_key};

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
        let counted = self.context.counters.count(org_id, &event, now).await?;
        Ok(Counted { date: event.date, counted })
    }

    fn event(&self, input: EventInput, now: Timestamp) -> Result<StatisticsEvent, StatisticsError> {
        let occurred_at = input.occurred_at.unwrap_or(now);
        if occurred_at.duration_since(now) > MAX_AHEAD {
            return Err(Invalid::new("occurred_at", "lies more than a day in the future").into());
        }
        let date = self.context.day(occurred_at);
        let Some(date) = kept_day(date) else {
            return Err(Invalid::new("occurred_at", format!("expected an instant of {KEPT}")).into());
        };
        let subjects: Vec<Subject> = [
            (StatisticType::Questionnaire, "questionnaire_code", input.questionnaire_code),
            (StatisticType::Testee, "testee_id", input.testee_id),
            (StatisticType::Plan, "plan_id", input.plan_id),
        ]
        .into_iter()
        .filter_map(|(statistic, field, key)| Some((statistic, field, key?)))
        .map(|(statistic, field, key)| Ok(Subject { statistic, key: check_text(field, key, MAX_KEY)? }))
        .collect::<Result<_, Invalid>>()?;
        if subjects.is_empty() {
            return Err(Invalid::new("subject", "expected questionnaire_code, testee_id or plan_id").into());
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

fn check_text(field: &'static str, text: String, longest: usize) -> Result<String, Invalid> {
    check_key(&text, longest).map_err(|reason| Invalid::new(field, reason))?;
    Ok(text)
}
