//! Which organisations have anything that a sync could carry.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::counters::{Counters, CountersError};
use crate::store::StoreError;
use crate::store::business::Store;

/// One of the sides did not answer: a list without its part would not be every one.
#[derive(Debug, thiserror::Error)]
pub enum Unlisted {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The counters.
    #[error("{0}")]
    Counters(#[from] CountersError),
}

/// Asks both sides.
pub struct Organisations {
    store: Arc<dyn Store>,
    counters: Arc<dyn Counters>,
}

impl Organisations {
    /// Asks these.
    pub fn new(store: Arc<dyn Store>, counters: Arc<dyn Counters>) -> Self {
        Self { store, counters }
    }

    /// Every one, in order.
    ///
    /// # Errors
    /// When one of the sides does not answer.
    pub async fn all(&self) -> Result<BTreeSet<i64>, Unlisted> {
        let mut all = self.store.organisations().await?;
        all.extend(self.counters.organisations().await?);
        Ok(all)
    }
}
