//! What a connection is busy with, and since when: one word of memory, so that whoever ends a connection and whoever
//! carries it on can never both have their way. A request that a handler has begun is never taken from it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::domain::word::words;

words! {
    /// What a connection is busy with.
    pub(super) enum Phase: "phase of a connection" {
        /// The head of a request is awaited: since the connection was accepted, or since its first byte.
        Head = "head",
        /// Nothing: between two requests.
        Idle = "idle",
        /// The handler waits for the rest of the body.
        Body = "body",
        /// The handler works.
        Working = "working",
        /// The reply is on its way.
        Reply = "reply",
        /// The other side does not take the reply.
        Stalled = "stalled",
        /// The last reply is sent; what the other side still sends is read, so that it reads the reply in peace.
        Closing = "closing",
        /// Ended from outside.
        Cut = "cut",
    }
}

/// The low bits of the word; the others are the milliseconds at which the phase began.
const PHASE_BITS: u32 = 3;

/// A phase and when it began: what was seen of a connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u64);

impl Seen {
    fn new(phase: Phase, since: u64) -> Self {
        Self((since << PHASE_BITS) | phase as u64)
    }

    pub(super) fn phase(self) -> Phase {
        let number = self.0 & ((1 << PHASE_BITS) - 1);
        usize::try_from(number).ok().and_then(|at| Phase::ALL.get(at).copied()).unwrap_or(Phase::Cut)
    }

    /// Milliseconds since the table was made.
    pub(super) fn since(self) -> u64 {
        self.0 >> PHASE_BITS
    }
}

/// The phase of one connection.
#[derive(Debug)]
pub(super) struct State {
    word: AtomicU64,
    /// When the table was made.
    epoch: Instant,
    /// The whole reply is handed over: the connection is idle once the socket has taken it.
    handed_over: AtomicBool,
    /// The other side has more of the request to send than was read.
    unread: AtomicBool,
}

impl State {
    /// A connection that was accepted just now.
    pub(super) fn new(epoch: Instant) -> Self {
        let state = Self {
            word: AtomicU64::new(0),
            epoch,
            handed_over: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        };
        state.word.store(Seen::new(Phase::Head, state.now()).0, Ordering::Release);
        state
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> PHASE_BITS)
    }

    pub(super) fn seen(&self) -> Seen {
        Seen(self.word.load(Ordering::Acquire))
    }

    /// Goes from one phase to another; false if it is in none of these.
    fn go(&self, from: &[Phase], to: Phase) -> bool {
        let mut seen = self.seen();
        while from.contains(&seen.phase()) {
            match self.replace(seen, Seen::new(to, self.now())) {
                Ok(()) => return true,
                Err(other) => seen = other,
            }
        }
        false
    }

    fn replace(&self, seen: Seen, new: Seen) -> Result<(), Seen> {
        let replaced = self.word.compare_exchange(seen.0, new.0, Ordering::AcqRel, Ordering::Acquire);
        replaced.map(drop).map_err(Seen)
    }

    /// Ends the connection, if it is still as it was seen.
    pub(super) fn cut(&self, seen: Seen) -> bool {
        seen.phase() != Phase::Cut && self.replace(seen, Seen::new(Phase::Cut, self.now())).is_ok()
    }

    /// Bytes were read.
    pub(super) fn heard(&self) {
        self.go(&[Phase::Idle], Phase::Head);
    }

    /// A head is complete. False: the connection was ended before, and nothing must be begun.
    pub(super) fn begin(&self, has_body: bool) -> bool {
        self.handed_over.store(false, Ordering::Release);
        self.unread.store(has_body, Ordering::Release);
        self.go(&[Phase::Head, Phase::Idle, Phase::Reply, Phase::Stalled], Phase::Working)
    }

    /// The handler waits for its body.
    pub(super) fn await_body(&self) {
        self.go(&[Phase::Working], Phase::Body);
    }

    /// A part of the body is there. False: the connection was ended, and the handler must not go on.
    pub(super) fn has_body(&self) -> bool {
        self.go(&[Phase::Body], Phase::Working) || self.seen().phase() == Phase::Working
    }

    /// The body was read to its end.
    pub(super) fn body_ended(&self) {
        self.unread.store(false, Ordering::Release);
    }

    /// Whether the other side has more of the request to send than was read.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// The handler has answered.
    pub(super) fn answered(&self) {
        self.go(&[Phase::Working, Phase::Body], Phase::Reply);
    }

    /// The last part of the reply is handed over.
    pub(super) fn handed_over(&self) {
        self.handed_over.store(true, Ordering::Release);
    }

    /// The socket takes nothing.
    pub(super) fn stalled(&self) {
        self.go(&[Phase::Reply], Phase::Stalled);
    }

    /// The socket took something.
    pub(super) fn flows(&self) {
        self.go(&[Phase::Stalled], Phase::Reply);
    }

    /// The socket has taken everything that it was given.
    pub(super) fn flushed(&self) {
        if self.handed_over.load(Ordering::Acquire) {
            self.go(&[Phase::Reply], Phase::Idle);
        }
    }

    /// The connection is being closed by this side. Whether the other side may still be sending a request.
    pub(super) fn closing(&self) -> bool {
        // A head that was refused counts as well: what follows it was not read.
        let unread = self.seen().phase() == Phase::Head || self.is_unread();
        self.go(&[Phase::Head, Phase::Idle, Phase::Reply, Phase::Stalled], Phase::Closing);
        unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(state: &State, phase: Phase) {
        assert_eq!(state.seen().phase(), phase);
    }

    #[test]
    fn a_request_goes_through_its_phases() {
        let state = State::new(Instant::now());
        is(&state, Phase::Head);
        assert!(state.begin(true));
        is(&state, Phase::Working);
        state.await_body();
        is(&state, Phase::Body);
        assert!(state.has_body());
        state.body_ended();
        state.answered();
        state.flushed();
        is(&state, Phase::Reply);
        state.stalled();
        is(&state, Phase::Stalled);
        state.flows();
        state.handed_over();
        state.flushed();
        is(&state, Phase::Idle);
        state.heard();
        is(&state, Phase::Head);
    }

    #[test]
    fn what_was_cut_stays_cut_and_begins_nothing() {
        let state = State::new(Instant::now());
        assert!(state.cut(state.seen()));
        assert!(!state.begin(false) && !state.has_body());
        state.heard();
        is(&state, Phase::Cut);
        assert!(!state.cut(state.seen()));
    }

    #[test]
    fn a_connection_that_has_gone_on_is_not_cut() {
        let state = State::new(Instant::now());
        let seen = state.seen();
        assert!(state.begin(false));
        assert!(!state.cut(seen));
        is(&state, Phase::Working);
    }

    #[test]
    fn only_what_was_not_read_is_read_at_the_end() {
        let state = State::new(Instant::now());
        assert!(state.closing(), "the head was refused");
        for (has_body, read, unread) in [(false, false, false), (true, true, false), (true, false, true)] {
            let state = State::new(Instant::now());
            state.begin(has_body);
            if read {
                state.body_ended();
            }
            state.answered();
            assert_eq!(state.closing(), unread, "{has_body} {read}");
            is(&state, Phase::Closing);
        }
    }
}
