//! Processes killed in the middle of a write: no torn file, no lost earlier line.
//!
//! A kill is aimed by what the process does, not by time: as soon as the file that is being written shows itself.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;

use crate::support::fake::FakeServer;
use crate::support::world::{ENDPOINT, Granting, TASK, World, success};

/// Kills that must hit a living process.
const KILLS: usize = 200;

/// Kills `child` once `writing` is true, after a little more of its work, different each time. Returns whether it was
/// still alive.
fn kill_while(mut child: Child, writing: impl Fn() -> bool) -> bool {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0), "a run that was not killed succeeds");
            return false;
        }
        if writing() {
            break;
        }
        std::hint::spin_loop();
    }
    for _ in 0..fastrand::u32(..20_000) {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(9)
}

/// Runs `args` again and again until enough kills have hit; `writing` is told what the directory looked like before.
fn kill_often(world: &World, args: &[&str], writing: impl Fn() -> bool, mut inspect: impl FnMut()) {
    let mut hits = 0;
    for _ in 0..KILLS * 20 {
        let mut command = world.command(args);
        let child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        hits += usize::from(kill_while(child, &writing));
        inspect();
        if hits == KILLS {
            return;
        }
    }
    panic!("only {hits} kills hit a living process");
}

/// Whether a temporary file of `name` is in `dir`.
fn is_being_replaced(dir: &Path, name: &str) -> bool {
    let prefix = format!(".{name}.");
    names(dir).iter().any(|found| found.starts_with(&prefix) && found.ends_with(".tmp"))
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

fn remove_leftovers(dir: &Path) {
    for name in names(dir).iter().filter(|name| name.ends_with(".tmp")) {
        drop(std::fs::remove_file(dir.join(name)));
    }
}

#[test]
fn a_token_file_is_always_whole() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server);
    let writing =
        || is_being_replaced(world.dir(), "token") || is_being_replaced(world.dir(), "token.meta.json");
    kill_often(&world, &["token", "refresh"], writing, || {
        remove_leftovers(world.dir());
        if let Ok(token) = std::fs::read_to_string(world.path("token")) {
            let number = token.strip_prefix("granted-token-").and_then(|rest| rest.strip_suffix('\n'));
            assert!(number.is_some_and(|number| number.parse::<usize>().is_ok()), "torn: {token:?}");
        }
        if let Ok(meta) = std::fs::read(world.path("token.meta.json")) {
            serde_json::from_slice::<serde_json::Value>(&meta).expect("a whole sidecar");
        }
    });
    // Whatever the kills left, the next call works.
    world.run(&[ENDPOINT]).assert_silent_success();
}

#[test]
fn a_run_record_is_always_whole_and_loses_no_earlier_run() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).set("QS_STATE__HISTORY", "100000");
    let dir = world.path("state/tasks");
    let history = dir.join(format!("{TASK}.history.jsonl"));
    let mut known: Vec<String> = Vec::new();
    // The last line of the log comes just before the record; the first one is shorter than this.
    let log = world.path("log/api-call.log");
    let length = || std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let before = std::cell::Cell::new(0);
    let writing = || length() > before.get() + 300;
    kill_often(&world, &["--overlap", "parallel", ENDPOINT], writing, || {
        remove_leftovers(&dir);
        let text = std::fs::read_to_string(&history).unwrap_or_default();
        let whole: Vec<String> =
            text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect();
        for line in &whole {
            serde_json::from_str::<serde_json::Value>(line).expect("a whole line");
        }
        assert!(whole.starts_with(&known), "an earlier run is lost");
        known = whole;
        before.set(length());
    });
    world.run(&[ENDPOINT]).assert_silent_success();
    let runs = world.run(&["history", "--json", "-n", "100000"]).json();
    assert!(runs.as_array().unwrap().len() > known.len());
}

#[test]
fn a_rotation_loses_no_line() {
    let server = FakeServer::start(|_| success());
    let world =
        World::with_token(&server).set("QS_LOG__ROTATE_SIZE", "1KiB").set("QS_LOG__ROTATE_KEEP", "100000");
    let dir = world.path("log");
    let mut known: BTreeSet<String> = BTreeSet::new();
    let before = std::cell::Cell::new(0);
    // A rotation shows itself by a file more, or by one that is being compressed.
    let writing = || names(&dir).len() != before.get();
    kill_often(&world, &["--overlap", "parallel", ENDPOINT], writing, || {
        let lines: BTreeSet<String> = log_lines(&dir).into_iter().collect();
        let lost: Vec<_> = known.difference(&lines).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        known = lines;
        before.set(names(&dir).len());
    });
    // Runs that are not killed finish what the others left.
    for _ in 0..4 {
        world.run(&[ENDPOINT]).assert_silent_success();
    }
    let lines = log_lines(&dir);
    let distinct: BTreeSet<_> = lines.iter().cloned().collect();
    assert_eq!(distinct.len(), lines.len(), "a line stands in two files");
    assert!(distinct.is_superset(&known));
    assert!(distinct.iter().all(|line| line.starts_with('[')), "a torn line");
}

/// The whole lines of a log and of everything rotated away from it.
fn log_lines(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for name in names(dir) {
        let path: PathBuf = dir.join(&name);
        let mut text = String::new();
        if name.ends_with(".partial") || name.starts_with('.') {
            continue;
        }
        if name.ends_with(".gz") {
            let file = std::fs::File::open(&path).unwrap();
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("a whole archive");
        } else {
            text = std::fs::read_to_string(&path).unwrap();
            // The original goes right after its archive is complete.
            if dir.join(format!("{name}.gz")).exists() {
                continue;
            }
        }
        lines.extend(text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned));
    }
    lines
}

#[test]
fn eight_writers_lose_no_line_while_they_rotate() {
    const WRITERS: usize = 8;
    const RUNS: usize = 25;
    let server = FakeServer::start(|_| success());
    let world =
        World::with_token(&server).set("QS_LOG__ROTATE_SIZE", "2KiB").set("QS_LOG__ROTATE_KEEP", "100000");
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..RUNS {
                    world.run(&["--overlap", "parallel", ENDPOINT]).assert_silent_success();
                }
            });
        }
    });
    let lines = log_lines(&world.path("log"));
    let finished = lines.iter().filter(|line| line.contains("event=finished")).count();
    let calling = lines.iter().filter(|line| line.contains("event=calling")).count();
    assert_eq!((finished, calling), (WRITERS * RUNS, WRITERS * RUNS));
    assert!(
        names(&world.path("log")).iter().filter(|name| name.ends_with(".gz")).count() > 10,
        "it did rotate"
    );
}
