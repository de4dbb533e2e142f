//! L3 · What the endpoints do: count events, sync statistics, keep the record of each sync. It knows the stores only by
//! their traits, and nothing of HTTP.

pub mod readiness;
pub mod statistics;
pub mod sync_run;
