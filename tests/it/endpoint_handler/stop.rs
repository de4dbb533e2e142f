//! Stopped in each way, before anything has left and after it.

use qs_scheduler::journal::record::Records;
use qs_scheduler::scheduler::handler::{Handler, StopReason};

use super::{Held, config, handler, logs, target, text, word, work};
use crate::support::world::{ENDPOINT, Granting, LOGIN, TASK, World};

/// What a call leaves that is stopped while a request of this path has no answer.
async fn stopped(path: &'static str, reason: StopReason, expected: (&str, u8), status: &str) {
    let _logs = logs();
    let granting = Granting::new(900);
    let mut held = Held::new(path, move |request| granting.answer(request));
    let world = World::without_token(&held.server);
    let (work, stop) = work(&target(&format!("{} {ENDPOINT}", config(&world))));
    let (handler, begun, id) = (handler(&world), work.begun.clone(), work.execution.to_string());
    let call = handler.perform(work);
    let stopping = async {
        held.arrival().await;
        stop.send(Some(reason)).unwrap();
    };
    let (performed, ()) = tokio::join!(call, stopping);

    let has_left = path == ENDPOINT;
    let (what, end) = word(&performed);
    assert_eq!((what, end.exit), (expected.0, Some(expected.1)), "{performed:?}");
    assert_eq!((end.outcome.as_str(), begun.get()), (status, has_left), "{performed:?}");
    let tells = if has_left { "may have been done" } else { "nothing was sent" };
    assert!(end.message.ends_with(tells), "{performed:?}");
    assert_eq!(held.server.count(ENDPOINT), usize::from(has_left));

    let record = Records::at(world.path("state/tasks"), 10).read(TASK).unwrap().expect("a record");
    assert_eq!((record.last.run_id.as_str(), record.last.exit_code), (id.as_str(), expected.1));
    assert_eq!((record.last.status.as_str(), record.last.message.as_str()), (status, end.message.as_str()));
    let log = world.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("event=finished") && last.contains(tells), "{log}");
    let metrics = text(&world.path(&format!("state/metrics/qs_api_call_{TASK}.prom")));
    let total = format!("runs_total{{task=\"{TASK}\",status=\"{status}\"}} 1");
    assert!(metrics.contains(&total), "{metrics}");
    // The lock is free again.
    drop(held.release);
    assert_eq!(std::fs::read_dir(world.path("state/locks")).unwrap().count(), 1);
    let lock = std::fs::File::open(world.path(&format!("state/locks/{TASK}.lock"))).unwrap();
    lock.try_lock().unwrap();
}

#[tokio::test]
async fn before_anything_has_left_it_is_stopped_and_known() {
    stopped(LOGIN, StopReason::Cancelled, ("stopped", 130), "failed").await;
    stopped(LOGIN, StopReason::Interrupted, ("stopped", 143), "failed").await;
    stopped(LOGIN, StopReason::TimedOut, ("stopped", 75), "failed").await;
}

#[tokio::test]
async fn after_that_nobody_knows() {
    stopped(ENDPOINT, StopReason::Cancelled, ("unknown", 130), "unknown").await;
    stopped(ENDPOINT, StopReason::Interrupted, ("unknown", 143), "unknown").await;
    stopped(ENDPOINT, StopReason::TimedOut, ("unknown", 124), "unknown").await;
}

#[tokio::test]
async fn one_that_is_stopped_before_it_is_looked_at_does_nothing() {
    let world = World::new();
    let (work, stop) = work(&target(&format!("{} {ENDPOINT}", config(&world))));
    stop.send(Some(StopReason::Interrupted)).unwrap();
    let performed = handler(&world).perform(work).await;
    let (what, end) = word(&performed);
    assert_eq!((what, end.exit), ("stopped", Some(143)), "{performed:?}");
    // The address refuses: that it was not asked is all that can be seen.
    assert!(end.message.contains("nothing was sent"), "{performed:?}");
}
