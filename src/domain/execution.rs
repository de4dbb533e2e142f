//! One run of a task, and the only place where its state changes.
//!
//! [`Execution::apply`] is the one table of transitions. It is pure: stores write what it answers under a guard that the
//! row still is what was read, and every duty that ends work goes through it.

use std::time::Duration;

use jiff::Timestamp;

use super::id::ExecutionId;
use super::word::words;

/// How often a holder may be lost before the work is given up: it probably takes its process with it.
const LOSSES: u32 = 3;

/// Longest message of an execution, in bytes.
pub const LONGEST_MESSAGE: usize = 1_000;

/// Longest word for its end, in bytes.
pub const LONGEST_OUTCOME: usize = 64;

words! {
    /// How an execution stands.
    pub enum ExecutionState: "execution state" {
        /// It waits for its time, or for a free worker.
        Pending = "pending",
        /// A session holds it.
        Running = "running",
        /// It failed, and waits for its next attempt.
        Retrying = "retrying",
        /// It was done.
        Completed = "completed",
        /// It was not done.
        Failed = "failed",
        /// Somebody did not want it any more.
        Cancelled = "cancelled",
        /// It was left out, as its policy says.
        Skipped = "skipped",
        /// Work that may be done at most once, and whose end nobody knows.
        Lost = "lost",
    }
}

impl ExecutionState {
    /// Whether nothing changes it any more but an order to run it again.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Skipped | Self::Lost)
    }
}

words! {
    /// Why an execution exists.
    pub enum Trigger: "trigger" {
        /// Its schedule, on time.
        Schedule = "schedule",
        /// Its schedule, after a time in which nothing was planned.
        CatchUp = "catch_up",
        /// Somebody asked for a time that had been missed.
        Backfill = "backfill",
        /// Somebody asked for it.
        Manual = "manual",
        /// Somebody asked for it at a later time.
        Delay = "delay",
        /// Another system had it.
        Imported = "imported",
    }
}

words! {
    /// What an end means that nobody knows.
    #[derive(Default)]
    pub enum Delivery: "delivery" {
        /// The work is done again: it must bear that.
        #[default]
        AtLeastOnce = "at_least_once",
        /// It is lost: nobody knows whether it was done, and nobody does it again unless told to.
        AtMostOnce = "at_most_once",
    }
}

/// The instant as the ledger keeps it: it knows no shorter time than a millisecond.
pub fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// One life of a process that runs the scheduler: a random number, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// One run of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Which.
    pub id: ExecutionId,
    /// The task.
    pub task_id: i64,
    /// The revision of the task by which it runs.
    pub revision: i64,
    /// The time of its schedule that it stands for.
    pub scheduled_for: Option<Timestamp>,
    /// What makes it the only one of its task: the time of its schedule, a caller's key, or its own id.
    pub dedup: String,
    /// Its lane.
    pub queue: String,
    /// Higher ones are claimed first.
    pub priority: i32,
    /// The seat that it needs while it is not over, so that two of its task do not run at once.
    pub slot: Option<String>,
    /// How it stands.
    pub state: ExecutionState,
    /// How often it was claimed. It only grows: a result that names another number is late.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts whose holder was lost.
    pub losses: u32,
    /// Failures after which it is over.
    pub max_attempts: u32,
    /// Not before this it is claimed.
    pub run_at: Timestamp,
    /// The session that runs it; none unless it is running here.
    pub holder: Option<SessionId>,
    /// The session that ran it last.
    pub node: Option<SessionId>,
    /// When somebody else's answer is given up, where the work was handed over.
    pub deadline_at: Option<Timestamp>,
    /// Whether somebody wants its end.
    pub cancel_requested: bool,
    /// Why it exists.
    pub trigger: Trigger,
    /// What it was given, as JSON.
    pub parameters: Option<String>,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// A word for its end.
    pub outcome: Option<String>,
    /// One sentence about it, [`LONGEST_MESSAGE`] at most.
    pub message: Option<String>,
    /// The trace of what caused it.
    pub traceparent: Option<String>,
}

/// What the policy of its task says about an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What an unknown end means.
    pub delivery: Delivery,
    /// Whether the task is still wanted: what would wait again of one that was deleted is cancelled.
    pub deleted: bool,
}

