//! Called by the name of one of the scripts that this program replaces, it keeps their contract: the same arguments
//! and environment, usage on standard error, exit code 0 or 1. What the scripts printed on standard output goes to the
//! log alone, so that cron mails failures only.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{Instrument, error, info};
use tracing_subscriber::prelude::*;

use super::{run, token};
use crate::cli::output::{Failure, Output};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Env;
use crate::crontab::call_line::{CallOptions, Common};
use crate::crontab::invocation::Invocation;
use crate::domain::exit::Exit;
use crate::journal::log::{Events, LogFile, LogLayer, RunLog};
use crate::native_call::settings::Settings;

/// A script that this program stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// `qs-api-call.sh <endpoint> [log_file]`
    ApiCall,
    /// `qs-refresh-token.sh`
    RefreshToken,
}

/// The script whose name the program was called by.
pub(super) fn called_as(args: &[OsString]) -> Option<Script> {
    match Path::new(args.first()?).file_name()?.to_str()? {
        "qs-api-call.sh" | "api-call.sh" => Some(Script::ApiCall),
        "qs-refresh-token.sh" | "refresh-token.sh" => Some(Script::RefreshToken),
        _ => None,
    }
}

/// Runs as `script`.
///
/// # Errors
/// Every end that is not success.
pub(super) async fn run(script: Script, args: &[OsString], env: &Env, output: Output) -> Result<(), Failure> {
    match script {
        Script::ApiCall => api_call(args, env, output).await,
        Script::RefreshToken => refresh_token(env).await,
    }
}

async fn api_call(args: &[OsString], env: &Env, output: Output) -> Result<(), Failure> {
    let text = |n: usize| args.get(n).map(|arg| arg.to_string_lossy().into_owned());
    let Some(endpoint) = text(1).filter(|endpoint| !endpoint.is_empty()) else {
        return Err(Failure::new(Exit::Usage, "Usage: qs-api-call.sh <endpoint> [log_file]").with_hint(
            "for example qs-api-call.sh /api/v1/statistics/sync/daily /var/log/qs-scheduler/sync-daily.log",
        ));
    };
    let log_file = text(2).filter(|path| !path.is_empty()).map(PathBuf::from);
    let invocation = Invocation { endpoint: Some(endpoint), log_file, ..Invocation::default() };
    let settings = Settings::resolve(env, &invocation, &Common::default())?;
    let clock: SharedClock = Arc::new(SystemClock);
    run::run(&invocation, &CallOptions::default(), &settings, output, clock).await
}

/// The script logged to a file of its own and printed nothing.
async fn refresh_token(env: &Env) -> Result<(), Failure> {
    let settings = Settings::resolve(env, &Invocation::default(), &Common::default())?;
    let log_path = match &settings.config().log.file {
        Some(path) => path.clone(),
        None => settings.log_path.with_file_name("refresh-token.log"),
    };
    let clock: SharedClock = Arc::new(SystemClock);
    let cannot = |error| Failure::new(Exit::CannotCreate, format!("{}: {error}", log_path.display()));
    settings.journal().make_dirs()?;
    let file = LogFile::open(&log_path, settings.rotation()).map_err(cannot)?;
    let log = RunLog::new(file, settings.config().log.format, Vec::new(), clock.clone());
    Events::default().with(LogLayer::default()).init();
    let refresh = async {
        info!(event = "refreshing", "Starting token refresh");
        let deadline = Instant::now() + settings.config().call.timeout;
        let result = token::refresh(&settings.client(false, clock), deadline).await;
        match &result {
            Ok(expires) => {
                info!(event = "finished", expires_at = %expires, "Token saved to {}", settings.token_path.display());
            }
            Err(failure) => {
                error!(event = "finished", exit_name = failure.exit.as_str(), "{}", failure.message);
            }
        }
        result
    };
    let result = refresh.instrument(log.span()).await;
    if let Some(error) = log.failure() {
        return Err(Failure::new(Exit::Io, format!("{}: {error}", log_path.display())));
    }
    result.map(|_| ())
}
