//! Many processes, one token: the login happens once.

use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, Granting, LOGIN, Ran, World};

/// Processes at once.
const HERD: usize = 200;

/// Starts `n` calls at once; none waits for another's overlap lock.
fn start(world: &World, n: usize) -> Vec<Child> {
    (0..n).map(|_| world.spawn(&["--overlap", "parallel", ENDPOINT])).collect()
}

fn ends(children: Vec<Child>) -> Vec<Ran> {
    children.into_iter().map(|child| Ran::of(&child.wait_with_output().expect("it was started"))).collect()
}

fn successes(runs: &[Ran]) -> usize {
    runs.iter().filter(|ran| ran.code == 0 && ran.stdout.is_empty() && ran.stderr.is_empty()).count()
}

/// A world whose token is over: nobody tells its expiry, and the file is older than any token may be.
fn expired(server: &FakeServer) -> World {
    let world = World::without_token(server);
    world.write_secret("token", "expired-token");
    let file = std::fs::File::options().write(true).open(world.path("token")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    world
}

#[test]
fn two_hundred_processes_with_an_expired_token_log_in_once() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = expired(&server);
    let runs = ends(start(&world, HERD));
    assert_eq!(successes(&runs), HERD, "{:?}", runs.iter().find(|ran| ran.code != 0));
    assert_eq!((server.count(LOGIN), granting.granted()), (1, 1));
    let authorised = server
        .requests()
        .iter()
        .filter(|request| request.path == ENDPOINT && granting.is_authorised(request))
        .count();
    assert_eq!((authorised, server.count(ENDPOINT)), (HERD, HERD));
    let status = world.run(&["status", "--json"]).json();
    assert_eq!(status[0]["totals"]["success"], HERD, "every run is in the record");
}

#[test]
fn a_login_that_fails_twice_is_repeated_by_its_process_alone() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let logins = AtomicUsize::new(0);
    let server = FakeServer::start(move |request| {
        if request.path == LOGIN && logins.fetch_add(1, Ordering::SeqCst) < 2 {
            return Answer::status(500);
        }
        script.answer(request)
    });
    let world = expired(&server);
    let runs = ends(start(&world, HERD));
    assert_eq!(successes(&runs), HERD, "{:?}", runs.iter().find(|ran| ran.code != 0));
    assert_eq!((server.count(LOGIN), granting.granted()), (3, 1));
}

#[test]
fn the_death_of_the_process_that_logs_in_costs_one_login_and_one_call() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let (arrived, first_login) = mpsc::channel();
    let (release, killed) = mpsc::channel::<()>();
    let (arrived, killed) = (Mutex::new(Some(arrived)), Mutex::new(killed));
    let server = FakeServer::start(move |request| {
        if request.path == LOGIN
            && let Some(arrived) = arrived.lock().unwrap().take()
        {
            arrived.send(()).unwrap();
            killed.lock().unwrap().recv().unwrap();
        }
        script.answer(request)
    });
    let world = expired(&server);
    let mut holder = world.spawn(&["--overlap", "parallel", ENDPOINT]);
    first_login.recv().unwrap();
    let others = start(&world, HERD - 1);
    holder.kill().unwrap();
    holder.wait().unwrap();
    release.send(()).unwrap();
    let runs = ends(others);
    assert_eq!(successes(&runs), HERD - 1, "{:?}", runs.iter().find(|ran| ran.code != 0));
    assert!(granting.granted() <= 2, "{} tokens were granted", granting.granted());
}

#[test]
fn those_who_wait_for_a_failed_login_share_its_failure() {
    let server = FakeServer::start(|_| Answer::status(503));
    let world = expired(&server);
    let runs = ends(start(&world, 20));
    assert!(runs.iter().all(|ran| ran.code == 75 && ran.stderr.lines().count() == 1), "{runs:?}");
    // Each process that found the lock free before the first failure was written may ask; most must not.
    assert!(server.count(LOGIN) <= 30, "{} logins for 20 processes", server.count(LOGIN));
}
