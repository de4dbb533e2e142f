//! A database that can be put back, and a world that cannot.

/// Time in the model; each is an instant at which the task is due.
pub type Moment = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The clock, which no restore puts back.
    pub now: Moment,
    pub database: Database,
    pub backup: Option<Database>,
    /// The database was put back, and no node may start yet.
    pub stopped: bool,
    /// When the nodes were allowed to start again, the last time.
    pub restored_at: Option<Moment>,
    pub restores: u8,
    pub restores_left: u8,
    pub failures_left: u8,
    /// What was started outside, and has not answered.
    pub under_way: Vec<Start>,
    pub seen: Seen,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    pub through: Moment,
    pub attempt_base: u8,
    /// The execution of each moment.
    pub rows: Vec<Option<Row>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: RowState,
    pub attempt: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    Pending,
    Running,
    Retrying,
    Completed,
    Lost,
}

/// A request that somebody out there has seen, under the key of its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Start {
    pub at: Moment,
    pub attempt: u8,
    /// After how many restores.
    pub age: u8,
}

/// What the properties compare with. No engine has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Each start since the beginning of the world, sorted.
    pub starts: Vec<(Moment, u8)>,
    /// A result was taken for that of a later start.
    pub stranger: bool,
}
