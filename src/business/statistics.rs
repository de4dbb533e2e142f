//! Statistics: events are counted at once, and a sync carries the counters into the tables that are read.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::sync_run::{StartError, Started, SyncRequest, SyncRuns};
use crate::clock::SharedClock;
use crate::counters::{Counters, CountersError, Cursor};
use crate::domain::statistics::{DailyCount, DayRange, EventType, StatisticType, StatisticsEvent};
use crate::domain::sync_run::{SyncKind, SyncProgress};
use crate::store::{Store, StoreError};

/// Counters that are read and written at a time: bounds memory and the time that the database is locked.
const BATCH: u32 = 2_000;

/// Longest id of an event and longest key of a count, in bytes: the width of the columns.
const MAX_KEY: usize = 255;

/// How far ahead of our clock an event may be.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Who asks for a sync, and under which key.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The organisation.
    pub org_id: i64,
    /// The subject of the token.
    pub caller: String,
    /// The caller's key for this request.
    pub idempotency_key: Option<String>,
}

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

/// Why nothing was done.
#[derive(Debug)]
pub enum StatisticsError {
    /// The input makes no sense.
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The counters did not answer.
    Counters(CountersError),
    /// The store did not answer.
    Store(StoreError),
    /// No sync was started.
    Start(StartError),
}

impl fmt::Display for StatisticsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, reason } => write!(f, "{field}: {reason}"),
            Self::Counters(source) => source.fmt(f),
            Self::Store(source) => source.fmt(f),
            Self::Start(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for StatisticsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid { .. } => None,
            Self::Counters(source) => Some(source),
            Self::Store(source) => Some(source),
            Self::Start(source) => Some(source),
        }
    }
}

/// The statistics of every organisation.
pub struct Statistics {
    store: Arc<dyn Store>,
    counters: Arc<dyn Counters>,
    runs: Arc<SyncRuns>,
    clock: SharedClock,
    zone: TimeZone,
}

impl Statistics {
    /// Counts days of `zone`.
    pub fn new(
        store: Arc<dyn Store>,
        counters: Arc<dyn Counters>,
        runs: Arc<SyncRuns>,
        clock: SharedClock,
        zone: TimeZone,
    ) -> Self {
        Self { store, counters, runs, clock, zone }
    }

    /// Counts an event, once.
    ///
    /// # Errors
    /// When it has no subject, a key is too long, it lies in the future, or the counters do not answer.
    pub async fn count(&self, org_id: i64, input: EventInput) -> Result<Counted, StatisticsError> {
        let now = self.clock.now();
        let event = self.event(input, now)?;
        let counted = self.counters.count(org_id, &event, now).await.map_err(StatisticsError::Counters)?;
        Ok(Counted { date: event.date, counted })
    }

    /// Starts the sync of daily counts: of the days of `window`, or of today, yesterday and every day that was touched
    /// since the last sync.
    ///
    /// # Errors
    /// When the window makes no sense or the sync cannot start.
    pub async fn sync_daily(
        &self,
        asker: Asker,
        window: (Option<Date>, Option<Date>),
    ) -> Result<Started, StatisticsError> {
        let wanted = check_window(window)?;
        let (days, mark) = match wanted {
            Some(window) => (vec![window], None),
            None => self.due_days(asker.org_id).await?,
        };
        let whole = days.first().zip(days.last());
        let request = SyncRequest {
            kind: SyncKind::Daily,
            org_id: asker.org_id,
            caller: asker.caller,
            idempotency_key: asker.idempotency_key,
            request: wanted.map_or_else(|| "daily".to_owned(), |w| format!("daily {} {}", w.start, w.end)),
            window: whole.map(|(first, last)| DayRange { start: first.start, end: last.end }),
        };
        let sync = DailySync {
            store: Arc::clone(&self.store),
            counters: Arc::clone(&self.counters),
            clock: Arc::clone(&self.clock),
            org_id: asker.org_id,
            days,
            mark,
        };
        self.runs.start(request, sync.run()).await.map_err(StatisticsError::Start)
    }

    fn event(&self, input: EventInput, now: Timestamp) -> Result<StatisticsEvent, StatisticsError> {
        let occurred_at = input.occurred_at.unwrap_or(now);
        if occurred_at.duration_since(now) > MAX_AHEAD {
            return Err(invalid("occurred_at", "lies more than a day in the future"));
        }
        let subjects: Vec<(StatisticType, String)> = [
            (StatisticType::Questionnaire, "questionnaire_code", input.questionnaire_code),
            (StatisticType::Testee, "testee_id", input.testee_id),
            (StatisticType::Plan, "plan_id", input.plan_id),
        ]
        .into_iter()
        .filter_map(|(statistic, field, key)| Some((statistic, field, key?)))
        .map(|(statistic, field, key)| Ok((statistic, check_key(field, key)?)))
        .collect::<Result<_, _>>()?;
        if subjects.is_empty() {
            return Err(invalid("subject", "expected questionnaire_code, testee_id or plan_id"));
        }
        Ok(StatisticsEvent {
            event_id: check_key("event_id", input.event_id)?,
            event_type: input.event_type,
            occurred_at,
            date: self.day(occurred_at),
            subjects,
        })
    }

    fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// The days that a sync without a window covers, and the mark that they reach.
    async fn due_days(&self, org_id: i64) -> Result<(Vec<DayRange>, Option<i64>), StatisticsError> {
        let since = self.store.last_mark(org_id, SyncKind::Daily).await.map_err(StatisticsError::Store)?;
        let touched = self.counters.touched(org_id, since).await.map_err(StatisticsError::Counters)?;
        let today = self.day(self.clock.now());
        let mut days: BTreeSet<Date> = touched.days;
        days.extend([Some(today), today.yesterday().ok()].into_iter().flatten());
        Ok((DayRange::covering(&days), Some(touched.mark)))
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics").field("zone", &self.zone).finish_non_exhaustive()
    }
}

fn invalid(field: &'static str, reason: &str) -> StatisticsError {
    StatisticsError::Invalid { field, reason: reason.to_owned() }
}

fn check_key(field: &'static str, key: String) -> Result<String, StatisticsError> {
    if key.trim().is_empty() {
        return Err(invalid(field, "must not be empty"));
    }
    if key.len() > MAX_KEY {
        return Err(invalid(field, "must not be longer than 255 bytes"));
    }
    Ok(key)
}

fn check_window(window: (Option<Date>, Option<Date>)) -> Result<Option<DayRange>, StatisticsError> {
    match window {
        (None, None) => Ok(None),
        (Some(start), Some(end)) if start <= end => Ok(Some(DayRange { start, end })),
        (Some(_), Some(_)) => Err(invalid("end_date", "lies before start_date")),
        (Some(_), None) => Err(invalid("end_date", "is required together with start_date")),
        (None, Some(_)) => Err(invalid("start_date", "is required together with end_date")),
    }
}

/// One sync of daily counts.
struct DailySync {
    store: Arc<dyn Store>,
    counters: Arc<dyn Counters>,
    clock: SharedClock,
    org_id: i64,
    days: Vec<DayRange>,
    mark: Option<i64>,
}

impl DailySync {
    async fn run(self) -> SyncProgress {
        let mut progress = SyncProgress::default();
        for days in &self.days {
            if let Err(error) = self.range(*days, &mut progress).await {
                progress.error = Some(format!("the counters could not be read: {error}"));
                return progress;
            }
        }
        if progress.failed == 0 {
            progress.mark = self.mark;
        }
        progress
    }

    async fn range(&self, days: DayRange, progress: &mut SyncProgress) -> Result<(), CountersError> {
        let mut cursor = None;
        loop {
            let batch = self.counters.page(self.org_id, days, cursor, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            cursor = Some(Cursor::of(last));
            self.write(&batch, progress).await;
        }
    }

    /// One transaction. A batch that fails is counted and named; the next one is tried.
    async fn write(&self, batch: &[DailyCount], progress: &mut SyncProgress) {
        let size = batch.len() as u64;
        progress.scanned += size;
        match self.store.put_daily(self.org_id, batch, self.clock.now()).await {
            Ok(changed) => {
                progress.written += changed;
                progress.unchanged += size.saturating_sub(changed);
            }
            Err(error) => progress.fail(size, span(batch), error.to_string()),
        }
    }
}

/// Names a batch by its ends.
fn span(batch: &[DailyCount]) -> String {
    let name = |count: &DailyCount| format!("{} {} {}", count.date, count.statistic, count.key);
    match batch {
        [] => String::new(),
        [only] => name(only),
        [first, .., last] => format!("{} … {}", name(first), name(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_two_ends_in_order_or_none() {
        let day = |text: &str| Some(text.parse::<Date>().unwrap());
        assert_eq!(check_window((None, None)).unwrap(), None);
        let one = check_window((day("2026-01-01"), day("2026-01-01"))).unwrap().unwrap();
        assert_eq!(one.start, one.end);
        for (window, expected) in [
            ((day("2026-01-02"), day("2026-01-01")), "end_date: lies before start_date"),
            ((day("2026-01-02"), None), "end_date: is required together with start_date"),
            ((None, day("2026-01-02")), "start_date: is required together with end_date"),
        ] {
            assert_eq!(check_window(window).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn keys_keep_colons_and_globs_but_are_not_empty() {
        assert_eq!(check_key("plan_id", "a:*?[b".to_owned()).unwrap(), "a:*?[b");
        assert!(check_key("plan_id", " ".to_owned()).is_err());
        assert!(check_key("plan_id", "x".repeat(256)).is_err());
    }
}
