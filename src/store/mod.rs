//! L2 · What is kept. Each program's tables have traits of their own, whose verbs are transitions, not create, read, update;
//! errors and contention are the same for all.
//!
//! Services see only the traits; `app` chooses the adapter.

pub mod business;
pub mod contention;
pub mod error;
pub mod scheduler;

pub use error::StoreError;
