//! L0 · Pure nouns and functions: no async, no I/O, no clock reads. Imports nothing of ours.

pub mod cron;
pub mod digest;
pub mod duration;
#[cfg(feature = "server")]
pub mod entry;
pub mod exit;
pub mod hex;
pub mod host;
pub mod id;
pub mod nearest;
pub mod overlap;
#[cfg(feature = "server")]
pub mod plan;
#[cfg(feature = "server")]
pub mod plan_schedule;
#[cfg(feature = "server")]
pub mod plan_task;
pub mod plural;
pub mod retry;
pub mod schedule;
pub mod size;
#[cfg(feature = "server")]
pub mod statistics;
#[cfg(feature = "server")]
pub mod sync_run;
pub mod word;
