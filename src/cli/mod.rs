//! L4 · The command lines: one folder per program.

#[cfg(feature = "server")]
pub mod apiserver;
