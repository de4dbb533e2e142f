//! The call itself: jitter, overlap lock, ping, signals, and what is shown. The request and its outcome are `client`'s,
//! what is written down is `journal`'s.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{Instrument, debug, info, warn};
use tracing_subscriber::prelude::*;

use super::progress::Progress;
use super::settings::Settings;
use crate::cli::output::{Failure, Output};
use crate::cli::signal::{Stop, stopped};
use crate::client::{Client, Request};
use crate::clock::SharedClock;
use crate::config::call;
use crate::crontab::CallIdentity;
use crate::crontab::call_line::CallOptions;
use crate::crontab::invocation::{Invocation, check_task_name};
use crate::domain::digest::fnv64;
use crate::domain::duration::millis;
use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::domain::outcome::{CallOutcome, CallReport};
use crate::files::host_name;
use crate::journal::log::{Events, LogLayer};
use crate::journal::overlap::Claim;
use crate::journal::record::RunEntry;
use crate::journal::{ExecutionInfo, Journal};
use crate::notify::ping::Ping;

/// How long the final ping of an interrupted run may take: the process must be gone within a second.
const LAST_PING: Duration = Duration::from_millis(500);

/// How often a person who watches a long call hears of it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Makes the call and everything around it.
///
/// # Errors
/// Every end that is not success, after it has been recorded.
pub(super) async fn run(
    invocation: &Invocation,
    options: &CallOptions,
    settings: &Settings,
    output: Output,
    clock: SharedClock,
) -> Result<(), Failure> {
    let task = invocation.task_name();
    check_task_name(&task)
        .map_err(|reason| Failure::new(Exit::Usage, format!("--task {task:?}: {reason}")))?;
    let started_at = clock.now();
    let run_id = ExecutionId::new(started_at, std::array::from_fn(|_| fastrand::u8(..)));
    let settings = &settings.of_task(&task);
    let client = settings.client(options.force_login, clock.clone());
    let request = match client.request(invocation, run_id, settings.traceparent.as_deref()) {
        Ok(request) if options.dry_run => return show(&request, settings, output),
        // A mistyped command line is no run of a task.
        Err(error) if options.dry_run || error.outcome() == CallOutcome::Usage => return Err(error.into()),
        request => request,
    };
    let endpoint = invocation.endpoint.clone().unwrap_or_default();
    let manual = options.manual || is_watched(output);
    let identity = identity(invocation, settings.config());
    let execution = ExecutionInfo { task, run_id, endpoint, identity, manual, started_at };
    let journal = Journal::open(execution, settings.journal(), clock.clone())?;
    let progress = Progress::new(output, options.verbose, clock);
    Events::default().with(LogLayer::default()).with(progress).init();
    let span = journal.span();
    let call = async {
        debug!(files = ?settings.files, log = %settings.log_path.display(), state = %settings.state_dir.display(), "Settings read");
        let request = match request {
            Ok(request) => request,
            Err(error) => return CallReport::without_reply(error.outcome(), error.to_string()),
        };
        let began = Instant::now();
        tokio::select! {
            report = under_lock(&client, &request, &journal, settings.config()) => report,
            stop = stopped() => interrupted(stop, began, &client, &journal, &settings.config().ping).await,
            never = signs_of_life(began, options, output) => match never {},
        }
    };
    let report = call.instrument(span.clone()).await;
    span.in_scope(|| finish(&journal, &report, options, output))
}

/// Whether a person started it: what a schedule starts has no terminal.
fn is_watched(output: Output) -> bool {
    output.stdout_is_terminal || output.stderr_is_terminal || std::io::stdin().is_terminal()
}

/// What tells this line from another one that has the same task name.
fn identity(invocation: &Invocation, config: &call::CallConfig) -> CallIdentity {
    let iam = &config.iam;
    let tenant = iam.tenant_id.map(|tenant| tenant.to_string());
    let known = [("tenant", &tenant), ("username", &iam.username), ("client", &iam.client_id)];
    let account: Vec<(&str, &str)> =
        known.into_iter().filter_map(|(what, value)| Some((what, value.as_deref()?))).collect();
    invocation.identity(&config.api.base_url.0, &account)
}

/// The call after its jitter, under the overlap lock and between two pings; these run beside it, so that a slow monitor
/// costs no time.
async fn under_lock(
    client: &Client,
    request: &Request,
    journal: &Journal,
    config: &call::CallConfig,
) -> CallReport {
    let call = &config.call;
    wait_jitter(call, &journal.execution.task).await;
    let began = Instant::now();
    let deadline = began + call.timeout;
    let mut report = match journal.claim(call.overlap, deadline).await {
        Ok(Claim::Mine(lock)) => {
            let ping = ping(client, &config.ping, journal).await;
            let start = async {
                if let Some(ping) = &ping {
                    ping.start().await;
                }
            };
            let (report, ()) = tokio::join!(client.perform(request, deadline), start);
            if let Some(ping) = &ping {
                ping.end(report.outcome.exit(), &report.message).await;
            }
            drop(lock);
            report
        }
        Ok(Claim::Busy(who)) => Claim::busy(call.overlap, &journal.execution.identity, who.as_ref()),
        Err(error) => CallReport::without_reply(CallOutcome::Io, format!("overlap lock: {error}")),
    };
    report.duration = began.elapsed();
    report
}

