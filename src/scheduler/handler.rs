//! What does the work of an execution. The engine knows no handler: it gives one the work and records how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::id::ExecutionId;
use crate::domain::overlap::Overlap;

/// Does the work of tasks with one kind of target.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Does it once. A panic is caught outside and recorded as a failure.
    ///
    /// When [`Work::stop`] tells to stop, the handler ends what it can and returns; one that does not is dropped after a
    /// grace, and its end is unknown.
    async fn perform(&self, work: Work) -> Performed;

    /// Whether it says by [`Work::begun`] itself when its work begins; otherwise it begins when the handler is called.
    fn tells_when_begun(&self) -> bool {
        false
    }
}

/// One attempt of an execution.
#[derive(Clone, Debug)]
pub struct Work {
    /// The execution.
    pub execution: ExecutionId,
    /// Name of its task.
    pub task: String,
    /// What to do, as the revision of the task says it: JSON of the handler's own type.
    pub target: Arc<str>,
    /// What the execution was given, if it was given anything: JSON.
    pub parameters: Option<Arc<str>>,
    /// Which attempt it is; attempts only grow, and are not always one apart.
    pub attempt: u32,
    /// For which time it was planned; none of what was started by hand.
    pub scheduled_for: Option<Timestamp>,
    /// The same for every attempt of the execution.
    pub idempotency_key: Uuid,
    /// What the trace of its cause was.
    pub traceparent: Option<String>,
    /// What happens when another one is still running.
    pub overlap: Overlap,
    /// How long it may take; the engine tells to stop then.
    pub timeout: Duration,
    /// Set when the work has begun: from then on it may have been done.
    pub begun: Begun,
    /// Tells when to stop, and why.
    pub stop: Stop,
}

/// Whether work has begun.
#[derive(Clone, Debug, Default)]
pub struct Begun(Arc<AtomicBool>);

impl Begun {
    /// The work begins.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// The flag itself, for what sees the moment from which nothing can be taken back.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether it has begun.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Why work is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for its end.
    Cancelled,
    /// It has taken as long as it may.
    TimedOut,
    /// The process ends, or may no longer act for the execution.
    Interrupted,
}

/// Where a handler hears that it is to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Option<StopReason>>);

impl Stop {
    /// A channel by which one handler is told.
    pub fn channel() -> (watch::Sender<Option<StopReason>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Waits until it is told to stop; for ever when nobody can tell any more.
    pub async fn told(&mut self) -> StopReason {
        loop {
            if let Some(reason) = *self.0.borrow_and_update() {
                return reason;
            }
            if self.0.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// How work ended, as its handler knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Performed {
    /// It was done.
    Done(End),
    /// It failed, and that is known.
    Failed(End, Again),
    /// It stopped because it was told to.
    Stopped(End),
    /// Nobody knows whether it was done (exit 124).
    Unknown(End),
    /// Another one of the task holds the lock that runs by hand take too; nothing was begun.
    Busy(End),
}

/// What is recorded of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// A word for it: of a call the word of its status.
    pub outcome: String,
    /// One sentence.
    pub message: String,
    /// The exit code that the command line would end with, where there is one.
    pub exit: Option<u8>,
}

/// Whether a failure may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// As the policy says.
    ByPolicy,
    /// Not before this time has passed.
    After(Duration),
    /// Never: a repeat would fail too.
    Never,
}
