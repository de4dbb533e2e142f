//! The writer of the embedded counters: one transaction for many requests, in which nobody pays for somebody else.

use std::sync::Arc;
use std::time::Duration;

use qs_scheduler::counters::embedded::EmbeddedCounters;
use qs_scheduler::counters::{Counted, Counters, CountersError};
use qs_scheduler::domain::statistics::{DailyCount, Days, Distribution, StatisticsEvent};
use qs_scheduler::sql::{Db, sql};

use super::{at, key, submitted};
use crate::support::databases::TestDatabase;

async fn opened(database: &TestDatabase) -> (Arc<EmbeddedCounters>, Db) {
    let db = database.connect().await;
    EmbeddedCounters::migrate(&db).await.unwrap();
    (Arc::new(EmbeddedCounters::open(db).await.unwrap()), database.connect().await)
}

fn event(id: &str, name: &str) -> StatisticsEvent {
    submitted(id, "2026-01-01", &[name])
}

fn words(outcomes: &[Result<Counted, CountersError>]) -> Vec<&'static str> {
    let word = |outcome: &Result<Counted, CountersError>| match outcome {
        Ok(Counted::New) => "new",
        Ok(Counted::Before) => "before",
        Ok(Counted::Full(_)) => "full",
        Err(_) => "error",
    };
    outcomes.iter().map(word).collect()
}

/// Its own requests, and those that are in the same group.
#[tokio::test]
async fn an_event_that_the_database_refuses_fails_alone() {
    let database = TestDatabase::sqlite();
    let (counters, db) = opened(&database).await;
    let trigger = "create trigger no before insert on counter_event when new.event_id = 'bad' \
                   begin select raise(abort, 'no'); end";
    db.execute(sql(trigger)).await.unwrap();
    // Held, so that everything that is sent meanwhile becomes one group.
    let lock = db.begin().await.unwrap();
    let sent: Vec<_> = (0..40)
        .map(|number| {
            let names = [format!("a{number}"), format!("b{number}"), format!("c{number}")];
            let [first, mut middle, last] = names;
            if number == 17 {
                "bad".clone_into(&mut middle);
            }
            let counters = Arc::clone(&counters);
            let events = [first, middle, last].map(|id| event(&id, "q")).to_vec();
            tokio::spawn(async move { counters.count(1 + number % 2, events, at(1)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    lock.rollback().await.unwrap();
    for (number, sent) in sent.into_iter().enumerate() {
        let outcomes = sent.await.unwrap();
        let expected = if number == 17 { ["new", "error", "new"] } else { ["new"; 3] };
        assert_eq!(words(&outcomes), expected, "{number}");
    }
    let revisions = [counters.mark(1).await.unwrap().revision, counters.mark(2).await.unwrap().revision];
    assert_eq!(revisions, [60, 59]);
}

#[tokio::test]
async fn a_counter_that_cannot_be_read_fails_its_own_events_alone() {
    let database = TestDatabase::sqlite();
    let (counters, db) = opened(&database).await;
    counters.count(1, vec![event("1", "torn")], at(1)).await.pop().unwrap().unwrap();
    db.execute(sql("update counter_daily set extra_metrics = '{'")).await.unwrap();
    let events = vec![event("2", "fine"), event("3", "torn"), event("4", "fine")];
    let outcomes = counters.count(1, events, at(1)).await;
    assert_eq!(words(&outcomes), ["new", "error", "new"]);
    let error = outcomes[1].as_ref().unwrap_err();
    assert!(matches!(error, CountersError::Stuck { .. }), "{error}");
    assert!(error.to_string().contains("2026-01-01 questionnaire torn"), "{error}");
}

#[tokio::test]
async fn a_counter_at_its_end_refuses_and_one_below_zero_is_listed() {
    let database = TestDatabase::sqlite();
    let (counters, db) = opened(&database).await;
    let events = ["end", "below", "fine"].map(|name| event(name, name)).to_vec();
    assert_eq!(words(&counters.count(1, events, at(1)).await), ["new"; 3]);
    for (number, name) in [(i64::MAX, "end"), (-5, "below")] {
        let set = sql("update counter_daily set submission_count = ? where statistic_key = ?");
        db.execute(set.bind(number).bind(name)).await.unwrap();
    }
    let outcomes = counters.count(1, vec![event("2", "fine"), event("3", "end")], at(1)).await;
    assert_eq!(words(&outcomes), ["new", "error"]);
    let error = outcomes[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("questionnaire end cannot be counted on (it is at its end)"), "{error}");

    let known = DailyCount {
        key: key("2026-01-01", "end"),
        submissions: 1,
        completions: 0,
        distribution: Distribution::default(),
    };
    let restored = counters.restore(1, &[known], None).await;
    assert!(matches!(restored, Err(CountersError::Stuck { .. })), "{restored:?}");

    let (mut read, mut unreadable, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        // A page that ends with one that cannot be read goes on behind it.
        let page = counters.page(1, &Days::All, cursor, 1).await.unwrap();
        read.extend(page.counters.into_iter().map(|counter| counter.count.key.subject.key));
        unreadable.extend(page.unreadable.into_iter().map(|error| (error.item, error.message)));
        let Some(next) = page.next else { break };
        cursor = Some(next);
    }
    assert_eq!(read, ["end", "fine"]);
    let message = "expected no number below 0 in the field submission_count";
    assert_eq!(unreadable, [("2026-01-01 questionnaire below".to_owned(), message.to_owned())]);
}

#[tokio::test]
async fn a_caller_that_hangs_up_changes_nothing() {
    let database = TestDatabase::sqlite();
    let (counters, db) = opened(&database).await;
    let lock = db.begin().await.unwrap();
    for id in ["1", "2", "3"] {
        let counted = counters.count(1, vec![event(id, "q")], at(1));
        // Asked once, which hands the event over, and never again.
        let given_up = tokio::time::timeout(Duration::ZERO, counted).await;
        assert!(given_up.is_err(), "nothing is counted while somebody else writes");
    }
    lock.rollback().await.unwrap();
    counters.settle().await;
    let found = counters.find(1, &[key("2026-01-01", "q")]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().count.submissions, 3, "what was accepted is counted");
}

#[tokio::test]
async fn a_database_that_takes_nothing_is_said_to_all_and_remembers_none() {
    let database = TestDatabase::sqlite();
    let (counters, db) = opened(&database).await;
    db.execute(sql("alter table counter_event rename to hidden")).await.unwrap();
    let events = || vec![event("1", "q"), event("2", "q")];
    let outcomes = counters.count(1, events(), at(1)).await;
    assert_eq!(words(&outcomes), ["error", "error"]);
    db.execute(sql("alter table hidden rename to counter_event")).await.unwrap();
    assert_eq!(words(&counters.count(1, events(), at(1)).await), ["new", "new"]);
    assert_eq!(counters.mark(1).await.unwrap().revision, 2);
}
