//! How far a running sync is.

use std::ops::{Deref, DerefMut};

use tokio::sync::watch;

use crate::domain::sync_run::SyncProgress;

/// What a sync has done, as the sync itself counts it. What it notes is known after a crash.
#[derive(Debug)]
pub struct Progress {
    counts: SyncProgress,
    noted: watch::Sender<SyncProgress>,
}

impl Progress {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { counts: SyncProgress::default(), noted: watch::Sender::default() }
    }

    /// What was noted last.
    pub(super) fn noted(&self) -> watch::Receiver<SyncProgress> {
        self.noted.subscribe()
    }

    /// Notes how far the sync is: to be called before each batch.
    pub fn note(&self) {
        self.noted.send_replace(self.counts.clone());
    }

    /// What was done until the sync ended.
    pub(super) fn into_counts(self) -> SyncProgress {
        self.counts
    }
}

impl Deref for Progress {
    type Target = SyncProgress;

    fn deref(&self) -> &SyncProgress {
        &self.counts
    }
}

impl DerefMut for Progress {
    fn deref_mut(&mut self) -> &mut SyncProgress {
        &mut self.counts
    }
}
