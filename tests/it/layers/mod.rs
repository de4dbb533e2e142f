//! The layer table of the crate, kept by reading the sources: who names whom with `crate::…`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The modules of each layer. A module that is not here is a violation: it must be given a layer first.
const LAYERS: [&[&str]; 6] = [
    &["domain", "crontab"],
    &["clock", "secret", "telemetry", "metrics", "config", "files", "sql"],
    &["client", "journal", "identity", "store", "broker", "lease", "counters", "asynq", "notify"],
    &["business", "deploy", "scheduler"],
    &["http", "cli"],
    &["app"],
];

/// Ports and their adapters: only `app` says which adapter is used.
const ADAPTERS: [(&str, &[&str]); 5] = [
    ("store", &["sql"]),
    ("broker", &["memory", "redis"]),
    ("lease", &["memory", "mysql", "redis"]),
    ("counters", &["embedded", "redis"]),
    ("notify", &["log", "webhook", "email"]),
];

/// What `cli/call` may use beside the two lowest layers.
const OF_CLI_CALL: [&str; 4] = ["client", "journal", "notify", "deploy"];

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
        ("secret.rs", "use super::config::Env;", "config"),
        ("files.rs", "use crate::config::Env;", "config"),
        ("client/call.rs", "use crate::journal::line::truncate;", "journal"),
        ("client/call.rs", "use super::super::journal::line;", "journal"),
        (
            "journal/log.rs",
            "use crate::{\n    clock::SharedClock,\n    client::{Caller, call::Run},\n};",
            "client",
        ),
        ("store/sql/mod.rs", "use crate::counters::Counters;", "counters"),
        ("sql/mod.rs", "use crate::store::Store;", "store"),
        ("business/statistics.rs", "use crate::store::sql::SqlStore;", "store::sql"),
        ("business/statistics.rs", "use crate::store::{Store, sql};", "store::sql"),
        ("business/statistics.rs", "use crate::scheduler::Service;", "scheduler"),
        ("http/statistics.rs", "use crate::store::Store;", "store"),
        ("http/statistics.rs", "use crate::cli::output::Output;", "cli"),
        ("cli/call/run.rs", "use crate::business::statistics::Statistics;", "business"),
        ("cli/apiserver/mod.rs", "use crate::counters::embedded::EmbeddedCounters;", "counters::embedded"),
        ("cli/apiserver/mod.rs", "let x = crate::app::run();", "app"),
        ("client/call.rs", "use crate::utils::helper;", "utils"),
        ("client/call.rs", "use crate::*;", "*"),
        ("utils.rs", "use crate::domain::id::ExecutionId;", "domain"),
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
        ("store/sql/mod.rs", "use crate::store::{Store, sql::daily};\nuse crate::sql::Db;"),
        ("business/statistics.rs", "use crate::store::{Store, StoreError};"),
        ("http/auth.rs", "use crate::identity::{Identity, Role};"),
        ("cli/call/run.rs", "use crate::notify::ping::Ping;\nuse crate::cli::output::Output;"),
        ("app/apiserver.rs", "use crate::store::{Store, sql::SqlStore};"),
        ("bin/qs-api-call.rs", "use qs_scheduler::cli::call;"),
        ("journal/log.rs", "pub(crate) fn f() {}"),
    ] {
        assert_eq!(violations(Path::new(file), text), Vec::<String>::new(), "{file}: {text}");
    }
}

/// Every `.rs` file below `dir`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What is wrong with the imports of `file`, a path below `src`.
fn violations(file: &Path, text: &str) -> Vec<String> {
    let importer = module_of(file);
    let mut found: Vec<String> =
        imports(text, importer.len()).iter().filter_map(|path| verdict(&importer, path).err()).collect();
    found.dedup();
    found
}

/// The module of a file: `cli/call/run.rs` is `cli`, `call`, `run`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The first two segments of everything that is named from the crate's root, by `crate::` or by enough `super::`.
fn imports(text: &str, depth: usize) -> Vec<Vec<String>> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(is_word) {
            found.extend(paths(&code[at + "crate::".len()..]));
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || code[..at].ends_with(is_word) {
            continue;
        }
        let after = code[at..].trim_start_matches("super::");
        let ups = (code.len() - at - after.len()) / "super::".len();
        // A test module is one deeper than its file; a name that is no module of the root was not meant for it.
        found.extend(paths(after).into_iter().filter(|path| ups >= depth && layer(&path[0]).is_some()));
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The paths that `text` begins with: one, or those of a `{…}` group, each cut to two segments.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        return members(group).into_iter().flat_map(paths).collect();
    }
    if text.starts_with('*') {
        return vec![vec!["*".to_owned()]];
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    let second = match rest.strip_prefix("::") {
        Some(rest) => paths(rest).into_iter().filter_map(|path| path.into_iter().next()).collect(),
        None => Vec::new(),
    };
    if second.is_empty() {
        return vec![vec![first.to_owned()]];
    }
    second.into_iter().map(|second| vec![first.to_owned(), second]).collect()
}

/// The members of a group whose opening brace has been read.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&group[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|member| !member.trim().is_empty());
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Whether the module `user` may name `path`.
fn verdict(user: &[String], path: &[String]) -> Result<(), String> {
    let (from, to) = (user[0].as_str(), path[0].as_str());
    if from == to || from == "bin" {
        return Ok(());
    }
    let refuse = |name: &str, why: &str| Err(format!("`{}` must not name `{name}`: {why}", user.join("::")));
    let (Some(lower), Some(upper)) = (layer(to), layer(from)) else {
        return refuse(to, "one of the two is not in the layer table");
    };
    if from == "app" {
        return Ok(());
    }
    if let Some(adapter) = path.get(1).filter(|second| is_adapter(to, second)) {
        return refuse(&format!("{to}::{adapter}"), "only app names an adapter");
    }
    let inner = matches!((from, to), ("crontab", "domain") | ("config" | "sql", "secret"));
    if lower >= upper && !inner {
        return refuse(to, "it is not in a lower layer");
    }
    if (from, to) == ("http", "store") {
        return refuse(to, "http speaks to services, never to a store");
    }
    let of_call = user.get(1).is_some_and(|second| second == "call") && from == "cli";
    if of_call && lower > 1 && !OF_CLI_CALL.contains(&to) {
        return refuse(to, "the call is built without it");
    }
    Ok(())
}

fn is_adapter(port: &str, name: &str) -> bool {
    ADAPTERS.iter().any(|(known, adapters)| *known == port && adapters.contains(&name))
}
