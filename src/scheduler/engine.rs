//! The driver: it begins a session, loops the duties, and ends them in an orderly way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, RwLock};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::catalog::Catalog;
use super::handler::StopReason;
use super::planner::Planner;
use super::pruner::Pruner;
use super::rescuer::Rescuer;
use super::runner::Handlers;
use super::watcher::Watcher;
use super::worker::{Worker, Workers};
use crate::clock::SharedClock;
use crate::clock::periodic::{Periodic, drive};
use crate::domain::execution::SessionId;
use crate::store::scheduler::{Did, Ledger, NewSession, Tasks};

/// How often it is planned.
const PLAN_EVERY: Duration = Duration::from_millis(500);

/// How often executions of dead sessions are looked for.
const RESCUE_EVERY: Duration = Duration::from_secs(1);

/// How often what is old is removed.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// A plan that is late by more than this makes the scheduler unhealthy.
const LATE: Duration = Duration::from_secs(10);

/// What an engine is made of.
pub struct Parts {
    /// Where everything is kept.
    pub ledger: Arc<dyn Ledger>,
    /// Where the tasks are.
    pub tasks: Arc<dyn Tasks>,
    /// What does the work.
    pub handlers: Handlers,
    /// The time.
    pub clock: SharedClock,
    /// Name of this node.
    pub node: String,
    /// Whether nobody else can have a session on this store.
    pub alone: bool,
    /// The length of the lease of a session.
    pub lease: Duration,
    /// How many executions of each lane run at a time.
    pub queues: BTreeMap<String, usize>,
    /// How long what is over is kept.
    pub keep: Duration,
}

/// An engine at work.
pub struct Engine {
    session: SessionId,
    workers: Arc<Workers>,
    duties: JoinSet<&'static str>,
    /// Signs of life, which go on until nothing runs any more.
    signs: JoinSet<&'static str>,
    claiming: JoinSet<()>,
    pulse: Arc<Pulse>,
}

/// When it was planned last, in milliseconds since the engine began; for `/health`.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    planned: AtomicI64,
}

impl Pulse {
    fn beat(&self) {
        let now = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.planned.store(now, Ordering::SeqCst);
    }

    /// Why the scheduler is not well, if it is not.
    ///
    /// # Errors
    /// What is late, and by how much.
    pub fn check(&self) -> Result<(), String> {
        let planned = Duration::from_millis(self.planned.load(Ordering::SeqCst).unsigned_abs());
        let late = self.began.elapsed().saturating_sub(planned);
        if late <= LATE {
            return Ok(());
        }
        Err(format!("nothing has been planned for {} s", late.as_secs()))
    }
}

impl Engine {
    /// Begins a session and starts the duties.
    ///
    /// # Errors
    /// The store's.
    pub async fn start(parts: Parts) -> Did<Self> {
        let Parts { ledger, tasks, handlers, clock, node, alone, lease, queues, keep } = parts;
        let session = SessionId(fastrand::i64(1..));
        let started_at = clock.now();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        ledger.begin_session(&NewSession { id: session, name: node, version, started_at }, alone).await?;
        let catalog = Arc::new(Catalog::new(tasks));
        let nudge = Arc::new(Notify::new());
        let workers = Arc::new(Workers {
            session,
            ledger: Arc::clone(&ledger),
            catalog: Arc::clone(&catalog),
            handlers,
            clock: Arc::clone(&clock),
            nudge: Arc::clone(&nudge),
            running: Mutex::default(),
            claims: RwLock::default(),
        });
        let pulse = Arc::new(Pulse { began: Instant::now(), planned: AtomicI64::new(0) });
        let mut duties = JoinSet::new();
        let planner = Planner::new(session, Arc::clone(&ledger), catalog, nudge);
        let told = Arc::clone(&pulse);
        duties.spawn({
            let clock = Arc::clone(&clock);
            async move {
                drive(planner, clock, PLAN_EVERY, move |report| match report {
                    Ok(report) => {
                        told.beat();
                        tracing::debug!(?report, "planned");
                    }
                    Err(error) => tracing::warn!(error, "nothing can be planned"),
                })
                .await;
                "planner"
            }
        });
        let rescuer = Rescuer::new(Arc::clone(&workers));
        duties.spawn(looped("rescuer", rescuer, &clock, RESCUE_EVERY));
        let pruner = Pruner::new(session, Arc::clone(&ledger), keep);
        duties.spawn(looped("pruner", pruner, &clock, PRUNE_EVERY));
        let mut signs = JoinSet::new();
        if !alone {
            let watcher = Watcher::new(session, Arc::clone(&ledger), lease);
            signs.spawn(looped("watcher", watcher, &clock, lease / 5));
        }
        let mut claiming = JoinSet::new();
        for (queue, capacity) in queues {
            let worker = Worker::new(Arc::clone(&workers), queue, capacity);
            claiming.spawn(async move {
                let ended = worker.work().await;
                tracing::error!(%ended, "a worker has ended");
            });
        }
        Ok(Self { session, workers, duties, signs, claiming, pulse })
    }

    /// How it is.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Waits until the engine ends by itself: its session is over, or a duty has a defect. Why.
    pub async fn ended(&mut self) -> String {
        tokio::select! {
            Some(ended) = self.duties.join_next() => format!("a duty has ended: {ended:?}"),
            Some(ended) = self.signs.join_next() => format!("a duty has ended: {ended:?}"),
            Some(_) = self.claiming.join_next() => "a worker has ended: the session is over".to_owned(),
        }
    }

    /// Plans and claims nothing more, lets what runs end within the grace, and tells the rest to stop.
    ///
    /// # Errors
    /// The store's: then another session will find this one dead.
    pub async fn stop(mut self, grace: Duration) -> Did<()> {
        self.claiming.shutdown().await;
        self.duties.shutdown().await;
        self.drained(grace).await;
        self.workers.stop_all(StopReason::Interrupted);
        self.drained(Duration::from_secs(10)).await;
        // A claim that was under way when its worker was stopped may count all the same; nobody has begun what it took.
        self.workers.ledger.beat(self.session).await?;
        self.workers.release_idle().await?;
        self.signs.shutdown().await;
        self.workers.ledger.end_session(self.session).await
    }

    async fn drained(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while !self.workers.ids().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Loops a duty that tells only of what it cannot do.
fn looped<P>(
    name: &'static str,
    duty: P,
    clock: &SharedClock,
    every: Duration,
) -> impl Future<Output = &'static str> + use<P>
where
    P: Periodic + 'static,
{
    let clock = Arc::clone(clock);
    async move {
        drive(duty, clock, every, move |report| {
            if let Err(error) = report {
                tracing::warn!(duty = name, error, "a duty could not be done");
            }
        })
        .await;
        name
    }
}
