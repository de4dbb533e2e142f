//! L2 · The truthful call: a token that is fresh, a request that is sent with care, an outcome that is what happened.
//!
//! [`Caller`] is the whole of it; the command line and the daemon use the same one.

pub mod address;
pub mod call;
pub mod credentials;
pub mod envelope;
pub mod iam;
pub mod keeper;
pub mod login_memory;
pub mod outcome;
pub mod reply;
pub mod token;
pub mod token_file;
pub mod trace;
pub mod transport;
pub mod wait;

pub use call::{Caller, Request};
pub use outcome::CallOutcome;
