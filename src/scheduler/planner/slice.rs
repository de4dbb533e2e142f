//! One move of the watermark: what becomes of every occurrence that it passes.

use jiff::{SignedDuration, Timestamp};

use super::due::Due;
use crate::domain::catch_up::{CatchUp, Gap, MissReason, Missed, Verdict};
use crate::domain::execution::{Execution, ExecutionState, Trigger};
use crate::domain::id::ExecutionId;
use crate::domain::overlap::Overlap;
use crate::domain::schedule::Schedule;
use crate::domain::task::{Revision, Task, seat_of};
use crate::scheduler::catalog::View;
use crate::store::scheduler::{Known, MissedRow, PlanStep};

/// Most executions of one move, unless one instant has more.
const MOST: u64 = 1_000;

/// From where the watermark moves, and what counts as late.
pub(super) struct Slice<'a> {
    pub(super) view: &'a View,
    pub(super) from: Timestamp,
    pub(super) gap: Option<Gap>,
    pub(super) now: Timestamp,
}

impl Slice<'_> {
    /// The move to this instant, or as far as one move goes.
    pub(super) fn through(&self, target: Timestamp, due: &mut Due) -> PlanStep {
        let through = self.bounded(target, due);
        let mut step =
            PlanStep { from: self.from, through, catalog: self.view.number, ..PlanStep::default() };
        for task in due.tasks_through(through) {
            if let Some(known) = self.view.tasks.get(&task) {
                self.plan(known, through, &mut step);
            }
        }
        due.advance(self.view, through);
        step
    }

    /// Halves the way until what lies on it is not too much. An instant is never split.
    fn bounded(&self, target: Timestamp, due: &Due) -> Timestamp {
        let mut through = target;
        loop {
            let way = through.duration_since(self.from);
            if way <= SignedDuration::from_millis(1) || self.planned(through, due) <= MOST {
                return through;
            }
            let half = SignedDuration::from_millis(i64::try_from(way.as_millis() / 2).unwrap_or(1).max(1));
            through = self.from.checked_add(half).unwrap_or(through);
            // Nothing lies before the first one.
            if let Some(first) = due.first().filter(|first| *first > through) {
                return first.min(target);
            }
        }
    }

    fn planned(&self, through: Timestamp, due: &Due) -> u64 {
        due.tasks_through(through)
            .filter_map(|task| self.view.tasks.get(&task))
            .map(|known| self.parts(known, through).map(|part| part.planned(self.gap.as_ref())).sum::<u64>())
            .sum()
    }

    /// The parts of a move that each have one schedule, in rising order.
    fn parts<'a>(&self, known: &'a Known, through: Timestamp) -> impl Iterator<Item = Part<'a>> {
        let from = self.from;
        let gap = self.gap;
        let policy = catch_up_of(known);
        windows(known, from, through).map(move |(revision, schedule, after, through)| Part {
            revision,
            schedule,
            after,
            through,
            policy,
            newer: gap.map_or(0, |gap| newer(known, through, &gap)),
        })
    }

    fn plan(&self, known: &Known, through: Timestamp, step: &mut PlanStep) {
        let Some(current) = known.revisions.last() else { return };
        let gone = if known.task.deleted_at.is_some() {
            Some(MissReason::Deleted)
        } else {
            current.paused.then_some(MissReason::Paused)
        };
        for part in self.parts(known, through) {
            let row = |missed| MissedRow { task_id: known.task.id, revision: part.revision, missed };
            if let Some(reason) = gone {
                step.missed.extend(Missed::all(part.schedule, part.after, part.through, reason).map(row));
                continue;
            }
            let add = |at, trigger| self.execution(&known.task, current, at, trigger);
            match &self.gap {
                None => {
                    let times = part.schedule.walk(part.after, part.through);
                    step.insert.extend(times.map(|at| add(at, Trigger::Schedule)));
                }
                Some(gap) => {
                    let choice = part.policy.choose(part.schedule, part.after, part.through, part.newer, gap);
                    step.missed.extend(choice.missed.into_iter().map(row));
                    step.insert.extend(choice.caught_up.into_iter().map(|at| add(at, Trigger::CatchUp)));
                    step.insert.extend(choice.on_time.into_iter().map(|at| add(at, Trigger::Schedule)));
                }
            }
        }
    }

    fn execution(&self, task: &Task, current: &Revision, at: Timestamp, trigger: Trigger) -> Execution {
        let of = &current.definition;
        let run_at = match trigger {
            Trigger::Schedule => of.policy.spread.run_at(task.uid, at),
            _ => self.now,
        };
        Execution {
            id: ExecutionId::new(self.now, std::array::from_fn(|_| fastrand::u8(..))),
            task_id: task.id,
            revision: current.number,
            scheduled_for: Some(at),
            dedup: dedup_of(at),
            queue: of.queue.clone(),
            priority: of.policy.priority,
            slot: (of.policy.overlap != Overlap::Parallel).then(|| seat_of(task.id)),
            state: ExecutionState::Pending,
            attempt: 0,
            failures: 0,
            losses: 0,
            max_attempts: of.policy.retry.max_attempts.get(),
            run_at,
            holder: None,
            node: None,
            deadline_at: None,
            cancel_requested: false,
            trigger,
            parameters: None,
            started_at: None,
            finished_at: None,
            outcome: None,
            message: None,
            traceparent: None,
        }
    }
}

