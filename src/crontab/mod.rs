//! L0 · The crontab file and the calls in it.

pub mod call;
pub mod call_line;
pub mod command;
pub mod diff;
pub mod environment;
pub mod file;
mod identity;
pub mod import;
pub mod invocation;
pub mod lint;
pub mod problem;
pub mod render;
mod shell;
pub mod usage;

pub use identity::CallIdentity;
