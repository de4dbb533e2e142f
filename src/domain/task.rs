//! What runs, by what schedule and under which policy: a task, and its revisions.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::backoff::TaskRetry;
use super::catch_up::CatchUp;
use super::duration;
use super::execution::{Delivery, Standing};
use super::overlap::Overlap;
use super::schedule::Schedule;
use super::spread::Spread;
use super::word::words;

/// Namespace of the ids of tasks.
const TASKS: Uuid = Uuid::from_u128(0x8f1c_4c1e_6a55_4d0b_9a0f_3d6c_5a2e_71b4);

words! {
    /// Where a task came from.
    pub enum Source: "task source" {
        /// A line of a crontab.
        Crontab = "crontab",
        /// The configuration.
        Config = "config",
        /// A row of a table.
        Table = "table",
        /// The API.
        Api = "api",
        /// A program that registered it.
        Registration = "registration",
    }
}

/// The id of a task, the same wherever it is stored: keys that targets see are made of it.
pub fn task_uid(source: Source, key: &str) -> Uuid {
    Uuid::new_v5(&TASKS, format!("{source}:{key}").as_bytes())
}

/// The seat that an execution of a task takes when only one of them runs at a time.
pub fn seat_of(task_id: i64) -> String {
    format!("task:{task_id}")
}

/// What is stored of a task beside its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its row.
    pub id: i64,
    /// The same on every database.
    pub uid: Uuid,
    /// Where it came from.
    pub source: Source,
    /// Its name there.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its newest revision.
    pub revision: i64,
    /// Since when it is gone.
    pub deleted_at: Option<Timestamp>,
}

/// What runs and when, from one moment to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Which task.
    pub task_id: i64,
    /// Its number within the task, from 1.
    pub number: i64,
    /// It governs what is due after this.
    pub valid_from: Timestamp,
    /// And up to this, which is included; for ever when unset.
    pub valid_to: Option<Timestamp>,
    /// What it says.
    pub definition: Definition,
    /// Whether nothing starts by itself.
    pub paused: bool,
}

/// What a source says about a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// When it runs; unset: only when somebody asks for it.
    pub schedule: Option<Schedule>,
    /// Which handler does it.
    pub handler: String,
    /// What it does, as JSON of the handler.
    pub target: String,
    /// Its lane.
    pub queue: String,
    /// How it runs.
    pub policy: TaskPolicy,
}

/// How the executions of a task run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPolicy {
    /// What an unknown end means.
    pub delivery: Delivery,
    /// What happens while the last one is still running.
    pub overlap: Overlap,
    /// What happens to times that were missed.
    pub catch_up: CatchUp,
    /// What happens after a failure.
    pub retry: TaskRetry,
    /// How long one attempt may take.
    #[serde(with = "duration::text")]
    pub timeout: Duration,
    /// How far its starts are spread.
    pub spread: Spread,
    /// Higher ones are claimed first.
    pub priority: i32,
}

impl TaskPolicy {
    /// What it says about ends.
    pub fn standing(&self, deleted: bool) -> Standing {
        Standing { delivery: self.delivery, deleted }
    }
}

impl Revision {
    /// Whether an instant is one that it governs.
    pub fn governs(&self, at: Timestamp) -> bool {
        self.valid_from < at && self.valid_to.is_none_or(|to| at <= to)
    }
}
