//! Execution: processes with sessions, a worker each, and a server whose transactions end when they like. A frozen process
//! is one that takes no step; what it holds stays locked until its transaction ends.

mod apply;
mod properties;
mod server;
mod sessions;
mod state;
mod tests;
mod worker;

use stateright::{Model, Property};

pub use apply::Delivery;
pub use state::{End, Left, Moment, State};

use super::guards::{Guard, Guards};
use state::{Call, Node, Row, RowState, Seen, Session, Stage, Suspicion, Verb, Work};

/// The bounds of one search.
#[derive(Clone, Debug)]
pub struct Execution {
    pub guards: Guards,
    /// The last moment of the clock.
    pub last: Moment,
    /// For each execution, its delivery.
    pub deliveries: Vec<Delivery>,
    /// When each is due.
    pub run_at: Moment,
    pub nodes: usize,
    pub left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Tick,
    ReadCandidate {
        node: usize,
        row: usize,
    },
    /// The statements of a verb, without its COMMIT.
    Send {
        node: usize,
        verb: Verb,
    },
    /// The server ends an open transaction, by its place in the list of them.
    Commit(usize),
    RollBack(usize),
    /// The reply arrives.
    Learn(usize),
    /// It never will.
    LoseReply(usize),
    /// The node reads what became of the verb whose reply it lost.
    Resolve(usize),
    Start(usize),
    End {
        node: usize,
        end: End,
    },
    Beat(usize),
    Expire(usize),
    Suspect {
        node: usize,
        session: usize,
    },
    Declare {
        node: usize,
        session: usize,
    },
    Sweep {
        node: usize,
        row: usize,
    },
    /// A process whose session is over, or that was started again, begins another one.
    NewSession(usize),
    Crash(usize),
    Cancel(usize),
}

impl Execution {
    /// One execution that is due, two nodes, and nothing that goes wrong.
    pub fn quiet(delivery: Delivery) -> Self {
        Self {
            guards: Guards::all(),
            last: 0,
            deliveries: vec![delivery],
            run_at: 0,
            nodes: 2,
            left: Left { crashes: 0, lost_replies: 0, aborts: 0, expiries: 0, failures: 0, cancels: 0 },
        }
    }

    /// What may go wrong, each so many times.
    pub fn with(mut self, change: impl FnOnce(&mut Left)) -> Self {
        change(&mut self.left);
        self
    }

    /// The work is due at this moment, where the clock ends.
    pub fn due_at(self, run_at: Moment) -> Self {
        Self { run_at, last: run_at, ..self }
    }

    pub fn without(mut self, guard: Guard) -> Self {
        self.guards = self.guards.without(guard);
        self
    }

    /// What a living system does by itself. When nothing of this is left, it is at rest.
    fn steps(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.last {
            actions.push(Action::Tick);
        }
        actions.extend((0..state.open.len()).map(Action::Commit));
        for node in 0..state.nodes.len() {
            self.call_steps(state, node, actions);
            self.work_steps(state, node, actions);
            Self::session_steps(state, node, actions);
            self.rescue_steps(state, node, actions);
        }
    }

    fn call_steps(&self, state: &State, node: usize, actions: &mut Vec<Action>) {
        match state.nodes[node].call {
            Call::Waiting { answer: Some(_), .. } => actions.push(Action::Learn(node)),
            Call::Unknown(_) if self.may_resolve(state, node) => actions.push(Action::Resolve(node)),
            Call::Nothing => {
                let verb = Self::next_verb(state, node);
                let send = verb.filter(|verb| self.may_open(state, node, *verb));
                actions.extend(send.map(|verb| Action::Send { node, verb }));
            }
            _ => {}
        }
    }

    fn work_steps(&self, state: &State, number: usize, actions: &mut Vec<Action>) {
        let node = &state.nodes[number];
        if self.may_start(state, number) {
            actions.push(Action::Start(number));
        }
        match node.work {
            Work::Nothing if node.trust && node.call == Call::Nothing => {
                let ready = (0..state.rows.len()).filter(|row| state.rows[*row].is_ready());
                actions.extend(ready.map(|row| Action::ReadCandidate { node: number, row }));
            }
            Work::Held { stage: Stage::Started, .. } => {
                let end = if node.trust { End::Succeeded } else { End::Interrupted };
                actions.push(Action::End { node: number, end });
            }
            _ => {}
        }
    }

