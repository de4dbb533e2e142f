//! L0 · The crontab file and the calls in it.

pub mod invocation;
