//! Slots: executions that share a few seats. Claim and COMMIT are one step here, because the locks of the seats make them
//! one for everybody else.

mod properties;
mod state;
mod tests;
mod verbs;

use stateright::{Model, Property};

pub use state::{Left, State};

use super::guards::{Guard, Guards};
use state::{Row, RowState, Work};

/// How long a seat is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Until its execution is over.
    Overlap,
    /// Until its execution leaves Running.
    Concurrency,
}

/// The bounds of one search.
#[derive(Clone, Debug)]
pub struct Slots {
    pub guards: Guards,
    pub kind: Kind,
    pub seats: usize,
    pub rows: usize,
    pub nodes: usize,
    pub left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    ReadCandidate { node: usize, row: usize },
    Claim(usize),
    Finish { node: usize, succeeded: bool },
    LoseHolder(usize),
    Cancel(usize),
    Retry(usize),
    ReadSweep(usize),
    Sweep,
}

impl Slots {
    /// Two executions, one seat, two nodes.
    pub fn one_seat(kind: Kind) -> Self {
        let left = Left { failures: 1, losses: 1, cancels: 1, retries: 1 };
        Self { guards: Guards::all(), kind, seats: 1, rows: 2, nodes: 2, left }
    }

    pub fn without(mut self, guard: Guard) -> Self {
        self.guards = self.guards.without(guard);
        self
    }

    /// What a living system does by itself.
    fn steps(state: &State, actions: &mut Vec<Action>) {
        for (node, work) in state.nodes.iter().enumerate() {
            match work {
                Work::Nothing => {
                    let ready = (0..state.rows.len()).filter(|row| state.rows[*row].is_ready());
                    // What a slot blocks is left out of the query.
                    let seated = ready
                        .filter(|row| state.seats.iter().any(|seat| seat.is_none() || *seat == Some(*row)));
                    actions.extend(seated.map(|row| Action::ReadCandidate { node, row }));
                }
                Work::Candidate { .. } => actions.push(Action::Claim(node)),
                Work::Held { .. } => actions.push(Action::Finish { node, succeeded: true }),
            }
        }
        match state.sweep {
            Some(_) => actions.push(Action::Sweep),
            None => actions.extend((0..state.seats.len()).filter_map(|seat| {
                state.seats[seat].filter(|row| state.rows[*row].is_over())?;
                Some(Action::ReadSweep(seat))
            })),
        }
    }

    fn events(state: &State, actions: &mut Vec<Action>) {
        for (node, work) in state.nodes.iter().enumerate() {
            if state.left.failures > 0 && matches!(work, Work::Held { .. }) {
                actions.push(Action::Finish { node, succeeded: false });
            }
        }
        for (number, row) in state.rows.iter().enumerate() {
            if state.left.losses > 0 && row.state == RowState::Running {
                actions.push(Action::LoseHolder(number));
            }
            if state.left.cancels > 0 && row.is_ready() {
                actions.push(Action::Cancel(number));
            }
            if state.left.retries > 0 && row.state == RowState::Cancelled {
                actions.push(Action::Retry(number));
            }
        }
    }
}

impl Model for Slots {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = Row { state: RowState::Pending, attempt: 0, holder: None, begun: false };
        vec![State {
            rows: vec![row; self.rows],
            seats: vec![None; self.seats],
            nodes: vec![Work::Nothing; self.nodes],
            sweep: None,
            left: self.left,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        Self::steps(state, actions);
        Self::events(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::ReadCandidate { node, row } => {
                let attempt = state.rows[row].attempt;
                state.nodes[node] = Work::Candidate { row, attempt };
            }
            Action::Claim(node) => self.claim(&mut state, node),
            Action::Finish { node, succeeded } => self.finish(&mut state, node, succeeded),
            Action::LoseHolder(row) => self.lose_holder(&mut state, row),
            Action::Cancel(row) => Self::cancel(&mut state, row),
            Action::Retry(row) => Self::retry(&mut state, row),
            Action::ReadSweep(seat) => state.sweep = state.seats[seat].map(|row| (seat, row)),
            Action::Sweep => self.sweep(&mut state),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
