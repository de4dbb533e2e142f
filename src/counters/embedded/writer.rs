//! The one writer of events: it gathers what concurrent requests have sent and commits it as one transaction, so that
//! one write to the disk serves all of them. It never waits for more to come: a single event is written at once, and
//! what arrives while the disk works is the next group.

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::group::{Accepted, Outcomes, count};
use crate::counters::{CountersError, During};
use crate::domain::statistics::StatisticsEvent;
use crate::sql::{Db, is_of_values};

/// Requests that wait at most; whoever comes then waits before the queue.
const QUEUE: usize = 1_024;

/// A group that has so many events gets no further request: others want to write to the database, too.
const GROUP: usize = 1_000;

/// The events of one request.
pub(super) struct Job {
    org_id: i64,
    events: Vec<StatisticsEvent>,
    at: Timestamp,
    answer: oneshot::Sender<Outcomes>,
}

/// The way to the writer. It goes on until the last one is dropped and everything is written.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    pub(super) fn start(db: Db) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(work(db, waiting));
        Self { jobs }
    }

    /// What became of these events, once that is on the disk. No events: once everything before is.
    pub(super) async fn count(&self, org_id: i64, events: Vec<StatisticsEvent>, at: Timestamp) -> Outcomes {
        let (answer, answered) = oneshot::channel();
        let length = events.len();
        if self.jobs.send(Job { org_id, events, at, answer }).await.is_ok()
            && let Ok(outcomes) = answered.await
        {
            return outcomes;
        }
        let ended = Err("the writer of events has ended").during("count");
        vec![ended; length]
    }
}

async fn work(db: Db, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.recv().await {
        let mut length = first.events.len();
        let mut jobs = vec![first];
        while length < GROUP
            && let Ok(job) = waiting.try_recv()
        {
            length += job.events.len();
            jobs.push(job);
        }
        commit(&db, jobs).await;
    }
}

/// Commits the group and answers each. Where the database refuses what is to be written, halves are tried, down to the
/// one event that is to blame.
async fn commit(db: &Db, mut jobs: Vec<Job>) {
    // Each organisation is counted in one go. The sort is stable: what came first is counted first.
    jobs.sort_by_key(|job| job.org_id);
    let events: Vec<(i64, Accepted<'_>)> = jobs
        .iter()
        .flat_map(|job| job.events.iter().map(|event| (job.org_id, Accepted { event, at: job.at })))
        .collect();
    let mut outcomes: Outcomes = Vec::with_capacity(events.len());
    let mut parts = vec![&events[..]];
    while let Some(part) = parts.pop() {
        match transaction(db, part).await {
            Ok(done) => outcomes.extend(done),
            Err(error) if part.len() > 1 && to_blame(&error) => {
                let (front, back) = part.split_at(part.len() / 2);
                parts.extend([back, front]);
            }
            Err(error) => outcomes.extend(vec![Err(error); part.len()]),
        }
    }
    drop(events);
    let mut outcomes = outcomes.into_iter();
    for job in jobs {
        let own = outcomes.by_ref().take(job.events.len()).collect();
        // Whoever has hung up changes nothing: the events are counted.
        let _ = job.answer.send(own);
    }
}

async fn transaction(db: &Db, events: &[(i64, Accepted<'_>)]) -> Result<Outcomes, CountersError> {
    let mut outcomes = Vec::with_capacity(events.len());
    if events.is_empty() {
        return Ok(outcomes);
    }
    let mut tx = db.begin().await.during("count")?;
    for of_one in events.chunk_by(|(one, _), (other, _)| one == other) {
        let own: Vec<Accepted<'_>> = of_one.iter().map(|(_, accepted)| *accepted).collect();
        match count(&mut tx, of_one[0].0, &own).await {
            Ok(counted) => outcomes.extend(counted),
            Err(error) => {
                // What cannot be rolled back now is when the connection comes back to the pool.
                let _ = tx.rollback().await;
                return Err(error);
            }
        }
    }
    tx.commit().await.during("count")?;
    Ok(outcomes)
}

/// Whether an event of the group may be to blame, and not the database.
fn to_blame(error: &CountersError) -> bool {
    match error {
        CountersError::Backend { source, .. } => source.downcast_ref().is_some_and(is_of_values),
        CountersError::Corrupt { .. } => true,
        CountersError::Unreachable { .. }
        | CountersError::NotWritable { .. }
        | CountersError::Stuck { .. } => false,
    }
}
