//! `token …`: the cached token for humans and other tools.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::args::TokenCommand;
use super::settings::Settings;
use crate::cli::output::{Failure, Output};
use crate::client::keeper::{TokenError, TokenKeeper};
use crate::client::login_memory::LoginMemory;
use crate::client::token_file::{Stored, TokenFile};
use crate::client::transport::Transport;
use crate::clock::SharedClock;
use crate::domain::exit::Exit;

/// Runs a `token` command.
pub(super) async fn run(
    command: &TokenCommand,
    settings: &Settings,
    output: Output,
    clock: SharedClock,
) -> Result<(), Failure> {
    let file = settings.token_file();
    match command {
        TokenCommand::Status(args) => {
            let status = status(&file, settings, &clock)?;
            if args.json { output.json(&status) } else { output.data(&table(&status)) }
        }
        TokenCommand::Clear => {
            let cleared = file
                .clear()
                .map_err(|error| Failure::new(Exit::Io, format!("{}: {error}", file.path().display())))?;
            let what = if cleared { "removed" } else { "there was no token at" };
            output.data(&format!("{what} {}", file.path().display()))
        }
        TokenCommand::Refresh { force_login } => {
            let expires = refresh(settings, *force_login, clock).await?;
            output.data(&format!("new token in {}, good until {expires}", file.path().display()))
        }
        TokenCommand::Print => {
            let transport = Transport::new(settings.transport_options());
            let keeper = keeper(settings, false, &transport, clock);
            let deadline = Instant::now() + settings.config().call.timeout;
            let (token, _) =
                keeper.current(deadline, &mut settings.redactor()).await.map_err(|error| failure(&error))?;
            output.data(token.secret.expose())
        }
    }
}

/// Logs in and replaces the token; returns when it ends.
pub(super) async fn refresh(
    settings: &Settings,
    force_login: bool,
    clock: SharedClock,
) -> Result<Timestamp, Failure> {
    let transport = Transport::new(settings.transport_options());
    let keeper = keeper(settings, force_login, &transport, clock);
    let deadline = Instant::now() + settings.config().call.timeout;
    let token = keeper.refresh(deadline, &mut settings.redactor()).await.map_err(|error| failure(&error))?;
    Ok(token.ends_at(keeper.policy()))
}

/// A missing token as a failure of the program.
pub(super) fn failure(error: &TokenError) -> Failure {
    Failure::new(error.outcome().exit(), error.to_string())
}

fn keeper<'a>(
    settings: &'a Settings,
    force_login: bool,
    transport: &'a Transport,
    clock: SharedClock,
) -> TokenKeeper<'a> {
    TokenKeeper::new(
        settings.token_file(),
        || settings.login(),
        settings.keeper_options(force_login),
        transport,
        clock,
    )
}

fn status(file: &TokenFile, settings: &Settings, clock: &SharedClock) -> Result<Value, Failure> {
    let now = clock.now();
    let policy = settings.keeper_options(false).policy;
    let stored = file.read().map_err(|insecure| Failure::new(Exit::Config, insecure.to_string()))?;
    let memory = LoginMemory::read(&file.memory_path());
    let rejection = memory.rejection.filter(|rejection| now < rejection.until);
    let mut status = json!({"file": file.path().display().to_string()});
    let state = match &stored {
        Stored::Missing => "missing",
        Stored::Broken(_) => "broken",
        Stored::Token(token) if token.is_expired(&policy, now) => "expired",
        Stored::Token(token) if token.needs_renewal(&policy, now) => "expiring",
        Stored::Token(_) => "valid",
    };
    status["state"] = state.into();
    match stored {
        Stored::Token(token) => {
            let end = token.ends_at(&policy);
            status["obtained_at"] = token.obtained_at.to_string().into();
            status["expires_at"] = end.to_string().into();
            status["expires_in_seconds"] = end.duration_since(now).as_secs().into();
            status["expiry_known"] = token.expires_at.is_some().into();
        }
        Stored::Broken(reason) => status["reason"] = reason.into(),
        Stored::Missing => {}
    }
    if let Some(rejection) = rejection {
        status["login_rejected"] = rejection.reason.into();
        status["login_not_before"] = rejection.until.to_string().into();
    }
    Ok(status)
}

/// An object as aligned `key  value` lines.
fn table(object: &Value) -> String {
    let Value::Object(fields) = object else { return object.to_string() };
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    fields.iter().fold(String::new(), |text, (key, value)| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text + &format!("{key:width$}  {shown}\n")
    })
}