    fn session_steps(state: &State, number: usize, actions: &mut Vec<Action>) {
        let node = &state.nodes[number];
        let waits = matches!(node.call, Call::Waiting { .. });
        if !node.alive || state.is_dead(node.session) && !waits {
            actions.push(Action::NewSession(number));
        } else if Self::may_act(state, number) && !node.trust && !state.session_locked(node.session) {
            actions.push(Action::Beat(number));
        }
    }

    fn rescue_steps(&self, state: &State, node: usize, actions: &mut Vec<Action>) {
        if !Self::may_act(state, node) || state.session_locked(state.nodes[node].session) {
            return;
        }
        for session in 0..state.sessions.len() {
            if Self::may_suspect(state, node, session) {
                actions.push(Action::Suspect { node, session });
            }
            if Self::may_declare(state, node, session) {
                actions.push(Action::Declare { node, session });
            }
        }
        let lost = (0..state.rows.len()).filter(|row| self.may_sweep(state, node, *row));
        actions.extend(lost.map(|row| Action::Sweep { node, row }));
    }

    /// What goes wrong, and what people do.
    fn faults(state: &State, actions: &mut Vec<Action>) {
        for (index, open) in state.open.iter().enumerate() {
            if open.orphan || state.left.aborts > 0 {
                actions.push(Action::RollBack(index));
            }
        }
        for (number, node) in state.nodes.iter().enumerate() {
            if state.left.lost_replies > 0 && matches!(node.call, Call::Waiting { .. }) {
                actions.push(Action::LoseReply(number));
            }
            if Self::may_expire(state, number) {
                actions.push(Action::Expire(number));
            }
            if state.left.crashes > 0 && node.alive {
                actions.push(Action::Crash(number));
            }
            if let Work::Held { stage: Stage::Started, .. } = node.work {
                // A handler may go on for a moment after trust ended.
                if !node.trust {
                    actions.push(Action::End { node: number, end: End::Succeeded });
                }
                if state.left.failures > 0 {
                    actions.push(Action::End { node: number, end: End::Failed });
                }
            }
        }
        for (number, row) in state.rows.iter().enumerate() {
            if state.left.cancels > 0 && !row.is_over() && !state.row_locked(number) {
                actions.push(Action::Cancel(number));
            }
        }
    }
}

impl Model for Execution {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = Row {
            state: RowState::Pending,
            attempt: 0,
            holder: None,
            run_at: self.run_at,
            failures: 0,
            losses: 0,
            cancel_requested: false,
            ended: None,
            attempts: vec![],
        };
        let node = |session| Node {
            session,
            alive: true,
            trust: true,
            work: Work::Nothing,
            call: Call::Nothing,
            suspects: vec![Suspicion::None; self.nodes],
        };
        vec![State {
            now: 0,
            rows: vec![row; self.deliveries.len()],
            sessions: (0..self.nodes)
                .map(|process| Session { process, dead: false, declared_by: None })
                .collect(),
            open: vec![],
            nodes: (0..self.nodes).map(node).collect(),
            left: self.left,
            seen: Seen {
                starts: vec![vec![]; self.deliveries.len()],
                started_uncommitted: false,
                started_too_soon: false,
                started_dead: false,
                changed_by_dead: false,
                changed_by_stranger: false,
            },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
        Self::faults(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::ReadCandidate { node, row } => {
                let attempt = state.rows[row].attempt;
                state.nodes[node].work = Work::Candidate { row, attempt };
            }
            Action::Send { node, verb } => self.send(&mut state, node, verb),
            Action::Commit(index) => self.commit(&mut state, index),
            Action::RollBack(index) => Self::roll_back(&mut state, index),
            Action::Learn(node) => self.learn(&mut state, node),
            Action::LoseReply(node) => Self::lose_reply(&mut state, node),
            Action::Resolve(node) => self.resolve(&mut state, node),
            Action::Start(node) => Self::start(&mut state, node),
            Action::End { node, end } => Self::end(&mut state, node, end),
            Action::Beat(node) => Self::beat(&mut state, node),
            Action::Expire(node) => Self::expire(&mut state, node),
            Action::Suspect { node, session } => {
                state.nodes[node].suspects[session] = Suspicion::Silent;
            }
            Action::Declare { node, session } => self.declare(&mut state, node, session),
            Action::Sweep { node, row } => self.sweep(&mut state, node, row),
            Action::NewSession(node) => Self::new_session(&mut state, node),
            Action::Crash(node) => Self::crash(&mut state, node),
            Action::Cancel(row) => Self::cancel(&mut state, row),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::always();
        properties.extend(properties::sometimes(self));
        properties
    }
}
