//! What becomes of one occurrence: a pure function of the task, the moment, and the time from which lateness counts.

use super::state::{Moment, Reason, Revision, Task, Trigger, governing, in_force};
use super::{CatchUp, Planning};
use crate::ledger_model::guards::Guard;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Row(Trigger),
    Missed(Reason),
}

/// What is known of a task when a part of its time is planned.
pub struct Slice<'a> {
    pub task: &'a Task,
    pub revisions: &'a [Revision],
    /// Through which moment there are rows already.
    pub planned: Moment,
    /// Whether work that had begun counts as open.
    pub with_begun: bool,
}

impl Slice<'_> {
    /// Whether an occurrence is here that nobody has started: not planned yet, or planned and pending.
    pub fn is_open(&self, at: Moment) -> bool {
        if at <= self.planned {
            let counts = self.with_begun || !self.task.has_begun(at);
            return counts && self.task.is_pending(at, Trigger::Schedule);
        }
        governing(self.revisions, at).is_some_and(|(_, revision)| revision.due(at) && !revision.paused)
    }
}

impl Planning {
    /// Work that had begun is not part of a gap: it was not missed.
    pub fn slice<'a>(&self, task: &'a Task, revisions: &'a [Revision], planned: Moment) -> Slice<'a> {
        Slice { task, revisions, planned, with_begun: !self.guards.has(Guard::BegunStaysOut) }
    }

    /// Late by `grace` or more.
    pub fn late(&self, at: Moment, reference: Moment) -> bool {
        at + self.grace <= reference
    }

    pub fn fate(&self, slice: &Slice, at: Moment, reference: Moment) -> Fate {
        let Some(now) = in_force(slice.revisions) else { return Fate::Missed(Reason::Deleted) };
        if now.paused {
            return Fate::Missed(Reason::Paused);
        }
        if self.late(at, reference) {
            self.choice(slice, at, reference)
        } else {
            Fate::Row(Trigger::Schedule)
        }
    }

    /// What the task's policy says of something late, whether or not the task runs now.
    pub fn choice(&self, slice: &Slice, at: Moment, reference: Moment) -> Fate {
        let later = (at + 1..=reference)
            .filter(|later| self.late(*later, reference) && slice.is_open(*later))
            .count();
        match self.catch_up {
            CatchUp::Skip => Fate::Missed(Reason::Policy),
            CatchUp::Once if later == 0 => Fate::Row(Trigger::CatchUp),
            CatchUp::All { age, .. } if reference - at > age => Fate::Missed(Reason::TooOld),
            CatchUp::All { latest, .. } if later < latest => Fate::Row(Trigger::CatchUp),
            CatchUp::Once | CatchUp::All { .. } => Fate::Missed(Reason::Down),
        }
    }
}
