//! Whether a byte of a request has left, and the bar that keeps it here when the call is stopped before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a byte of a request may have left. A clone is the same one: every attempt of a call shares it.
#[derive(Clone, Debug, Default)]
pub struct Departure {
    left: Arc<AtomicBool>,
    barred: Arc<AtomicBool>,
}

impl Departure {
    /// One that is told by `left`, which becomes true as soon as a byte may have left.
    pub fn told_by(left: Arc<AtomicBool>) -> Self {
        Self { left, barred: Arc::default() }
    }

    /// A byte is about to leave. False when it must not: the call was stopped, and has said that nothing was sent.
    pub(super) fn leave(&self) -> bool {
        if self.barred.load(Ordering::SeqCst) {
            return false;
        }
        self.left.store(true, Ordering::SeqCst);
        // Whoever bars between the two lines either sees that it left, or is seen here.
        !self.barred.load(Ordering::SeqCst)
    }

    /// Lets nothing leave from now on. Returns whether anything may have left before.
    pub fn bar(&self) -> bool {
        self.barred.store(true, Ordering::SeqCst);
        self.left.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_barred_does_not_leave_and_what_has_left_is_told() {
        let flag = Arc::new(AtomicBool::new(false));
        let departure = Departure::told_by(Arc::clone(&flag));
        assert!(departure.leave());
        assert!(flag.load(Ordering::SeqCst));
        assert!(departure.clone().bar());
        assert!(!departure.leave(), "a second attempt stays here too");

        let departure = Departure::default();
        assert!(!departure.bar());
        assert!(!departure.leave());
        assert!(!departure.bar(), "what was refused has not left");
    }
}
