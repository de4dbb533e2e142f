//! The layer table of the crate, kept by reading the sources: who names whom, and that no files need each other.

mod circles;
mod imports;

use std::fmt::Write;
use std::path::Path;

use imports::{imports, module_of, sources};

/// The modules of each layer. A module that is not here is a violation: it must be given a layer first.
const LAYERS: [&[&str]; 6] = [
    &["domain", "crontab"],
    &["clock", "secret", "files", "telemetry", "metrics", "sql", "redis", "config"],
    &["client", "journal", "identity", "store", "asynq", "lease", "counters", "notify"],
    &["business", "deploy", "native_call", "scheduler"],
    &["http", "cli"],
    &["app"],
];

/// What may be used beside the layers below.
const WITHIN_A_LAYER: [(&str, &str); 8] = [
    ("crontab", "domain"),
    ("config", "secret"),
    ("sql", "secret"),
    ("redis", "secret"),
    ("sql", "clock"),
    ("redis", "clock"),
    ("sql", "files"),
    ("scheduler", "native_call"),
];

/// Only `app` says which adapter is used.
const ADAPTERS: [&str; 9] = [
    "store::business::sql",
    "store::scheduler::sql",
    "store::scheduler::memory",
    "counters::embedded",
    "counters::redis",
    "notify::log",
    "notify::webhook",
    "notify::email",
    "lease::mysql_lock",
];

/// Who may not name what, though it is in a lower layer or in the same module.
const APART: [(&str, &str, &str); 20] = [
    ("business", "identity", "who calls is known to http"),
    ("business", "asynq", "it is given a closure"),
    ("deploy", "store", "a crontab on a host has no database"),
    ("deploy", "counters", "a crontab on a host has no database"),
    ("deploy", "identity", "nobody calls it"),
    ("native_call", "store", "a call has no database"),
    ("native_call", "counters", "a call has no database"),
    ("native_call", "identity", "nobody calls it"),
    ("http", "store", "http speaks to services, never to a store"),
    ("http::edge", "business", "the edge serves every program"),
    ("http::edge", "scheduler", "the edge serves every program"),
    ("http::edge", "http::business", "the edge serves every program"),
    ("http::edge", "http::scheduler", "the edge serves every program"),
    ("http::serve", "business", "it serves every program"),
    ("http::serve", "scheduler", "it serves every program"),
    ("http::serve", "http::business", "it serves every program"),
    ("http::serve", "http::edge", "it knows connections, not what is said on them"),
    ("http::business", "scheduler", "each program has routes of its own"),
    ("http::scheduler", "business", "each program has routes of its own"),
    ("store::scheduler", "store::business", "each program has tables of its own"),
];

/// What `cli/call` may use beside the two lowest layers.
const OF_CLI_CALL: [&str; 5] = ["client", "journal", "notify", "deploy", "native_call"];

#[test]
fn every_import_obeys_the_layer_table() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = String::new();
    for file in sources(&src) {
        let relative = file.strip_prefix(&src).unwrap();
        for violation in violations(relative, &std::fs::read_to_string(&file).unwrap()) {
            writeln!(found, "src/{}: {violation}", relative.display()).unwrap();
        }
    }
    assert!(found.is_empty(), "the layer table is in docs/ARCHITECTURE.md and src/lib.rs\n{found}");
}