/// Something that happens to an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session takes it. The number of the attempt rises above `attempt_base`, too.
    Claimed {
        /// Which session.
        by: SessionId,
        /// No attempt up to this one is used any more.
        attempt_base: u32,
    },
    /// Another one of its task is still running, and the policy leaves it out.
    OverlapSkip,
    /// Another one of its task is still running, and the policy refuses it.
    OverlapRefused,
    /// It cannot run now, and waits.
    Postponed {
        /// Until when at least.
        until: Timestamp,
    },
    /// Its deadline for a start has passed.
    TooLate,
    /// There was no room in its queue.
    QueueFull,
    /// Somebody does not want it any more.
    Cancelled,
    /// Whoever does the work has taken it, and answers later.
    Accepted {
        /// When that is given up.
        deadline: Timestamp,
    },
    /// It was done.
    Succeeded,
    /// It failed.
    Failed {
        /// How long to wait before it is tried again; none where a repeat is no use.
        again: Option<Duration>,
    },
    /// It took longer than it may.
    TimedOut {
        /// Whether the work had begun.
        begun: bool,
        /// How long to wait before it is tried again; none where it is not.
        again: Option<Duration>,
    },
    /// Whoever did it does not know whether it was done.
    Unknown {
        /// How long to wait before it is tried again, where that is allowed; none where it is not.
        again: Option<Duration>,
    },
    /// The process ends in an orderly way.
    Interrupted {
        /// Whether the work had begun.
        begun: bool,
    },
    /// It was claimed and never started.
    Released,
    /// Its holder was declared dead.
    HolderLost,
    /// Somebody wants it to run again.
    RetryRequested,
}

/// What is written beside a changed execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The row tells everything.
    Nothing,
    /// The attempt that is over gets a row of its own: the execution goes on and will tell of a later one.
    Attempt,
}

/// An event that cannot happen to an execution that stands so. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen to an execution that is {state}")]
pub struct NotAllowed {
    /// How it stands.
    pub state: ExecutionState,
    /// What was to happen.
    pub event: &'static str,
}

impl Event {
    /// Whether it tells how work ended, as whoever did it saw it.
    pub fn is_result(&self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Failed { .. }
                | Self::TimedOut { .. }
                | Self::Unknown { .. }
                | Self::Interrupted { .. }
                | Self::Cancelled
        )
    }

    /// A word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Claimed { .. } => "claimed",
            Self::OverlapSkip => "overlap_skip",
            Self::OverlapRefused => "overlap_refused",
            Self::Postponed { .. } => "postponed",
            Self::TooLate => "too_late",
            Self::QueueFull => "queue_full",
            Self::Cancelled => "cancelled",
            Self::Accepted { .. } => "accepted",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Unknown { .. } => "unknown",
            Self::Interrupted { .. } => "interrupted",
            Self::Released => "released",
            Self::HolderLost => "holder_lost",
            Self::RetryRequested => "retry_requested",
        }
    }
}

impl Execution {
    /// Lets it happen. The outcome word and the message are the caller's to set: only whoever saw the end can tell it.
    ///
    /// # Errors
    /// When it cannot happen to an execution that stands so; then nothing is changed.
    pub fn apply(&mut self, event: &Event, standing: Standing, now: Timestamp) -> Result<Kept, NotAllowed> {
        let now = whole_millis(now);
        match self.state {
            ExecutionState::Pending | ExecutionState::Retrying => self.while_waiting(event, now),
            ExecutionState::Running => self.while_running(event, standing, now),
            ExecutionState::Failed | ExecutionState::Cancelled | ExecutionState::Lost
                if *event == Event::RetryRequested =>
            {
                self.again(standing, now);
                Ok(Kept::Attempt)
            }
            _ => Err(self.not_allowed(event)),
        }
    }

