//! Planning: several planners, changes of tasks, downtimes. A crash is a planner that never writes: what it read is kept
//! nowhere, and its next life is the other planner's.

mod change;
mod fate;
mod plan;
mod properties;
mod state;
mod tests;

use stateright::{Model, Property};

pub use change::Change;
pub use state::{Moment, State};

use super::guards::{Guard, Guards};
use state::{Planner, Reading, Revision, RowState, Seen, Task, Trigger};

/// What a task catches up after a downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    Skip,
    Once,
    All { latest: usize, age: Moment },
}

/// The bounds of one search.
#[derive(Clone, Debug)]
pub struct Planning {
    pub guards: Guards,
    /// The last moment of the clock.
    pub last: Moment,
    /// How far beyond the clock is planned.
    pub ahead: Moment,
    pub grace: Moment,
    pub catch_up: CatchUp,
    /// For each task, the moments at which it is due, and those of its other schedule.
    pub schedules: Vec<[u16; 2]>,
    pub planners: usize,
    pub changes: u8,
    pub backfills: u8,
    pub losses: u8,
    /// Whether there is a worker that claims.
    pub claims: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Tick,
    /// A node reads the planner row.
    ReadPlanner(usize),
    /// It reads the revisions.
    ReadRevisions(usize),
    /// It plans through this moment, from what it has read.
    Plan {
        node: usize,
        through: Moment,
    },
    /// The same, and of the last instant only the first task.
    PlanHalf {
        node: usize,
        through: Moment,
    },
    Change {
        task: usize,
        change: Change,
    },
    /// A worker reads a row as claimable.
    ReadCandidate {
        task: usize,
        at: Moment,
    },
    /// It claims and starts what it has read.
    Claim,
    /// The holder of a started row is declared dead and swept.
    LoseHolder {
        task: usize,
        at: Moment,
    },
    Backfill {
        task: usize,
        at: Moment,
    },
}

impl Planning {
    /// Changes of one task beside two planners.
    pub fn changes() -> Self {
        Self {
            guards: Guards::all(),
            last: 3,
            ahead: 1,
            grace: 1,
            catch_up: CatchUp::Once,
            schedules: vec![[0b0001_1110, 0b0001_0100]],
            planners: 2,
            changes: 2,
            backfills: 0,
            losses: 0,
            claims: false,
        }
    }

    /// A downtime, a worker, and one planner after another.
    pub fn downtime(catch_up: CatchUp) -> Self {
        Self {
            last: 5,
            catch_up,
            schedules: vec![[0b0111_1110, 0b0101_0100]],
            planners: 1,
            changes: 0,
            claims: true,
            ..Self::changes()
        }
    }

    pub fn without(mut self, guard: Guard) -> Self {
        self.guards = self.guards.without(guard);
        self
    }

    fn moments(&self) -> std::ops::RangeInclusive<Moment> {
        1..=self.last + self.ahead
    }

    fn planning_actions(&self, state: &State, node: usize, actions: &mut Vec<Action>) {
        let in_order = self.guards.has(Guard::PlannerBeforeRevisions);
        match &state.readings[node] {
            Reading::Nothing if in_order => actions.push(Action::ReadPlanner(node)),
            Reading::Nothing | Reading::Planner(..) => actions.push(Action::ReadRevisions(node)),
            Reading::Revisions(_) => actions.push(Action::ReadPlanner(node)),
            Reading::Both(now, planner, _) => {
                for through in planner.through + 1..=self.furthest(*now, *planner) {
                    actions.push(Action::Plan { node, through });
                    if state.tasks.len() > 1 && !self.guards.has(Guard::WholeInstants) {
                        actions.push(Action::PlanHalf { node, through });
                    }
                }
            }
        }
    }

    fn task_actions(&self, state: &State, task: usize, actions: &mut Vec<Action>) {
        if state.changes_left > 0 {
            let applying = Change::EVERY.into_iter().filter(|change| change.applies(&state.tasks[task]));
            actions.extend(applying.map(|change| Action::Change { task, change }));
        }
        for at in self.moments() {
            if self.claims && state.candidate.is_none() && self.claimable(state, task, at) {
                actions.push(Action::ReadCandidate { task, at });
            }
            let started = state.tasks[task].row(at).is_some_and(|row| row.state == RowState::Started);
            if state.losses_left > 0 && started {
                actions.push(Action::LoseHolder { task, at });
            }
            if state.backfills_left > 0 && Self::fillable(state, task, at) {
                actions.push(Action::Backfill { task, at });
            }
        }
    }

    /// A planner reads in two steps. When nothing is left to plan it reads again.
    fn read(&self, state: &mut State, node: usize, planner_row: bool) {
        let revisions = || state.tasks.iter().map(|task| task.revisions.clone()).collect();
        let reading = match (&state.readings[node], planner_row) {
            (Reading::Revisions(revisions), true) => {
                Reading::Both(state.now, state.planner, revisions.clone())
            }
            (Reading::Planner(now, planner), false) => Reading::Both(*now, *planner, revisions()),
            (_, true) => Reading::Planner(state.now, state.planner),
            (_, false) => Reading::Revisions(revisions()),
        };
        let planned = matches!(&reading, Reading::Both(now, planner, _)
            if planner.through >= self.furthest(*now, *planner));
        state.readings[node] = if planned { Reading::Nothing } else { reading };
    }
}

impl Model for Planning {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let size = usize::from(self.last + self.ahead) + 1;
        let task = |[schedule, _]: &[u16; 2]| Task {
            revisions: vec![Revision {
                valid_from: 0,
                valid_to: None,
                schedule: *schedule,
                paused: false,
                made_at: 0,
            }],
            rows: vec![None; size],
            missed: vec![None; size],
        };
        vec![State {
            now: 0,
            planner: Planner { through: 0, catalog: 0, gap_to: None },
            tasks: self.schedules.iter().map(task).collect(),
            readings: vec![Reading::Nothing; self.planners],
            candidate: None,
            changes_left: self.changes,
            backfills_left: self.backfills,
            losses_left: self.losses,
            seen: Seen {
                gap: None,
                escaped: vec![0; self.schedules.len()],
                missed_twice: false,
                late_as_on_time: false,
                planned_while_stopped: false,
                started_paused: false,
            },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.last {
            actions.push(Action::Tick);
        }
        for node in 0..self.planners {
            self.planning_actions(state, node, actions);
        }
        for task in 0..state.tasks.len() {
            self.task_actions(state, task, actions);
        }
        if state.candidate.is_some() {
            actions.push(Action::Claim);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::ReadPlanner(node) => self.read(&mut state, node, true),
            Action::ReadRevisions(node) => self.read(&mut state, node, false),
            Action::Plan { node, through } => self.plan(&mut state, node, through, false),
            Action::PlanHalf { node, through } => self.plan(&mut state, node, through, true),
            Action::Change { task, change } => self.change(&mut state, task, change),
            Action::ReadCandidate { task, at } => state.candidate = Some((task, at)),
            Action::Claim => self.claim(&mut state),
            Action::LoseHolder { task, at } => Self::lose_holder(&mut state, task, at),
            Action::Backfill { task, at } => Self::backfill(&mut state, task, at),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::always();
        properties.extend(properties::sometimes(self));
        properties
    }
}

/// Whether a row of the schedule, or one that catches up, is there.
fn planned(trigger: Trigger) -> bool {
    trigger != Trigger::Backfill
}
