//! Which organisations have anything that a sync could carry.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::counters::Counters;
use crate::store::business::Store;

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
    /// When one of the sides does not answer: a list without its part would not be every one.
    pub async fn all(&self) -> Result<BTreeSet<i64>, String> {
        let mut all = self.store.organisations().await.map_err(|error| error.to_string())?;
        all.extend(self.counters.organisations().await.map_err(|error| error.to_string())?);
        Ok(all)
    }
}
