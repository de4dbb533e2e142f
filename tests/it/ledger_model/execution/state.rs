//! Rows, sessions, the transactions that are open on the server, and what each process believes.

/// Time in the model; it decides what is due.
pub type Moment = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The database's clock.
    pub now: Moment,
    pub rows: Vec<Row>,
    pub sessions: Vec<Session>,
    /// Transactions that have done their statements and not ended. They hold the locks.
    pub open: Vec<Open>,
    pub nodes: Vec<Node>,
    pub left: Left,
    pub seen: Seen,
}

/// A row of `execution`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: RowState,
    pub attempt: u8,
    /// The session that runs it.
    pub holder: Option<usize>,
    pub run_at: Moment,
    pub failures: u8,
    pub losses: u8,
    pub cancel_requested: bool,
    /// Who ended it last, and which attempt. A claim overwrites this.
    pub ended: Option<(usize, u8)>,
    /// The row of each attempt, the first one first.
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    Pending,
    Running,
    Retrying,
    Completed,
    Failed,
    Cancelled,
    Lost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The session whose result became the state, where that is written here too.
    pub ended_by: Option<usize>,
    /// Results that became a late result.
    pub late: u8,
    /// Results that became a state; no engine counts them.
    pub results: u8,
}

/// A row of `node`. Its beat is not a number here: what counts is whether it changed since somebody read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    pub process: usize,
    pub dead: bool,
    pub declared_by: Option<usize>,
}

/// A transaction on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    pub node: usize,
    pub session: usize,
    pub verb: Verb,
    /// Whether its compare-and-set found the row as it must be.
    pub counted: bool,
    /// Whether it began with the beat, and so holds the row of its session.
    pub beat: bool,
    /// Nobody waits for its end any more.
    pub orphan: bool,
}

/// A verb of a worker. The attempt is the one that it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Claim { row: usize, attempt: u8 },
    Finish { row: usize, attempt: u8, end: End },
    Release { row: usize, attempt: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    Succeeded,
    Failed,
    Interrupted,
}

/// A process, with one worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub session: usize,
    pub alive: bool,
    /// It trusts that nobody declares its session dead.
    pub trust: bool,
    pub work: Work,
    pub call: Call,
    /// What it thinks of each session's beat.
    pub suspects: Vec<Suspicion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    Nothing,
    /// A row read as claimable, and its attempt then.
    Candidate {
        row: usize,
        attempt: u8,
    },
    Held {
        row: usize,
        attempt: u8,
        stage: Stage,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Claimed,
    /// A release was sent: from here on nothing starts.
    Releasing,
    Started,
    Ended(End),
}

/// What a process waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Nothing,
    Waiting {
        verb: Verb,
        /// The lease has not run out since it was sent.
        fresh: bool,
        /// What the server will answer, once it knows.
        answer: Option<Answer>,
        /// It was started before the answer.
        early: bool,
    },
    /// The reply was lost.
    Unknown(Verb),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Counted,
    NotCounted,
    RolledBack,
}

/// A lease has passed on the observer's clock without a change of the beat that it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    None,
    Silent,
    /// The beat has changed since, which the observer does not know.
    Outdated,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    pub crashes: u8,
    pub lost_replies: u8,
    pub aborts: u8,
    /// Leases that run out on a living node.
    pub expiries: u8,
    pub failures: u8,
    pub cancels: u8,
}

/// What the properties compare with. No engine has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is what one property asks for")]
pub struct Seen {
    /// How often each attempt of each row was started.
    pub starts: Vec<Vec<u8>>,
    pub started_uncommitted: bool,
    pub started_too_soon: bool,
    pub started_dead: bool,
    pub changed_by_dead: bool,
    pub changed_by_stranger: bool,
}

impl Verb {
    pub fn row(self) -> usize {
        match self {
            Self::Claim { row, .. } | Self::Finish { row, .. } | Self::Release { row, .. } => row,
        }
    }
}

impl Row {
    pub fn is_over(&self) -> bool {
        !matches!(self.state, RowState::Pending | RowState::Running | RowState::Retrying)
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.state, RowState::Pending | RowState::Retrying)
    }

    pub fn is_held(&self, session: usize, attempt: u8) -> bool {
        self.state == RowState::Running && self.holder == Some(session) && self.attempt == attempt
    }

    /// What is recorded of this attempt.
    pub fn recorded(&mut self, attempt: u8) -> Option<&mut Attempt> {
        usize::from(attempt).checked_sub(1).and_then(|index| self.attempts.get_mut(index))
    }
}

impl State {
    /// Whether an open transaction holds this row.
    pub fn row_locked(&self, row: usize) -> bool {
        self.open.iter().any(|open| open.counted && open.verb.row() == row)
    }

    /// Whether an open transaction holds the row of this session.
    pub fn session_locked(&self, session: usize) -> bool {
        self.open.iter().any(|open| open.beat && open.session == session)
    }

    pub fn is_dead(&self, session: usize) -> bool {
        self.sessions[session].dead
    }

    /// The session's beat has changed.
    pub fn beaten(&mut self, session: usize) {
        for node in &mut self.nodes {
            if node.suspects[session] == Suspicion::Silent {
                node.suspects[session] = Suspicion::Outdated;
            }
        }
    }
}
