//! Whether what the endpoints need can be reached.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::counters::Counters;
use crate::store::business::Store;

/// How long each of them may take: whoever asks does not wait for long either.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the stores.
pub struct StoreReadiness {
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

impl StoreReadiness {
    /// Asks these.
    pub fn new(store: Arc<dyn Store>, counters: Arc<dyn Counters>) -> Self {
        Self { store, counters }
    }

    /// Asks each of them whether it can be reached and has the tables of this program.
    pub async fn check(&self) -> Vec<Check> {
        let (store, counters) =
            tokio::join!(check("store", self.store.ready()), check("counters", self.counters.ready()));
        vec![store, counters]
    }
}

async fn check<E: Display>(name: &'static str, ready: impl Future<Output = Result<(), E>>) -> Check {
    let error = match tokio::time::timeout(PATIENCE, ready).await {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Check { name, error }
}

impl std::fmt::Debug for StoreReadiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreReadiness").finish_non_exhaustive()
    }
}
