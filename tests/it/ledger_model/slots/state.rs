//! Seats, and the executions that need one.

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub rows: Vec<Row>,
    /// The rows of `slot` of one name: who sits on each seat.
    pub seats: Vec<Option<usize>>,
    pub nodes: Vec<Work>,
    /// A seat that a sweep has read as held by an execution that is over.
    pub sweep: Option<(usize, usize)>,
    pub left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: RowState,
    pub attempt: u8,
    pub holder: Option<usize>,
    /// It was claimed and is not over since: what the properties count.
    pub begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    Pending,
    Running,
    Retrying,
    Completed,
    Cancelled,
}

/// The one worker of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    Nothing,
    Candidate { row: usize, attempt: u8 },
    Held { row: usize, attempt: u8 },
}

/// What may still happen to the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    pub failures: u8,
    /// Holders that are declared dead and swept, and then come with a late result.
    pub losses: u8,
    /// Rows cancelled in bulk, which leaves their seats to the sweep.
    pub cancels: u8,
    pub retries: u8,
}

impl Row {
    pub fn is_over(&self) -> bool {
        matches!(self.state, RowState::Completed | RowState::Cancelled)
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.state, RowState::Pending | RowState::Retrying)
    }
}
