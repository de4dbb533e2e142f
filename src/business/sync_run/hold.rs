//! The exclusive right of a running sync, as the sync sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::sync_run::SyncProgress;

/// Says whether the sync may go on, and takes note of how far it is: what was done before a crash is then known.
#[derive(Clone, Debug, Default)]
pub struct Hold {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    lost: bool,
    progress: SyncProgress,
}

impl Hold {
    /// Notes how far the sync is, and goes on if the right is still held.
    ///
    /// # Errors
    /// When another process may have taken the right: what this one would write could be out of date.
    pub fn check(&self, progress: &SyncProgress) -> Result<(), String> {
        let mut state = self.state();
        state.progress.clone_from(progress);
        if state.lost {
            return Err("the lease was lost: the store did not take a sign of life in time".to_owned());
        }
        Ok(())
    }

    /// How far the sync was when it was last heard of.
    pub(super) fn progress(&self) -> SyncProgress {
        self.state().progress.clone()
    }

    pub(super) fn lose(&self) {
        self.state().lost = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