    fn while_waiting(&mut self, event: &Event, now: Timestamp) -> Result<Kept, NotAllowed> {
        match event {
            Event::Claimed { by, attempt_base } => {
                self.state = ExecutionState::Running;
                self.attempt = self.attempt.max(*attempt_base) + 1;
                (self.holder, self.node) = (Some(*by), Some(*by));
                (self.started_at, self.finished_at) = (Some(now), None);
                (self.outcome, self.message) = (None, None);
            }
            Event::OverlapSkip | Event::TooLate => self.end(ExecutionState::Skipped, now),
            Event::OverlapRefused | Event::QueueFull => self.end(ExecutionState::Failed, now),
            Event::Postponed { until } => self.run_at = self.run_at.max(*until),
            Event::Cancelled => self.end(ExecutionState::Cancelled, now),
            _ => return Err(self.not_allowed(event)),
        }
        Ok(Kept::Nothing)
    }

    fn while_running(
        &mut self,
        event: &Event,
        standing: Standing,
        now: Timestamp,
    ) -> Result<Kept, NotAllowed> {
        let at_most_once = standing.delivery == Delivery::AtMostOnce;
        match *event {
            Event::Accepted { deadline } => {
                (self.holder, self.deadline_at) = (None, Some(deadline));
                return Ok(Kept::Nothing);
            }
            Event::Succeeded => self.end(ExecutionState::Completed, now),
            Event::Cancelled => self.end(ExecutionState::Cancelled, now),
            Event::OverlapSkip => self.end(ExecutionState::Skipped, now),
            Event::OverlapRefused => self.end(ExecutionState::Failed, now),
            Event::Unknown { .. } | Event::HolderLost if at_most_once => self.end(ExecutionState::Lost, now),
            Event::TimedOut { begun: true, .. } | Event::Interrupted { begun: true } if at_most_once => {
                self.end(ExecutionState::Lost, now);
            }
            Event::Failed { again } | Event::TimedOut { again, .. } | Event::Unknown { again } => {
                return Ok(self.failed(again, standing, now));
            }
            Event::HolderLost => {
                self.losses += 1;
                if self.losses >= LOSSES {
                    self.end(ExecutionState::Failed, now);
                    return Ok(Kept::Nothing);
                }
                self.wait(ExecutionState::Pending, now, standing, now);
                return Ok(Kept::Attempt);
            }
            Event::Interrupted { begun: true } => {
                self.wait(ExecutionState::Pending, now, standing, now);
                return Ok(Kept::Attempt);
            }
            Event::Interrupted { begun: false } | Event::Released => {
                self.wait(ExecutionState::Pending, self.run_at, standing, now);
            }
            Event::Postponed { until } => self.wait(ExecutionState::Pending, until, standing, now),
            Event::Claimed { .. } | Event::TooLate | Event::QueueFull | Event::RetryRequested => {
                return Err(self.not_allowed(event));
            }
        }
        Ok(Kept::Nothing)
    }

    fn failed(&mut self, again: Option<Duration>, standing: Standing, now: Timestamp) -> Kept {
        self.failures += 1;
        let next = again.filter(|_| self.failures < self.max_attempts);
        let Some(run_at) = next.and_then(|wait| now.checked_add(wait).ok()) else {
            self.end(ExecutionState::Failed, now);
            return Kept::Nothing;
        };
        self.wait(ExecutionState::Retrying, run_at, standing, now);
        Kept::Attempt
    }

    /// What waits again, unless nobody wants it any more.
    fn wait(&mut self, state: ExecutionState, run_at: Timestamp, standing: Standing, now: Timestamp) {
        if self.cancel_requested || standing.deleted {
            self.end(ExecutionState::Cancelled, now);
            return;
        }
        (self.state, self.run_at) = (state, run_at);
        (self.holder, self.deadline_at) = (None, None);
    }

    fn again(&mut self, standing: Standing, now: Timestamp) {
        (self.failures, self.losses, self.cancel_requested) = (0, 0, false);
        self.finished_at = None;
        self.wait(ExecutionState::Pending, now, standing, now);
    }

    fn end(&mut self, state: ExecutionState, now: Timestamp) {
        (self.state, self.finished_at) = (state, Some(now));
        (self.holder, self.deadline_at) = (None, None);
    }

