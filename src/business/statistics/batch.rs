//! What becomes of a batch: counted when it fails, and given up when nothing goes through any more.

use crate::business::sync_run::SyncStopped;
use crate::domain::sync_run::SyncProgress;
use crate::store::StoreError;

/// Batches in a row that may fail before the sync stops: the database is down, and each would wait its full time.
const FAILURES: u32 = 3;

/// What became of the batches of one sync: how many in a row failed.
#[derive(Debug, Default)]
pub(super) struct Batches {
    failures: u32,
}

impl Batches {
    /// Counts a batch of `size` items, of which the store changed so many or none. A batch that fails is counted and
    /// named, and the next one is tried.
    ///
    /// # Errors
    /// When so many have failed in a row that the rest is not tried.
    pub(super) fn written(
        &mut self,
        progress: &mut SyncProgress,
        size: u64,
        name: impl FnOnce() -> String,
        outcome: Result<u64, StoreError>,
    ) -> Result<(), SyncStopped> {
        match outcome {
            Ok(changed) => {
                self.failures = 0;
                progress.written += changed;
                progress.unchanged += size.saturating_sub(changed);
                Ok(())
            }
            Err(error) => {
                self.failures += 1;
                let message = error.to_string();
                progress.fail(size, name(), message.clone());
                if self.failures < FAILURES {
                    return Ok(());
                }
                let reason = format!(
                    "stopped after {FAILURES} batches in a row that failed, the last with: {message}"
                );
                Err(SyncStopped::after(&error, reason))
            }
        }
    }
}

/// Names a batch by its ends.
pub(super) fn span<T>(batch: &[T], name: impl Fn(&T) -> String) -> String {
    match batch {
        [] => String::new(),
        [only] => name(only),
        [first, .., last] => format!("{} … {}", name(first), name(last)),
    }
}
