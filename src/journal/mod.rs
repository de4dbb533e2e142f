//! L2 · What a run leaves behind: log lines and their rotation, the run record, the metrics textfile, and the lock that
//! keeps two runs of one task apart. The command line and the daemon share it.

mod events;
mod history;
pub mod line;
pub mod log;
pub mod overlap;
pub mod record;
pub mod rotation;
mod run;
mod sink;
pub mod textfile;

pub use run::{CannotCreate, ExecutionInfo, Journal, JournalSettings};
