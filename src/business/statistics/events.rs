//! The intake of events: each is checked, and those that make sense are counted at once, under their days.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::{Statistics, StatisticsError};
use crate::counters::{self, CountersError};
use crate::domain::calendar::{KEPT, kept_day};
use crate::domain::invalid::Invalid;
use crate::domain::statistics::{
    DailyKey, EventType, MAX_KEY, MAX_VALUES, StatisticType, StatisticsEvent, Subject, check_key,
};

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
    /// Counts events in their order, each id once. Answers what became of each, in its place; one that is refused hinders
    /// no other.
    ///
    /// # Errors
    /// Of an event: it has no subject, a key is too long, it lies in the future, its counter has too many different values
    /// or cannot be counted on, or the counters do not answer.
    pub async fn count(&self, org_id: i64, inputs: Vec<EventInput>) -> Vec<Result<Counted, StatisticsError>> {
        let now = self.context.clock.now();
        let (mut events, mut checked) = (Vec::with_capacity(inputs.len()), Vec::with_capacity(inputs.len()));
        for input in inputs {
            let event = self.event(input, now);
            checked.push(event.as_ref().map(|event| (event.date, event.event_type)).map_err(Invalid::clone));
            events.extend(event);
        }
        let mut outcomes = self.context.counters.count(org_id, events, now).await.into_iter();
        let mut outcome = |(date, event_type)| match outcomes.next() {
            Some(Ok(counters::Counted::New)) => Ok(Counted { date, counted: true }),
            Some(Ok(counters::Counted::Before)) => Ok(Counted { date, counted: false }),
            Some(Ok(counters::Counted::Full(key))) => Err(full(event_type, &key).into()),
            Some(Err(stuck @ CountersError::Stuck { .. })) => Err(refused(&stuck).into()),
            Some(Err(error)) => Err(error.into()),
            None => unreachable!("the counters answer for each event"),
        };
        checked.into_iter().map(|checked| outcome(checked?)).collect()
    }

    fn event(&self, input: EventInput, now: Timestamp) -> Result<StatisticsEvent, Invalid> {
        let occurred_at = input.occurred_at.unwrap_or(now);
        if occurred_at.duration_since(now) > MAX_AHEAD {
            return Err(Invalid::new("occurred_at", "lies more than a day in the future"));
        }
        let date = self.context.day(occurred_at);
        let Some(date) = kept_day(date) else {
            return Err(Invalid::new("occurred_at", format!("expected an instant of {KEPT}")));
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
            return Err(Invalid::new("subject", "expected questionnaire_code, testee_id or plan_id"));
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

/// Sending it again helps nobody before the counter is corrected, so the operator is told, too.
fn refused(stuck: &CountersError) -> Invalid {
    tracing::warn!(reason = %stuck, "an event is refused");
    Invalid::new("event", format!("{stuck}; it can be sent again when that is corrected"))
}

/// Why a value that its counter does not know is not counted.
fn full(event_type: EventType, key: &DailyKey) -> Invalid {
    let (field, values) = match event_type {
        EventType::Submitted => ("origin", "origins"),
        EventType::Interpreted => ("risk_level", "levels of risk"),
    };
    let reason =
        format!("the counter {key} has {MAX_VALUES} different {values}, and no room for another one");
    Invalid::new(field, reason)
}

fn check_text(field: &'static str, text: String, longest: usize) -> Result<String, Invalid> {
    check_key(&text, longest).map_err(|reason| Invalid::new(field, reason))?;
    Ok(text)
}
