//! `check`: the whole picture before cron tries it, without showing a secret and without calling the endpoint.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::time::Instant;
use url::Url;

use super::args::CheckArgs;
use super::check_places::{configuration, ping_url, places};
use super::checks::{Checks, Mark, report};
use crate::cli::output::{Failure, Output};
use crate::client::clock_difference::clock_difference;
use crate::client::in_file::InFile;
use crate::client::keeper::TokenKeeper;
use crate::client::proof::Proof;
use crate::client::request::authorize;
use crate::client::token::Token;
use crate::client::transport::{Nature, Outgoing, SendStep};
use crate::client::{Client, address};
use crate::clock::{Clock, SharedClock};
use crate::domain::exit::Exit;
use crate::native_call::settings::Settings;

/// Longest deadline of one question to a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Checks everything that a call to each target needs; the exit code is that of the first item that is bad, of several
/// targets the highest.
pub(super) async fn run(
    args: &CheckArgs,
    targets: &[Settings],
    output: Output,
    clock: SharedClock,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    for settings in targets {
        found.push((settings.target(), of_target(args, settings, clock.clone()).await));
    }
    report(&found, args.json, output)
}

/// Checks one target.
async fn of_target(args: &CheckArgs, settings: &Settings, clock: SharedClock) -> Checks {
    let client = settings.client(args.force_login, clock.clone());
    let mut checks = Checks { items: Vec::new() };
    configuration(&mut checks, settings);
    places(&mut checks, settings, &client.tokens, &*clock);
    ping_url(&mut checks, settings);
    let config = settings.config();
    let api = address::base(&config.api.base_url.0, config.call.allow_plaintext);
    match &api {
        Ok(url) => reach(&mut checks, "api", url, &client, settings, &*clock).await,
        Err(error) => checks.add("api", Mark::Bad(Exit::Config), format!("api.base_url: {error}")),
    }
    let no_auth = config.call.no_auth;
    match client.tokens.login_settings() {
        _ if no_auth => {}
        Ok(login) => reach(&mut checks, "iam", &login.url, &client, settings, &*clock).await,
        Err(error) => checks.of("iam", Err(error.into())),
    }
    let token = if no_auth {
        let origin = settings.loaded.origin("call.no_auth");
        checks.add("login", Mark::Good, format!("none: calls carry no credential (call.no_auth, {origin})"));
        None
    } else {
        login(&mut checks, settings, &client.tokens).await
    };
    if let (Some(endpoint), Ok(base)) = (&args.endpoint, &api)
        && (no_auth || token.is_some())
    {
        checks.of("endpoint", endpoint_exists(base, endpoint, token.as_ref(), &client, settings).await);
    }
    checks
}

/// No question takes longer than an attempt of a call may.
fn patience(settings: &Settings) -> Duration {
    settings.config().call.attempt_timeout.min(PATIENCE)
}

/// Name, connection and certificate of a server: any HTTP answer proves all three.
async fn reach(
    checks: &mut Checks,
    what: &'static str,
    url: &Url,
    client: &Client,
    settings: &Settings,
    clock: &dyn Clock,
) {
    let host = url.host_str().unwrap_or_default().to_owned();
    let transport = &client.transport;
    if let Err(error) = transport.client(url).await {
        checks.of(what, Err(error.into()));
        return;
    }
    let way = transport.proxy(url).map(|proxy| format!(", through the proxy {proxy}")).unwrap_or_default();
    let mut origin = url.clone();
    origin.set_path("/health");
    origin.set_query(None);
    let outgoing = Outgoing::bare(Method::GET, origin, HeaderMap::new());
    let sent_at = clock.now();
    match transport.send(outgoing, Instant::now() + patience(settings)).await {
        Ok(reply) => {
            if let Some(difference) = clock_difference(&reply, sent_at, clock.now()) {
                let text = format!("the clock of this machine is {difference} that of {host}");
                checks.add("clock", Mark::Warning, format!("{text} (hint: is NTP running, here and there?)"));
            }
            let secure = if url.scheme() == "https" {
                "name, connection and certificate"
            } else {
                "name and connection"
            };
            checks.add(what, Mark::Good, format!("{host}: {secure} are good{way} (HTTP {})", reply.status));
        }
        Err(failure) => {
            let hint = match failure.step {
                SendStep::Dns => " (hint: check the name, and that this host can resolve it)",
                _ => "",
            };
            let exit = match failure.nature() {
                Nature::Setting => Exit::Config,
                Nature::Protocol => Exit::Protocol,
                Nature::NeverSent | Nature::Unanswered => Exit::TryLater,
            };
            checks.add(what, Mark::Bad(exit), format!("{host}: {failure}{hint}"));
        }
    }
}

/// Gets a token, and sees that the credential is good: a token that is still valid would hide a wrong password.
async fn login(checks: &mut Checks, settings: &Settings, tokens: &TokenKeeper) -> Option<Token> {
    let deadline = Instant::now() + settings.config().iam.timeout;
    if let Ok(InFile::Foreign(difference)) = tokens.in_file() {
        checks.add("token", Mark::Warning, format!("the token in the file is not used: {difference}"));
    }
    match tokens.proven(deadline).await {
        Ok((token, proof)) => {
            let how = match proof {
                Proof::Login => "by a login just now".to_owned(),
                Proof::Known(since) => {
                    format!("from the token file, got with this very credential at {}", second(since))
                }
                Proof::None => "from the token file; no login was tried".to_owned(),
            };
            let end = second(token.ends_at(&tokens.policy));
            checks.add("login", Mark::Good, format!("a token {how}, good until {end}"));
            Some(token)
        }
        Err(error) => {
            checks.of("login", Err(error.into()));
            None
        }
    }
}

fn second(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%dT%H:%M:%SZ")
}

/// Asks with OPTIONS, which is safe by definition: a server that knows the path answers anything but 404.
async fn endpoint_exists(
    base: &Url,
    endpoint: &str,
    token: Option<&Token>,
    client: &Client,
    settings: &Settings,
) -> Result<String, Failure> {
    let url =
        address::join(base, endpoint, &[]).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        authorize(&mut headers, &token.secret);
    }
    let outgoing = Outgoing::bare(Method::OPTIONS, url, headers);
    let reply = client
        .transport
        .send(outgoing, Instant::now() + patience(settings))
        .await
        .map_err(|failure| Failure::new(Exit::TryLater, format!("{endpoint}: {failure}")))?;
    let status = reply.status;
    let (exit, reason) = match status {
        404 | 410 => (Exit::Failed, format!("the server does not know it (HTTP {status})")),
        401 | 403 if token.is_none() => {
            (Exit::Auth, format!("the server wants a credential (HTTP {status}), and call.no_auth is set"))
        }
        401 | 403 => (Exit::Auth, format!("the server refuses the token (HTTP {status})")),
        300..=399 => (Exit::Protocol, format!("redirects are not followed (HTTP {status})")),
        500.. => (Exit::TryLater, format!("HTTP {status}")),
        _ => {
            let knows = format!("the server knows it (OPTIONS answered HTTP {status})");
            return Ok(format!("{endpoint}: {knows}; it was not called"));
        }
    };
    Err(Failure::new(exit, format!("{endpoint}: {reason}")))
}