/// What makes an occurrence the only one of its task: the same whoever plans it, and whenever.
fn dedup_of(at: Timestamp) -> String {
    format!("t{}", at.as_millisecond())
}

/// A part of a move that has one schedule.
struct Part<'a> {
    revision: i64,
    schedule: &'a Schedule,
    after: Timestamp,
    through: Timestamp,
    policy: CatchUp,
    /// Late occurrences of the task that come after this part.
    newer: u64,
}

impl Part<'_> {
    fn planned(&self, gap: Option<&Gap>) -> u64 {
        match gap {
            None => self.schedule.count(self.after, self.through),
            Some(gap) => self.policy.planned(self.schedule, self.after, self.through, self.newer, gap),
        }
    }
}

/// What each revision that is not paused governs of the time after one instant and up to another.
fn windows(
    known: &Known,
    from: Timestamp,
    through: Timestamp,
) -> impl Iterator<Item = (i64, &Schedule, Timestamp, Timestamp)> {
    known.revisions.iter().filter(|revision| !revision.paused).filter_map(move |revision| {
        let schedule = revision.definition.schedule.as_ref()?;
        let after = from.max(revision.valid_from);
        let through = revision.valid_to.map_or(through, |to| through.min(to));
        (after < through).then_some((revision.number, schedule, after, through))
    })
}

/// What is missed is caught up as the newest revision says.
fn catch_up_of(known: &Known) -> CatchUp {
    known.revisions.last().map(|last| last.definition.policy.catch_up).unwrap_or_default()
}

/// How many late occurrences of a task come after an instant, by all its revisions.
fn newer(known: &Known, after: Timestamp, gap: &Gap) -> u64 {
    windows(known, after, gap.to)
        .map(|(_, schedule, after, through)| gap.late(schedule, after, through))
        .sum()
}

/// Of what was planned ahead of a gap and waits: what is too late now and not the one that is caught up.
pub(super) fn skipped(view: &View, ahead: &[Execution], gap: &Gap) -> Vec<ExecutionId> {
    let is_too_late = |one: &&Execution| {
        let Some((known, at)) = view.tasks.get(&one.task_id).zip(one.scheduled_for) else { return false };
        let policy = catch_up_of(known);
        matches!(policy.verdict(at, newer(known, at, gap), gap), Verdict::Missed(_))
    };
    ahead.iter().filter(is_too_late).map(|one| one.id).collect()
}
