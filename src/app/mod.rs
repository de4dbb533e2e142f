//! L5 · Composition roots: configuration → adapters → services → routes → shutdown. The only place that names a
//! concrete adapter.

#[cfg(feature = "server")]
pub mod apiserver;
#[cfg(feature = "server")]
pub mod demo;
