//! The duty that claims what is due and runs it, as many at a time as there are free workers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{Notify, RwLock, mpsc};
use tokio::time::Instant;

use super::catalog::Catalog;
use super::handler::{End, Stop, StopReason};
use super::runner::{Ended, Handlers, Stopper, bounded, run, tell};
use crate::clock::SharedClock;
use crate::domain::execution::{
    Delivery, Event, Execution, Kept, LONGEST_MESSAGE, LONGEST_OUTCOME, SessionId, Standing,
};
use crate::domain::id::ExecutionId;
use crate::domain::overlap::Overlap;
use crate::store::scheduler::{Change, Changed, ClaimOrder, Claimed, Did, Ledger, LedgerError};

/// Most executions of one claim.
const MOST: usize = 500;

/// How long a worker waits that knows of nothing to do: somebody else may have made something due.
const POLL: Duration = Duration::from_secs(1);

/// Between two tries to record an end while the store is away.
const AGAIN: Duration = Duration::from_millis(500);

/// An execution and which attempt: the next one may begin before the end of the last one is forgotten here.
type Attempt = (ExecutionId, u32);

/// What the workers of a process share.
pub struct Workers {
    pub(super) session: SessionId,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) handlers: Handlers,
    pub(super) clock: SharedClock,
    /// Told when something was planned or asked for.
    pub(super) nudge: Arc<Notify>,
    /// What runs now, and how it is told to stop.
    pub(super) running: Mutex<HashMap<Attempt, Stopper>>,
    /// Held to read while a claim is under way: whoever holds it to write sees each claim started, or lost.
    pub(super) claims: RwLock<()>,
}

/// One lane of work.
pub struct Worker {
    shared: Arc<Workers>,
    queue: String,
    capacity: usize,
    running: usize,
    /// Tasks whose seat was taken when they were looked at last, and since when they are left out.
    blocked: HashSet<i64>,
    blocked_at: Instant,
    ended: (mpsc::UnboundedSender<i64>, mpsc::UnboundedReceiver<i64>),
}

impl Worker {
    /// A lane with so many workers.
    pub fn new(shared: Arc<Workers>, queue: String, capacity: usize) -> Self {
        let ended = mpsc::unbounded_channel();
        let blocked_at = Instant::now();
        Self { shared, queue, capacity, running: 0, blocked: HashSet::new(), blocked_at, ended }
    }

    /// Works until the session is over.
    pub async fn work(mut self) -> LedgerError {
        loop {
            let planned = Arc::clone(&self.shared.nudge);
            let planned = planned.notified();
            tokio::pin!(planned);
            planned.as_mut().enable();
            let more = match self.claim().await {
                Ok(more) => more,
                Err(LedgerError::SessionOver) => return LedgerError::SessionOver,
                Err(error) => {
                    tracing::warn!(%error, queue = self.queue, "nothing can be claimed");
                    false
                }
            };
            // What ended meanwhile may have had the seat that others wait for.
            let mut again = more;
            while let Ok(task) = self.ended.1.try_recv() {
                self.is_over(task);
                again = true;
            }
            if again && self.running < self.capacity {
                continue;
            }
            let pause = self.pause().await;
            tokio::select! {
                Some(task) = self.ended.1.recv() => self.is_over(task),
                () = planned => {}
                () = tokio::time::sleep(pause) => {}
            }
            // A seat that another process or lane gives back is not told here.
            if self.blocked_at.elapsed() >= POLL {
                self.blocked.clear();
                self.blocked_at = Instant::now();
            }
        }
    }

    fn is_over(&mut self, task: i64) {
        self.running -= 1;
        self.blocked.remove(&task);
    }

    /// How long to wait when nothing happens meanwhile.
    async fn pause(&self) -> Duration {
        if self.running >= self.capacity {
            return POLL;
        }
        let now = self.shared.clock.now();
        // What is due and was not claimed is blocked, and its end is told.
        match self.shared.ledger.next_due(&self.queue, Some(now)).await {
            Ok(Some(next)) => Duration::try_from(next.duration_since(now)).unwrap_or(POLL).min(POLL),
            Ok(None) => POLL,
            Err(error) => {
                tracing::warn!(%error, queue = self.queue, "when something is due cannot be read");
                POLL
            }
        }
    }

    /// Claims and starts. Whether there may be more.
    async fn claim(&mut self) -> Did<bool> {
        let free = self.capacity.saturating_sub(self.running).min(MOST);
        if free == 0 {
            return Ok(false);
        }
        let now = self.shared.clock.now();
        let next = self.shared.ledger.next_due(&self.queue, None).await?;
        if next.is_none_or(|next| next > now) {
            return Ok(false);
        }
        let order = ClaimOrder {
            queue: self.queue.clone(),
            most: free,
            now,
            blocked: self.blocked.iter().copied().collect(),
        };
        let shared = Arc::clone(&self.shared);
        let under_way = shared.claims.read().await;
        let claimed = shared.ledger.claim(shared.session, order).await?;
        let (more, mut busy) = (claimed.len() >= free, Vec::new());
        for one in claimed {
            match one {
                Claimed::Mine(execution) => self.start(execution),
                Claimed::Busy(execution) => busy.push(execution),
            }
        }
        drop(under_way);
        for execution in busy {
            self.busy(execution).await?;
        }
        Ok(more)
    }

