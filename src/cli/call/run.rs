//! The call itself: jitter, overlap lock, ping, token, request, outcome, and what it leaves behind.

use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use tracing_subscriber::prelude::*;

use super::ended::Ended;
use super::progress::Progress;
use super::request;
use super::settings::{Settings, host_name};
use crate::cli::output::{Failure, Output};
use crate::cli::signal::{Stop, stopped};
use crate::client::keeper::TokenKeeper;
use crate::client::transport::Transport;
use crate::client::wait::{self, WaitOptions};
use crate::client::{CallOutcome, Caller, Request, address};
use crate::clock::SharedClock;
use crate::crontab::call_line::CallOptions;
use crate::crontab::invocation::{Invocation, check_task_name};
use crate::domain::digest::fnv64;
use crate::domain::duration::millis;
use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::journal::line::truncate;
use crate::journal::log::{Events, LogFile, LogLayer};
use crate::journal::overlap::{Claim, Holder, OverlapLocks};
use crate::journal::record::{Records, RunEntry};
use crate::journal::textfile;
use crate::notify::ping::Ping;

/// How long the final ping of an interrupted run may take: the process must be gone within a second.
const LAST_PING: Duration = Duration::from_millis(500);

/// How often a person who watches a long call hears of it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// One run of the program as a call.
pub(super) struct CallProgram<'a> {
    /// What is called, and how.
    pub invocation: &'a Invocation,
    /// How it is shown.
    pub options: &'a CallOptions,
    /// The settings in force.
    pub settings: &'a Settings,
    /// Where it is shown.
    pub output: Output,
    /// The time.
    pub clock: SharedClock,
}

