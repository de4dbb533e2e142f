//! The pool of a server's connections, with some kept aside from one single statement to the next.
//!
//! Whenever a connection comes back, the pool asks the server whether it still stands. That is a round trip, and costs about
//! as much as to look a row up. Under load a connection is wanted again at once, so up to half of them stay out of the pool
//! for a second each; then they go back, are asked, and grow old by the pool's rules. A connection on which something failed,
//! or on which somebody stopped waiting, goes back at once, and so does one that somebody waits for.

use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, MySql, Transaction};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::outage::{Connections, Outage};
use super::row::Row;
use super::statement::{Runs, Statement};
use super::value::Value;
use crate::clock::patience::patience;

/// How long a connection stays out of the pool.
const AWAY: Duration = Duration::from_secs(1);

/// A pool, and the connections that are kept aside.
#[derive(Clone, Debug)]
pub struct KeptPool {
    server: Connections<MySql>,
    aside: Arc<Aside>,
}

#[derive(Debug)]
struct Aside {
    most: usize,
    /// Who waits for the pool: nothing is kept from them.
    waiting: AtomicUsize,
    connections: Mutex<Vec<Kept>>,
}

/// A connection that is out of the pool since then.
#[derive(Debug)]
struct Kept {
    connection: PoolConnection<MySql>,
    since: Instant,
}

impl Deref for KeptPool {
    type Target = Connections<MySql>;

    fn deref(&self) -> &Connections<MySql> {
        &self.server
    }
}

impl KeptPool {
    /// Keeps up to half of these connections.
    pub(super) fn new(server: Connections<MySql>) -> Self {
        let most = server.pool.options().get_max_connections() as usize / 2;
        let aside = Aside { most, waiting: AtomicUsize::new(0), connections: Mutex::default() };
        Self { server, aside: Arc::new(aside) }
    }

    /// Ends every connection.
    pub(super) async fn close(&self) {
        // From here on nothing is kept any more.
        let closed = self.server.pool.close();
        self.aside.connections().clear();
        closed.await;
    }

    /// A statement on a connection that was not asked whether it stands. When there is no answer for as long as whoever asks
    /// waits for a connection, another one is tried: a server that answers that is slow with this statement, and one that
    /// does not is gone.
    async fn watched<T>(
        &self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let mut statement = pin!(statement);
        match timeout(patience(), &mut statement).await {
            Ok(done) => done,
            Err(_) => match Box::pin(self.server.silence()).await {
                Some(outage) => Err(outage),
                None => statement.await,
            },
        }
    }

    /// A connection that does not come back to those that are kept.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<MySql>, sqlx::Error> {
        Ok(self.take().await?.connection)
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, MySql>, sqlx::Error> {
        match self.watched(Transaction::begin(self.take().await?.connection, None)).await {
            Err(error) if is_cut(&error) => {
                Transaction::begin(Box::pin(self.standing()).await?.connection, None).await
            }
            begun => begun,
        }
    }

    /// A connection of which the server has just said that it stands. Where one was cut, all may be.
    async fn standing(&self) -> Result<Kept, sqlx::Error> {
        self.aside.connections().clear();
        for _ in 0..self.server.pool.options().get_max_connections() {
            let mut connection = Box::pin(self.server.acquire()).await?;
            match connection.ping().await {
                Ok(()) => return Ok(Kept { connection, since: Instant::now() }),
                Err(_) => connection.close_on_drop(),
            }
        }
        Ok(Kept { connection: Box::pin(self.server.acquire()).await?, since: Instant::now() })
    }

    async fn take(&self) -> Result<Kept, sqlx::Error> {
        if let Some(kept) = self.aside.pop() {
            return Ok(kept);
        }
        let _waits = Waits::new(&self.aside.waiting);
        // Whoever gave one back before could not see that somebody waits.
        if let Some(kept) = self.aside.pop() {
            return Ok(kept);
        }
        // On the heap: what connects is long, and seldom needed.
        Ok(Kept { connection: Box::pin(self.server.acquire()).await?, since: Instant::now() })
    }

    fn keep(&self, kept: Kept) {
        let mut connections = self.aside.connections();
        let wanted = self.server.pool.is_closed() || self.aside.waiting.load(Ordering::SeqCst) > 0;
        if !wanted && kept.since.elapsed() < AWAY && connections.len() < self.aside.most {
            connections.push(kept);
        }
    }
}

impl Aside {
    fn connections(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last. Those whose time is over go back: the pool asks them before it gives them away.
    fn pop(&self) -> Option<Kept> {
        let mut connections = self.connections();
        connections.retain(|kept| kept.since.elapsed() < AWAY);
        connections.pop()
    }
}

/// Somebody who waits for the pool.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A connection goes back by a task. Where no tasks run any more, there is no pool to go back to either.
        if Handle::try_current().is_err() {
            for kept in self.connections().drain(..) {
                drop(kept.connection.leak());
            }
        }
    }
}

impl Runs for &KeptPool {
    async fn execute(self, statement: Statement) -> Result<u64, sqlx::Error> {
        let mut kept = self.take().await?;
        let done = self.watched((&mut *kept.connection).execute(statement)).await?;
        self.keep(kept);
        Ok(done)
    }

    async fn execute_rows(self, text: String, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error> {
        let mut kept = self.take().await?;
        let done = self.watched((&mut *kept.connection).execute_rows(text, rows)).await?;
        self.keep(kept);
        Ok(done)
    }

    /// Reads once more on another connection where this one was cut, which nobody knew before. What may have been written
    /// is not repeated.
    async fn fetch_all(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        let mut kept = self.take().await?;
        let mut read = self.watched((&mut *kept.connection).fetch_all(statement.clone())).await;
        if read.as_ref().is_err_and(is_cut) {
            kept = Box::pin(self.standing()).await?;
            read = Box::pin((&mut *kept.connection).fetch_all(statement)).await;
        }
        let rows = read?;
        self.keep(kept);
        Ok(rows)
    }
}

/// Whether the connection ended, and not what was asked of it.
fn is_cut(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.get_ref().is_none_or(|inner| !inner.is::<Outage>()))
}
