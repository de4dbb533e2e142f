//! L2 · Telling others how a run went.

pub mod ping;
