//! L2 · Who calls us: keys (our own or of a remote IAM), token verification, roles, and the IAM for development.
//!
//! Verification fails closed: a token counts only when its signature, algorithm, issuer, audience, life and tenant are
//! all right. It knows nothing of HTTP; `http::edge` turns a [`VerifyError`] into a reply.

mod claims;
pub mod dev_iam;
mod error;
pub mod fetch;
mod jwk;
pub mod jwks;
pub mod keys;
mod provider;
mod roles;
mod verify;

pub use claims::Identity;
pub use error::VerifyError;
pub use jsonwebtoken::Algorithm;
pub use roles::{Permission, Role};
pub use verify::{Rules, Verifier};
