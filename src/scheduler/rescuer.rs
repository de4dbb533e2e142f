//! The duty that looks after what nobody works on: executions of sessions that are dead, and those of this one that it
//! does not run, because the answer to its claim was lost.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::handler::End;
use super::worker::Workers;
use crate::clock::periodic::Periodic;
use crate::domain::execution::Event;
use crate::store::scheduler::{Changed, Did, LedgerError};

/// Most executions of one tick.
const MOST: usize = 1_000;

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Executions whose holder was lost.
    pub lost: usize,
    /// Executions that were claimed and never started.
    pub released: usize,
}

/// Rescues.
pub struct Rescuer {
    workers: Arc<Workers>,
}

impl Rescuer {
    /// Of these workers.
    pub fn new(workers: Arc<Workers>) -> Self {
        Self { workers }
    }

    /// One round.
    ///
    /// # Errors
    /// The store's, and that the session is over.
    pub async fn rescue(&mut self) -> Did<Report> {
        let mut report = Report::default();
        for orphan in self.workers.ledger.orphans(MOST).await? {
            let end = End {
                outcome: "holder_lost".to_owned(),
                message: "the process that ran it is gone".to_owned(),
                exit: None,
            };
            match self.workers.change(&orphan, &Event::HolderLost, end).await {
                Ok(changed) => report.lost += usize::from(changed == Changed::Done),
                Err(LedgerError::SessionOver) => return Err(LedgerError::SessionOver),
                // It is in the way of no other one.
                Err(error) => tracing::warn!(id = %orphan.id, %error, "an execution cannot be rescued yet"),
            }
        }
        report.released = self.workers.release_idle().await?;
        Ok(report)
    }
}

#[async_trait]
impl Periodic for Rescuer {
    type Report = Report;

    async fn tick(&mut self, _now: Timestamp) -> Result<Report, String> {
        self.rescue().await.map_err(|error| error.to_string())
    }
}
