//! What the planning verbs see: the planner row, the revisions, the rows and what is missed; and what only the properties
//! see.

/// Time in the model: small numbers, of which each is an instant at which a task can be due.
pub type Moment = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The database's clock.
    pub now: Moment,
    pub planner: Planner,
    pub tasks: Vec<Task>,
    /// What each node has read and not yet written.
    pub readings: Vec<Reading>,
    /// A row that a worker has read as claimable.
    pub candidate: Option<(usize, Moment)>,
    pub changes_left: u8,
    pub backfills_left: u8,
    /// Holders that may be lost.
    pub losses_left: u8,
    pub seen: Seen,
}

/// The row of `planner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planner {
    pub through: Moment,
    pub catalog: u8,
    pub gap_to: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub revisions: Vec<Revision>,
    /// The execution of each moment.
    pub rows: Vec<Option<Row>>,
    /// Why a moment has none.
    pub missed: Vec<Option<Reason>>,
}

/// Governs what lies after `valid_from` and not after `valid_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    pub valid_from: Moment,
    pub valid_to: Option<Moment>,
    /// A bit for each moment at which it is due.
    pub schedule: u16,
    pub paused: bool,
    /// When it was made; no engine compares this.
    pub made_at: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// By which revision it was planned.
    pub revision: usize,
    pub trigger: Trigger,
    pub state: RowState,
    /// It was claimed before, and its holder was lost.
    pub begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    Schedule,
    CatchUp,
    Backfill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    Pending,
    Started,
    Cancelled,
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nobody planned in time, and another occurrence stands for it.
    Down,
    /// The task catches nothing up.
    Policy,
    TooOld,
    Paused,
    Deleted,
}

/// How far a node is in planning. Nothing of it is kept anywhere else: who dies here has done nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    Nothing,
    /// The planner row, and the time at which it was read.
    Planner(Moment, Planner),
    /// In the wrong order: the revisions are read, the planner row is not.
    Revisions(Vec<Vec<Revision>>),
    Both(Moment, Planner, Vec<Vec<Revision>>),
}

/// What the properties compare with. No engine has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is what one property asks for")]
pub struct Seen {
    /// The downtime that was found last.
    pub gap: Option<Gap>,
    /// For each task, late scheduled work that was started before the plan found out.
    pub escaped: Vec<u8>,
    /// A moment was written as missed that had been written before.
    pub missed_twice: bool,
    /// Something late was planned as if it were on time.
    pub late_as_on_time: bool,
    /// Something was planned for a task that was paused or deleted at that time.
    pub planned_while_stopped: bool,
    /// Something of a paused task was started.
    pub started_paused: bool,
}

/// A downtime, as one plan in one piece would have seen it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gap {
    pub from: Moment,
    pub to: Moment,
    /// For each task, the moments that are to be caught up.
    pub chosen: Vec<u16>,
    /// For each task, the late moments of which nothing was started yet.
    pub late: Vec<u16>,
    /// For each task, how many of those were started since.
    pub started: Vec<u8>,
}

impl Revision {
    pub fn governs(self, at: Moment) -> bool {
        self.valid_from < at && self.valid_to.is_none_or(|to| at <= to)
    }

    pub fn due(self, at: Moment) -> bool {
        self.schedule & bit(at) != 0
    }
}

/// The revision that governs a moment, and its number.
pub fn governing(revisions: &[Revision], at: Moment) -> Option<(usize, &Revision)> {
    revisions.iter().enumerate().find(|(_, revision)| revision.governs(at))
}

/// The revision in force now; none when the task is deleted.
pub fn in_force(revisions: &[Revision]) -> Option<&Revision> {
    revisions.last().filter(|revision| revision.valid_to.is_none())
}

pub fn bit(at: Moment) -> u16 {
    1 << at
}

impl Task {
    pub fn row(&self, at: Moment) -> Option<&Row> {
        self.rows[usize::from(at)].as_ref()
    }

    pub fn is_pending_at_all(&self, at: Moment) -> bool {
        self.row(at).is_some_and(|row| row.state == RowState::Pending)
    }

    pub fn has_begun(&self, at: Moment) -> bool {
        self.row(at).is_some_and(|row| row.begun)
    }

    pub fn is_missed(&self, at: Moment) -> Option<Reason> {
        self.missed[usize::from(at)]
    }

    /// Whether a row is here that waits for its claim, for this reason.
    pub fn is_pending(&self, at: Moment, trigger: Trigger) -> bool {
        self.row(at).is_some_and(|row| row.state == RowState::Pending && row.trigger == trigger)
    }
}
