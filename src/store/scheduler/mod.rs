//! What the scheduler keeps: tasks and their revisions, the watermark, executions, and what was missed. The verbs are the
//! transitions of the ledger; each is done as a whole or not at all. One conformance suite (`tests/it/ledger`) goes
//! through every database.

pub mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::{Answer, StoreError};
use crate::domain::catch_up::Missed;
use crate::domain::execution::{Execution, ExecutionState, NotAllowed, SessionId};
use crate::domain::id::ExecutionId;
use crate::domain::task::{Definition, Revision, Source, Task};

/// Why a verb of a session did nothing.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The session was declared dead: nothing that it does counts any more. Not to be repeated.
    #[error("the session is over: another process has declared it dead")]
    SessionOver,
    /// A defect of this program: nothing was changed.
    #[error("a defect of this program: {0}")]
    NotAllowed(#[from] NotAllowed),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a verb of a session answers.
pub type Did<T> = Result<T, LedgerError>;

/// Who begins a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// A random number, never used before.
    pub id: SessionId,
    /// Name of the process's node.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it begins.
    pub started_at: Timestamp,
}

/// Another session, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Which.
    pub id: SessionId,
    /// Name of its node.
    pub name: String,
    /// How often it has given a sign of life.
    pub beat: i64,
    /// Whether it was declared dead.
    pub dead: bool,
}

/// The one row of the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planner {
    /// Through which instant every occurrence is planned.
    pub planned_through: Timestamp,
    /// Which catalog that was by.
    pub catalog: i64,
    /// Until the watermark has passed this, lateness and choice count from here.
    pub gap_to: Option<Timestamp>,
    /// No attempt up to this one is used any more.
    pub attempt_base: u32,
}

/// One move of the watermark, with all that it plans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanStep {
    /// Where the watermark was read.
    pub from: Timestamp,
    /// Where it goes.
    pub through: Timestamp,
    /// The catalog by which it was computed.
    pub catalog: i64,
    /// From where lateness counts, until the watermark has passed it.
    pub gap_to: Option<Timestamp>,
    /// The occurrences that run.
    pub insert: Vec<Execution>,
    /// Those that do not.
    pub missed: Vec<MissedRow>,
    /// Rows that were planned ahead before a time without a planner, and are too late now.
    pub skip: Vec<ExecutionId>,
}

/// Occurrences of a task that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedRow {
    /// Of which task.
    pub task_id: i64,
    /// By which revision they were occurrences.
    pub revision: i64,
    /// Which, and why.
    pub missed: Missed,
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// The watermark was moved, and everything is there.
    Moved,
    /// Somebody else had moved it, or changed a task: nothing was done.
    Overtaken,
}

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimOrder {
    /// Of which lane.
    pub queue: String,
    /// Most executions.
    pub most: usize,
    /// What is due.
    pub now: Timestamp,
    /// Tasks whose seat was not free a moment ago.
    pub blocked: Vec<i64>,
}

/// An execution that this session now holds. What cannot be had at the moment because of its task's overlap policy is
/// here too, unchanged, for the caller to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It may start.
    Mine(Execution),
    /// Another one of its task has the seat.
    Busy(Execution),
}

/// A change of an execution: as it was read, and as it shall be. It counts only if nobody else has changed it: state,
/// holder and attempt are still what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// As it was.
    pub from: Execution,
    /// As it shall be.
    pub to: Execution,
    /// The outcome and message of the attempt, where it gets a row of its own.
    pub attempt: Option<(String, String)>,
    /// Whether it is the result of an attempt: one that comes too late is kept beside what counts.
    pub is_result: bool,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is so now.
    Done,
    /// Somebody else had changed it before. A result is kept as a late one of its attempt.
    Late,
}

/// A task as a source wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name in the source.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub definition: Definition,
}

/// A task with the revisions that may still matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The task.
    pub task: Task,
    /// In the order of their numbers.
    pub revisions: Vec<Revision>,
}

/// Everything that the planner computes by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// Its number.
    pub number: i64,
    /// The tasks.
    pub tasks: Vec<Known>,
}

