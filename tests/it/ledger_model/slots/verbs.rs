//! The verbs that take and give back seats, each a transaction that locks the seats first.

use super::state::{RowState, State, Work};
use super::{Kind, Slots};
use crate::ledger_model::guards::Guard;

impl Slots {
    /// Takes a seat, or keeps the one that the execution has, and claims. Without a seat nothing is claimed.
    pub fn claim(&self, state: &mut State, node: usize) {
        let Work::Candidate { row: number, attempt } = state.nodes[node] else { return };
        state.nodes[node] = Work::Nothing;
        let own = state.seats.iter().position(|seat| *seat == Some(number));
        let free = state.seats.iter().position(Option::is_none);
        let Some(seat) = own.or(free) else { return };
        let row = &mut state.rows[number];
        let counted = row.is_ready() && row.attempt == attempt;
        if counted || !self.guards.has(Guard::SeatsGivenBack) {
            state.seats[seat] = Some(number);
        }
        if counted {
            row.state = RowState::Running;
            row.attempt += 1;
            row.holder = Some(node);
            row.begun = true;
            state.nodes[node] = Work::Held { row: number, attempt: row.attempt };
        }
    }

    /// Ends an execution well, or to be tried again. A result that comes late changes nothing.
    pub fn finish(&self, state: &mut State, node: usize, succeeded: bool) {
        let Work::Held { row: number, attempt } = state.nodes[node] else { return };
        state.nodes[node] = Work::Nothing;
        let row = &mut state.rows[number];
        let counted = row.state == RowState::Running && row.holder == Some(node) && row.attempt == attempt;
        if counted {
            row.holder = None;
            row.state = if succeeded { RowState::Completed } else { RowState::Retrying };
            row.begun = !succeeded;
        }
        let over = state.rows[number].is_over() || self.kind == Kind::Concurrency;
        if counted && over || !self.guards.has(Guard::SeatsLast) {
            leave(state, number);
        }
        if !succeeded {
            state.left.failures -= 1;
        }
    }

    /// The holder is declared dead and its row swept. It goes on for a while, and does not know.
    pub fn lose_holder(&self, state: &mut State, number: usize) {
        let row = &mut state.rows[number];
        row.holder = None;
        row.state = RowState::Pending;
        if self.kind == Kind::Concurrency {
            leave(state, number);
        }
        state.left.losses -= 1;
    }

    pub fn cancel(state: &mut State, number: usize) {
        state.rows[number].state = RowState::Cancelled;
        state.rows[number].begun = false;
        state.left.cancels -= 1;
    }

    pub fn retry(state: &mut State, number: usize) {
        state.rows[number].state = RowState::Pending;
        state.left.retries -= 1;
    }

    /// Deletes the seat that was read, if what was read still holds.
    pub fn sweep(&self, state: &mut State) {
        let Some((seat, row)) = state.sweep.take() else { return };
        let over = state.rows[row].is_over() || !self.guards.has(Guard::SweepRepeatsOver);
        if state.seats[seat] == Some(row) && over {
            state.seats[seat] = None;
        }
    }
}

fn leave(state: &mut State, row: usize) {
    for seat in &mut state.seats {
        if *seat == Some(row) {
            *seat = None;
        }
    }
}
