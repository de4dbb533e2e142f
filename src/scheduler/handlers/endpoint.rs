//! Calls an endpoint as `qs-api-call` does: the same configuration, token file, lock, log, record, metrics and ping.
//!
//! A line has one attempt here; its `--retries` act inside of it. Its `--jitter` is not waited: it was planned into the
//! start. What it would show is not shown, since nobody watches: `--verbose` and a redirection change nothing.

mod connections;
mod line;
mod performed;
mod target;

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use tracing::{Instrument, Span, dispatcher};

use self::connections::Connections;
use self::line::{Line, Lines};
use self::performed::{busy_again, performed, refused, stopped_before};
pub use self::target::EndpointTarget;
use crate::client::Attempt;
use crate::client::departure::Departure;
use crate::clock::SharedClock;
use crate::config::Env;
use crate::domain::exit::Exit;
use crate::domain::failure::Failure;
use crate::domain::outcome::{AtStop, CallOutcome};
use crate::domain::overlap::Overlap;
use crate::journal::ExecutionInfo;
use crate::journal::overlap::Claim;
use crate::native_call::{NativeCall, StoppedBy, identity, reply_file};
use crate::scheduler::handler::{Handler, Performed, Stop, StopReason, Work};

pub use self::line::LinePolicy;

/// Makes the calls of lines. Its connections live as long as it does.
pub struct EndpointHandler {
    shared: Arc<Shared>,
}

/// What every call needs.
struct Shared {
    lines: Lines,
    connections: Connections,
    clock: SharedClock,
}

impl EndpointHandler {
    /// Calls as `qs-api-call` would in this environment, with the settings of each line laid over it.
    pub fn new(env: Env, clock: SharedClock) -> Self {
        let (lines, connections) = (Lines::new(env), Connections::default());
        Self { shared: Arc::new(Shared { lines, connections, clock }) }
    }

    /// What a scheduler must know of a line before it is called: its task, and what its settings say of time and overlap.
    /// Reads the configuration.
    ///
    /// # Errors
    /// Why the line could not be called as it is.
    pub fn policy(&self, target: &EndpointTarget) -> Result<LinePolicy, Failure> {
        self.shared.lines.read(target)?.policy(self.shared.clock.clone())
    }
}

#[async_trait]
impl Handler for EndpointHandler {
    async fn perform(&self, work: Work) -> Performed {
        let mut stop = work.stop.clone();
        let opened = tokio::select! {
            opened = self.opened(&work) => opened,
            reason = stop.told() => return stopped_before(by(reason)),
        };
        match opened {
            Ok(call) => made(call, work.overlap, stop).await,
            Err(failure) => refused(failure),
        }
    }

    fn tells_when_begun(&self) -> bool {
        true
    }
}

impl EndpointHandler {
    /// The call with its journal, from the configuration as it is now.
    async fn opened(&self, work: &Work) -> Result<NativeCall, Failure> {
        if work.parameters.is_some() {
            return Err(Failure::new(
                Exit::Usage,
                "parameters were given, and the call of a line takes none",
            ));
        }
        let line = self.shared.lines.of(&work.target)?;
        let (shared, work) = (Arc::clone(&self.shared), work.clone());
        apart(&Span::none(), move || open(&shared, &line, &work)).await
    }
}

fn open(shared: &Shared, line: &Line, work: &Work) -> Result<NativeCall, Failure> {
    let invocation = &line.invocation;
    let settings = Box::new(line.settings()?);
    let client = shared.connections.client(&settings, shared.clock.clone());
    let request = match client.request(invocation, work.execution, work.traceparent.as_deref()) {
        // A line that cannot be a call is no run of a task.
        Err(error) if error.outcome() == CallOutcome::Usage => {
            return Err(Failure::new(Exit::Usage, error.to_string()));
        }
        request => request.map(|mut request| {
            request.departure = Departure::told_by(work.begun.flag());
            request.attempt = Some(Attempt {
                key: work.idempotency_key,
                number: work.attempt,
                scheduled_for: work.scheduled_for,
            });
            request
        }),
    };
    let reply = reply_file::open(invocation.output.as_deref());
    let execution = ExecutionInfo {
        task: invocation.task_name(),
        run_id: work.execution,
        endpoint: invocation.endpoint.clone().unwrap_or_default(),
        target: settings.target().map(str::to_owned),
        identity: identity(invocation, settings.config()),
        manual: false,
        started_at: shared.clock.now(),
    };
    NativeCall::open(execution, settings, client, request, reply, shared.clock.clone())
        .map_err(|error| Failure::new(Exit::CannotCreate, error.to_string()))
}

/// The call under the lock that the command line takes, without waiting for it.
async fn made(call: NativeCall, overlap: Overlap, mut stop: Stop) -> Performed {
    let claim = if call.can_be_made() {
        call.journal.claim(overlap, Instant::now()).await
    } else {
        Ok(Claim::Mine(None))
    };
    let is_busy = match &claim {
        // It comes again until the lock is free, and is one run: nothing is written down before that.
        Ok(Claim::Busy(who)) if overlap == Overlap::Sequential => {
            return busy_again(&call.journal.execution.identity, who.as_ref());
        }
        Ok(Claim::Busy(Some(who))) => !who.identity.differs(&call.journal.execution.identity),
        Ok(Claim::Busy(None)) => true,
        Ok(Claim::Mine(_)) | Err(_) => false,
    };
    let (span, journal) = (call.journal.span(), call.journal.clone());
    if let Err(error) = apart(&span, move || journal.begin()).await {
        return refused(Failure::new(Exit::CannotCreate, error.to_string()));
    }
    let began = Instant::now();
    let deadline = began + call.settings.config().call.timeout;
    let under_lock = async {
        match call.unmade() {
            Some(ended) => ended,
            None => call.make((overlap, claim), began, deadline).await,
        }
    };
    let stopped = async { by(stop.told().await) };
    let ended = call.unless(stopped, pin!(under_lock)).instrument(span.clone()).await;
    let is_idempotent = call.is_idempotent();
    let (trouble, ended) = apart(&span, move || (call.leave_behind(&ended.report).1, ended)).await;
    let (exit, performed) = performed(&ended, &trouble, is_busy, is_idempotent);
    ended.tell(exit, stop.told()).instrument(span).await;
    performed
}

/// What a call comes to that the engine stops: somebody's wish counts as a Ctrl-C, the end of the process as its signal,
/// and the limit of the task as one of the call.
fn by(reason: StopReason) -> StoppedBy {
    match reason {
        StopReason::Cancelled => {
            StoppedBy { name: "a request to cancel it", outcome: CallOutcome::Interrupted }
        }
        StopReason::Interrupted => {
            StoppedBy { name: "the end of the scheduler", outcome: CallOutcome::Terminated }
        }
        StopReason::TimedOut => StoppedBy {
            name: "the time limit of its task",
            outcome: |at| match at {
                AtStop::NothingSent => CallOutcome::TryLater,
                AtStop::Sent => CallOutcome::Unknown,
            },
        },
    }
}

/// Does work with files where it holds up no other call, in this span.
async fn apart<T: Send + 'static>(span: &Span, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (span, subscriber) = (span.clone(), dispatcher::get_default(Clone::clone));
    let done =
        tokio::task::spawn_blocking(move || dispatcher::with_default(&subscriber, || span.in_scope(work)));
    match done.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is at its end, and this with it.
        Err(Err(_)) => std::future::pending().await,
    }
}