    fn not_allowed(&self, event: &Event) -> NotAllowed {
        NotAllowed { state: self.state, event: event.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ME: SessionId = SessionId(7);
    const KEPT: Standing = Standing { delivery: Delivery::AtLeastOnce, deleted: false };
    const ONCE: Standing = Standing { delivery: Delivery::AtMostOnce, deleted: false };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn execution(state: ExecutionState) -> Execution {
        let running = state == ExecutionState::Running;
        Execution {
            id: ExecutionId::new(at(0), [1; 10]),
            task_id: 1,
            revision: 1,
            scheduled_for: Some(at(100)),
            dedup: "p100".to_owned(),
            queue: "default".to_owned(),
            priority: 0,
            slot: None,
            state,
            attempt: 1,
            failures: 0,
            losses: 0,
            max_attempts: 2,
            run_at: at(100),
            holder: running.then_some(ME),
            node: Some(ME),
            deadline_at: None,
            cancel_requested: false,
            trigger: Trigger::Schedule,
            parameters: None,
            started_at: Some(at(100)),
            finished_at: state.is_over().then(|| at(101)),
            outcome: None,
            message: None,
            traceparent: None,
        }
    }

    fn events() -> Vec<Event> {
        let again = Duration::from_secs(5);
        vec![
            Event::Claimed { by: ME, attempt_base: 0 },
            Event::OverlapSkip,
            Event::OverlapRefused,
            Event::Postponed { until: at(205) },
            Event::TooLate,
            Event::QueueFull,
            Event::Cancelled,
            Event::Accepted { deadline: at(300) },
            Event::Succeeded,
            Event::Failed { again: Some(again) },
            Event::Failed { again: None },
            Event::TimedOut { begun: true, again: Some(again) },
            Event::TimedOut { begun: false, again: Some(again) },
            Event::Unknown { again: Some(again) },
            Event::Interrupted { begun: true },
            Event::Interrupted { begun: false },
            Event::Released,
            Event::HolderLost,
            Event::RetryRequested,
        ]
    }

    /// What each event makes of a waiting, a running, and an ended execution of either delivery.
    #[test]
    fn the_table_cell_by_cell() {
        use ExecutionState::{Cancelled, Completed, Failed, Lost, Pending, Retrying, Running, Skipped};
        let mark = |letter: char| match letter {
            'P' => Some(Pending),
            'R' => Some(Running),
            'Y' => Some(Retrying),
            'D' => Some(Completed),
            'F' => Some(Failed),
            'C' => Some(Cancelled),
            'S' => Some(Skipped),
            'L' => Some(Lost),
            _ => None,
        };
        // From: Pending, Retrying, Running at least once, Running at most once, Completed, Failed, Cancelled, Skipped, Lost.
        let rows = [
            "RR--.....",
            "SSSS.....",
            "FFFF.....",
            "PYPP.....",
            "SS--.....",
            "FF--.....",
            "CCCC.....",
            "--RR.....",
            "--DD.....",
            "--YY.....",
            "--FF.....",
            "--YL.....",
            "--YY.....",
            "--YL.....",
            "--PL.....",
            "--PP.....",
            "--PP.....",
            "--PL.....",
            ".....",
        ];
        let from = [
            (Pending, KEPT),
            (Retrying, KEPT),
            (Running, KEPT),
            (Running, ONCE),
            (Completed, KEPT),
            (Failed, KEPT),
            (Cancelled, KEPT),
            (Skipped, KEPT),
            (Lost, ONCE),
        ];
        for (event, row) in events().iter().zip(rows) {
            for (column, (state, standing)) in from.iter().enumerate() {
                let mut one = execution(*state);
                let before = one.clone();
                let cell = row.chars().nth(column).unwrap_or('.');
                let again = *event == Event::RetryRequested && matches!(state, Failed | Cancelled | Lost);
                let expected = if again { Some(Pending) } else { mark(cell) };
                match (one.apply(event, *standing, at(200)), expected) {
                    (Ok(_), Some(expected)) => assert_eq!(one.state, expected, "{event:?} of {state}"),
                    (Err(error), None) => {
                        assert_eq!((error.state, one), (*state, before), "{event:?} changes nothing");
                    }
                    (answer, expected) => panic!("{event:?} of {state}: {answer:?}, expected {expected:?}"),
                }
            }
        }
    }

    #[test]
    fn a_claim_numbers_the_attempt_above_every_one_that_can_have_been_used() {
        let mut one = execution(ExecutionState::Pending);
        one.apply(&Event::Claimed { by: ME, attempt_base: 0 }, KEPT, at(200)).unwrap();
        assert_eq!((one.attempt, one.holder, one.started_at), (2, Some(ME), Some(at(200))));
        let mut one = execution(ExecutionState::Retrying);
        one.apply(&Event::Claimed { by: ME, attempt_base: 1_000 }, KEPT, at(200)).unwrap();
        assert_eq!(one.attempt, 1_001);
    }

    #[test]
    fn failures_are_charged_until_they_are_used_up_and_losses_until_the_third() {
        let mut one = execution(ExecutionState::Running);
        let failed = Event::Failed { again: Some(Duration::from_secs(5)) };
        assert_eq!(one.apply(&failed, KEPT, at(200)), Ok(Kept::Attempt));
        assert_eq!((one.state, one.failures, one.run_at), (ExecutionState::Retrying, 1, at(205)));
        one.apply(&Event::Claimed { by: ME, attempt_base: 0 }, KEPT, at(205)).unwrap();
        assert_eq!(one.apply(&failed, KEPT, at(206)), Ok(Kept::Nothing));
        assert_eq!((one.state, one.failures, one.finished_at), (ExecutionState::Failed, 2, Some(at(206))));

        let mut one = execution(ExecutionState::Running);
        for (losses, state) in [(1, ExecutionState::Pending), (2, ExecutionState::Pending)] {
            one.apply(&Event::HolderLost, KEPT, at(200)).unwrap();
            assert_eq!((one.losses, one.failures, one.state, one.holder), (losses, 0, state, None));
            one.apply(&Event::Claimed { by: ME, attempt_base: 0 }, KEPT, at(201)).unwrap();
        }
        one.apply(&Event::HolderLost, KEPT, at(200)).unwrap();
        assert_eq!((one.state, one.failures), (ExecutionState::Failed, 0));
    }

    #[test]
    fn what_nobody_wants_any_more_does_not_wait_again() {
        for (requested, deleted) in [(true, false), (false, true)] {
            for event in [
                Event::Failed { again: Some(Duration::ZERO) },
                Event::Released,
                Event::HolderLost,
                Event::Interrupted { begun: true },
            ] {
                let mut one = execution(ExecutionState::Running);
                one.cancel_requested = requested;
                one.apply(&event, Standing { deleted, ..KEPT }, at(200)).unwrap();
                assert_eq!(one.state, ExecutionState::Cancelled, "{event:?}");
                assert_eq!(one.finished_at, Some(at(200)));
            }
        }
    }

    proptest! {
        /// Whatever happens: who holds, what is over, and numbers that only grow.
        #[test]
        fn a_random_walk_keeps_its_promises(
            steps in prop::collection::vec((0..19_usize, any::<bool>(), any::<bool>()), 1..400),
        ) {
            let events = events();
            let mut one = execution(ExecutionState::Pending);
            for (step, (event, at_most_once, deleted)) in steps.into_iter().enumerate() {
                let standing = Standing { delivery: if at_most_once { ONCE.delivery } else { KEPT.delivery }, deleted };
                let before = one.clone();
                let now = at(1_000 + i64::try_from(step).unwrap());
                let answer = one.apply(&events[event], standing, now);
                prop_assert!(answer.is_ok() || one == before);
                prop_assert!(one.attempt >= before.attempt);
                let claims = matches!(events[event], Event::Claimed { .. });
                prop_assert!(one.attempt == before.attempt || claims);
                let claimed = one.state == ExecutionState::Running && before.state != ExecutionState::Running;
                prop_assert_eq!(claimed, one.attempt > before.attempt);
                prop_assert_eq!(one.state.is_over(), one.finished_at.is_some());
                prop_assert!(one.holder.is_none() || one.state == ExecutionState::Running);
                prop_assert!(one.failures <= one.max_attempts && one.losses <= LOSSES);
                if at_most_once && matches!(events[event], Event::HolderLost) && answer.is_ok() {
                    prop_assert_eq!(one.state, ExecutionState::Lost);
                }
            }
        }
    }
}
