//! What the server does: locks, COMMIT, ROLLBACK. A transaction that nobody waits for may still end either way.

use super::Execution;
use super::apply::Delivery;
use super::state::{Answer, Call, Open, RowState, State, Verb};
use crate::ledger_model::guards::Guard;

impl Execution {
    /// Whether the first statements of a verb get their locks and find the session alive.
    pub fn may_open(&self, state: &State, node: usize, verb: Verb) -> bool {
        let session = state.nodes[node].session;
        let beat = self.begins_with_beat(verb);
        !(state.is_dead(session) || beat && state.session_locked(session) || state.row_locked(verb.row()))
    }

    /// The statements of a verb, without its COMMIT.
    pub fn open(&self, state: &mut State, node: usize, verb: Verb) {
        let session = state.nodes[node].session;
        let counted = self.counts(state, session, verb);
        let beat = self.begins_with_beat(verb);
        state.open.push(Open { node, session, verb, counted, beat, orphan: false });
        state.nodes[node].call = Call::Waiting { verb, fresh: true, answer: None, early: false };
    }

    fn begins_with_beat(&self, verb: Verb) -> bool {
        !matches!(verb, Verb::Claim { .. }) || self.guards.has(Guard::BeatInClaim)
    }

    /// The `where` of each verb.
    fn counts(&self, state: &State, session: usize, verb: Verb) -> bool {
        let row = &state.rows[verb.row()];
        match verb {
            Verb::Claim { attempt, .. } => {
                let same = row.attempt + 1 == attempt || !self.guards.has(Guard::AttemptInClaim);
                let due = row.run_at <= state.now || !self.guards.has(Guard::RunAtInClaim);
                row.is_ready() && same && due
            }
            Verb::Finish { attempt, .. } => {
                row.is_held(session, attempt) || !self.guards.has(Guard::FinishByHolder)
            }
            Verb::Release { attempt, .. } => row.is_held(session, attempt),
        }
    }

    pub fn commit(&self, state: &mut State, index: usize) {
        let open = state.open.remove(index);
        state.seen.changed_by_dead |= state.is_dead(open.session);
        if open.beat {
            state.beaten(open.session);
        }
        self.write(state, &open);
        let answer = if open.counted { Answer::Counted } else { Answer::NotCounted };
        tell(state, &open, answer);
    }

    pub fn roll_back(state: &mut State, index: usize) {
        let open = state.open.remove(index);
        if !open.orphan {
            state.left.aborts -= 1;
        }
        tell(state, &open, Answer::RolledBack);
    }

    fn write(&self, state: &mut State, open: &Open) {
        let number = open.verb.row();
        let retry_at = (state.now + 1).min(self.last);
        let delivery = self.deliveries[number];
        let row = &mut state.rows[number];
        match open.verb {
            Verb::Claim { .. } if open.counted => Delivery::claimed(row, open.session),
            Verb::Release { .. } if open.counted => delivery.released(row),
            Verb::Finish { attempt, end, .. } if open.counted => {
                state.seen.changed_by_stranger |= !row.is_held(open.session, attempt);
                delivery.ended(row, end, retry_at);
                row.ended = Some((open.session, attempt));
                let is_kept = self.keeps_attempt(row.state);
                if let Some(recorded) = row.recorded(attempt) {
                    recorded.results += 1;
                    recorded.ended_by = is_kept.then_some(open.session);
                }
            }
            Verb::Finish { attempt, .. } => {
                if let Some(recorded) = row.recorded(attempt) {
                    recorded.late += 1;
                }
            }
            Verb::Claim { .. } | Verb::Release { .. } => {}
        }
    }

    /// Whether an end is written as a row of its attempt too: where the row of the execution may be claimed again.
    fn keeps_attempt(&self, state: RowState) -> bool {
        match state {
            RowState::Retrying => true,
            RowState::Pending => self.guards.has(Guard::EveryAttemptHasARow),
            _ => false,
        }
    }

    /// One transaction of a node that sweeps, which begins with its beat: a row whose holder is dead.
    pub fn sweep(&self, state: &mut State, node: usize, row: usize) {
        Self::beat(state, node);
        self.deliveries[row].holder_lost(&mut state.rows[row]);
    }

    /// An order of somebody who is no node.
    pub fn cancel(state: &mut State, row: usize) {
        state.left.cancels -= 1;
        let row = &mut state.rows[row];
        row.cancel_requested = true;
        if row.is_ready() {
            row.state = RowState::Cancelled;
        }
    }
}

/// The answer is on its way to whoever waits for it.
fn tell(state: &mut State, open: &Open, told: Answer) {
    if let (false, Call::Waiting { answer, .. }) = (open.orphan, &mut state.nodes[open.node].call) {
        *answer = Some(told);
    }
}
