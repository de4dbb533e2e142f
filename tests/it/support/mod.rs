//! What the integration tests stand on: a fake server that must be called, a certificate authority, and the real
//! binary in a world of its own.

pub mod fake;
pub mod tls;
pub mod world;
