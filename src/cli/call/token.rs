//! `token …`: the cached token for humans and other tools.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::args::TokenCommand;
use crate::cli::output::{Failure, Output};
use crate::client::Client;
use crate::client::in_file::InFile;
use crate::client::keeper::TokenKeeper;
use crate::client::token_file::{Kept, Stored};
use crate::clock::{Clock, SharedClock};
use crate::domain::exit::Exit;
use crate::native_call::settings::Settings;

/// Runs a `token` command.
pub(super) async fn run(
    command: &TokenCommand,
    settings: &Settings,
    output: Output,
    clock: SharedClock,
) -> Result<(), Failure> {
    if settings.config().call.no_auth {
        let origin = settings.loaded.origin("call.no_auth");
        let target = settings
            .target()
            .map_or_else(|| "the unnamed target".to_owned(), |name| format!("target {name}"));
        let message = format!("{target} uses no token: call.no_auth is set ({origin})");
        return Err(Failure::new(Exit::Config, message)
            .with_hint("name another one with --target, or leave out call.no_auth"));
    }
    let client = |force_login| settings.client(force_login, clock.clone());
    let deadline = Instant::now() + settings.config().call.timeout;
    let path = settings.token_path.display();
    match command {
        TokenCommand::Status(args) => {
            let status = status(&client(false).tokens, &*clock)?;
            if args.json { output.json(&status) } else { output.data(&table(&status)) }
        }
        TokenCommand::Clear => {
            let cleared = client(false)
                .tokens
                .file
                .clear()
                .map_err(|error| Failure::new(Exit::Io, format!("{path}: {error}")))?;
            let what = if cleared { "removed" } else { "there was no token at" };
            output.data(&format!("{what} {path}"))
        }
        TokenCommand::Refresh { force_login } => {
            let expires = refresh(&client(*force_login), deadline).await?;
            output.data(&format!("new token in {path}, good until {expires}"))
        }
        TokenCommand::Print => {
            let (token, _) = client(false).tokens.current(deadline).await?;
            output.data(token.secret.expose())
        }
    }
}

/// Logs in and replaces the token; returns when it ends.
pub(super) async fn refresh(client: &Client, deadline: Instant) -> Result<Timestamp, Failure> {
    let token = client.tokens.refresh(deadline).await?;
    Ok(token.ends_at(&client.tokens.policy))
}

fn status(tokens: &TokenKeeper, clock: &dyn Clock) -> Result<Value, Failure> {
    let (now, file, policy) = (clock.now(), &tokens.file, &tokens.policy);
    let stored = file.read(now).map_err(|insecure| Failure::new(Exit::Config, insecure.to_string()))?;
    let mut status = json!({"file": file.path.display().to_string()});
    let state = match &stored {
        Stored::Missing => "missing",
        Stored::Broken(_) => "broken",
        Stored::Token(kept) if kept.token.is_expired(policy, now) => "expired",
        Stored::Token(kept) if kept.token.needs_renewal(policy, now) => "expiring",
        Stored::Token(_) => "valid",
    };
    status["state"] = state.into();
    match stored {
        Stored::Token(kept) => {
            let token = &kept.token;
            let end = token.ends_at(policy);
            status["obtained_at"] = token.obtained_at.to_string().into();
            status["expires_at"] = end.to_string().into();
            status["expires_in_seconds"] = end.duration_since(now).as_secs().into();
            status["expiry_known"] = token.expires_at.is_some().into();
            status["api_origin"] = kept.identity.as_ref().map(|identity| identity.api_origin.clone()).into();
            status["credential"] = credential(&kept, tokens).into();
            match InFile::of(kept, &tokens.identity()?) {
                InFile::Foreign(difference) => {
                    status["state"] = "foreign".into();
                    status["reason"] = difference.to_string().into();
                }
                InFile::Bare(_) => {
                    status["reason"] = "nobody says whose it is; the next call adopts it".into();
                }
                InFile::Ours(_) | InFile::Missing => {}
            }
        }
        Stored::Broken(reason) => status["reason"] = reason.into(),
        Stored::Missing => {}
    }
    if let Some(rejection) = tokens.held() {
        status["login_not_before"] = rejection.held_until().to_string().into();
        status["login_rejected"] = rejection.reason.into();
    }
    Ok(status)
}

/// Whether the token was got with the credential that is configured.
fn credential(kept: &Kept, tokens: &TokenKeeper) -> &'static str {
    match (&kept.credential, tokens.login_settings()) {
        (Some(credential), Ok(login)) if credential.is_of(&login) => "the token's",
        (Some(_), Ok(_)) => "not the token's",
        _ => "unknown",
    }
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
