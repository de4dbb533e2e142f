//! Answers that take long and that many ask for at once: each is worked out for all who wait, never for one who came later.
//!
//! The length of a list has to be counted, and a hundred callers would count it a hundred times beside each other. Here
//! they take turns, and who gets its turn takes the answer of another one's work if that began after it had asked. So an
//! answer is never older than the question, and at any time one caller works on a question at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Answers to questions of this kind, while somebody waits for them.
#[derive(Debug)]
pub(super) struct Shared<Question, Answer> {
    turns: Mutex<HashMap<Question, Arc<Turns<Answer>>>>,
}

/// Who asks one question.
#[derive(Debug)]
struct Turns<Answer> {
    /// How many times the work began.
    begun: AtomicU64,
    /// The newest answer, and which beginning it came of.
    newest: tokio::sync::Mutex<(u64, Option<Answer>)>,
}

impl<Question, Answer> Default for Shared<Question, Answer> {
    fn default() -> Self {
        Self { turns: Mutex::default() }
    }
}

impl<Question: Clone + Eq + Hash, Answer: Copy> Shared<Question, Answer> {
    /// The answer to the question: by this work, or by the same work of another caller that began after now.
    pub(super) async fn get<E>(
        &self,
        question: Question,
        work: impl Future<Output = Result<Answer, E>>,
    ) -> Result<Answer, E> {
        let turns = Arc::clone(self.turns().entry(question.clone()).or_default());
        Seat { shared: self, question, turns }.turns.get(work).await
    }
}

impl<Question, Answer> Shared<Question, Answer> {
    fn turns(&self) -> MutexGuard<'_, HashMap<Question, Arc<Turns<Answer>>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who asks, also one who stops waiting.
struct Seat<'a, Question: Eq + Hash, Answer> {
    shared: &'a Shared<Question, Answer>,
    question: Question,
    turns: Arc<Turns<Answer>>,
}

impl<Question: Eq + Hash, Answer> Drop for Seat<'_, Question, Answer> {
    fn drop(&mut self) {
        let mut all = self.shared.turns();
        // Whoever waits holds it too; the last one leaves nothing behind.
        if Arc::strong_count(&self.turns) == 2 {
            all.remove(&self.question);
        }
    }
}

impl<Answer> Default for Turns<Answer> {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), newest: tokio::sync::Mutex::new((0, None)) }
    }
}

impl<Answer: Copy> Turns<Answer> {
    async fn get<E>(&self, work: impl Future<Output = Result<Answer, E>>) -> Result<Answer, E> {
        let asked_after = self.begun.load(Ordering::SeqCst);
        let mut newest = self.newest.lock().await;
        if let (number, Some(answer)) = *newest
            && number > asked_after
        {
            return Ok(answer);
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = work.await?;
        *newest = (number, Some(answer));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::sync::Notify;

    use super::*;

    /// One works, a hundred wait: the second works for all of them.
    #[tokio::test]
    async fn who_waits_is_answered_by_work_that_began_later() {
        let (shared, works) = (Arc::new(Shared::<u8, u32>::default()), Arc::new(AtomicU32::new(0)));
        let (began, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = {
            let (shared, works) = (shared.clone(), works.clone());
            let (began, finish) = (began.clone(), finish.clone());
            tokio::spawn(async move {
                let work = async {
                    let answer = works.fetch_add(1, Ordering::SeqCst);
                    began.notify_one();
                    finish.notified().await;
                    Ok::<_, ()>(answer)
                };
                shared.get(1, work).await
            })
        };
        began.notified().await;
        let ask = |question| {
            let (shared, works) = (shared.clone(), works.clone());
            tokio::spawn(async move {
                shared.get(question, async { Ok::<_, ()>(works.fetch_add(1, Ordering::SeqCst)) }).await
            })
        };
        let waiting: Vec<_> = (0..100).map(|_| ask(1)).collect();
        assert_eq!(ask(2).await.unwrap(), Ok(1), "another question waits for nobody");
        finish.notify_one();
        assert_eq!(first.await.unwrap(), Ok(0));
        for one in waiting {
            assert_eq!(one.await.unwrap(), Ok(2), "not the work that had begun before it asked");
        }
        assert_eq!(ask(1).await.unwrap(), Ok(3), "nor one that is over");
        assert!(shared.turns().is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn a_failure_is_its_own() {
        let shared = Shared::<u8, u32>::default();
        assert_eq!(shared.get(1, async { Err("no") }).await, Err("no"));
        assert_eq!(shared.get(1, async { Ok::<_, &str>(5) }).await, Ok(5));
    }
}
