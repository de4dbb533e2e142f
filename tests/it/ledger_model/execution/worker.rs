//! What a process does with its one worker: claim, start, finish, release, and find out what a lost reply said.

use super::Execution;
use super::state::{Answer, Call, End, Stage, State, Verb, Work};
use crate::ledger_model::guards::Guard;

impl Execution {
    /// The verb that the worker sends next, if there is one.
    pub fn next_verb(state: &State, node: usize) -> Option<Verb> {
        let node = &state.nodes[node];
        match node.work {
            Work::Candidate { row, attempt } => Some(Verb::Claim { row, attempt: attempt + 1 }),
            Work::Held { row, attempt, stage: Stage::Ended(end) } => Some(Verb::Finish { row, attempt, end }),
            Work::Held { row, attempt, stage: Stage::Releasing } => Some(Verb::Release { row, attempt }),
            Work::Held { row, attempt, stage: Stage::Claimed } if !node.trust => {
                Some(Verb::Release { row, attempt })
            }
            Work::Nothing | Work::Held { .. } => None,
        }
    }

    pub fn send(&self, state: &mut State, node: usize, verb: Verb) {
        if let Verb::Release { row, attempt } = verb {
            state.nodes[node].work = Work::Held { row, attempt, stage: Stage::Releasing };
        }
        self.open(state, node, verb);
    }

    /// The reply arrives.
    pub fn learn(&self, state: &mut State, number: usize) {
        let node = &mut state.nodes[number];
        let Call::Waiting { verb, fresh, answer: Some(answer), early } = node.call else { return };
        node.call = Call::Nothing;
        let acknowledged = answer != Answer::RolledBack;
        node.trust |= acknowledged && (fresh || !self.guards.has(Guard::TrustFromSend));
        node.work = match (verb, answer) {
            (Verb::Claim { row, attempt }, Answer::Counted) => {
                let reached = if early { Stage::Started } else { Stage::Claimed };
                Work::Held { row, attempt, stage: reached }
            }
            (Verb::Finish { .. } | Verb::Release { .. }, Answer::RolledBack) => node.work,
            _ => Work::Nothing,
        };
    }

    /// The connection breaks: whether there was a COMMIT is not known, and it may still come.
    pub fn lose_reply(state: &mut State, number: usize) {
        let node = &mut state.nodes[number];
        let Call::Waiting { verb, .. } = node.call else { return };
        node.call = Call::Unknown(verb);
        state.left.lost_replies -= 1;
        orphan(state, number);
    }

    /// Whether the worker may read now what became of a verb.
    pub fn may_resolve(&self, state: &State, node: usize) -> bool {
        let session = state.nodes[node].session;
        let behind_beat = self.guards.has(Guard::ReadBehindBeat);
        !(state.is_dead(session) || behind_beat && state.session_locked(session))
    }

    /// One transaction that begins with the beat, reads, and is acted on after its COMMIT.
    pub fn resolve(&self, state: &mut State, number: usize) {
        let Call::Unknown(verb) = state.nodes[number].call else { return };
        let work = if self.guards.has(Guard::ReadBeforeRepeat) {
            Self::found(state, number, verb)
        } else {
            state.nodes[number].work
        };
        let node = &mut state.nodes[number];
        node.work = work;
        node.call = Call::Nothing;
        if self.guards.has(Guard::ReadBehindBeat) {
            node.trust = true;
            let session = node.session;
            state.beaten(session);
        }
    }

    /// What the worker has, by what stands in the rows.
    fn found(state: &State, number: usize, verb: Verb) -> Work {
        let session = state.nodes[number].session;
        let mine = |attempt| state.rows[verb.row()].is_held(session, attempt);
        match verb {
            Verb::Claim { row, attempt } if mine(attempt) => {
                Work::Held { row, attempt, stage: Stage::Claimed }
            }
            Verb::Release { row, attempt } if mine(attempt) => {
                Work::Held { row, attempt, stage: Stage::Releasing }
            }
            Verb::Finish { row, attempt, end } if !Self::is_recorded(state, number, row, attempt) => {
                Work::Held { row, attempt, stage: Stage::Ended(end) }
            }
            _ => Work::Nothing,
        }
    }

    /// The row, or that attempt's own, shows a result of a session of this process.
    fn is_recorded(state: &State, process: usize, row: usize, attempt: u8) -> bool {
        let row = &state.rows[row];
        let is_mine = |session: usize| state.sessions[session].process == process;
        let in_row = row.ended.is_some_and(|(by, ended)| ended == attempt && is_mine(by));
        let recorded = row.attempts.get(usize::from(attempt) - 1);
        in_row || recorded.is_some_and(|recorded| recorded.late > 0 || recorded.ended_by.is_some_and(is_mine))
    }

    /// Whether the worker would start what it has claimed.
    pub fn may_start(&self, state: &State, number: usize) -> bool {
        let node = &state.nodes[number];
        let trusts = node.trust || !self.guards.has(Guard::StartWhileTrusted);
        match (node.work, node.call) {
            (Work::Held { stage: Stage::Claimed, .. }, Call::Nothing) => trusts,
            (_, Call::Waiting { verb: Verb::Claim { .. }, answer: None, early: false, .. }) => {
                trusts && !self.guards.has(Guard::StartAfterCommit)
            }
            _ => false,
        }
    }

    pub fn start(state: &mut State, number: usize) {
        let node = &mut state.nodes[number];
        let started = match (&mut node.work, &mut node.call) {
            (_, Call::Waiting { verb: Verb::Claim { row, attempt }, early, .. }) => {
                *early = true;
                (*row, *attempt)
            }
            (Work::Held { row, attempt, stage }, _) => {
                *stage = Stage::Started;
                (*row, *attempt)
            }
            _ => return,
        };
        see_start(state, number, started);
    }

    /// The handler ends. One that was dropped because trust ended is interrupted.
    pub fn end(state: &mut State, number: usize, end: End) {
        if end == End::Failed {
            state.left.failures -= 1;
        }
        if let Work::Held { stage, .. } = &mut state.nodes[number].work {
            *stage = Stage::Ended(end);
        }
    }
}

fn see_start(state: &mut State, node: usize, (row, attempt): (usize, u8)) {
    let dead = state.is_dead(state.nodes[node].session);
    let seen = &mut state.seen;
    let starts = &mut seen.starts[row];
    if starts.len() < usize::from(attempt) {
        starts.resize(usize::from(attempt), 0);
    }
    starts[usize::from(attempt) - 1] += 1;
    seen.started_dead |= dead;
    seen.started_uncommitted |= state.rows[row].attempt < attempt;
    seen.started_too_soon |= state.rows[row].run_at > state.now;
}

/// Nobody waits any more for what this node has sent.
pub fn orphan(state: &mut State, node: usize) {
    for open in &mut state.open {
        open.orphan |= open.node == node;
    }
}
