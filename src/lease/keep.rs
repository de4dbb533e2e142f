//! Keeps a lease beside any work: signs of life while the work goes on, and its end when the lease may be lost.
//!
//! Time is tokio's, so tests pause it. It stands still while the machine is suspended: a lease that was lost in the
//! meantime is noticed by the first sign of life after that.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::domain::lease::Trust;

/// A lease that somebody holds.
#[async_trait]
pub trait Lease: Send + Sync {
    /// Records a sign of life. Answers whether the lease was still held.
    ///
    /// # Errors
    /// Why nobody knows whether it was recorded.
    async fn renew(&self) -> Result<bool, String>;

    /// Told why a sign of life was not recorded, or may not have been.
    fn not_renewed(&self, problem: &str);
}

/// How work under a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkEnd<T> {
    /// By itself, with this.
    Done(T),
    /// By a panic.
    Panicked,
    /// It was stopped, because somebody else may hold the lease.
    LeaseLost,
}

/// Does the work while the lease is held; it was taken for `length` by an order that was sent at `taken`. The work is a
/// task of its own, and ends with this future.
pub async fn keep<T: Send + 'static>(
    lease: &dyn Lease,
    length: Duration,
    taken: Instant,
    work: impl Future<Output = T> + Send + 'static,
) -> WorkEnd<T> {
    let mut work = JoinSet::from_iter([work]);
    tokio::select! {
        ended = work.join_next() => match ended {
            Some(Ok(result)) => WorkEnd::Done(result),
            _ => WorkEnd::Panicked,
        },
        () = renew_until_lost(lease, length, taken) => WorkEnd::LeaseLost,
    }
}

async fn renew_until_lost(lease: &dyn Lease, length: Duration, taken: Instant) {
    let mut trust = Trust::new(length);
    loop {
        sleep_until(taken + trust.next_renewal()).await;
        if taken.elapsed() >= trust.ends() {
            return;
        }
        trust.send(taken.elapsed());
        match timeout_at(taken + trust.next_renewal(), lease.renew()).await {
            Ok(Ok(true)) => trust.confirm(),
            Ok(Ok(false)) => return,
            Ok(Err(problem)) => lease.not_renewed(&problem),
            Err(_) => lease.not_renewed("no answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What the store answers to one sign of life after the other; after the last, it is silent.
    struct Scripted {
        answers: Mutex<Vec<Result<bool, String>>>,
        problems: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Lease for Scripted {
        async fn renew(&self) -> Result<bool, String> {
            let next = self.answers.lock().unwrap().pop();
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }

        fn not_renewed(&self, problem: &str) {
            self.problems.lock().unwrap().push(problem.to_owned());
        }
    }

    const LENGTH: Duration = Duration::from_secs(40);

    /// How work of `seconds` ends with these answers, after how many seconds, and what was in the way.
    async fn end_of(
        seconds: u64,
        answers: &[Result<bool, &str>],
    ) -> (WorkEnd<&'static str>, u64, Vec<String>) {
        let answers = answers.iter().rev().map(|answer| answer.map_err(str::to_owned)).collect();
        let lease = Scripted { answers: Mutex::new(answers), problems: Mutex::default() };
        let work = async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            "done"
        };
        let taken = Instant::now();
        let end = keep(&lease, LENGTH, taken, work).await;
        (end, taken.elapsed().as_secs(), lease.problems.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_as_long_as_signs_of_life_are_recorded() {
        let steady = vec![Ok(true); 100];
        assert_eq!(end_of(1_000, &steady).await, (WorkEnd::Done("done"), 1_000, vec![]));
        let doubtful = [Ok(true), Err("busy"), Ok(true), Ok(true), Ok(true)];
        assert_eq!(end_of(55, &doubtful).await, (WorkEnd::Done("done"), 55, vec!["busy".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn work_stops_before_anybody_else_may_take_the_lease() {
        let lost = WorkEnd::LeaseLost;
        let silence = || vec!["no answer".to_owned(); 2];
        assert_eq!(end_of(1_000, &[]).await, (lost, 30, silence()));
        assert_eq!(end_of(1_000, &[Ok(true)]).await, (lost, 40, silence()));
        let refused = [Err("busy"), Err("gone"), Err("gone")];
        assert_eq!(end_of(1_000, &refused).await, (lost, 30, vec!["busy".to_owned(), "gone".to_owned()]));
        assert_eq!(end_of(1_000, &[Ok(true), Ok(false)]).await, (lost, 20, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_taken_too_long_ago_is_not_trusted() {
        let lease = Scripted { answers: Mutex::default(), problems: Mutex::default() };
        let taken = Instant::now();
        tokio::time::advance(LENGTH).await;
        assert_eq!(keep(&lease, LENGTH, taken, std::future::pending::<()>()).await, WorkEnd::LeaseLost);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_the_work_alone() {
        let lease = Scripted { answers: Mutex::default(), problems: Mutex::default() };
        let end = keep(&lease, LENGTH, Instant::now(), async { panic!("as the test says") }).await;
        assert_eq!(end, WorkEnd::<()>::Panicked);
    }
}
