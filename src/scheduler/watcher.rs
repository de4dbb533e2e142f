//! The duty that keeps this session alive and declares those of others dead that have given no sign of life for the
//! length of the lease. That is counted on the own clock, and only from signs that were really read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::periodic::Periodic;
use crate::domain::execution::SessionId;
use crate::store::scheduler::{Did, Ledger};

/// Watches the sessions.
pub struct Watcher {
    session: SessionId,
    ledger: Arc<dyn Ledger>,
    lease: Duration,
    /// The last beat that was read of each other session, and when it was read first.
    seen: HashMap<SessionId, (i64, Instant)>,
}

impl Watcher {
    /// Of a session, with the lease of all of them.
    pub fn new(session: SessionId, ledger: Arc<dyn Ledger>, lease: Duration) -> Self {
        Self { session, ledger, lease, seen: HashMap::new() }
    }

    /// One round. How many were declared dead.
    ///
    /// # Errors
    /// The store's, and that this session is over.
    pub async fn watch(&mut self) -> Did<usize> {
        let watched = self.look().await;
        if watched.is_err() {
            // Who could not be read for a while may have given signs: each is watched anew.
            self.seen.clear();
        }
        watched
    }

    async fn look(&mut self) -> Did<usize> {
        self.ledger.beat(self.session).await?;
        let (now, mut declared) = (Instant::now(), 0);
        let others = self.ledger.sessions().await?;
        self.seen.retain(|id, _| others.iter().any(|other| other.id == *id));
        for other in others.iter().filter(|other| other.id != self.session && !other.dead) {
            let (beat, since) = self.seen.entry(other.id).or_insert((other.beat, now));
            if *beat != other.beat {
                (*beat, *since) = (other.beat, now);
            } else if now.duration_since(*since) >= self.lease
                && self.ledger.declare_dead(self.session, other).await?
            {
                tracing::warn!(session = other.id.0, node = other.name, "a session is declared dead");
                declared += 1;
            }
        }
        Ok(declared)
    }
}

#[async_trait]
impl Periodic for Watcher {
    type Report = usize;

    async fn tick(&mut self, _now: Timestamp) -> Result<usize, String> {
        self.watch().await.map_err(|error| error.to_string())
    }
}