async fn wait_jitter(call: &call::Call, task: &str) {
    if call.jitter.is_zero() {
        return;
    }
    let share = if call.jitter_fixed {
        let seed = host_name().into_bytes().into_iter().chain(task.bytes());
        fastrand::Rng::with_seed(fnv64(seed)).f64()
    } else {
        fastrand::f64()
    };
    let wait = call.jitter.mul_f64(share);
    info!(event = "jitter", wait_ms = millis(wait), "Waiting before the call");
    tokio::time::sleep(wait).await;
}

/// What pings, if anything is to be pinged: a run by hand says nothing about the schedule that is watched.
async fn ping(client: &Client, ping: &call::Ping, journal: &Journal) -> Option<Ping> {
    let secret = &ping.url.as_ref()?.0;
    if journal.execution.manual {
        info!(event = "not_pinged", "No ping: this run is by hand");
        return None;
    }
    let connection = match url::Url::parse(secret.expose()) {
        Ok(url) => client.transport.client(&url).await.map_err(|error| error.to_string()),
        Err(_) => Err("ping.url is no URL".to_owned()),
    };
    match connection {
        Ok(connection) => {
            Some(Ping::new(connection.clone(), secret.clone(), ping.timeout, journal.execution.run_id))
        }
        Err(reason) => {
            warn!(event = "ping_failed", reason, "Ping not sent; the outcome of the call stands");
            None
        }
    }
}

/// Tells a person who watches that a long call is still under way.
async fn signs_of_life(began: Instant, options: &CallOptions, output: Output) -> Infallible {
    if options.verbose == 0 && !output.stderr_is_terminal {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(SIGN_OF_LIFE).await;
        output.note(&format!("still under way after {} s", began.elapsed().as_secs()));
    }
}

async fn interrupted(
    stop: Stop,
    began: Instant,
    client: &Client,
    journal: &Journal,
    config: &call::Ping,
) -> CallReport {
    let message = format!("stopped by {}; a request that was under way may have been done", stop.name());
    let mut report = CallReport::without_reply(stop.outcome(), message);
    if let Some(ping) = ping(client, config, journal).await {
        // A ping that takes longer is given up: the promise is to be gone within a second.
        drop(tokio::time::timeout(LAST_PING, ping.end(stop.exit(), &report.message)).await);
    }
    report.duration = began.elapsed();
    report
}

/// Everything that the run leaves behind, on disk and on standard output, and how the program ends.
fn finish(
    journal: &Journal,
    report: &CallReport,
    options: &CallOptions,
    output: Output,
) -> Result<(), Failure> {
    let (entry, mut trouble) = journal.leave_behind(report);
    // No trouble with the output changes what the call came to.
    trouble.extend(print(report, &entry, options, output).err().map(|failure| failure.message));
    let (exit, trouble, task) = (report.outcome.exit(), trouble.join("; "), &entry.task);
    let line = format!("{task}: {} [{} {}]", report.message, exit.code(), exit.as_str());
    match (exit, trouble.is_empty()) {
        (Exit::Ok, true) => Ok(()),
        (Exit::Ok, false) => {
            let status = entry.status;
            let line =
                format!("{task}: the call ended with {status}, but not everything was written: {trouble}");
            Err(Failure::new(Exit::Io, line))
        }
        (exit, true) => Err(Failure::new(exit, line)),
        (exit, false) => Err(Failure::new(exit, format!("{line}; {trouble}"))),
    }
}

/// Standard output: the object of `--json`, or the reply for a person who wants to see it.
fn print(
    report: &CallReport,
    entry: &RunEntry,
    options: &CallOptions,
    output: Output,
) -> Result<(), Failure> {
    if options.json {
        return output.json(&object(report, entry));
    }
    let shown = options.verbose > 0 || output.stdout_is_terminal;
    match &report.body {
        Some(body) if shown => output.data(body),
        _ => Ok(()),
    }
}

/// The object of `--json`.
fn object(report: &CallReport, entry: &RunEntry) -> Value {
    let of_text = |body: &String| serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone()));
    // A number stays a number, as the server sent it.
    let of_code = |code: &String| code.parse::<i64>().map_or_else(|_| json!(code), Value::from);
    json!({
        "status": entry.status,
        "exit_name": entry.exit_name,
        "exit_code": entry.exit_code,
        "http_status": entry.http_status,
        "code": entry.code.as_ref().map(of_code),
        "message": report.message,
        "attempts": entry.attempts,
        "duration_ms": entry.duration_ms,
        "task": entry.task,
        "manual": entry.manual,
        "run_id": entry.run_id,
        "token_source": entry.token_source,
        "body": report.body.as_ref().map(of_text),
    })
}

/// `--dry-run`: what would be sent.
fn show(request: &Request, settings: &Settings, output: Output) -> Result<(), Failure> {
    let mut lines = vec![format!("{} {}", request.method, request.url)];
    lines.push(format!("Idempotency-Key: \"{}\"", request.run_id));
    lines.push(format!("traceparent: {}", request.traceparent));
    lines.push(format!("Authorization: Bearer [token of {}]", settings.token_path.display()));
    for (name, value) in &request.headers {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    if let Some(body) = &request.body {
        lines.push(String::new());
        lines.push(String::from_utf8_lossy(body).into_owned());
    }
    output.data(&lines.join("\n"))
}
