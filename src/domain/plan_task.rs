//! One time that a testee fills in the scale of a plan, and the entry through which it is done.

use jiff::Timestamp;

use super::invalid::Invalid;
use super::statistics::check_key;
use super::web_address;
use super::word::words;

/// Longest token and longest address of an entry: the widths of the columns.
const MAX_TOKEN: usize = 255;
const MAX_URL: usize = 500;

words! {
    /// How a task stands.
    pub enum TaskStatus: "task status" {
        /// Its day may come.
        Pending = "pending",
        /// It can be filled in.
        Opened = "opened",
        /// It was filled in.
        Completed = "completed",
        /// It was not filled in in time.
        Expired = "expired",
        /// It is not wanted any more.
        Canceled = "canceled",
    }
}

/// The way in for a testee: link material, not a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEntry {
    /// A random text.
    pub token: String,
    /// Where the testee goes.
    pub url: String,
}

/// What happens to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEvent {
    /// It can be filled in until then.
    Open {
        /// Through this.
        entry: TaskEntry,
        /// Until then.
        expire_at: Timestamp,
    },
    /// It was filled in.
    Complete {
        /// What came of it.
        assessment_id: i64,
    },
    /// Its time is over.
    Expire,
    /// It is not wanted any more.
    Cancel,
}

impl TaskEvent {
    /// The participle of messages: a task "cannot be opened".
    pub fn done(&self) -> &'static str {
        match self {
            Self::Open { .. } => "opened",
            Self::Complete { .. } => "completed",
            Self::Expire => "expired",
            Self::Cancel => "canceled",
        }
    }
}

/// Why an event does not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What it brings makes no sense.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The state of the task forbids it.
    #[error("a task cannot be {wanted} in state {status}")]
    State {
        /// The participle of what was wanted.
        wanted: &'static str,
        /// How the task stands.
        status: TaskStatus,
    },
    /// Its time is over, whether or not it was put away yet.
    #[error("a task cannot be completed after it expired at {expire_at}")]
    Late {
        /// When that was.
        expire_at: Timestamp,
    },
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanTask {
    /// Identity.
    pub id: i64,
    /// Its plan.
    pub plan_id: i64,
    /// Its number in the plan, from 1.
    pub seq: u32,
    /// Whose.
    pub org_id: i64,
    /// Who fills it in.
    pub testee_id: i64,
    /// What is filled in.
    pub scale_code: String,
    /// From when on it is due.
    pub planned_at: Timestamp,
    /// When it was opened.
    pub open_at: Option<Timestamp>,
    /// Until when it can be filled in.
    pub expire_at: Option<Timestamp>,
    /// When it was filled in.
    pub completed_at: Option<Timestamp>,
    /// How it stands.
    pub status: TaskStatus,
    /// What came of it.
    pub assessment_id: Option<i64>,
    /// The token of its entry.
    pub entry_token: Option<String>,
    /// The address of its entry.
    pub entry_url: Option<String>,
}

impl PlanTask {
    /// The task after this event: the one place where its state changes. What is so already stays as it is.
    ///
    /// # Errors
    /// When the state or the time forbids it, or the event makes no sense.
    pub fn apply(&self, event: TaskEvent, now: Timestamp) -> Result<Self, Refused> {
        if self.is_after(&event) {
            return Ok(self.clone());
        }
        let state = Refused::State { wanted: event.done(), status: self.status };
        let mut task = self.clone();
        match (event, self.status) {
            (TaskEvent::Open { entry, expire_at }, TaskStatus::Pending) => {
                check_entry(&entry, expire_at, now)?;
                task.status = TaskStatus::Opened;
                task.open_at = Some(now);
                task.expire_at = Some(expire_at);
                task.entry_token = Some(entry.token);
                task.entry_url = Some(entry.url);
            }
            (TaskEvent::Complete { assessment_id }, TaskStatus::Opened) => {
                // By the clock, and not by whether the scheduled work has seen it yet.
                if let Some(expire_at) = self.expire_at.filter(|end| *end <= now) {
                    return Err(Refused::Late { expire_at });
                }
                task.status = TaskStatus::Completed;
                task.completed_at = Some(now);
                task.assessment_id = Some(assessment_id);
            }
            (TaskEvent::Expire, TaskStatus::Opened) => task.status = TaskStatus::Expired,
            (TaskEvent::Cancel, TaskStatus::Pending | TaskStatus::Opened) => {
                task.status = TaskStatus::Canceled;
            }
            _ => return Err(state),
        }
        Ok(task)
    }

    /// Whether this is what happened to it: a request that is repeated.
    fn is_after(&self, event: &TaskEvent) -> bool {
        match (event, self.status) {
            (TaskEvent::Open { entry, expire_at }, TaskStatus::Opened) => {
                // As it is kept.
                let end = |at: Timestamp| at.as_millisecond();
                self.entry_token.as_ref() == Some(&entry.token)
                    && self.entry_url.as_ref() == Some(&entry.url)
                    && self.expire_at.map(end) == Some(end(*expire_at))
            }
            (TaskEvent::Complete { assessment_id }, TaskStatus::Completed) => {
                self.assessment_id == Some(*assessment_id)
            }
            (TaskEvent::Expire, TaskStatus::Expired) | (TaskEvent::Cancel, TaskStatus::Canceled) => true,
            _ => false,
        }
    }
}

