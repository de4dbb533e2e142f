//! The call as a command line makes it: jitter, signals, and what is shown. The call itself is `native_call`'s.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument, info};
use tracing_subscriber::prelude::*;

use super::preview;
use super::progress::Progress;
use super::shown::Shown;
use crate::cli::defect::caught_in;
use crate::cli::output::{Failure, Output};
use crate::cli::signal::{Signals, Stop};
use crate::clock::SharedClock;
use crate::config::call;
use crate::crontab::call_line::CallOptions;
use crate::crontab::invocation::{Invocation, check_task_name};
use crate::domain::digest::fnv64;
use crate::domain::duration::millis;
use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::domain::outcome::{CallOutcome, CallReport};
use crate::files::host_name;
use crate::journal::ExecutionInfo;
use crate::journal::log::{Events, LogLayer};
use crate::journal::record::RunEntry;
use crate::native_call::settings::Settings;
use crate::native_call::{Ended, NativeCall, StoppedBy, exit_and_message, identity, reply_file};

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
    let settings = Box::new(settings.of_task(&task));
    let client = settings.client(options.force_login, clock.clone());
    let request = match client.request(invocation, run_id, settings.traceparent.as_deref()) {
        Ok(request) if options.dry_run => return preview::show(&request, &settings, options.json, output),
        // A mistyped command line is no run of a task.
        Err(error) if options.dry_run || error.outcome() == CallOutcome::Usage => return Err(error.into()),
        request => request,
    };
    let reply = reply_file::open(invocation.output.as_deref());
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
    let call = NativeCall::open(execution, settings, client, request, reply, clock.clone())?;
    let progress = Progress::new(output, options.verbose, clock);
    Events::default().with(LogLayer::default()).with(progress).init();
    let span = call.journal.span();
    span.in_scope(|| call.journal.begin())?;
    let made = async {
        tokio::select! {
            ended = made(&call, &mut signals) => ended,
            never = signs_of_life(Instant::now(), options, output) => match never {},
        }
    };
    let ended = caught_in(pin!(made.instrument(span.clone())))
        .await
        .unwrap_or_else(|defect| Ended::unheard(CallReport::without_reply(CallOutcome::Internal, defect)));
    let result = span.in_scope(|| finish(call, &ended.report, options, output));
    let exit = result.as_ref().map_or_else(|failure| failure.exit, |()| Exit::Ok);
    ended.tell(exit, signals.stopped()).instrument(span).await;
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

/// The call after its jitter, until it is over or a signal ends it.
async fn made(call: &NativeCall, signals: &mut Signals) -> Ended {
    if let Some(ended) = call.unmade() {
        return ended;
    }
    let waited = async {
        let config = &call.settings.config().call;
        wait_jitter(config, &call.journal.execution.task).await;
        let began = Instant::now();
        let deadline = began + config.timeout;
        let claim = call.journal.claim(config.overlap, deadline).await;
        call.make((config.overlap, claim), began, deadline).await
    };
    call.unless(async { signals.stopped().await.into() }, pin!(waited)).await
}

impl From<Stop> for StoppedBy {
    fn from(stop: Stop) -> Self {
        Self { name: stop.name(), outcome: stop.outcome() }
    }
}

/// Whether a person started it: what a schedule starts has no terminal.
fn is_watched(output: Output) -> bool {
    output.stdout_is_terminal || output.stderr_is_terminal || std::io::stdin().is_terminal()
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

/// Everything that the run leaves behind, on disk and on standard output, and how the program ends.
fn finish(
    call: NativeCall,
    report: &CallReport,
    options: &CallOptions,
    output: Output,
) -> Result<(), Failure> {
    let is_kept = call.keeps_reply();
    let (entry, mut trouble) = call.leave_behind(report);
    trouble.extend(print(report, &entry, is_kept, options, output).err().map(|failure| failure.message));
    match exit_and_message(report, &trouble) {
        (Exit::Ok, _) => Ok(()),
        (exit, message) => Err(Failure::new(exit, format!("{}: {message}", entry.task))),
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
