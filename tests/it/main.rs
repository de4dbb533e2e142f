//! The integration tests: one crate, one module per subject.

#![expect(unreachable_pub, reason = "a test crate has no users but itself")]
#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::format_push_string,
    reason = "the files are our own, and a test may allocate"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must panic; helpers are no test functions")]

mod support;

#[cfg(feature = "server")]
mod adopted;
mod advisories;
mod apiserver;
mod bodies;
mod call;
mod canary;
mod clocks;
#[cfg(feature = "server")]
mod completions;
#[cfg(feature = "server")]
mod conformance;
mod connections;
#[cfg(feature = "server")]
mod consistency;
#[cfg(feature = "server")]
mod contention;
#[cfg(feature = "server")]
mod counters;
mod crash;
#[cfg(feature = "server")]
mod cron;
mod crontab;
#[cfg(feature = "server")]
mod demo;
mod deploy;
#[cfg(feature = "server")]
mod deploy_cron;
#[cfg(feature = "server")]
mod deploy_ssh;
mod docs;
#[cfg(feature = "server")]
mod due_tasks;
#[cfg(feature = "server")]
mod edge;
#[cfg(feature = "server")]
mod endpoint_handler;
#[cfg(feature = "server")]
mod enrolments;
mod envelopes;
#[cfg(feature = "server")]
mod events;
#[cfg(feature = "server")]
mod events_crash;
#[cfg(feature = "server")]
mod faults;
#[cfg(feature = "server")]
mod files;
#[cfg(feature = "server")]
mod first_start;
mod fuzz;
mod help;
mod herd;
#[cfg(feature = "server")]
mod housekeeping;
#[cfg(feature = "server")]
mod identity;
#[cfg(feature = "server")]
mod inputs;
mod layers;
#[cfg(feature = "server")]
mod ledger;
#[cfg(feature = "server")]
mod ledger_model;
mod lists;
mod login_hold;
mod many_calls;
mod matrix;
mod messages;
#[cfg(feature = "server")]
mod metrics;
#[cfg(feature = "server")]
mod openapi;
mod oracle;
mod panic;
#[cfg(feature = "server")]
mod plans;
#[cfg(feature = "server")]
mod private_files;
mod promises;
#[cfg(feature = "server")]
mod requests;
mod schedule;
#[cfg(feature = "server")]
mod schema;
#[cfg(feature = "server")]
mod server_log;
#[cfg(feature = "server")]
mod sql_connections;
#[cfg(feature = "server")]
mod statistics_defects;
#[cfg(feature = "server")]
mod sync_runs;
#[cfg(feature = "server")]
mod system_configuration;
mod targets;
mod tasks;
mod token;
mod token_identity;
mod wire;
