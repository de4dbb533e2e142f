//! qs-scheduler: a scheduled call that tells the truth.
//!
//! Three programs share this library: `qs-api-call` (the call that a crontab line makes), `qs-apiserver` (the business
//! endpoints that are called) and `qs-scheduler` (today the demonstration; the daemon that runs the same crontab is to come).
//!
//! The folders are layers; a small test (`tests/it/layers`) keeps their imports to this table:
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | L0 | [`domain`], [`crontab`] | nothing of ours (`crontab` → `domain`) |
//! | L1 | [`clock`], [`secret`], [`files`], [`config`] and, for the servers, `telemetry`, `metrics`, `sql`, `redis` | L0 (`config`, `sql`, `redis` → `secret`; `sql`, `redis` → `clock`; `sql` → `files`) |
//! | L2 | [`client`], [`journal`], [`notify`] and, for the servers, `identity`, `store`, `lease`, `counters` | L0, L1; never each other |
//! | L3 | [`deploy`], [`native_call`] and, for the servers, `business`, `scheduler` | L0, L1 and of L2 `client`, `journal`, `lease` and the ports of `store`, `counters`, `notify`; never each other (`scheduler` → `native_call`) |
//! | L4 | [`cli`], `http` | L0–L3; `http` never `store`, `http::edge` no program; `cli::call` only `client`, `journal`, `notify`, `deploy`, `native_call` |
//! | L5 | [`app`] | everything: the only place that names a concrete adapter |

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod business;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
#[cfg(feature = "server")]
pub mod counters;
pub mod crontab;
pub mod deploy;
pub mod domain;
pub mod files;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod identity;
pub mod journal;
#[cfg(feature = "server")]
pub mod lease;
#[cfg(feature = "server")]
pub mod metrics;
pub mod native_call;
pub mod notify;
#[cfg(feature = "server")]
pub mod redis;
#[cfg(feature = "server")]
pub mod scheduler;
pub mod secret;
#[cfg(feature = "server")]
pub mod sql;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod telemetry;