#[test]
fn a_planted_violation_is_found() {
    for (file, text, imported) in [
        ("domain/task.rs", "use crate::clock::Clock;", "clock"),
        ("domain/task.rs", "use crate::crontab::invocation::Invocation;", "crontab"),
        ("crontab/mod.rs", "fn f() -> crate::secret::Secret {}", "secret"),
        ("clock.rs", "use crate::secret::Secret;", "secret"),
        ("secret/mod.rs", "use super::config::Env;", "config"),
        ("files.rs", "use crate::config::Env;", "config"),
        ("client/call.rs", "use crate::journal::line::truncate;", "journal"),
        ("client/call.rs", "use super::super::journal::line;", "journal"),
        (
            "journal/log.rs",
            "use crate::{\n    clock::SharedClock,\n    client::{Caller, call::Run},\n};",
            "client",
        ),
        ("store/business/sql/mod.rs", "use crate::counters::Counters;", "counters"),
        ("sql/mod.rs", "use crate::store::Store;", "store"),
        ("store/business/mod.rs", "use crate::lease::keep;", "lease"),
        ("identity/verify.rs", "use crate::notify::Alert;", "notify"),
        ("asynq/serve.rs", "use crate::scheduler::runner::Runner;", "scheduler"),
        ("counters/redis/mod.rs", "use crate::identity::Verifier;", "identity"),
        ("redis/mod.rs", "use crate::counters::Counters;", "counters"),
        ("telemetry.rs", "use crate::metrics::Metrics;", "metrics"),
        ("business/statistics/mod.rs", "use crate::store::business::sql::SqlStore;", "store::business::sql"),
        ("business/statistics/mod.rs", "use crate::store::{Store, business::sql};", "store::business::sql"),
        ("scheduler/worker.rs", "use crate::store::scheduler::memory::Memory;", "store::scheduler::memory"),
        ("scheduler/worker.rs", "use crate::lease::mysql_lock;", "lease::mysql_lock"),
        ("scheduler/worker.rs", "use crate::business::plan::Plans;", "business"),
        ("deploy/place.rs", "use crate::store::StoreError;", "store"),
        ("deploy/place.rs", "use crate::counters::Mark;", "counters"),
        ("deploy/place.rs", "use crate::identity::Role;", "identity"),
        ("deploy/place.rs", "use crate::native_call::NativeCall;", "native_call"),
        ("native_call/call.rs", "use crate::scheduler::handler::Work;", "scheduler"),
        ("native_call/call.rs", "use crate::store::StoreError;", "store"),
        ("native_call/settings.rs", "use crate::cli::output::Failure;", "cli"),
        ("business/plan.rs", "use crate::identity::Identity;", "identity"),
        ("http/edge/auth.rs", "use crate::business::plan::Plans;", "business"),
        ("http/edge/auth.rs", "use crate::scheduler::Service;", "scheduler"),
        ("http/edge/auth.rs", "use super::super::business::Api;", "http::business"),
        ("http/edge/mod.rs", "use crate::http::scheduler::tasks;", "http::scheduler"),
        ("http/serve/mod.rs", "use crate::business::plan::Plans;", "business"),
        ("http/serve/table.rs", "use crate::http::edge::Edge;", "http::edge"),
        ("http/business/plans.rs", "use crate::scheduler::Service;", "scheduler"),
        ("http/scheduler/tasks.rs", "use crate::business::plan::Plans;", "business"),
        ("store/scheduler/sql/tasks.rs", "use crate::store::business::Plans;", "store::business"),
        ("business/statistics/mod.rs", "use crate::scheduler::Service;", "scheduler"),
        ("http/business/statistics.rs", "use crate::store::Store;", "store"),
        ("http/business/statistics.rs", "use crate::cli::output::Output;", "cli"),
        ("cli/call/run.rs", "use crate::business::statistics::Statistics;", "business"),
        ("cli/apiserver.rs", "use crate::counters::embedded::EmbeddedCounters;", "counters::embedded"),
        ("cli/apiserver.rs", "let x = crate::app::run();", "app"),
        ("client/call.rs", "use crate::utils::helper;", "utils::helper"),
        ("client/call.rs", "use crate::*;", "*"),
        ("utils.rs", "use crate::domain::id::ExecutionId;", "domain::id::ExecutionId"),
    ] {
        let found = violations(Path::new(file), text);
        assert_eq!(found.len(), 1, "{file}: {text}: {found:?}");
        assert!(found[0].contains(&format!("`{imported}`")), "{file}: {text}: {found:?}");
    }
}

