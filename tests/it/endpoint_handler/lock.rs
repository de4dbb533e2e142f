//! A run by hand and the scheduler never overlap.

use std::sync::Arc;

use qs_scheduler::domain::overlap::Overlap;
use qs_scheduler::scheduler::handler::{Again, Handler, Performed};

use super::{Held, beside, config, handler, logs, target, text, word, work};
use crate::support::world::{ENDPOINT, TASK, World, success};

/// Lines of the task's history, which are its runs.
fn runs(world: &World) -> usize {
    std::fs::read_to_string(world.path(&format!("state/tasks/{TASK}.history.jsonl")))
        .map_or(0, |history| history.lines().count())
}

#[tokio::test]
async fn a_run_of_the_command_line_makes_the_scheduler_busy() {
    let _logs = logs();
    let mut held = Held::new(ENDPOINT, |_| success());
    let world = World::with_token(&held.server);
    let (line, handler) = (target(&format!("{} {ENDPOINT}", config(&world))), handler(&world));
    let mut child = world.spawn(&[ENDPOINT]);
    held.arrival().await;
    for (overlap, outcome, exit, recorded) in [
        (Overlap::Skip, "skipped", Some(0), 1),
        (Overlap::Fail, "failed", Some(75), 1),
        // It is asked for again, and is one run.
        (Overlap::Sequential, "skipped", None, 0),
    ] {
        let before = runs(&world);
        let (mut work, _stop) = work(&line);
        work.overlap = overlap;
        let begun = work.begun.clone();
        let performed = handler.perform(work).await;
        let (what, end) = word(&performed);
        assert_eq!((what, end.outcome.as_str(), end.exit), ("busy", outcome, exit), "{performed:?}");
        assert!(end.message.contains(&format!("process {}", child.id())), "{performed:?}");
        assert!(!begun.get());
        assert_eq!(runs(&world) - before, recorded, "{overlap}");
    }
    let (mut work, _stop) = work(&line);
    work.overlap = Overlap::Parallel;
    held.release.send(()).unwrap();
    held.release.send(()).unwrap();
    let performed = handler.perform(work).await;
    assert!(matches!(performed, Performed::Done(_)), "{performed:?}");
    assert!(child.wait().unwrap().success());
    assert_eq!(held.server.requests().len(), 2);
}

#[tokio::test]
async fn a_call_of_the_scheduler_makes_the_command_line_busy() {
    let mut held = Held::new(ENDPOINT, |_| success());
    let world = Arc::new(World::with_token(&held.server));
    let (line, handler) = (target(&format!("{} {ENDPOINT}", config(&world))), handler(&world));
    let (work, _stop) = work(&line);
    let id = work.execution.to_string();
    let call = tokio::spawn(async move { handler.perform(work).await });
    held.arrival().await;
    let lock = text(&world.path(&format!("state/locks/{TASK}.lock")));
    assert!(lock.contains(&id), "the lock tells of the execution: {lock}");
    beside(&world, ENDPOINT).await.assert_silent_success();
    let ran = beside(&world, &format!("--overlap fail {ENDPOINT}")).await;
    ran.assert_failure(75);
    assert!(ran.stderr.contains(&id), "{ran:?}");
    beside(&world, &format!("--overlap sequential --timeout 50ms {ENDPOINT}")).await.assert_failure(75);
    assert_eq!(held.server.requests().len(), 1, "none of them was made");
    held.release.send(()).unwrap();
    held.release.send(()).unwrap();
    assert!(matches!(call.await.unwrap(), Performed::Done(_)));
    beside(&world, ENDPOINT).await.assert_silent_success();
    assert_eq!(held.server.requests().len(), 2);
}

#[tokio::test]
async fn two_calls_of_the_scheduler_exclude_each_other_too() {
    let mut held = Held::new(ENDPOINT, |_| success());
    let world = World::with_token(&held.server);
    let (line, handler) = (target(&format!("{} {ENDPOINT}", config(&world))), handler(&world));
    let ((first, _stop), (second, _other)) = (work(&line), work(&line));
    let other = Arc::clone(&handler);
    let call = tokio::spawn(async move { other.perform(first).await });
    held.arrival().await;
    let performed = handler.perform(second).await;
    assert!(matches!(performed, Performed::Busy(_)), "{performed:?}");
    held.release.send(()).unwrap();
    assert!(matches!(call.await.unwrap(), Performed::Done(_)));
}

#[tokio::test]
async fn another_line_of_the_same_name_is_a_failure_and_no_skip() {
    let mut held = Held::new("/api/v1/a", |_| success());
    let world = World::with_token(&held.server);
    let (config, handler) = (config(&world), handler(&world));
    let mut child = world.spawn(&["--task", "both", "/api/v1/a"]);
    held.arrival().await;
    let (work, _stop) = work(&target(&format!("{config} --task both /api/v1/b")));
    let performed = handler.perform(work).await;
    let Performed::Failed(end, Again::ByPolicy) = &performed else { panic!("{performed:?}") };
    assert_eq!(end.exit, Some(75));
    assert!(end.message.contains("another line of the same task name"), "{end:?}");
    held.release.send(()).unwrap();
    assert!(child.wait().unwrap().success());
}
