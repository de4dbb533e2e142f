//! The integration tests: one module per resource.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must panic; helpers are no test functions")]

#[cfg(feature = "server")]
mod apiserver;
#[cfg(feature = "server")]
mod conformance;
#[cfg(feature = "server")]
mod sync_runs;
