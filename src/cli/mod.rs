//! L4 · The programs as seen from a shell: arguments in, text and exit code out. One folder per program.

#[cfg(feature = "server")]
pub mod apiserver;
pub mod call;
pub mod defect;
pub mod output;
#[cfg(feature = "server")]
pub mod scheduler;
#[cfg(feature = "server")]
pub mod server;
pub mod signal;
