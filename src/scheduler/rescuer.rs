//! The duty that looks after what nobody works on: executions of sessions that are dead, and those of this one that it
//! does not run, because the answer to its claim was lost.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::handler::End;
use super::worker::Workers;
use crate::clock::periodic::Periodic;
use crate::domain::execution::{Delivery, Event, Execution, Standing};
use crate::domain::id::ExecutionId;
use crate::store::scheduler::{Changed, Did};

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
    /// Held at the last tick and not run: a claim that is being answered now is not among them twice.
    idle: HashSet<ExecutionId>,
}

impl Rescuer {
    /// Of these workers.
    pub fn new(workers: Arc<Workers>) -> Self {
        Self { workers, idle: HashSet::new() }
    }

    /// One round.
    ///
    /// # Errors
    /// The store's, and that the session is over.
    pub async fn rescue(&mut self) -> Did<Report> {
        let mut report = Report::default();
        for orphan in self.workers.ledger.orphans(MOST).await? {
            let end = end("holder_lost", "the process that ran it is gone");
            report.lost += usize::from(self.change(&orphan, &Event::HolderLost, end).await?);
        }
        let running = self.workers.ids();
        let held = self.workers.ledger.held(self.workers.session).await?;
        let idle: Vec<Execution> = held.into_iter().filter(|one| !running.contains(&one.id)).collect();
        for one in idle.iter().filter(|one| self.idle.contains(&one.id)) {
            let end = end("released", "it was claimed and never started");
            report.released += usize::from(self.change(one, &Event::Released, end).await?);
        }
        self.idle = idle.into_iter().map(|one| one.id).collect();
        Ok(report)
    }

    async fn change(&self, one: &Execution, event: &Event, end: End) -> Did<bool> {
        let standing = match self.workers.catalog.governing(one.task_id, one.revision).await? {
            Some(of) => of.revision.definition.policy.standing(of.task.deleted_at.is_some()),
            // Nobody knows whether it may be done twice.
            None => Standing { delivery: Delivery::AtMostOnce, deleted: true },
        };
        Ok(self.workers.change(one, event, end, standing).await? == Changed::Done)
    }
}

fn end(outcome: &str, message: &str) -> End {
    End { outcome: outcome.to_owned(), message: message.to_owned(), exit: None }
}

#[async_trait]
impl Periodic for Rescuer {
    type Report = Report;

    async fn tick(&mut self, _now: Timestamp) -> Result<Report, String> {
        self.rescue().await.map_err(|error| error.to_string())
    }
}
