//! The call itself: jitter, overlap lock, signals, and what is shown. The request and its outcome are `client`'s,
//! what is written down is `journal`'s.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument, debug, info, warn};
use tracing_subscriber::prelude::*;

use super::monitor::Monitor;
use super::preview;
use super::progress::Progress;
use super::reply_file::{self, Place};
use super::settings::Settings;
use super::shown::Shown;
use crate::cli::defect::caught_in;
use crate::cli::output::{Failure, Output};
use crate::cli::signal::{Signals, Stop};
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
use crate::domain::outcome::{AtStop, CallOutcome, CallReport};
use crate::files::host_name;
use crate::journal::log::{Events, LogLayer};
use crate::journal::overlap::Claim;
use crate::journal::record::RunEntry;
use crate::journal::{ExecutionInfo, Journal};

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
    check_output(invocation, options)?;
    let started_at = clock.now();
    let run_id = ExecutionId::new(started_at, std::array::from_fn(|_| fastrand::u8(..)));
    let settings = &settings.of_task(&task);
    let client = settings.client(options.force_login, clock.clone());
    let request = match client.request(invocation, run_id, settings.traceparent.as_deref()) {
        Ok(request) if options.dry_run => return preview::show(&request, settings, options.json, output),
        // A mistyped command line is no run of a task.
        Err(error) if options.dry_run || error.outcome() == CallOutcome::Usage => return Err(error.into()),
        request => request,
    };
    let (reply_file, no_place) = match reply_file::open(invocation.output.as_deref()) {
        Ok(reply_file) => (reply_file, None),
        Err(reason) => (None, Some(reason)),
    };
    let execution = ExecutionInfo {
        task,
        run_id,
        endpoint: invocation.endpoint.clone().unwrap_or_default(),
        target: settings.target().map(str::to_owned),
        identity: identity(invocation, settings.config()),
        manual: options.manual || is_watched(output),
        started_at,
    };
    let mut signals = Signals::listen();
    let journal = Journal::open(execution, settings.journal(), clock.clone())?;
    let progress = Progress::new(output, options.verbose, clock);
    Events::default().with(LogLayer::default()).with(progress).init();
    let span = journal.span();
    span.in_scope(|| journal.begin())?;
    let call = async {
        debug!(files = ?settings.files, log = %settings.log_path.display(), state = %settings.state_dir.display(), "Settings read");
        if let Some(reason) = &settings.unseen {
            warn!(event = "configuration_unseen", reason, "The system's configuration cannot be seen");
        }
        match (request, no_place) {
            (Ok(request), None) => {
                let called = called(&client, &request, &journal, settings, &mut signals);
                tokio::select! {
                    ended = called => ended,
                    never = signs_of_life(Instant::now(), options, output) => match never {},
                }
            }
            (Ok(_), Some(reason)) => {
                Ended::unheard(CallReport::without_reply(CallOutcome::CannotCreate, reason))
            }
            (Err(error), _) => Ended::unheard(CallReport::without_reply(error.outcome(), error.to_string())),
        }
    };
    let ended = caught_in(pin!(call.instrument(span.clone())))
        .await
        .unwrap_or_else(|defect| Ended::unheard(CallReport::without_reply(CallOutcome::Internal, defect)));
    let result = span.in_scope(|| finish(&journal, &ended.report, reply_file, options, output));
    // Everything is written: whatever the monitor does, the run is what it was.
    if let Some(monitor) = ended.monitor {
        let exit = result.as_ref().map_or_else(|failure| failure.exit, |()| Exit::Ok);
        monitor.end(exit, &ended.report.message, ended.last_ping, &mut signals).instrument(span).await;
    }
    result
}

/// What cannot both be on standard output.
fn check_output(invocation: &Invocation, options: &CallOptions) -> Result<(), Failure> {
    if options.json && invocation.output.as_deref().is_some_and(reply_file::is_stdout) {
        let failure = Failure::new(Exit::Usage, "--json and --output - both write to standard output");
        return Err(failure.with_hint("the reply is in the object of --json, or name a file"));
    }
    Ok(())
}

