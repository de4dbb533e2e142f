//! L3 · What the endpoints do: open plan tasks, count events, sync and validate statistics, keep the record of each
//! sync. It knows the stores only by their traits, and nothing of HTTP.

pub mod due_tasks;
pub mod housekeeper;
pub mod organisations;
pub mod plan;
pub mod readiness;
pub mod statistics;
pub mod sync_run;

pub use crate::store::business::Unreadable;
