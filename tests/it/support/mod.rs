//! What the integration tests stand on: a fake server that must be called, a fake IAM, a certificate authority, the
//! real binaries in worlds of their own, and the texts that are kept in the repository.

#[cfg(feature = "server")]
pub mod apiserver;
#[cfg(feature = "server")]
pub mod business;
#[cfg(feature = "server")]
pub mod counting;
#[cfg(feature = "server")]
pub mod cron;
#[cfg(feature = "server")]
pub mod databases;
pub mod fake;
pub mod golden;
#[cfg(feature = "server")]
pub mod iam;
#[cfg(feature = "server")]
pub mod mariadb;
pub mod scratch;
#[cfg(feature = "server")]
pub mod services;
#[cfg(feature = "server")]
pub mod sshd;
pub mod tls;
#[cfg(feature = "server")]
pub mod wait;
pub mod world;