/// What an import of a source changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Tasks that are new, or have come back.
    pub added: usize,
    /// Tasks that say something else now.
    pub changed: usize,
    /// Tasks that are gone.
    pub removed: usize,
}

/// Which executions somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionFilter {
    /// Of the task of this name.
    pub task: Option<String>,
    /// That stand so.
    pub state: Option<ExecutionState>,
    /// At most so many; all when unset.
    pub limit: Option<u32>,
}

/// An execution with the name of its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// Name of the task.
    pub task: String,
    /// What it is of.
    pub row: T,
}

/// The verbs of sessions. Those that take one fail with [`LedgerError::SessionOver`] once it was declared dead.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Begins a session. `alone`: nobody else can have one, so all others are declared dead.
    async fn begin_session(&self, session: &NewSession, alone: bool) -> Answer<()>;

    /// Gives a sign of life.
    async fn beat(&self, session: SessionId) -> Did<()>;

    /// Ends a session in an orderly way. Nothing may run in it any more.
    async fn end_session(&self, session: SessionId) -> Did<()>;

    /// The sessions that are not over by themselves, dead ones included whose executions were not swept.
    async fn sessions(&self) -> Answer<Vec<SessionRow>>;

    /// Declares another session dead, unless it has given a sign of life since it was read. Whether it is dead now.
    async fn declare_dead(&self, session: SessionId, other: &SessionRow) -> Did<bool>;

    /// Executions that dead sessions hold, at most so many.
    async fn orphans(&self, most: usize) -> Answer<Vec<Execution>>;

    /// The planner's row; made, at `now`, where there is none.
    async fn planner(&self, now: Timestamp) -> Answer<Planner>;

    /// Moves the watermark and plans.
    async fn plan(&self, session: SessionId, step: PlanStep) -> Did<Planned>;

    /// Rows of the trigger Schedule that wait and are due up to this instant.
    async fn planned_ahead(&self, until: Timestamp) -> Answer<Vec<Execution>>;

    /// Claims what is due.
    async fn claim(&self, session: SessionId, order: ClaimOrder) -> Did<Vec<Claimed>>;

    /// Changes an execution.
    async fn change(&self, session: SessionId, change: Change) -> Did<Changed>;

    /// When the first one of a lane that waits is due, or the first one after this instant.
    async fn next_due(&self, queue: &str, after: Option<Timestamp>) -> Answer<Option<Timestamp>>;

    /// Adds an execution that somebody asks for. Whether it is new: there may be one with its key.
    async fn enqueue(&self, execution: Execution) -> Answer<bool>;

    /// The session's own executions: those that it claimed, also where the answer was lost.
    async fn held(&self, session: SessionId) -> Answer<Vec<Execution>>;

    /// Removes what was missed before this instant, and executions that were over before it, at most so many.
    async fn prune(&self, session: SessionId, before: Timestamp, most: u32) -> Did<u64>;
}

/// Tasks.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Everything that governs what comes after this instant, and what is in force now. A task that cannot be read is left
    /// out, and a warning tells of it.
    async fn catalog(&self, after: Timestamp) -> Answer<Catalog>;

    /// A task with one of its revisions.
    async fn revision(&self, task_id: i64, number: i64) -> Answer<Option<(Task, Revision)>>;

    /// Makes the tasks of a source be these and no others, in one transaction.
    async fn import(
        &self,
        source: Source,
        actor: &str,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Answer<Imported>;

    /// Pauses or resumes tasks by name. How many there were.
    async fn pause(&self, name: &str, paused: bool, actor: &str, now: Timestamp) -> Answer<usize>;
}

/// What people look at.
#[async_trait]
pub trait History: Send + Sync {
    /// Executions, the newest first.
    async fn executions(&self, filter: &ExecutionFilter) -> Answer<Vec<Listed<Execution>>>;

    /// What was missed, the newest first.
    async fn missed(&self) -> Answer<Vec<Listed<MissedRow>>>;
}
