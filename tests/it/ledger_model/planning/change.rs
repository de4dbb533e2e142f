//! The verbs that change a task, claim its rows and fill in what it missed.

use super::Planning;
use super::state::{Moment, Reason, Revision, Row, RowState, State, Task, Trigger, governing, in_force};
use crate::ledger_model::guards::Guard;

/// A change of a task, by a person or by a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// To its other schedule, or back.
    Edit,
    Pause,
    Resume,
    Delete,
    /// A deleted key returns.
    Revive,
}

impl Change {
    pub const EVERY: [Self; 5] = [Self::Edit, Self::Pause, Self::Resume, Self::Delete, Self::Revive];

    /// Whether there is something to change.
    pub fn applies(self, task: &Task) -> bool {
        let now = in_force(&task.revisions);
        match self {
            Self::Edit | Self::Delete => now.is_some(),
            Self::Pause => now.is_some_and(|now| !now.paused),
            Self::Resume => now.is_some_and(|now| now.paused),
            Self::Revive => now.is_none(),
        }
    }
}

impl Planning {
    /// One transaction, which touches the planner row first.
    pub fn change(&self, state: &mut State, number: usize, change: Change) {
        state.planner.catalog += 1;
        state.changes_left -= 1;
        let mut begins = state.planner.through.max(state.now);
        if !self.guards.has(Guard::BeginsAfterNow) {
            begins = state.planner.through;
        }
        if !self.guards.has(Guard::BeginsAfterPlanned) {
            begins = state.now;
        }
        self.end_revision(state, number, begins);
        let [first, second] = self.schedules[number];
        let task = &mut state.tasks[number];
        let Some(old) = task.revisions.last().copied() else { return };
        if matches!(change, Change::Pause | Change::Delete) {
            cancel_pending(task);
        }
        if change == Change::Delete {
            return;
        }
        let other = if old.schedule == first { second } else { first };
        task.revisions.push(Revision {
            valid_from: begins,
            valid_to: None,
            schedule: if change == Change::Edit { other } else { old.schedule },
            paused: change == Change::Pause || change == Change::Edit && old.paused,
            made_at: state.now,
        });
    }

    /// A pause is written when it ends.
    fn end_revision(&self, state: &mut State, number: usize, at: Moment) {
        let task = &mut state.tasks[number];
        let Some(old) = task.revisions.last_mut().filter(|old| old.valid_to.is_none()) else { return };
        old.valid_to = Some(at);
        let old = *old;
        if !old.paused {
            return;
        }
        for moment in (old.valid_from + 1..=at).filter(|moment| old.due(*moment)) {
            if task.row(moment).is_some() && self.guards.has(Guard::MissedSubtractsRows) {
                continue;
            }
            let before = task.missed[usize::from(moment)].replace(Reason::Paused);
            state.seen.missed_twice |= before.is_some();
        }
    }

    /// Whether a claim takes this row now.
    pub fn claimable(&self, state: &State, number: usize, at: Moment) -> bool {
        !is_paused(&state.tasks[number]) && self.is_due(state, number, at)
    }

    /// Whether it is time for this row.
    fn is_due(&self, state: &State, number: usize, at: Moment) -> bool {
        let task = &state.tasks[number];
        let due = at <= state.now;
        let behind = state.now.saturating_sub(state.planner.through) > self.grace;
        let scheduled = task.is_pending(at, Trigger::Schedule);
        due && task.is_pending_at_all(at) && (!behind || !scheduled)
    }

    /// The claim of a candidate that was read before. What has changed since is no candidate.
    pub fn claim(&self, state: &mut State) {
        let Some((number, at)) = state.candidate.take() else { return };
        let task = &state.tasks[number];
        let behind = self.guards.has(Guard::ClaimRefusesBehind) && !self.is_due(state, number, at);
        let paused = self.guards.has(Guard::ClaimRefusesPaused) && is_paused(task);
        if !task.is_pending_at_all(at) || behind || paused {
            return;
        }
        state.seen.started_paused |= is_paused(task);
        self.see_start(state, number, at);
        if let Some(row) = &mut state.tasks[number].rows[usize::from(at)] {
            row.state = RowState::Started;
        }
    }

    fn see_start(&self, state: &mut State, number: usize, at: Moment) {
        // What is done again, or was asked for, catches nothing up.
        if state.tasks[number].has_begun(at) || state.tasks[number].is_pending(at, Trigger::Backfill) {
            return;
        }
        let behind = state.now.saturating_sub(state.planner.through) > self.grace;
        let scheduled = state.tasks[number].is_pending(at, Trigger::Schedule);
        match &mut state.seen.gap {
            Some(gap) if gap.late[number] & super::state::bit(at) != 0 => gap.started[number] += 1,
            _ if behind && scheduled && self.late(at, state.now) => state.seen.escaped[number] += 1,
            _ => {}
        }
    }

    /// The holder is declared dead and swept: its work is to be done again.
    pub fn lose_holder(state: &mut State, number: usize, at: Moment) {
        state.losses_left -= 1;
        if let Some(row) = &mut state.tasks[number].rows[usize::from(at)] {
            row.state = RowState::Pending;
            row.begun = true;
        }
    }

    /// Whether a backfill finds something to fill in here.
    pub fn fillable(state: &State, number: usize, at: Moment) -> bool {
        let task = &state.tasks[number];
        let due = governing(&task.revisions, at).is_some_and(|(_, revision)| revision.due(at));
        at <= state.planner.through && due && task.row(at).is_none()
    }

    pub fn backfill(state: &mut State, number: usize, at: Moment) {
        state.backfills_left -= 1;
        let task = &mut state.tasks[number];
        let Some((revision, _)) = governing(&task.revisions, at) else { return };
        task.missed[usize::from(at)] = None;
        task.rows[usize::from(at)] =
            Some(Row { revision, trigger: Trigger::Backfill, state: RowState::Pending, begun: false });
    }
}

fn is_paused(task: &Task) -> bool {
    in_force(&task.revisions).is_some_and(|now| now.paused)
}

fn cancel_pending(task: &mut Task) {
    for row in task.rows.iter_mut().flatten() {
        if row.state == RowState::Pending && row.trigger != Trigger::Backfill {
            row.state = RowState::Cancelled;
        }
    }
}
