//! Restore: a database is put back to a backup while all nodes are stopped, once or more often. Verbs are whole
//! transactions here: how they run beside each other is the subject of the other models.

mod properties;
mod state;
mod tests;
mod verbs;

use stateright::{Model, Property};

pub use state::{Moment, State};

use super::guards::{Guard, Guards};
use state::{Database, Seen, Start};

/// The bounds of one search.
#[derive(Clone, Debug)]
pub struct Restore {
    pub guards: Guards,
    /// The last moment of the clock.
    pub last: Moment,
    /// How far beyond the clock is planned.
    pub ahead: Moment,
    pub at_most_once: bool,
    pub restores: u8,
    pub failures: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Tick,
    Plan,
    /// Claims and starts the execution of this moment.
    Claim(Moment),
    /// A result arrives: by the handler, or by a callback that compares the attempt alone.
    Answer {
        start: Start,
        succeeded: bool,
    },
    Backup,
    /// All nodes are stopped and the backup is put back.
    PutBack,
    /// `planner restored`, and the nodes start.
    Restored,
}

impl Restore {
    pub fn once(at_most_once: bool) -> Self {
        Self { guards: Guards::all(), last: 2, ahead: 1, at_most_once, restores: 1, failures: 1 }
    }

    pub fn without(mut self, guard: Guard) -> Self {
        self.guards = self.guards.without(guard);
        self
    }
}

impl Model for Restore {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let rows = vec![None; usize::from(self.last + self.ahead) + 1];
        vec![State {
            now: 0,
            database: Database { through: 0, attempt_base: 0, rows },
            backup: None,
            stopped: false,
            restored_at: None,
            restores: 0,
            restores_left: self.restores,
            failures_left: self.failures,
            under_way: vec![],
            seen: Seen { starts: vec![], stranger: false },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.last {
            actions.push(Action::Tick);
        }
        for start in &state.under_way {
            if !state.stopped {
                actions.push(Action::Answer { start: *start, succeeded: true });
            }
            if !state.stopped && state.failures_left > 0 {
                actions.push(Action::Answer { start: *start, succeeded: false });
            }
        }
        if state.stopped {
            actions.push(Action::Restored);
            return;
        }
        if state.database.through < state.now + self.ahead {
            actions.push(Action::Plan);
        }
        actions.extend((1..=state.now).filter(|at| Self::claimable(state, *at)).map(Action::Claim));
        if state.backup.is_none() {
            actions.push(Action::Backup);
        }
        // The clock goes on between two restores, by more than the claims of an execution.
        let later = state.restored_at.is_none_or(|at| at < state.now);
        if state.backup.is_some() && state.restores_left > 0 && later {
            actions.push(Action::PutBack);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::Plan => self.plan(&mut state),
            Action::Claim(at) => Self::claim(&mut state, at),
            Action::Answer { start, succeeded } => self.answer(&mut state, start, succeeded),
            Action::Backup => state.backup = Some(state.database.clone()),
            Action::PutBack => Self::put_back(&mut state),
            Action::Restored => self.restored(&mut state),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}
