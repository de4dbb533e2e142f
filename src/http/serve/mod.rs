//! How a server takes connections: all of them in one table with a bound, each phase of each of them with a limit of
//! time, and an end that waits for work alone. It knows no route and no program.
//!
//! A half-sent request costs whoever sends it nothing, so it must cost the server little: it has a time, it has a size,
//! and when the table is full it is the first to give way. A request that a handler has begun never gives way.

mod bodies;
mod connection;
mod phase;
mod table;
mod trouble;
mod watched;

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use crate::metrics::connections::ConnectionMetrics;
use connection::attend;
use phase::Phase;
use table::Table;
use trouble::Trouble;

/// The pause after the system has refused to give a connection: there may be a descriptor again.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a connection that was ended may take to give its place back.
const HANDOVER: Duration = Duration::from_secs(1);

/// How long the last replies may take, which the end of the server itself has caused.
const LAST_REPLIES: Duration = Duration::from_millis(250);

/// What a connection gets for which there is no place. No request was read, so there is no id to answer with.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How many connections there may be, and how long each may wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at most.
    pub connections: usize,
    /// From the first byte of a head, or from the begin of the connection, to the head's end.
    pub header_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// Without the other side taking anything of a reply.
    pub write_timeout: Duration,
}

/// The connections of a server.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    table: Arc<Table>,
    /// One for each socket that may be open; it is given back when the socket is closed, not when that is decided.
    places: Arc<Semaphore>,
    metrics: ConnectionMetrics,
    trouble: Trouble,
    ending: watch::Sender<bool>,
}

impl Connections {
    /// There is none yet.
    pub fn new(limits: Limits, metrics: ConnectionMetrics) -> Self {
        Self {
            limits,
            table: Arc::new(Table::new()),
            places: Arc::new(Semaphore::new(limits.connections)),
            metrics,
            trouble: Trouble::default(),
            ending: watch::Sender::new(false),
        }
    }

    /// Takes connections, for ever. What the system refuses is told, and ends nothing.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, router: Router) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.take(stream, &router).await,
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    self.metrics.accept_error();
                    self.trouble.refused_by_system(&error);
                    // Most likely there is no descriptor left, although the bound lies below their number.
                    self.make_room();
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn take(&self, stream: TcpStream, router: &Router) {
        let Some(permit) = self.place().await else {
            self.metrics.refused();
            self.trouble.refused();
            refuse(stream);
            return;
        };
        self.metrics.accepted();
        let place = self.table.enter();
        let entry = Arc::clone(&place.entry);
        let carried = attend(stream, place, router.clone(), self.ending.subscribe());
        let metrics = self.metrics.clone();
        let task = tokio::spawn(async move {
            if let Some(reason) = carried.await {
                metrics.head_refused(reason);
            }
            drop(permit);
        });
        entry.carried_by(task.abort_handle());
    }

    /// A place, for which another connection may have to give way.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(permit);
        }
        self.make_room().then_some(())?;
        self.trouble.gave_way();
        timeout(HANDOVER, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()
    }

    fn make_room(&self) -> bool {
        let gave_way = self.table.give_way(self.table.now());
        if let Some(phase) = gave_way {
            self.metrics.gave_way(phase.as_str());
        }
        gave_way.is_some()
    }

    /// Ends connections that have waited too long, counts those that are open, and tells of trouble, for ever.
    pub async fn watch(self: Arc<Self>) -> Infallible {
        let Limits { header_timeout, idle_timeout, write_timeout, .. } = self.limits;
        let shortest = header_timeout.min(idle_timeout).min(write_timeout);
        let mut ticks = interval((shortest / 8).clamp(Duration::from_millis(25), Duration::from_millis(250)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let swept = self.table.sweep(&self.limits, self.table.now());
            for phase in swept.timed_out {
                self.metrics.timed_out(phase.as_str());
            }
            for (phase, open) in Phase::ALL.iter().zip(swept.open) {
                self.metrics.open(phase.as_str(), open);
            }
            self.trouble.tell(self.limits.connections);
        }
    }

    /// Closes what waits, and the rest when it is done; tells whether all of it is, at this time at the latest. No
    /// connection may be taken any more.
    pub async fn drain(&self, deadline: Instant) -> bool {
        self.ending.send_replace(true);
        self.table.close_waiting();
        self.all_closed(deadline).await
    }

    /// Closes what is left, after a moment for replies that are on their way. Tells how many requests were cut off.
    pub async fn cut_off(&self) -> usize {
        if self.all_closed(Instant::now() + LAST_REPLIES).await {
            return 0;
        }
        let cut_off = self.table.close_all();
        // What was ended is dropped by its own task.
        self.all_closed(Instant::now() + HANDOVER).await;
        cut_off
    }

    async fn all_closed(&self, deadline: Instant) -> bool {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        timeout_at(deadline, self.places.acquire_many(all)).await.is_ok()
    }
}

/// Whether an error is that of the connection that would have been next.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Says why, as far as that can be said without waiting.
fn refuse(stream: TcpStream) {
    let Ok(mut stream) = stream.into_std() else { return };
    // What is closed with bytes in it that nobody has read is reset, and the reply is lost.
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write(FULL);
    let _ = stream.shutdown(std::net::Shutdown::Write);
}
