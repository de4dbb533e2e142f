//! The one writer of a session: it takes what is waiting and commits it as one transaction, so that one write to the disk
//! serves all of it. It never waits for more to come.
//!
//! Every transaction begins with the session's sign of life. Where that finds no row, the session is over, and so is
//! every verb of the group. Where a verb of the group fails, halves of it are tried, down to the one that is to blame.

use tokio::sync::{mpsc, oneshot};

use super::verbs::{Did, Verb};
use crate::domain::execution::SessionId;
use crate::sql::{Db, Trouble, Tx, sql, trouble};
use crate::store::error::StoreError;
use crate::store::scheduler::LedgerError;

/// Verbs that wait at most; whoever comes then waits before the queue.
const QUEUE: usize = 4_096;

/// Verbs of one transaction.
const GROUP: usize = 1_000;

/// A verb with whoever waits for its answer.
struct Job {
    session: SessionId,
    verb: Verb,
    answer: oneshot::Sender<Result<Did, LedgerError>>,
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

    /// What became of the verb, once that is on the disk.
    pub(super) async fn write(&self, session: SessionId, verb: Verb) -> Result<Did, LedgerError> {
        let name = verb.name();
        let (answer, answered) = oneshot::channel();
        if self.jobs.send(Job { session, verb, answer }).await.is_ok()
            && let Ok(answer) = answered.await
        {
            return answer;
        }
        let source = "the writer of the ledger has ended".into();
        Err(StoreError::Database { verb: name, source }.into())
    }
}

async fn work(db: Db, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.recv().await {
        let mut jobs = vec![first];
        while jobs.len() < GROUP
            && let Ok(job) = waiting.try_recv()
        {
            jobs.push(job);
        }
        // Locks are taken in one order. The sort is stable: what came first is done first.
        jobs.sort_by_key(|job| (job.session.0, job.verb.place()));
        while !jobs.is_empty() {
            let session = jobs[0].session;
            let others = jobs.iter().position(|job| job.session != session).unwrap_or(jobs.len());
            let rest = jobs.split_off(others);
            commit(&db, session, jobs).await;
            jobs = rest;
        }
    }
}

/// Commits the verbs of one session and answers each.
async fn commit(db: &Db, session: SessionId, jobs: Vec<Job>) {
    let mut parts = vec![jobs];
    while let Some(mut part) = parts.pop() {
        let verbs: Vec<&Verb> = part.iter().map(|job| &job.verb).collect();
        match transaction(db, session, &verbs).await {
            Ok(None) => part.into_iter().for_each(|job| answer(job, Err(LedgerError::SessionOver))),
            Ok(Some(done)) => {
                for (job, did) in part.into_iter().zip(done) {
                    answer(job, Ok(did));
                }
            }
            Err(error) => match trouble(&error) {
                // Nobody of the group is to blame.
                Some(kind) => {
                    let reason = error.to_string();
                    for job in part {
                        let (verb, source) = (job.verb.name(), reason.as_str().into());
                        let error = match kind {
                            Trouble::Unreachable => StoreError::Unreachable { verb, source },
                            Trouble::NotWritable => StoreError::NotWritable { verb, source },
                        };
                        answer(job, Err(error.into()));
                    }
                }
                None if part.len() > 1 => {
                    let back = part.split_off(part.len() / 2);
                    parts.extend([back, part]);
                }
                None => {
                    if let Some(job) = part.pop() {
                        let error = StoreError::of(job.verb.name(), error);
                        answer(job, Err(error.into()));
                    }
                }
            },
        }
    }
}

/// What the verbs did; nothing, where the session is over.
async fn transaction(db: &Db, session: SessionId, verbs: &[&Verb]) -> Result<Option<Vec<Did>>, sqlx::Error> {
    let mut tx = db.begin().await?;
    let done = in_transaction(&mut tx, session, verbs).await;
    match done {
        Ok(Some(done)) => {
            tx.commit().await?;
            Ok(Some(done))
        }
        other => {
            // What cannot be rolled back now is when the connection comes back to the pool.
            let _ = tx.rollback().await;
            other
        }
    }
}

async fn in_transaction(
    tx: &mut Tx,
    session: SessionId,
    verbs: &[&Verb],
) -> Result<Option<Vec<Did>>, sqlx::Error> {
    let beat = sql("update qs_node set beat = beat + 1 where id = ? and state <> 'dead'").bind(session.0);
    if tx.execute(beat).await? == 0 {
        return Ok(None);
    }
    let mut done = Vec::with_capacity(verbs.len());
    for of_a_kind in verbs.chunk_by(|one, other| one.place() == other.place()) {
        done.extend(Verb::run(tx, session, of_a_kind).await?);
    }
    Ok(Some(done))
}

fn answer(job: Job, answer: Result<Did, LedgerError>) {
    // Whoever has gone does not hear of it; a later look at the rows tells what was done.
    let _ = job.answer.send(answer);
}
