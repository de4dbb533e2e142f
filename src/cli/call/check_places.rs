//! What `check` finds on this machine: where settings come from, which places can be written, who may read the metrics.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::checks::{Checks, Mark};
use crate::cli::output::Failure;
use crate::client::keeper::TokenKeeper;
use crate::client::token_file::Stored;
use crate::clock::Clock;
use crate::domain::exit::Exit;
use crate::files;
use crate::journal::log::LogFile;
use crate::native_call::settings::Settings;
use crate::notify::ping;

pub(super) fn configuration(checks: &mut Checks, settings: &Settings) {
    let files: Vec<String> = settings.files.iter().map(|path| path.display().to_string()).collect();
    let from = if files.is_empty() { "defaults and environment alone".to_owned() } else { files.join(", ") };
    let target = settings.target().map(|name| format!("target {name} of ")).unwrap_or_default();
    checks.add("configuration", Mark::Good, format!("{target}{from}"));
    let loaded = &settings.loaded;
    for (key, advice) in
        [("iam.password", "prefer iam.password_file"), ("iam.client_secret", "prefer iam.client_secret_file")]
    {
        if let origin @ crate::config::Origin::Env(_) = loaded.origin(key) {
            checks.add("configuration", Mark::Warning, format!("{key} comes from the {origin}: {advice}"));
        }
    }
}

pub(super) fn places(checks: &mut Checks, settings: &Settings, tokens: &TokenKeeper, clock: &dyn Clock) {
    let cannot = |path: &Path, error: &std::io::Error| {
        Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()))
    };
    let log = &settings.log_path;
    let made = settings.journal().make_dirs();
    checks.of("state", made.map(|()| settings.state_dir.display().to_string()).map_err(Failure::from));
    let opened = LogFile::open(log, settings.rotation()).and_then(|file| file.has_room());
    checks.of(
        "log",
        opened.map(|_| format!("{} is writable", log.display())).map_err(|error| cannot(log, &error)),
    );
    for (what, path, mode) in
        [("records", settings.records_dir(), 0o700), ("locks", settings.locks_dir(), 0o700)]
    {
        place(checks, what, &path, files::create_last_dir(&path, mode));
    }
    let metrics = settings.metrics_dir();
    place(checks, "metrics", &metrics, files::create_exact_dir(&metrics, 0o755));
    // The two directories that a call makes; what is above them is nobody's business here.
    for (path, needed) in [(files::parent(&metrics), 0o001), (&*metrics, 0o005)] {
        let bits = std::fs::metadata(path).map_or(needed, |found| found.mode());
        if bits & needed != needed {
            let text = format!(
                "{} has mode {:04o}: Prometheus cannot read the metrics (hint: chmod {} {})",
                path.display(),
                bits & 0o7777,
                if needed == 0o001 { "o+x" } else { "o+rx" },
                path.display()
            );
            checks.add("metrics", Mark::Warning, text);
        }
    }
    if settings.config().call.no_auth {
        return;
    }
    place(checks, "token", files::parent(&settings.token_path), tokens.file.create_directory());
    match tokens.file.read(clock.now()) {
        Ok(Stored::Broken(reason)) => {
            checks.add("token", Mark::Warning, format!("{}: {reason}", settings.token_path.display()));
        }
        Ok(_) => {}
        Err(insecure) => checks.add("token", Mark::Bad(Exit::Config), insecure.to_string()),
    }
}

/// Whether the directory of `what`, which was just `made`, can be written to.
fn place(checks: &mut Checks, what: &'static str, path: &Path, made: std::io::Result<()>) {
    let result = made.and_then(|()| writable(path)).map(|()| format!("{} is writable", path.display()));
    let failure = |error| Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()));
    checks.of(what, result.map_err(failure));
}

pub(super) fn ping_url(checks: &mut Checks, settings: &Settings) {
    let Some(url) = &settings.config().ping.url else { return };
    match ping::check_url(&url.0) {
        Ok(()) => checks.add("ping", Mark::Good, "ping.url can be pinged; it was not".to_owned()),
        Err(reason) => checks.add("ping", Mark::Bad(Exit::Config), format!("ping.url: {reason}")),
    }
}

/// Whether a file can be made in `dir`.
fn writable(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".check.{}", std::process::id()));
    files::replace(&probe, b"", files::PRIVATE, files::Durability::Rename)?;
    files::remove(&probe).map(|_| ())
}
