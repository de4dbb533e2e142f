//! L3 · What runs tasks by their schedules: one duty a file, each with a `tick`; the engine loops them.

pub mod catalog;
pub mod engine;
pub mod handler;
pub mod handlers;
pub mod planner;
pub mod pruner;
pub mod rescuer;
pub mod runner;
pub mod watcher;
pub mod worker;