    fn start(&mut self, execution: Execution) {
        self.running += 1;
        let (shared, ended) = (Arc::clone(&self.shared), self.ended.0.clone());
        let stop = Stop::channel();
        shared.lock().insert((execution.id, execution.attempt), stop.0.clone());
        tokio::spawn(async move {
            let task = execution.task_id;
            shared.perform(execution, stop).await;
            // Nobody listens when the worker has ended.
            let _ = ended.send(task);
        });
    }

    /// Another one of its task has the seat.
    async fn busy(&mut self, execution: Execution) -> Did<()> {
        let governed = self.shared.catalog.governing(execution.task_id, execution.revision).await?;
        let overlap = governed.map_or(Overlap::Sequential, |of| of.revision.definition.policy.overlap);
        let event = match overlap {
            Overlap::Skip => Event::OverlapSkip,
            Overlap::Fail => Event::OverlapRefused,
            Overlap::Sequential | Overlap::Parallel => {
                self.blocked.insert(execution.task_id);
                return Ok(());
            }
        };
        let end = End {
            outcome: event.as_str().to_owned(),
            message: "the last one of its task was still running".to_owned(),
            exit: None,
        };
        self.shared.change(&execution, &event, end).await.map(drop)
    }
}

/// Between two tries to read the task of an execution.
const UNREAD: SignedDuration = SignedDuration::from_secs(5);

impl Workers {
    /// Runs a claimed execution and records its end.
    async fn perform(&self, execution: Execution, stop: (Stopper, Stop)) {
        let ended = match self.catalog.governing(execution.task_id, execution.revision).await {
            Ok(Some(of)) => run(&self.handlers, &of, &execution, stop, &self.clock).await,
            Ok(None) => unread("unknown_task", "its task is not in the store", Event::Failed { again: None }),
            Err(error) if error.may_pass() => {
                let until = self.clock.now() + UNREAD;
                unread("postponed", &error.to_string(), Event::Postponed { until })
            }
            Err(error) => unread("unreadable_task", &error.to_string(), Event::Failed { again: None }),
        };
        self.record(&execution, &ended).await;
        self.lock().remove(&(execution.id, execution.attempt));
    }

    /// Records an end, however long the store is away; until the session is over.
    async fn record(&self, execution: &Execution, ended: &Ended) {
        loop {
            match self.change(execution, &ended.event, ended.end.clone()).await {
                Ok(Changed::Done) => return,
                Ok(Changed::Late) => {
                    let (id, outcome) = (execution.id, &ended.end.outcome);
                    tracing::warn!(%id, outcome, "a result came after somebody else had ended its attempt");
                    return;
                }
                Err(error @ (LedgerError::SessionOver | LedgerError::NotAllowed(_))) => {
                    tracing::error!(id = %execution.id, %error, "a result could not be recorded");
                    return;
                }
                Err(error) => {
                    tracing::warn!(id = %execution.id, %error, "a result cannot be recorded yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Lets an event happen to an execution as it was read, by what its task says now.
    pub(super) async fn change(&self, from: &Execution, event: &Event, end: End) -> Did<Changed> {
        let mut to = from.clone();
        let kept = to.apply(event, self.standing(from).await?, self.clock.now())?;
        let outcome = bounded(end.outcome, LONGEST_OUTCOME);
        let message = bounded(end.message, LONGEST_MESSAGE);
        if *event != Event::Released {
            to.outcome = Some(outcome.clone());
            to.message = Some(message.clone());
        }
        let attempt = (kept == Kept::Attempt).then_some((outcome, message));
        let change = Change { from: from.clone(), to, attempt, is_result: event.is_result() };
        self.ledger.change(self.session, change).await
    }

    /// What its task says about an end. Where that cannot be known, nobody does it again.
    async fn standing(&self, one: &Execution) -> Did<Standing> {
        match self.catalog.governing(one.task_id, one.revision).await {
            Ok(Some(of)) => Ok(of.revision.definition.policy.standing(of.task.deleted_at.is_some())),
            Err(error) if error.may_pass() => Err(error.into()),
            Ok(None) | Err(_) => Ok(Standing { delivery: Delivery::AtMostOnce, deleted: true }),
        }
    }

    /// Tells everything that runs to stop.
    pub(super) fn stop_all(&self, reason: StopReason) {
        for stopper in self.lock().values() {
            tell(stopper, reason);
        }
    }

    /// Releases what this session holds and does not run: the answer to its claim was lost. How many there were.
    ///
    /// # Errors
    /// The store's, and that the session is over.
    pub(super) async fn release_idle(&self) -> Did<usize> {
        let none_under_way = self.claims.write().await;
        // What ends meanwhile is in the first and not in the second.
        let running = self.ids();
        let held = self.ledger.held(self.session).await?;
        drop(none_under_way);
        let mut released = 0;
        for one in held.iter().filter(|one| !running.contains(&(one.id, one.attempt))) {
            let end = End {
                outcome: "released".to_owned(),
                message: "it was claimed and never started".to_owned(),
                exit: None,
            };
            released += usize::from(self.change(one, &Event::Released, end).await? == Changed::Done);
        }
        Ok(released)
    }

    /// What runs now.
    pub(super) fn ids(&self) -> HashSet<Attempt> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Attempt, Stopper>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of an attempt whose task could not be read: nothing was begun.
fn unread(outcome: &str, message: &str, event: Event) -> Ended {
    let end = End { outcome: outcome.to_owned(), message: message.to_owned(), exit: None };
    Ended { event, end }
}
