//! L5 · Composition roots: configuration → adapters → services → routes → shutdown. The only place that names a
//! concrete adapter.

#[cfg(feature = "server")]
pub mod apiserver;
#[cfg(feature = "server")]
pub mod demo;
#[cfg(feature = "server")]
mod identity;
#[cfg(feature = "server")]
mod private_logs;
#[cfg(feature = "server")]
mod secrets;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod stores;

use crate::cli::output::Failure;
use crate::domain::exit::Exit;

/// Why a program cannot go on.
fn stop(exit: Exit, message: impl std::fmt::Display) -> Failure {
    Failure::new(exit, message.to_string())
}
