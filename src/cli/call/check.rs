//! `check`: the whole picture before cron tries it, without showing a secret and without calling the endpoint.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::args::CheckArgs;
use super::settings::Settings;
use crate::cli::output::{Failure, Output};
use crate::client::keeper::TokenKeeper;
use crate::client::request::authorize;
use crate::client::token::Token;
use crate::client::token_file::Stored;
use crate::client::transport::{Outgoing, SendStep};
use crate::client::{Client, address};
use crate::clock::SharedClock;
use crate::domain::exit::Exit;
use crate::domain::outcome::TokenSource;
use crate::files;
use crate::notify::ping;

/// Longest deadline of one question to a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// How one item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Good,
    Warning,
    Bad(Exit),
}

/// The items found so far.
struct Checks {
    items: Vec<(&'static str, Mark, String)>,
}

impl Checks {
    fn add(&mut self, what: &'static str, mark: Mark, text: impl Into<String>) {
        self.items.push((what, mark, text.into()));
    }

    fn of(&mut self, what: &'static str, result: Result<String, Failure>) {
        match result {
            Ok(text) => self.add(what, Mark::Good, text),
            Err(failure) => {
                let hint = failure.hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
                self.add(what, Mark::Bad(failure.exit), format!("{}{hint}", failure.message));
            }
        }
    }
}

/// Checks everything that a call needs; the exit code is that of the first item that is bad.
pub(super) async fn run(
    args: &CheckArgs,
    settings: &Settings,
    output: Output,
    clock: SharedClock,
) -> Result<(), Failure> {
    let client = settings.client(false, clock);
    let mut checks = Checks { items: Vec::new() };
    configuration(&mut checks, settings);
    places(&mut checks, settings, &client.tokens);
    ping_url(&mut checks, settings);
    let config = settings.config();
    let api = address::base(&config.api.base_url.0, config.call.allow_plaintext);
    match &api {
        Ok(url) => reach(&mut checks, "api", url, &client, settings).await,
        Err(error) => checks.add("api", Mark::Bad(Exit::Config), format!("api.base_url: {error}")),
    }
    match client.tokens.login_settings() {
        Ok(login) => reach(&mut checks, "iam", &login.url, &client, settings).await,
        Err(error) => checks.of("iam", Err(error.into())),
    }
    let token = login(&mut checks, settings, &client.tokens).await;
    if let (Some(endpoint), Ok(base), Some(token)) = (&args.target, &api, &token) {
        checks.of("endpoint", endpoint_exists(base, endpoint, token, &client, settings).await);
    }
    report(&checks, args.json, output)
}

/// No question takes longer than an attempt of a call may.
fn patience(settings: &Settings) -> Duration {
    settings.config().call.attempt_timeout.min(PATIENCE)
}

fn configuration(checks: &mut Checks, settings: &Settings) {
    let files: Vec<String> = settings.files.iter().map(|path| path.display().to_string()).collect();
    let from = if files.is_empty() { "defaults and environment alone".to_owned() } else { files.join(", ") };
    checks.add("configuration", Mark::Good, from);
    let loaded = &settings.loaded;
    for (key, advice) in
        [("iam.password", "prefer iam.password_file"), ("iam.client_secret", "prefer iam.client_secret_file")]
    {
        if let origin @ crate::config::Origin::Env(_) = loaded.origin(key) {
            checks.add("configuration", Mark::Warning, format!("{key} comes from the {origin}: {advice}"));
        }
    }
}

fn places(checks: &mut Checks, settings: &Settings, tokens: &TokenKeeper) {
    let metrics = settings.metrics_dir();
    let dir = |path: &Path, mode| {
        let made =
            if path == metrics { files::create_public_dir(path) } else { files::create_dir(path, mode) };
        made.and_then(|()| writable(path))
    };
    for (what, path, mode) in [
        ("metrics", metrics.clone(), 0o755),
        ("log", files::parent(&settings.log_path).to_owned(), 0o750),
        ("state", settings.records_dir(), 0o700),
        ("locks", settings.locks_dir(), 0o700),
        ("token", files::parent(&settings.token_path).to_owned(), 0o700),
    ] {
        let result = dir(&path, mode).map(|()| format!("{} is writable", path.display()));
        checks.of(
            what,
            result.map_err(|error| Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()))),
        );
    }
    // The two directories that a call makes; what is above them is nobody's business here.
    for (path, needed) in [(files::parent(&metrics), 0o001), (&*metrics, 0o005)] {
        let mode = std::fs::metadata(path).map_or(needed, |found| found.mode());
        if mode & needed != needed {
            let text = format!(
                "{} has mode {:04o}: Prometheus cannot read the metrics (hint: chmod {} {})",
                path.display(),
                mode & 0o7777,
                if needed == 0o001 { "o+x" } else { "o+rx" },
                path.display()
            );
            checks.add("metrics", Mark::Warning, text);
        }
    }
    match tokens.file.read() {
        Ok(Stored::Broken(reason)) => {
            checks.add("token", Mark::Warning, format!("{}: {reason}", settings.token_path.display()));
        }
        Ok(_) => {}
        Err(insecure) => checks.add("token", Mark::Bad(Exit::Config), insecure.to_string()),
    }
}

