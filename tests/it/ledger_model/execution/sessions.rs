//! Beats, trust, and what others make of a session that is silent.

use super::Execution;
use super::state::{Answer, Call, Node, Session, Stage, State, Suspicion, Verb, Work};
use super::worker::orphan;
use crate::ledger_model::guards::Guard;

impl Execution {
    /// Nothing waits for an answer, and the session is believed to be alive.
    pub fn may_act(state: &State, node: usize) -> bool {
        let node = &state.nodes[node];
        node.alive && !state.is_dead(node.session) && !matches!(node.call, Call::Waiting { .. })
    }

    /// The beat alone.
    pub fn beat(state: &mut State, node: usize) {
        state.nodes[node].trust = true;
        state.beaten(state.nodes[node].session);
    }

    /// The lease runs out on the node's own clock, which others wait for a little longer.
    pub fn expire(state: &mut State, number: usize) {
        let node = &mut state.nodes[number];
        node.trust = false;
        if let Call::Waiting { fresh, .. } = &mut node.call {
            *fresh = false;
        }
        state.left.expiries -= 1;
    }

    pub fn may_expire(state: &State, node: usize) -> bool {
        let node = &state.nodes[node];
        let waits = matches!(node.call, Call::Waiting { fresh: true, .. });
        node.alive && state.left.expiries > 0 && (node.trust || waits)
    }

    /// A lease passes on this node's clock without a change of that session's beat. Then it has passed for its holder,
    /// unless what it sent last was written since: of that this observer sees a new beat.
    pub fn may_suspect(state: &State, node: usize, session: usize) -> bool {
        let open = state.nodes[node].suspects[session] == Suspicion::None && !state.is_dead(session);
        let silent = |holder: &Node| {
            let written = matches!(
                holder.call,
                Call::Waiting { fresh: true, answer: Some(Answer::Counted | Answer::NotCounted), .. }
            );
            !holder.trust && !written
        };
        let mut holders = state.nodes.iter().filter(|holder| holder.alive && holder.session == session);
        session != state.nodes[node].session && open && holders.all(silent)
    }

    /// The declaration waits for the lock of the session's row.
    pub fn may_declare(state: &State, node: usize, session: usize) -> bool {
        let suspected = state.nodes[node].suspects[session] != Suspicion::None;
        suspected && !state.is_dead(session) && !state.session_locked(session)
    }

    /// A compare-and-set on the beat, in a transaction that begins with the observer's own.
    pub fn declare(&self, state: &mut State, node: usize, session: usize) {
        Self::beat(state, node);
        let suspicion = std::mem::replace(&mut state.nodes[node].suspects[session], Suspicion::None);
        if suspicion == Suspicion::Outdated && self.guards.has(Guard::DeclareByBeat) {
            return;
        }
        state.sessions[session].dead = true;
        state.sessions[session].declared_by = Some(state.nodes[node].session);
        for other in &mut state.nodes {
            other.suspects[session] = Suspicion::None;
        }
    }

    pub fn may_sweep(&self, state: &State, node: usize, row: usize) -> bool {
        let holder = state.rows[row].holder;
        let lost = holder.filter(|holder| state.is_dead(*holder)).is_some_and(|holder| {
            let mine = state.sessions[holder].declared_by == Some(state.nodes[node].session);
            mine || self.guards.has(Guard::SweepsAllDead)
        });
        lost && !state.row_locked(row)
    }

    /// A process begins a session: because its old one is over, or because it was started again. Under it, what old
    /// handlers end is late; what was only claimed is forgotten.
    pub fn new_session(state: &mut State, number: usize) {
        state.sessions.push(Session { process: number, dead: false, declared_by: None });
        let session = state.sessions.len() - 1;
        for node in &mut state.nodes {
            node.suspects.push(Suspicion::None);
        }
        let node = &mut state.nodes[number];
        node.session = session;
        node.alive = true;
        node.trust = true;
        if let Call::Unknown(Verb::Claim { .. } | Verb::Release { .. }) = node.call {
            node.call = Call::Nothing;
        }
        node.work = match node.work {
            Work::Held { stage: Stage::Started | Stage::Ended(_), .. } => node.work,
            _ => Work::Nothing,
        };
    }

    /// The process dies. What it has sent may still be done.
    pub fn crash(state: &mut State, number: usize) {
        let node = &mut state.nodes[number];
        node.alive = false;
        node.trust = false;
        node.work = Work::Nothing;
        node.call = Call::Nothing;
        for suspicion in &mut node.suspects {
            *suspicion = Suspicion::None;
        }
        state.left.crashes -= 1;
        orphan(state, number);
    }
}
