//! L2 · The truthful call: a token that is fresh, a request that is sent with care, an outcome that is what happened.
//!
//! [`Client`] is the whole of it; the command line and the daemon use the same one.

pub mod address;
mod adoption;
mod ask;
mod bearer;
pub mod call;
pub mod clock_difference;
pub mod credential_digest;
pub mod credentials;
mod decode;
pub mod departure;
pub mod envelope;
mod follow;
pub mod iam;
pub mod identity;
pub mod in_file;
pub mod judge;
pub mod keeper;
mod login;
pub mod login_memory;
mod login_page;
pub mod proof;
mod refusal;
pub mod reply;
pub mod request;
mod retry;
pub mod token;
pub mod token_file;
pub mod transport;

pub use call::{Client, ClientSettings};
pub use request::{Attempt, Request, RequestError};
