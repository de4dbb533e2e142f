//! Whether what the endpoints need can be reached, and takes writes.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::counters::{Counters, CountersError};
use crate::store::StoreError;
use crate::store::business::Store;

/// How long each of them may take: whoever asks does not wait for long either.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer counts: each costs a write, and anybody may ask.
const FRESH: Duration = Duration::from_secs(1);

/// Nothing can be asked of it.
const UNREACHABLE: &str = "unreachable";
/// It answers and takes no writes.
const NOT_WRITABLE: &str = "not writable";
/// What is there is not what this program needs: another schema, or no rights.
const UNUSABLE: &str = "unusable";

/// Asks the stores.
pub struct StoreReadiness {
    store: Arc<dyn Store>,
    counters: Arc<dyn Counters>,
    /// The last answer, and when it was given. Whoever asks meanwhile waits for it.
    last: Mutex<Option<(Instant, Vec<Check>)>>,
}

/// The answer of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which one.
    pub name: &'static str,
    /// What is wrong with it, in a word and in full.
    pub problem: Option<(&'static str, String)>,
}

impl StoreReadiness {
    /// Asks these.
    pub fn new(store: Arc<dyn Store>, counters: Arc<dyn Counters>) -> Self {
        Self { store, counters, last: Mutex::default() }
    }

    /// Asks each of them whether it can be reached, has the tables of this program and takes writes; once in a second,
    /// however many want to know.
    pub async fn check(&self) -> Vec<Check> {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = &*last
            && at.elapsed() < FRESH
        {
            return checks.clone();
        }
        let (store, counters) = tokio::join!(
            check("store", self.store.ready(), word_of_store),
            check("counters", self.counters.ready(), word_of_counters),
        );
        let checks = vec![store, counters];
        *last = Some((Instant::now(), checks.clone()));
        checks
    }
}

async fn check<E: Display>(
    name: &'static str,
    ready: impl Future<Output = Result<(), E>>,
    word: impl FnOnce(&E) -> &'static str,
) -> Check {
    let problem = match tokio::time::timeout(PATIENCE, ready).await {
        Ok(answer) => answer.err().map(|error| (word(&error), error.to_string())),
        Err(_) => Some((UNREACHABLE, format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    Check { name, problem }
}

fn word_of_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unreachable { .. } => UNREACHABLE,
        StoreError::NotWritable { .. } | StoreError::Contended { .. } => NOT_WRITABLE,
        StoreError::Database { .. } | StoreError::Corrupt { .. } => UNUSABLE,
    }
}

fn word_of_counters(error: &CountersError) -> &'static str {
    match error {
        CountersError::Unreachable { .. } => UNREACHABLE,
        CountersError::NotWritable { .. } => NOT_WRITABLE,
        error if error.may_pass() => NOT_WRITABLE,
        CountersError::Backend { .. } | CountersError::Corrupt { .. } | CountersError::Stuck { .. } => {
            UNUSABLE
        }
    }
}

impl std::fmt::Debug for StoreReadiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreReadiness").finish_non_exhaustive()
    }
}