/// The call, until it is over or a signal ends it.
async fn called(
    client: &Client,
    request: &Request,
    journal: &Journal,
    settings: &Settings,
    signals: &mut Signals,
) -> Ended {
    let began = Instant::now();
    tokio::select! {
        ended = under_lock(client, request, journal, settings.config()) => ended,
        stop = signals.stopped() => {
            let report = CallReport { duration: began.elapsed(), ..stopped(stop, request) };
            let monitor = Monitor::of(client, &settings.config().ping, journal).await;
            Ended { report, monitor, last_ping: Some(LAST_PING) }
        }
    }
}

/// A call that is over.
struct Ended {
    report: CallReport,
    /// Who is still to be told.
    monitor: Option<Monitor>,
    /// How long that may take; unset is as long as a ping may.
    last_ping: Option<Duration>,
}

impl Ended {
    /// One that no monitor hears of.
    fn unheard(report: CallReport) -> Self {
        Self { report, monitor: None, last_ping: None }
    }
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

/// The call after its jitter, under the overlap lock. The monitor hears of its begin beside it, so that a slow one costs
/// no time.
async fn under_lock(
    client: &Client,
    request: &Request,
    journal: &Journal,
    config: &call::CallConfig,
) -> Ended {
    let call = &config.call;
    wait_jitter(call, &journal.execution.task).await;
    let began = Instant::now();
    let deadline = began + call.timeout;
    let mut ended = match journal.claim(call.overlap, deadline).await {
        Ok(Claim::Mine(lock)) => {
            let mut monitor = Monitor::of(client, &config.ping, journal).await;
            if let Some(monitor) = &mut monitor {
                monitor.start();
            }
            let report = client.perform(request, deadline).await;
            drop(lock);
            Ended { report, monitor, last_ping: None }
        }
        Ok(Claim::Busy(who)) => {
            Ended::unheard(Claim::busy(call.overlap, &journal.execution.identity, who.as_ref()))
        }
        Err(error) => {
            Ended::unheard(CallReport::without_reply(CallOutcome::Io, format!("overlap lock: {error}")))
        }
    };
    ended.report.duration = began.elapsed();
    ended
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

/// What a run comes to that is stopped: only what has left may have been done.
fn stopped(stop: Stop, request: &Request) -> CallReport {
    let (at, what) = if request.left.load(Ordering::SeqCst) {
        (AtStop::Sent, "a request that was under way may have been done")
    } else {
        (AtStop::NothingSent, "nothing was sent")
    };
    CallReport::without_reply(stop.outcome(at), format!("stopped by {}; {what}", stop.name()))
}

/// Everything that the run leaves behind, on disk and on standard output, and how the program ends.
fn finish(
    journal: &Journal,
    report: &CallReport,
    reply_file: Place,
    options: &CallOptions,
    output: Output,
) -> Result<(), Failure> {
    let (entry, mut trouble) = journal.leave_behind(report);
    let is_kept = reply_file.is_some();
    if let Some((path, file)) = reply_file {
        trouble.extend(file.write(&path, report).err());
    }
    // No trouble with the output changes what the call came to.
    trouble.extend(print(report, &entry, is_kept, options, output).err().map(|failure| failure.message));
    let (exit, trouble, task) = (report.outcome.exit(), trouble.join("; "), &entry.task);
    let line = format!("{task}: {}", report.message);
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
    is_kept: bool,
    options: &CallOptions,
    output: Output,
) -> Result<(), Failure> {
    if options.json {
        return output.serialized(&Shown::new(report, entry));
    }
    let shown = options.verbose > 0 || output.stdout_is_terminal;
    match &report.body {
        Some(body) if shown && !is_kept => output.data(body),
        _ => Ok(()),
    }
}
