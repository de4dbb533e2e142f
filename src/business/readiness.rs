//! Whether what the endpoints need can be reached.

use std::sync::Arc;

use crate::counters::Counters;
use crate::store::Store;

/// Asks the stores.
pub struct Readiness {
    store: Arc<dyn Store>,
    counters: Arc<dyn Counters>,
}

/// The answer of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which one.
    pub name: &'static str,
    /// Why it cannot be used.
    pub error: Option<String>,
}

impl Readiness {
    /// Asks these.
    pub fn new(store: Arc<dyn Store>, counters: Arc<dyn Counters>) -> Self {
        Self { store, counters }
    }

    /// Asks each of them whether it can be reached and has the tables of this program.
    pub async fn check(&self) -> Vec<Check> {
        let (store, counters) = tokio::join!(self.store.ready(), self.counters.ready());
        vec![
            Check { name: "store", error: store.err().map(|error| error.to_string()) },
            Check { name: "counters", error: counters.err().map(|error| error.to_string()) },
        ]
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}
