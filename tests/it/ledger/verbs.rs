//! Claims, ends, sessions: what counts, and what comes too late.

use jiff::SignedDuration;
use qs_scheduler::domain::execution::{
    Delivery, Event, Execution, ExecutionState, SessionId, Standing, Trigger,
};
use qs_scheduler::domain::id::ExecutionId;
use qs_scheduler::domain::task::seat_of;
use qs_scheduler::store::scheduler::sql::SqlLedger;
use qs_scheduler::store::scheduler::{
    Change, Changed, ClaimOrder, Claimed, ExecutionFilter, History, Ledger, LedgerError, Tasks,
};

use super::{after, import, open, policy, session, wanted};
use crate::support::databases::TestDatabase;

const KEPT: Standing = Standing { delivery: Delivery::AtLeastOnce, deleted: false };

/// One that somebody asked for.
pub fn asked(number: u8, task_id: i64, slot: bool) -> Execution {
    let id = ExecutionId::new(after(i64::from(number)), [number; 10]);
    Execution {
        id,
        task_id,
        revision: 1,
        scheduled_for: None,
        dedup: format!("k{number}"),
        queue: "default".to_owned(),
        priority: 0,
        slot: slot.then(|| seat_of(task_id)),
        state: ExecutionState::Pending,
        attempt: 0,
        failures: 0,
        losses: 0,
        max_attempts: 3,
        run_at: after(0),
        holder: None,
        node: None,
        deadline_at: None,
        cancel_requested: false,
        trigger: Trigger::Manual,
        parameters: None,
        started_at: None,
        finished_at: None,
        outcome: None,
        message: None,
        traceparent: None,
    }
}

async fn task(ledger: &SqlLedger) -> i64 {
    import(ledger, &[wanted("a", None, policy())], after(0)).await;
    ledger.catalog(after(0)).await.unwrap().tasks[0].task.id
}

fn order(most: usize) -> ClaimOrder {
    ClaimOrder { queue: "default".to_owned(), most, now: after(1_000), blocked: Vec::new() }
}

async fn claim(ledger: &SqlLedger, by: SessionId, most: usize) -> Vec<Execution> {
    let claimed = ledger.claim(by, order(most)).await.unwrap();
    claimed
        .into_iter()
        .filter_map(|one| match one {
            Claimed::Mine(one) => Some(one),
            Claimed::Busy(_) => None,
        })
        .collect()
}

fn change(from: &Execution, event: &Event, second: i64) -> Change {
    let mut to = from.clone();
    to.apply(event, KEPT, after(second * 1_000)).unwrap();
    (to.outcome, to.message) = (Some(event.as_str().to_owned()), Some("said".to_owned()));
    Change { from: from.clone(), to, attempt: None, is_result: event.is_result() }
}

async fn one(ledger: &SqlLedger, id: ExecutionId) -> Execution {
    let all = ledger.executions(&ExecutionFilter::default()).await.unwrap();
    all.into_iter().find(|one| one.row.id == id).unwrap().row
}

#[tokio::test]
async fn what_is_claimed_is_held_by_one_and_ends_as_it_says() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        let task = task(&ledger).await;
        let (me, other) = (session(&ledger, 1, false).await, session(&ledger, 2, false).await);
        for number in 0..20 {
            assert!(ledger.enqueue(asked(number, task, false)).await.unwrap());
        }
        assert!(!ledger.enqueue(asked(3, task, false)).await.unwrap_or(true), "one key, one execution");
        let (mine, theirs) = tokio::join!(claim(&ledger, me, 12), claim(&ledger, other, 12));
        assert_eq!(mine.len() + theirs.len(), 20, "{}", database.name);
        assert!(mine.iter().all(|one| theirs.iter().all(|two| one.id != two.id)));
        for (by, held) in [(me, &mine), (other, &theirs)] {
            let mut stored = ledger.held(by).await.unwrap();
            stored.sort_by_key(|one| one.id);
            let mut held = held.clone();
            held.sort_by_key(|one| one.id);
            assert_eq!(stored, held, "what is answered is what is stored");
        }
        // Ends of a group, alike and not alike.
        let mut ends = Vec::new();
        for (index, one) in (0_i64..).zip(&mine) {
            let event = if index % 3 == 0 { Event::Failed { again: None } } else { Event::Succeeded };
            ends.push(ledger.change(me, change(one, &event, 2 + index % 2)));
        }
        for answer in futures_join(ends).await {
            assert_eq!(answer.unwrap(), Changed::Done);
        }
        for (index, before) in (0_i64..).zip(&mine) {
            let stored = one(&ledger, before.id).await;
            let state = if index % 3 == 0 { ExecutionState::Failed } else { ExecutionState::Completed };
            assert_eq!((stored.state, stored.finished_at), (state, Some(after((2 + index % 2) * 1_000))));
        }
        // The guard is the row as it was read: what has changed since is not changed again.
        let first = ledger.change(other, change(&theirs[0], &Event::Succeeded, 9)).await.unwrap();
        assert_eq!(first, Changed::Done);
        let again = ledger.change(me, change(&theirs[0], &Event::Failed { again: None }, 9)).await.unwrap();
        assert_eq!(again, Changed::Late);
        assert_eq!(one(&ledger, theirs[0].id).await.state, ExecutionState::Completed);
    }
}

