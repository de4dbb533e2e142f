//! L3 · What runs tasks by their schedules.

pub mod handler;
pub mod handlers;
