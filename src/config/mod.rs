//! L1 · Settings of each program: defaults < file < environment < flags. One file per program beside this machinery.
//!
//! A program's settings are a table of [`Setting`]s over its typed configuration. Every layer is read as the same
//! `(key, value)` pairs through that table, so a key has one name, one parser and one error message wherever it is
//! set. All problems are collected and reported at once; nothing is ever written at start-up.

mod env;
mod field;
mod file;
mod setting;

#[cfg(feature = "server")]
pub mod apiserver;
#[cfg(feature = "server")]
pub mod auth;
pub mod call;

pub use env::Env;
pub use field::{Bytes, Field, SecretText, UrlText, Value, without_userinfo};
pub use file::ConfigFile;
pub use setting::{ConfigError, Loaded, Origin, Problem, Setting, load};
