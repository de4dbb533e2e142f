//! The rules of the protocol that a model can do without, one at a time, to show what each of them is for.

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// A plan compares the watermark that it read.
    Watermark,
    /// A plan compares the version of the catalog that it read.
    Catalog,
    /// A planner reads its row before the revisions.
    PlannerBeforeRevisions,
    /// A revision begins after what is planned already.
    BeginsAfterPlanned,
    /// A revision begins after the database's now.
    BeginsAfterNow,
    /// Lateness and choice count from the moment at which a gap was found.
    GapTo,
    /// A slice of a gap ends where the gap ends.
    SliceEndsAtGap,
    /// A slice takes all occurrences of its last instant.
    WholeInstants,
    /// The claim itself refuses scheduled work while the watermark is behind.
    ClaimRefusesBehind,
    /// The claim itself leaves out what is paused.
    ClaimRefusesPaused,
    /// What was planned ahead of a gap is part of it.
    PendingJoinsGap,
    /// But not what had begun before its holder was lost.
    BegunStaysOut,
    /// What is written as missed leaves out what has a row.
    MissedSubtractsRows,

    /// A claim's transaction begins with the beat.
    BeatInClaim,
    /// A claim compares the attempt that it read.
    AttemptInClaim,
    /// A claim compares when the work is due.
    RunAtInClaim,
    /// A finish compares holder and attempt.
    FinishByHolder,
    /// Nothing is started before the claim's COMMIT was answered.
    StartAfterCommit,
    /// Nothing is started by a node that does not trust itself.
    StartWhileTrusted,
    /// Trust runs from before the acknowledged beat was sent.
    TrustFromSend,
    /// Who declares a session dead compares its beat.
    DeclareByBeat,
    /// A sweep takes the rows of all dead sessions, not of those that this node declared.
    SweepsAllDead,
    /// After a lost reply the rows are read before the verb is repeated.
    ReadBeforeRepeat,
    /// What a claim overwrites in the execution's row is kept as a row of that attempt, also after an interruption.
    EveryAttemptHasARow,
    /// That reading begins with the beat, so it waits for what is still under way.
    ReadBehindBeat,

    /// A finish deletes seats only after it counted.
    SeatsLast,
    /// A claim that does not count gives back its seat.
    SeatsGivenBack,
    /// The sweep repeats that the execution is over when it deletes its seat.
    SweepRepeatsOver,

    /// After a restore `attempt_base` rises.
    AttemptBase,
    /// It rises to something that is not kept in the database which was restored.
    BaseFromClock,
    /// After a restore, at-most-once work that may have run is Lost.
    LostAfterRestore,
}

/// The rules that are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    removed: u64,
}

impl Guards {
    /// The protocol as it stands.
    pub fn all() -> Self {
        Self { removed: 0 }
    }

    /// The same with a rule less.
    pub fn without(self, guard: Guard) -> Self {
        Self { removed: self.removed | 1 << guard as u64 }
    }

    /// Whether this rule is in force.
    pub fn has(self, guard: Guard) -> bool {
        self.removed & 1 << guard as u64 == 0
    }
}