impl CallProgram<'_> {
    /// Makes the call and everything around it.
    ///
    /// # Errors
    /// Every end that is not success, after it has been recorded.
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let task = self.invocation.task_name();
        check_task_name(&task)
            .map_err(|reason| Failure::new(Exit::Usage, format!("--task {task:?}: {reason}")))?;
        let started_at = self.clock.now();
        let run_id = ExecutionId::new(started_at, std::array::from_fn(|_| fastrand::u8(..)));
        if self.options.dry_run {
            return self.show(&request::build(self.invocation, self.settings, run_id)?);
        }
        let request = match request::build(self.invocation, self.settings, run_id) {
            // A mistyped command line is no run of a task.
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            request => request,
        };
        let (log, records, locks) = self.open_journal(&task, run_id)?;
        let settings = self.settings;
        debug!(files = ?settings.files, log = %settings.log_path.display(), state = %settings.state_dir.display(), "Settings read");
        let ended = match request {
            Ok(request) => self.guarded(&task, run_id, &request, &locks).await,
            Err(failure) => Ended::before_anything(&failure),
        };
        self.leave_behind(&task, run_id, started_at, &ended, &records, &log)
    }

    /// Opens log and state before anything is sent: a call that could not be recorded is not made.
    fn open_journal(
        &self,
        task: &str,
        run_id: ExecutionId,
    ) -> Result<(LogLayer, Records, OverlapLocks), Failure> {
        let settings = self.settings;
        let cannot = |path: &std::path::Path, error: &std::io::Error| {
            Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()))
                .with_hint("create it for this user, or choose another with the log argument or --state-dir")
        };
        let log = LogFile::open(&settings.log_path, settings.rotation())
            .map_err(|error| cannot(&settings.log_path, &error))?;
        let records = Records::open(settings.records_dir(), settings.config().state.history.into())
            .map_err(|error| cannot(&settings.records_dir(), &error))?;
        let locks = OverlapLocks::open(settings.locks_dir())
            .map_err(|error| cannot(&settings.locks_dir(), &error))?;
        let context =
            vec![("task".to_owned(), task.into()), ("run_id".to_owned(), run_id.to_string().into())];
        let layer = LogLayer::new(log, settings.config().log.format, context, self.clock.clone());
        let progress = Progress::new(self.output, self.options.verbose, self.clock.clone());
        Events.with(layer.clone()).with(progress).init();
        Ok((layer, records, locks))
    }

    /// The run under the overlap lock and under the signals that can end it.
    async fn guarded(
        &self,
        task: &str,
        run_id: ExecutionId,
        request: &Request,
        locks: &OverlapLocks,
    ) -> Ended {
        let began = Instant::now();
        tokio::select! {
            ended = self.locked(task, run_id, request, locks) => ended,
            stop = stopped() => self.interrupted(stop, run_id, began).await,
            never = self.signs_of_life(began) => match never {},
        }
    }

    /// Tells a person who watches that a long call is still under way.
    async fn signs_of_life(&self, began: Instant) -> Infallible {
        if self.options.verbose == 0 && !self.output.stderr_is_terminal {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(SIGN_OF_LIFE).await;
            self.output.note(&format!("still under way after {} s", began.elapsed().as_secs()));
        }
    }

    async fn locked(
        &self,
        task: &str,
        run_id: ExecutionId,
        request: &Request,
        locks: &OverlapLocks,
    ) -> Ended {
        self.wait_jitter(task).await;
        let call = &self.settings.config().call;
        let began = Instant::now();
        let deadline = began + call.timeout;
        let holder = Holder { run_id: run_id.to_string(), pid: std::process::id(), since: self.clock.now() };
        let mut ended = match locks.claim(task, call.overlap, &holder, deadline).await {
            Ok(Claim::Mine(lock)) => {
                let ended = self.pinged(run_id, request, deadline).await;
                drop(lock);
                ended
            }
            Ok(Claim::Busy(who)) => Ended::busy(call.overlap, who.as_ref()),
            Err(error) => Ended::before_anything(&Failure::new(Exit::Io, format!("overlap lock: {error}"))),
        };
        ended.duration = began.elapsed();
        ended
    }

    async fn wait_jitter(&self, task: &str) {
        let call = &self.settings.config().call;
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

    /// The call between the two pings; they run beside it, so that a slow monitor costs no time.
    async fn pinged(&self, run_id: ExecutionId, request: &Request, deadline: Instant) -> Ended {
        let transport = Transport::new(self.settings.transport_options());
        let (ended, pinging) = match self.ping(&transport, run_id).await {
            Some(ping) => {
                let (ended, ()) = tokio::join!(self.call(request, &transport, deadline), ping.start());
                (ended, Some(ping))
            }
            None => (self.call(request, &transport, deadline).await, None),
        };
        if let Some(ping) = pinging {
            ping.end(ended.exit, &ended.report.message).await;
        }
        ended
    }

    async fn ping<'t>(&self, transport: &'t Transport, run_id: ExecutionId) -> Option<Ping<'t>> {
        let ping = &self.settings.config().ping;
        let secret = &ping.url.as_ref()?.0;
        let client = match url::Url::parse(secret.expose()) {
            Ok(url) => transport.client(&url).await.map_err(|error| error.to_string()),
            Err(_) => Err("ping.url is no URL".to_owned()),
        };
        match client {
            Ok(client) => Some(Ping::new(client, secret.clone(), ping.timeout, run_id)),
            Err(reason) => {
                warn!(event = "ping_failed", reason, "Ping not sent; the outcome of the call stands");
                None
            }
        }
    }

    /// The call: a connection that can be made, a token, the attempts, and the wait for an accepted one.
    async fn call(&self, request: &Request, transport: &Transport, deadline: Instant) -> Ended {
        // A wrong certificate file or proxy is found before a login is wasted on it.
        if let Err(error) = transport.client(&request.url).await {
            return Ended::before_anything(&transport_failure(&error));
        }
        let settings = self.settings;
        let mut redactor = settings.redactor();
        let keeper = TokenKeeper::new(
            settings.token_file(),
            || settings.login(),
            settings.keeper_options(self.options.force_login),
            transport,
            self.clock.clone(),
        );
        let caller = Caller::new(transport, &keeper, self.clock.clone());
        let policy = settings.call_policy(request.method.as_str());
        let mut report = caller.run(request, &policy, deadline, &mut redactor).await;
        if self.invocation.wait && report.outcome == CallOutcome::Accepted {
            let call = &settings.config().call;
            match address::base(&settings.config().api.base_url.0, call.allow_plaintext) {
                Ok(base) => {
                    let options =
                        WaitOptions { base, path: call.wait_path.clone(), interval: call.wait_interval };
                    report =
                        wait::follow(&caller, report, request, &policy, &options, deadline, &mut redactor)
                            .await;
                }
                Err(error) => {
                    warn!(event = "not_waited", reason = %error, "The accepted call cannot be followed");
                }
            }
        }
        Ended::of(report)
    }

    async fn interrupted(&self, stop: Stop, run_id: ExecutionId, began: Instant) -> Ended {
        let exit = stop.exit();
        let message = format!("stopped by {}; a request that was under way may have been done", stop.name());
        let transport = Transport::new(self.settings.transport_options());
        if let Some(ping) = self.ping(&transport, run_id).await {
            // A ping that takes longer is given up: the promise is to be gone within a second.
            drop(tokio::time::timeout(LAST_PING, ping.end(exit, &message)).await);
        }
        Ended::stopped(exit, message, began.elapsed())
    }

    /// Log line, run record, metrics, output: the same end everywhere.
    fn leave_behind(
        &self,
        task: &str,
        run_id: ExecutionId,
        started_at: Timestamp,
        ended: &Ended,
        records: &Records,
        log: &LogLayer,
    ) -> Result<(), Failure> {
        self.log(ended);
        let entry =
            ended.entry(task, run_id, started_at, self.invocation.endpoint.as_deref().unwrap_or_default());
        let recorded = records
            .add(&entry)
            .map_err(|error| format!("run record in {}: {error}", self.settings.records_dir().display()))
            .and_then(|added| {
                let dir = self.settings.metrics_dir();
                textfile::write(&dir, &added.record)
                    .map_err(|error| format!("metrics in {}: {error}", dir.display()))
            });
        if let Err(reason) = &recorded {
            warn!(event = "not_recorded", reason, "The run could not be recorded");
        }
        let logged = log
            .failure()
            .map_or(Ok(()), |error| Err(format!("log {}: {error}", self.settings.log_path.display())));
        // No trouble with the output changes what the call came to.
        let printed = self.print(ended, &entry).map_err(|failure| failure.message);
        let trouble: Vec<String> = [recorded, logged, printed].into_iter().filter_map(Result::err).collect();
        let trouble = trouble.join("; ");
        match (ended.exit, trouble.is_empty()) {
            (Exit::Ok, true) => Ok(()),
            (Exit::Ok, false) => Err(Failure::new(
                Exit::Io,
                format!(
                    "{task}: the call ended with {}, but not everything was written: {trouble}",
                    ended.status
                ),
            )),
            (exit, true) => Err(Failure::new(exit, ended.line(task))),
            (exit, false) => Err(Failure::new(exit, format!("{}; {trouble}", ended.line(task)))),
        }
    }

    fn log(&self, ended: &Ended) {
        let report = &ended.report;
        let limit = usize::try_from(self.settings.config().log.body_limit.0).unwrap_or(usize::MAX);
        let http_status = report.http_status.map(u64::from);
        let code = report.code.as_deref();
        let token_source = report.token_source.map(crate::client::keeper::TokenSource::as_str);
        let response = report.body.as_deref().map(|body| truncate(body, limit));
        macro_rules! finished {
            ($level:ident, $($message:tt)+) => {
                $level!(
                    event = "finished", status = ended.status, exit = u64::from(ended.exit.code()),
                    exit_name = ended.exit.name(), http_status, code, attempts = report.attempts,
                    duration_ms = millis(ended.duration), token_source, response, $($message)+
                )
            };
        }
        match ended.status {
            "success" => finished!(info, "API call successful ({})", report.message),
            "accepted" => finished!(info, "API call accepted, not done yet ({})", report.message),
            "skipped" if ended.exit == Exit::Ok => finished!(info, "API call skipped: {}", report.message),
            _ => finished!(error, "API call failed: {}", report.message),
        }
    }

    /// Standard output: the object of `--json`, or the reply for a person who wants to see it.
    fn print(&self, ended: &Ended, entry: &RunEntry) -> Result<(), Failure> {
        if self.options.json {
            return self.output.json(&ended.json(entry));
        }
        let shown = self.options.verbose > 0 || self.output.stdout_is_terminal;
        match &ended.report.body {
            Some(body) if shown => self.output.data(body),
            _ => Ok(()),
        }
    }

    /// `--dry-run`: what would be sent.
    fn show(&self, request: &Request) -> Result<(), Failure> {
        let mut lines = vec![format!("{} {}", request.method, request.url)];
        lines.push(format!("Idempotency-Key: \"{}\"", request.run_id));
        lines.push(format!("traceparent: {}", request.traceparent));
        lines.push(format!("Authorization: Bearer [token of {}]", self.settings.token_path.display()));
        for (name, value) in &request.headers {
            lines.push(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        if let Some(body) = &request.body {
            lines.push(String::new());
            lines.push(String::from_utf8_lossy(body).into_owned());
        }
        self.output.data(&lines.join("\n"))
    }
}

/// A file or proxy setting that no connection can be made with.
pub(super) fn transport_failure(error: &crate::client::transport::TransportError) -> Failure {
    use crate::client::transport::TransportError;
    let exit = match error {
        TransportError::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Exit::NoInput
        }
        TransportError::Client(_) => Exit::Internal,
        _ => Exit::Config,
    };
    Failure::new(exit, error.to_string())
}
