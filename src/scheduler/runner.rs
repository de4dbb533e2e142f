//! Runs one claimed execution: gives it to its handler, and makes an event of how that ended. It alone turns a handler's
//! result into an event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use super::catalog::Governed;
use super::handler::{Again, Begun, End, Handler, Performed, Stop, StopReason, Work};
use crate::clock::SharedClock;
use crate::domain::backoff::TaskRetry;
use crate::domain::execution::{Event, Execution};
use crate::domain::overlap::Overlap;
use crate::domain::task::TaskPolicy;

/// How long a handler that was told to stop may take until it is dropped.
const GRACE: Duration = Duration::from_secs(5);

/// How long an execution waits whose task's lock is held by a run by hand.
const LOCKED: SignedDuration = SignedDuration::from_secs(1);

/// The handlers by their names.
pub type Handlers = HashMap<String, Arc<dyn Handler>>;

/// How an attempt ended: what happens to the execution, and what is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What happens.
    pub event: Event,
    /// What is recorded.
    pub end: End,
}

/// Tells a handler to stop, and why.
pub type Stopper = watch::Sender<Option<StopReason>>;

/// Tells to stop; whoever was told before keeps the first reason.
pub fn tell(stopper: &Stopper, why: StopReason) {
    stopper.send_if_modified(|reason| {
        let first = reason.is_none();
        reason.get_or_insert(why);
        first
    });
}

/// Does the work of a claimed execution until it is over, one way or another.
pub async fn run(
    handlers: &Handlers,
    of: &Governed,
    execution: &Execution,
    (stopper, stop): (Stopper, Stop),
    clock: &SharedClock,
) -> Ended {
    let definition = &of.revision.definition;
    let policy = &definition.policy;
    let Some(handler) = handlers.get(&definition.handler) else {
        return failed("unknown_handler", format!("no handler is called {:?}", definition.handler));
    };
    let work = work(of, execution, stop);
    let begun = work.begun.clone();
    if !handler.tells_when_begun() {
        begun.set();
    }
    let mut told = stopper.subscribe();
    let handler = Arc::clone(handler);
    let mut working = tokio::spawn(async move { handler.perform(work).await });
    let performed = tokio::select! {
        performed = &mut working => Some(performed),
        () = tokio::time::sleep(policy.timeout) => {
            tell(&stopper, StopReason::TimedOut);
            timeout(GRACE, &mut working).await.ok()
        }
        () = async { drop(told.wait_for(Option::is_some).await) } => timeout(GRACE, &mut working).await.ok(),
    };
    let reason = *stopper.borrow();
    match performed {
        Some(Ok(performed)) => ended(performed, reason, begun.get(), policy, execution, clock.now()),
        Some(Err(panic)) => failed("panicked", panic_message(panic)),
        None => {
            working.abort();
            let end =
                end("abandoned", format!("the handler did not stop within {GRACE:?} and was abandoned"));
            stopped(reason, begun.get(), policy, execution, end)
        }
    }
}

fn work(of: &Governed, execution: &Execution, stop: Stop) -> Work {
    let definition = &of.revision.definition;
    Work {
        execution: execution.id,
        task: of.task.name.clone(),
        target: definition.target.as_str().into(),
        parameters: execution.parameters.as_deref().map(Into::into),
        attempt: execution.attempt,
        scheduled_for: execution.scheduled_for,
        idempotency_key: Uuid::new_v5(&of.task.uid, execution.dedup.as_bytes()),
        traceparent: execution.traceparent.clone(),
        overlap: definition.policy.overlap,
        timeout: definition.policy.timeout,
        begun: Begun::default(),
        stop,
    }
}

fn ended(
    performed: Performed,
    reason: Option<StopReason>,
    begun: bool,
    policy: &TaskPolicy,
    execution: &Execution,
    now: Timestamp,
) -> Ended {
    let again = |end: &End, wish| wait(&policy.retry, execution, &end.outcome, wish);
    match performed {
        Performed::Done(end) => Ended { event: Event::Succeeded, end },
        Performed::Failed(end, Again::Never) => Ended { event: Event::Failed { again: None }, end },
        Performed::Failed(end, Again::ByPolicy) => {
            let again = again(&end, None);
            Ended { event: Event::Failed { again }, end }
        }
        Performed::Failed(end, Again::After(wish)) => {
            let again = again(&end, Some(wish));
            Ended { event: Event::Failed { again }, end }
        }
        Performed::Unknown(end) => Ended { event: Event::Unknown { again: again(&end, None) }, end },
        Performed::Stopped(end) => stopped(reason, begun, policy, execution, end),
        Performed::Busy(end) => {
            let event = match policy.overlap {
                Overlap::Fail => Event::OverlapRefused,
                Overlap::Sequential => Event::Postponed { until: now + LOCKED },
                Overlap::Skip | Overlap::Parallel => Event::OverlapSkip,
            };
            Ended { event, end }
        }
    }
}

/// What a handler that was stopped comes to. One that stopped though nobody told it was interrupted.
fn stopped(
    reason: Option<StopReason>,
    begun: bool,
    policy: &TaskPolicy,
    execution: &Execution,
    end: End,
) -> Ended {
    let event = match reason {
        Some(StopReason::Cancelled) => Event::Cancelled,
        Some(StopReason::TimedOut) => {
            let again = wait(&policy.retry, execution, &end.outcome, None);
            Event::TimedOut { begun, again }
        }
        Some(StopReason::Interrupted) | None => Event::Interrupted { begun },
    };
    Ended { event, end }
}

/// How long to wait after one failure more; none when it was the last one, or is one that is not tried again.
fn wait(retry: &TaskRetry, execution: &Execution, outcome: &str, wish: Option<Duration>) -> Option<Duration> {
    retry.next(execution.failures + 1, fastrand::f64(), wish).filter(|_| retry.retries(outcome))
}

fn failed(outcome: &str, message: String) -> Ended {
    Ended { event: Event::Failed { again: None }, end: end(outcome, message) }
}

fn end(outcome: &str, message: String) -> End {
    End { outcome: outcome.to_owned(), message, exit: None }
}

/// What a panic says of itself.
fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "the handler was cut off".to_owned() };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("the handler panicked: {text}")
}

/// A text of so many bytes at most, which says when something was cut off.
pub fn bounded(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - '…'.len_utf8()));
        text.push('…');
    }
    text
}
