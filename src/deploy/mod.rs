//! L3 · A crontab on a host: staged, checked, placed, proved, tried, and rolled back when any of that fails.
//!
//! [`install`](install::install) is the order of the steps; every other file is one of them, or what it stands on.
//! Nothing here prints: steps are told to the caller as they are taken.

pub mod canary;
pub mod check;
pub mod cron;
pub mod cron_log;
pub mod digest;
pub mod drift;
pub mod error;
pub mod history;
pub mod host;
pub mod install;
pub mod machine;
pub mod place;
pub mod prove;
pub mod record;
pub mod rehearsal;
pub mod steps;
pub mod stop;
pub mod version;

mod changes;
mod legacy;
mod process;
