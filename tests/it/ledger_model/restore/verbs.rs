//! The verbs, each a transaction of its own, and the one that is run by hand after a restore.

use super::Restore;
use super::state::{Moment, Row, RowState, Start, State};
use crate::ledger_model::guards::Guard;

/// More than the claims of one execution between two moments.
const STEP: u8 = 16;

impl Restore {
    /// Inserts what is not there.
    pub fn plan(&self, state: &mut State) {
        let through = state.now + self.ahead;
        for at in state.database.through + 1..=through {
            let row = &mut state.database.rows[usize::from(at)];
            row.get_or_insert(Row { state: RowState::Pending, attempt: 0 });
        }
        state.database.through = through;
    }

    pub fn claimable(state: &State, at: Moment) -> bool {
        let row = state.database.rows[usize::from(at)];
        row.is_some_and(|row| matches!(row.state, RowState::Pending | RowState::Retrying))
    }

    pub fn claim(state: &mut State, at: Moment) {
        let base = state.database.attempt_base;
        let Some(row) = &mut state.database.rows[usize::from(at)] else { return };
        row.state = RowState::Running;
        row.attempt = row.attempt.max(base) + 1;
        let start = Start { at, attempt: row.attempt, age: state.restores };
        state.under_way.push(start);
        state.under_way.sort_unstable();
        state.seen.starts.push((at, start.attempt));
        state.seen.starts.sort_unstable();
    }

    /// Compares the attempt, as a callback does.
    pub fn answer(&self, state: &mut State, start: Start, succeeded: bool) {
        state.under_way.retain(|other| *other != start);
        if !succeeded {
            state.failures_left -= 1;
        }
        let Some(row) = &mut state.database.rows[usize::from(start.at)] else { return };
        if row.state != RowState::Running || row.attempt != start.attempt {
            return;
        }
        state.seen.stranger |= start.age != state.restores;
        row.state = match succeeded {
            true => RowState::Completed,
            false if self.at_most_once => RowState::Lost,
            false => RowState::Retrying,
        };
    }

    /// The database is as it was. What was started is not undone, and may still answer.
    pub fn put_back(state: &mut State) {
        let Some(backup) = &state.backup else { return };
        state.database = backup.clone();
        state.stopped = true;
        state.restores += 1;
        state.restores_left -= 1;
    }

    /// `planner restored`, and then the sweep of the sessions that were alive in the backup.
    pub fn restored(&self, state: &mut State) {
        state.stopped = false;
        state.restored_at = Some(state.now);
        if self.guards.has(Guard::AttemptBase) {
            let above = if self.guards.has(Guard::BaseFromClock) {
                (state.now + 1) * STEP
            } else {
                state.database.attempt_base + STEP
            };
            state.database.attempt_base = state.database.attempt_base.max(above);
        }
        let may_have_run = state.database.through + 1..=state.now + self.ahead;
        for (at, row) in (0..).zip(&mut state.database.rows) {
            let begun = row.is_some_and(|row| row.state == RowState::Running);
            let open = row.is_some_and(|row| matches!(row.state, RowState::Pending | RowState::Retrying));
            let lost = self.at_most_once && self.guards.has(Guard::LostAfterRestore);
            if lost && (open || may_have_run.contains(&at)) || begun && self.at_most_once {
                let attempt = row.map_or(0, |row| row.attempt);
                *row = Some(Row { state: RowState::Lost, attempt });
            } else if let Some(row) = row.as_mut().filter(|_| begun) {
                row.state = RowState::Pending;
            }
        }
    }
}