#[test]
fn what_the_table_allows_is_no_violation() {
    for (file, text) in [
        ("crontab/invocation.rs", "use crate::domain::{duration, size};"),
        ("config/field.rs", "use crate::secret::Secret;"),
        ("client/keeper.rs", "use crate::files::{self, FileLock};\nuse super::iam;"),
        ("client/keeper.rs", "mod tests { use super::super::token::jwt; use super::*; }"),
        ("client/keeper.rs", "/// See [`crate::journal`].\n// use crate::journal::log;"),
        (
            "store/business/sql/mod.rs",
            "use crate::store::{Store, business::sql::daily};\nuse crate::sql::Db;",
        ),
        ("business/statistics/mod.rs", "use crate::store::{Store, StoreError};"),
        ("redis/mod.rs", "use crate::secret::Secret;"),
        ("business/sync_run/run.rs", "use crate::lease::keep::keep;"),
        ("scheduler/handlers/endpoint.rs", "use crate::client::Client;\nuse crate::journal::Journal;"),
        ("scheduler/handlers/endpoint.rs", "use crate::native_call::NativeCall;"),
        ("http/business/plans.rs", "use crate::business::plan::Plans;\nuse crate::http::edge::Edge;"),
        ("http/edge/auth.rs", "use crate::identity::{Identity, Role};"),
        ("cli/call/run.rs", "use crate::notify::ping::Ping;\nuse crate::cli::output::Output;"),
        ("app/apiserver.rs", "use crate::store::business::{Store, sql::SqlStore};"),
        ("bin/qs-api-call.rs", "use qs_scheduler::cli::call;"),
        ("journal/log.rs", "pub(crate) fn f() {}"),
    ] {
        assert_eq!(violations(Path::new(file), text), Vec::<String>::new(), "{file}: {text}");
    }
}

/// What is wrong with the imports of `file`, a path below `src`.
fn violations(file: &Path, text: &str) -> Vec<String> {
    let importer = module_of(file);
    // The `super::super` of a module inside the file names its siblings, which then look like modules of the root.
    let meant = |path: &[String]| layer(&path[0]).is_some() || text.contains(&format!("crate::{}", path[0]));
    let named = imports(&importer, text).into_iter().filter(|path| !path.is_empty() && meant(path));
    let mut found: Vec<String> = named.filter_map(|path| verdict(&importer, &path).err()).collect();
    found.dedup();
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Whether `path` is what `prefix` names, or inside it.
fn is_in(path: &[String], prefix: &str) -> bool {
    prefix.split("::").enumerate().all(|(at, part)| path.get(at).is_some_and(|found| found == part))
}

/// Whether the module `user` may name `path`.
fn verdict(user: &[String], path: &[String]) -> Result<(), String> {
    let (from, to) = (user[0].as_str(), path[0].as_str());
    let refuse = |name: &str, why: &str| Err(format!("`{}` must not name `{name}`: {why}", user.join("::")));
    if from == "bin" {
        return Ok(());
    }
    if let Some((_, apart, why)) = APART.iter().find(|(a, b, _)| is_in(user, a) && is_in(path, b)) {
        return refuse(apart, why);
    }
    if from == to {
        return Ok(());
    }
    let (Some(lower), Some(upper)) = (layer(to), layer(from)) else {
        return refuse(&path.join("::"), "one of the two is not in the layer table");
    };
    if from == "app" {
        return Ok(());
    }
    if let Some(adapter) = ADAPTERS.iter().find(|adapter| is_in(path, adapter)) {
        return refuse(adapter, "only app names an adapter");
    }
    if lower >= upper && !WITHIN_A_LAYER.contains(&(from, to)) {
        return refuse(to, "it is not in a lower layer");
    }
    if is_in(user, "cli::call") && lower > 1 && !OF_CLI_CALL.contains(&to) {
        return refuse(to, "the call is built without it");
    }
    Ok(())
}
