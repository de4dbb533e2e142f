//! The scheduler's calls: the same as the command line's, in every trace that they leave.

mod ends;
mod lock;
mod same;
mod stop;
mod target;
mod wire;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use qs_scheduler::clock::SystemClock;
use qs_scheduler::config::Env;
use qs_scheduler::crontab::file::{Crontab, Format};
use qs_scheduler::crontab::problem::Problem;
use qs_scheduler::domain::id::ExecutionId;
use qs_scheduler::domain::overlap::Overlap;
use qs_scheduler::journal::log::LogLayer;
use qs_scheduler::scheduler::handler::{Begun, End, Performed, Stop, StopReason, Work};
use qs_scheduler::scheduler::handlers::endpoint::{EndpointHandler, EndpointTarget};
use tokio::sync::{mpsc, watch};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::prelude::*;
use uuid::Uuid;

use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::world::World;

/// The line of a crontab, with the settings above it.
fn read(text: &str) -> Result<EndpointTarget, Vec<Problem>> {
    let crontab = Crontab::parse(format!("{text}\n").as_bytes(), Format::system(TimeZone::UTC));
    let entry = crontab.entries().next().unwrap_or_else(|| panic!("no entry: {text}"));
    let call = entry.call().unwrap_or_else(|| panic!("no call: {text}"));
    EndpointTarget::of(entry.line, call, &entry.environment, Some("/etc/cron.d/qs"))
}

/// The target of a line that is only the call.
fn target(arguments: &str) -> EndpointTarget {
    let text = format!("0 * * * * root /usr/local/bin/qs-api-call {arguments}");
    read(&text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A handler in the environment of a world. Its configuration is the environment alone: `config` names an empty file.
fn handler(world: &World) -> Arc<EndpointHandler> {
    Arc::new(EndpointHandler::new(Env::default().with(world.environment()), Arc::new(SystemClock)))
}

/// An empty configuration, so that no file of this machine counts.
fn config(world: &World) -> String {
    let path = world.path("config.yaml");
    std::fs::write(&path, "").unwrap();
    format!("--config {}", path.display())
}

/// The first attempt of a new execution, and what stops it.
fn work(target: &EndpointTarget) -> (Work, watch::Sender<Option<StopReason>>) {
    let (sender, stop) = Stop::channel();
    let now = Timestamp::from_second(1_795_000_000).unwrap();
    let work = Work {
        execution: ExecutionId::new(now, std::array::from_fn(|_| fastrand::u8(..))),
        task: "line".to_owned(),
        target: serde_json::to_string(target).unwrap().into(),
        parameters: None,
        attempt: 1,
        scheduled_for: Some(now),
        idempotency_key: Uuid::new_v4(),
        traceparent: None,
        overlap: Overlap::Skip,
        timeout: Duration::from_secs(400),
        begun: Begun::default(),
        stop,
    };
    (work, sender)
}

/// The logs of calls go to their files, as in the daemon.
fn logs() -> DefaultGuard {
    tracing::subscriber::set_default(tracing_subscriber::registry().with(LogLayer::default()))
}

/// The word of an end, and what is recorded of it.
fn word(performed: &Performed) -> (&'static str, &End) {
    match performed {
        Performed::Done(end) => ("done", end),
        Performed::Failed(end, _) => ("failed", end),
        Performed::Stopped(end) => ("stopped", end),
        Performed::Unknown(end) => ("unknown", end),
        Performed::Busy(end) => ("busy", end),
    }
}

/// A server that answers no request of one path until it is let go.
struct Held {
    server: FakeServer,
    arrived: mpsc::UnboundedReceiver<()>,
    release: std::sync::mpsc::Sender<()>,
}

impl Held {
    fn new(path: &'static str, answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Mutex::new(released);
        let server = FakeServer::start(move |request| {
            if request.path == path {
                sender.send(()).unwrap();
                // The test may be over first.
                released.lock().unwrap().recv().unwrap_or_default();
            }
            answer(request)
        });
        Self { server, arrived, release }
    }

    /// Waits for the next request.
    async fn arrival(&mut self) {
        self.arrived.recv().await.unwrap();
    }
}

/// What is in a file.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs the command line beside the calls of this process.
async fn beside(world: &Arc<World>, arguments: &str) -> crate::support::world::Ran {
    let (world, arguments) = (Arc::clone(world), arguments.to_owned());
    let run = move || world.run(&arguments.split(' ').collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}