/// All of them at once.
async fn futures_join<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in pinned.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(answer) = future.as_mut().poll(context)
            {
                *done = Some(answer);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn ends_of_one_instant_do_not_stand_in_for_each_other() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        let task = task(&ledger).await;
        let me = session(&ledger, 1, false).await;
        for number in 0..2 {
            ledger.enqueue(asked(number, task, false)).await.unwrap();
        }
        let held = claim(&ledger, me, 2).await;
        let cancelled = change(&held[0], &Event::Cancelled, 3);
        assert_eq!(ledger.change(me, cancelled).await.unwrap(), Changed::Done);
        // Alike to the nanosecond, and one of them is over: the other one counts all the same.
        let odd = after(5_000) + SignedDuration::from_nanos(123_456);
        let ends = held.iter().map(|from| {
            let mut to = from.clone();
            to.apply(&Event::Succeeded, KEPT, odd).unwrap();
            to.outcome = Some("succeeded".to_owned());
            ledger.change(me, Change { from: from.clone(), to, attempt: None, is_result: true })
        });
        let answers: Vec<Changed> =
            futures_join(ends.collect()).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [Changed::Late, Changed::Done], "{}", database.name);
        assert_eq!(one(&ledger, held[1].id).await.state, ExecutionState::Completed);
    }
}

#[tokio::test]
async fn one_of_a_task_has_its_seat_until_it_is_over() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        let task = task(&ledger).await;
        let me = session(&ledger, 1, false).await;
        for number in 0..3 {
            ledger.enqueue(asked(number, task, true)).await.unwrap();
        }
        let first = claim(&ledger, me, 10).await;
        assert_eq!(first.len(), 1, "{}", database.name);
        assert!(claim(&ledger, me, 10).await.is_empty());
        // A retry keeps the seat.
        let retry = Event::Failed { again: Some(std::time::Duration::ZERO) };
        let retried = change(&first[0], &retry, 0);
        assert_eq!(ledger.change(me, retried).await.unwrap(), Changed::Done);
        let second = claim(&ledger, me, 10).await;
        assert_eq!((second.len(), second[0].id, second[0].attempt), (1, first[0].id, 2));
        ledger.change(me, change(&second[0], &Event::Succeeded, 2)).await.unwrap();
        let third = claim(&ledger, me, 10).await;
        assert_eq!(third.len(), 1);
        assert_ne!(third[0].id, first[0].id);
    }
}

#[tokio::test]
async fn a_session_that_was_declared_dead_does_nothing_more() {
    for database in TestDatabase::every().await {
        let ledger = open(&database).await;
        let task = task(&ledger).await;
        let (frozen, other) = (session(&ledger, 1, false).await, session(&ledger, 2, false).await);
        ledger.enqueue(asked(1, task, false)).await.unwrap();
        let held = claim(&ledger, frozen, 1).await;
        let read = ledger.sessions().await.unwrap().into_iter().find(|one| one.id == frozen).unwrap();
        ledger.beat(frozen).await.unwrap();
        assert!(!ledger.declare_dead(other, &read).await.unwrap(), "it has given a sign of life since");
        let read = ledger.sessions().await.unwrap().into_iter().find(|one| one.id == frozen).unwrap();
        assert!(ledger.declare_dead(other, &read).await.unwrap());
        assert!(matches!(ledger.beat(frozen).await, Err(LedgerError::SessionOver)));
        let late = ledger.change(frozen, change(&held[0], &Event::Succeeded, 5)).await;
        assert!(matches!(late, Err(LedgerError::SessionOver)), "{late:?}");
        let orphans = ledger.orphans(10).await.unwrap();
        assert_eq!(orphans, held);
        ledger.change(other, change(&orphans[0], &Event::HolderLost, 6)).await.unwrap();
        let stored = one(&ledger, held[0].id).await;
        assert_eq!((stored.state, stored.losses, stored.failures), (ExecutionState::Pending, 1, 0));
        assert!(ledger.orphans(10).await.unwrap().is_empty());
        let due = ClaimOrder { now: after(6_000), ..order(1) };
        let [Claimed::Mine(again)] = &ledger.claim(other, due).await.unwrap()[..] else {
            panic!("it is due")
        };
        assert_eq!(again.attempt, 2);
        // Its result names an attempt that is over: it is kept beside, and changes nothing.
        let late = ledger.change(other, change(&held[0], &Event::Succeeded, 7)).await.unwrap();
        assert_eq!(late, Changed::Late);
        assert_eq!(one(&ledger, held[0].id).await, *again);
    }
}