fn check_entry(entry: &TaskEntry, expire_at: Timestamp, now: Timestamp) -> Result<(), Invalid> {
    check_key(&entry.token, MAX_TOKEN).map_err(|reason| Invalid::new("entry_token", reason))?;
    web_address::check(&entry.url, MAX_URL).map_err(|reason| Invalid::new("entry_url", reason))?;
    if expire_at <= now {
        return Err(Invalid::new("expire_at", format!("expected a time after {now}, found {expire_at}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn task(status: TaskStatus) -> PlanTask {
        PlanTask {
            id: 9,
            plan_id: 8,
            seq: 1,
            org_id: 1,
            testee_id: 7,
            scale_code: "PHQ9".to_owned(),
            planned_at: at(0),
            open_at: None,
            expire_at: None,
            completed_at: None,
            status,
            assessment_id: None,
            entry_token: None,
            entry_url: None,
        }
    }

    const URL: &str = "https://c.example/";

    fn open(token: &str, url: &str, expire_at: i64) -> TaskEvent {
        let entry = TaskEntry { token: token.to_owned(), url: url.to_owned() };
        TaskEvent::Open { entry, expire_at: at(expire_at) }
    }

    #[test]
    fn the_state_decides_what_can_happen() {
        use TaskStatus::{Canceled, Completed, Expired, Opened, Pending};
        let events = || {
            [
                open("t", URL, 200),
                TaskEvent::Complete { assessment_id: 5 },
                TaskEvent::Expire,
                TaskEvent::Cancel,
            ]
        };
        for (from, after) in [
            (Pending, [Some(Opened), None, None, Some(Canceled)]),
            (Opened, [None, Some(Completed), Some(Expired), Some(Canceled)]),
            (Completed, [None, None, None, None]),
            (Expired, [None, None, Some(Expired), None]),
            (Canceled, [None, None, None, Some(Canceled)]),
        ] {
            let found = events().map(|event| task(from).apply(event, at(100)).ok().map(|task| task.status));
            assert_eq!(found, after, "{from}");
            assert_eq!(from.as_str().parse(), Ok(from));
        }
    }

    #[test]
    fn an_event_leaves_what_it_brings() {
        let opened = task(TaskStatus::Pending).apply(open("t", URL, 200), at(100)).unwrap();
        assert_eq!((opened.open_at, opened.expire_at), (Some(at(100)), Some(at(200))));
        assert_eq!((opened.entry_token.as_deref(), opened.entry_url.as_deref()), (Some("t"), Some(URL)));
        let completed = opened.apply(TaskEvent::Complete { assessment_id: 5 }, at(150)).unwrap();
        assert_eq!((completed.completed_at, completed.assessment_id), (Some(at(150)), Some(5)));
        let refused = completed.apply(TaskEvent::Expire, at(160)).unwrap_err();
        assert_eq!(refused.to_string(), "a task cannot be expired in state completed");
    }

    #[test]
    fn what_is_so_already_stays_as_it_is_and_nothing_else_may_be_asked_for() {
        let opened = task(TaskStatus::Pending).apply(open("t", URL, 200), at(100)).unwrap();
        assert_eq!(opened.apply(open("t", URL, 200), at(150)).unwrap(), opened);
        for other in [open("u", URL, 200), open("t", "https://d.example/", 200), open("t", URL, 201)] {
            assert!(matches!(opened.apply(other, at(150)), Err(Refused::State { .. })));
        }
        let complete = |assessment_id| TaskEvent::Complete { assessment_id };
        let completed = opened.apply(complete(5), at(150)).unwrap();
        assert_eq!(completed.apply(complete(5), at(300)).unwrap(), completed, "also when its time is over");
        assert!(matches!(completed.apply(complete(6), at(150)), Err(Refused::State { .. })));
    }

    #[test]
    fn a_task_is_completed_before_its_end() {
        let opened = task(TaskStatus::Pending).apply(open("t", URL, 200), at(100)).unwrap();
        let complete = TaskEvent::Complete { assessment_id: 5 };
        assert!(opened.apply(complete.clone(), at(199)).is_ok());
        let late = opened.apply(complete, at(200)).unwrap_err();
        assert_eq!(late.to_string(), "a task cannot be completed after it expired at 1970-01-01T00:03:20Z");
        assert!(
            opened.apply(TaskEvent::Expire, at(300)).is_ok()
                && opened.apply(TaskEvent::Cancel, at(300)).is_ok()
        );
    }

    #[test]
    fn an_entry_that_leads_nowhere_is_refused() {
        for (event, field) in [
            (open(" ", URL, 200), "entry_token"),
            (open("t", "", 200), "entry_url"),
            (open("t", "javascript:alert(1)", 200), "entry_url"),
            (open("t", &format!("{URL}{}", "u".repeat(500)), 200), "entry_url"),
            (open("t", URL, 100), "expire_at"),
        ] {
            match task(TaskStatus::Pending).apply(event, at(100)) {
                Err(Refused::Invalid(invalid)) => assert_eq!(invalid.field, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
