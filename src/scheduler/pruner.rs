//! The duty that removes what is older than it is kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::periodic::Periodic;
use crate::domain::execution::SessionId;
use crate::store::scheduler::{Did, Ledger};

/// Most rows of one transaction.
const SLICE: u32 = 1_000;

/// Transactions of one tick: others want to write, too.
const SLICES: u32 = 20;

/// Removes what was over long ago.
pub struct Pruner {
    session: SessionId,
    ledger: Arc<dyn Ledger>,
    keep: Duration,
}

impl Pruner {
    /// One that keeps what was over less than this ago.
    pub fn new(session: SessionId, ledger: Arc<dyn Ledger>, keep: Duration) -> Self {
        Self { session, ledger, keep }
    }

    /// One round. How many rows were removed.
    ///
    /// # Errors
    /// The store's, and that the session is over.
    pub async fn prune(&mut self, now: Timestamp) -> Did<u64> {
        let Ok(before) = now.checked_sub(self.keep) else { return Ok(0) };
        let mut removed = 0;
        for _ in 0..SLICES {
            let slice = self.ledger.prune(self.session, before, SLICE).await?;
            removed += slice;
            if slice < u64::from(SLICE) {
                break;
            }
        }
        Ok(removed)
    }
}

#[async_trait]
impl Periodic for Pruner {
    type Report = u64;

    async fn tick(&mut self, now: Timestamp) -> Result<u64, String> {
        self.prune(now).await.map_err(|error| error.to_string())
    }
}
