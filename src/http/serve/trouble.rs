//! What went wrong with connections since that was told last: one line for thousands of them.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines about the same.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Untold {
    gave_way: u64,
    refused: u64,
    by_system: u64,
    error: String,
    told: Option<Instant>,
}

/// What is not told yet.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Untold>);

impl Trouble {
    /// A connection was ended to make room for another one.
    pub(super) fn gave_way(&self) {
        self.with(|untold| untold.gave_way += 1);
    }

    /// There was no place, and none to be made.
    pub(super) fn refused(&self) {
        self.with(|untold| untold.refused += 1);
    }

    /// The system gave no connection.
    pub(super) fn refused_by_system(&self, error: &io::Error) {
        self.with(|untold| {
            untold.by_system += 1;
            untold.error = error.to_string();
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut Untold) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells of it, the first time at once, then now and again.
    pub(super) fn tell(&self, connections: usize) {
        let Some(Untold { gave_way, refused, by_system, error, .. }) = self.with(take) else { return };
        if gave_way + refused > 0 {
            tracing::warn!(
                connections,
                gave_way,
                refused,
                "the table of connections is full: those that waited gave way, and where none waited, new ones were refused"
            );
        }
        if by_system > 0 {
            tracing::error!(times = by_system, error, "connections cannot be accepted");
        }
    }
}

fn take(untold: &mut Untold) -> Option<Untold> {
    let nothing = untold.gave_way + untold.refused + untold.by_system == 0;
    if nothing || untold.told.is_some_and(|told| told.elapsed() < PAUSE) {
        return None;
    }
    Some(std::mem::replace(untold, Untold { told: Some(Instant::now()), ..Untold::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_at_once_and_then_not_for_a_while() {
        let trouble = Trouble::default();
        assert!(trouble.with(take).is_none());
        trouble.gave_way();
        trouble.refused();
        let told = trouble.with(take).unwrap();
        assert_eq!((told.gave_way, told.refused), (1, 1));
        trouble.refused_by_system(&io::Error::other("none left"));
        assert!(trouble.with(take).is_none(), "it was told a moment ago");
        trouble.with(|untold| untold.told = untold.told.map(|told| told.checked_sub(PAUSE).unwrap()));
        let told = trouble.with(take).unwrap();
        assert_eq!((told.by_system, told.error.as_str()), (1, "none left"));
    }
}