fn ping_url(checks: &mut Checks, settings: &Settings) {
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

/// Name, connection and certificate of a server: any HTTP answer proves all three.
async fn reach(checks: &mut Checks, what: &'static str, url: &Url, client: &Client, settings: &Settings) {
    let host = url.host_str().unwrap_or_default().to_owned();
    let transport = &client.transport;
    if let Err(error) = transport.client(url).await {
        checks.of(what, Err(error.into()));
        return;
    }
    let way = if transport.goes_direct(url) { "" } else { ", through the proxy" };
    let mut origin = url.clone();
    origin.set_path("/health");
    origin.set_query(None);
    let outgoing = Outgoing { method: Method::GET, url: origin, headers: HeaderMap::new(), body: None };
    match transport.send(outgoing, Instant::now() + patience(settings)).await {
        Ok(reply) => {
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
                SendStep::Tls => " (hint: a private CA is given with --cacert or tls.cacert)",
                _ => "",
            };
            checks.add(what, Mark::Bad(Exit::TryLater), format!("{host}{way}: {failure}{hint}"));
        }
    }
}

/// Gets a token as a call would.
async fn login(checks: &mut Checks, settings: &Settings, tokens: &TokenKeeper) -> Option<Token> {
    let deadline = Instant::now() + settings.config().iam.timeout;
    match tokens.current(deadline).await {
        Ok((token, source)) => {
            let how = match source {
                TokenSource::File => "from the token file",
                TokenSource::Login => "by a login just now",
            };
            checks.add(
                "login",
                Mark::Good,
                format!("a token {how}, good until {}", token.ends_at(&tokens.policy)),
            );
            Some(token)
        }
        Err(error) => {
            checks.of("login", Err(error.into()));
            None
        }
    }
}

/// Asks with OPTIONS, which is safe by definition: a server that knows the path answers anything but 404.
async fn endpoint_exists(
    base: &Url,
    endpoint: &str,
    token: &Token,
    client: &Client,
    settings: &Settings,
) -> Result<String, Failure> {
    let url =
        address::join(base, endpoint, &[]).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let mut headers = HeaderMap::new();
    authorize(&mut headers, &token.secret);
    let outgoing = Outgoing { method: Method::OPTIONS, url, headers, body: None };
    let reply = client
        .transport
        .send(outgoing, Instant::now() + patience(settings))
        .await
        .map_err(|failure| Failure::new(Exit::TryLater, format!("{endpoint}: {failure}")))?;
    let status = reply.status;
    let (exit, reason) = match status {
        404 | 410 => (Exit::Failed, format!("the server does not know it (HTTP {status})")),
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

fn report(checks: &Checks, as_json: bool, output: Output) -> Result<(), Failure> {
    let word = |mark: &Mark| match mark {
        Mark::Good => "ok",
        Mark::Warning => "warning",
        Mark::Bad(_) => "bad",
    };
    if as_json {
        let items: Vec<Value> = checks
            .items
            .iter()
            .map(|(what, mark, text)| json!({"check": what, "result": word(mark), "message": text}))
            .collect();
        output.json(&items.into())?;
    } else {
        output.table(&[], checks.items.iter().map(|(what, mark, text)| [*what, word(mark), text]))?;
    }
    let bad: Vec<_> = checks
        .items
        .iter()
        .filter_map(|(what, mark, text)| match mark {
            Mark::Bad(exit) => Some((what, *exit, text)),
            Mark::Good | Mark::Warning => None,
        })
        .collect();
    let Some((what, exit, text)) = bad.first() else { return Ok(()) };
    let several = match bad.len() {
        1 => String::new(),
        count => format!("{count} items are bad, the first is "),
    };
    Err(Failure::new(*exit, format!("check: {several}{what}: {text}")))
}
