//! Answers that take long and that many ask for at once: each is worked out once for all who ask meanwhile.
//!
//! The length of a list has to be counted, and a hundred callers would count it a hundred times beside each other. Here
//! they take turns. Whoever gets its turn takes the answer of another one's work if that began after it had asked, or if
//! it is less than a second old and this process has changed nothing since that work began. So what a caller has changed
//! here is always in the answer, and what another server has changed is in it a second later.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an answer counts while this process changes nothing.
const KEPT: Duration = Duration::from_secs(1);

/// Questions that are remembered before old ones are looked for.
const QUESTIONS: usize = 1_024;

/// Answers to questions of this kind.
#[derive(Debug)]
pub(super) struct Shared<Question, Answer> {
    turns: Mutex<HashMap<Question, Arc<Turns<Answer>>>>,
    /// How often this process has changed what the answers depend on.
    changes: AtomicU64,
}

/// Who asks one question.
#[derive(Debug)]
struct Turns<Answer> {
    /// How many times the work began.
    begun: AtomicU64,
    newest: tokio::sync::Mutex<Option<Worked<Answer>>>,
}

/// An answer that was worked out.
#[derive(Clone, Copy, Debug)]
struct Worked<Answer> {
    /// Which beginning it came of.
    number: u64,
    answer: Answer,
    /// What had been changed when the work began, and when that was.
    changes: u64,
    began: Instant,
}

impl<Question, Answer> Default for Shared<Question, Answer> {
    fn default() -> Self {
        Self { turns: Mutex::default(), changes: AtomicU64::new(0) }
    }
}

impl<Answer> Default for Turns<Answer> {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), newest: tokio::sync::Mutex::default() }
    }
}

impl<Question: Clone + Eq + Hash, Answer: Copy> Shared<Question, Answer> {
    /// This process has changed something that answers depend on: none that was begun before counts any more.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// The answer to the question: by this work, or by that of another caller.
    pub(super) async fn get<E>(
        &self,
        question: Question,
        work: impl Future<Output = Result<Answer, E>>,
    ) -> Result<Answer, E> {
        let turns = self.turns_of(question);
        let asked_after = turns.begun.load(Ordering::SeqCst);
        let mut newest = turns.newest.lock().await;
        let changes = self.changes.load(Ordering::SeqCst);
        if let Some(last) = *newest
            && (last.number > asked_after || last.changes == changes && last.began.elapsed() < KEPT)
        {
            return Ok(last.answer);
        }
        let number = turns.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let began = Instant::now();
        let answer = work.await?;
        *newest = Some(Worked { number, answer, changes, began });
        Ok(answer)
    }

    fn turns_of(&self, question: Question) -> Arc<Turns<Answer>> {
        let mut all = self.all();
        if all.len() >= QUESTIONS {
            // One that somebody asks now is held by that caller too; the answers of the others are worked out again.
            all.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(all.entry(question).or_default())
    }
}

impl<Question, Answer> Shared<Question, Answer> {
    fn all(&self) -> MutexGuard<'_, HashMap<Question, Arc<Turns<Answer>>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
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
        let changing = shared.clone();
        let ask = |question| {
            let (shared, works) = (shared.clone(), works.clone());
            tokio::spawn(async move {
                shared.get(question, async { Ok::<_, ()>(works.fetch_add(1, Ordering::SeqCst)) }).await
            })
        };
        let waiting: Vec<_> = (0..100).map(|_| ask(1)).collect();
        assert_eq!(ask(2).await.unwrap(), Ok(1), "another question waits for nobody");
        // What has begun already may not see this.
        changing.changed();
        finish.notify_one();
        assert_eq!(first.await.unwrap(), Ok(0));
        for one in waiting {
            assert_eq!(one.await.unwrap(), Ok(2), "not the work that had begun before it asked");
        }
        assert_eq!(ask(1).await.unwrap(), Ok(2), "nothing has changed");
        changing.changed();
        assert_eq!(ask(1).await.unwrap(), Ok(3), "not one that was begun before a change");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_a_second() {
        let (shared, works) = (Shared::<u8, u32>::default(), AtomicU32::new(0));
        let ask = || shared.get(1, async { Ok::<_, ()>(works.fetch_add(1, Ordering::SeqCst)) });
        assert_eq!((ask().await, ask().await), (Ok(0), Ok(0)));
        tokio::time::advance(KEPT).await;
        assert_eq!(ask().await, Ok(1));
    }

    #[tokio::test]
    async fn questions_are_bounded() {
        let shared = Shared::<usize, u32>::default();
        for question in 0..3 * QUESTIONS {
            shared.get(question, async { Ok::<_, ()>(0) }).await.unwrap();
            assert!(shared.all().len() <= QUESTIONS);
        }
    }

    #[tokio::test]
    async fn a_failure_is_its_own() {
        let shared = Shared::<u8, u32>::default();
        assert_eq!(shared.get(1, async { Err("no") }).await, Err("no"));
        assert_eq!(shared.get(1, async { Ok::<_, &str>(5) }).await, Ok(5));
    }
}
