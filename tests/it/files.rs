//! The files of calls among other users, links, mounts, frozen processes and full disks.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use qs_scheduler::files::FileLock;

use crate::support::databases::{required, skipped};
use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{ENDPOINT, Granting, Ran, TASK, World, success};

/// A user without rights.
const USER: u32 = 65_534;
/// A size that the second call passes.
const SMALL: &str = "600";

/// Whether this is root with namespaces of its own; the test is left out where it is not.
fn is_root(what: &str) -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let unshares = || Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|s| s.success());
    let able = is_root && unshares();
    if !able {
        assert!(!required("mount"), "QS_TEST_REQUIRE names mount: run as root");
        skipped(&format!("{what} (this is not root, or there are no mount namespaces)"));
    }
    able
}

/// Runs the program as `user` after `before`, a line of shell in a mount namespace of its own whose `$0` is the world's
/// directory. All the world's files are in that directory, which may belong to any user.
fn run_as(world: &World, user: u32, before: &str, args: &[&str]) -> Ran {
    let program = world.path("qs-api-call");
    if !program.exists() {
        fs::set_permissions(world.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        // By another process: a child of another test would keep this one's copy open for writing, and thus busy.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_qs-api-call")).arg(&program).status();
        assert!(copied.unwrap().success());
    }
    let script = format!(
        "cd \"$0\"; {before}; user=$1; shift; exec setpriv --reuid=$user --regid=$user --clear-groups \"$0/qs-api-call\" \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", &script]).arg(world.dir()).arg(user.to_string()).args(args);
    let environment = world.command(&[]);
    command.env_clear().envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ran::of(&command.output().unwrap())
}

/// Everything below `dir`, with owner and group.
fn owners(dir: &Path) -> Vec<(PathBuf, u32, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            found.extend(owners(&path));
        }
        found.push((path, metadata.uid(), metadata.gid()));
    }
    found
}

#[test]
fn a_log_whose_lock_is_held_is_found_before_anything_is_sent() {
    let server = FakeServer::start(|_| success()).unused();
    let world = World::with_token(&server);
    fs::create_dir(world.path("log")).unwrap();
    let _held = FileLock::try_take(&world.path("log/.api-call.log.lock")).unwrap().unwrap();
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(73);
    assert!(ran.stderr.contains(".api-call.log.lock has been held by another process"), "{ran:?}");
}

#[test]
fn a_record_whose_lock_is_held_costs_the_record_and_hides_no_outcome() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    fs::create_dir_all(world.path("state/tasks")).unwrap();
    let _held = FileLock::try_take(&world.path(&format!("state/tasks/.{TASK}.lock"))).unwrap().unwrap();
    let ran = world.run(&[ENDPOINT]);
    ran.assert_failure(74);
    assert!(ran.stderr.contains("the call ended with success") && ran.stderr.contains(".lock has been held"));
    assert!(world.log().contains("API call successful"), "{}", world.log());
}

#[test]
fn a_signal_ends_a_run_in_time_whatever_lock_is_held() {
    let (arrived, waiting) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let server = FakeServer::start(move |_| {
        arrived.lock().unwrap().send(()).unwrap();
        Answer::SlowHeaders
    });
    let world = World::with_token(&server);
    let child = world.spawn(&[ENDPOINT]);
    waiting.recv().unwrap();
    let record = world.path(&format!("state/tasks/.{TASK}.lock"));
    let _held: Vec<_> = [world.path("log/.api-call.log.lock"), record]
        .map(|path| FileLock::try_take(&path).unwrap().unwrap())
        .into();
    let began = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    ran.assert_failure(143);
    assert!(ran.stderr.contains("stopped by SIGTERM") && ran.stderr.contains("run record"), "{ran:?}");
}

#[test]
fn what_root_does_by_hand_breaks_no_call_of_the_user() {
    if !is_root("a call by root in the directories of another user") {
        return;
    }
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server);
    chown(world.dir(), Some(USER), Some(USER)).unwrap();
    run_as(&world, 0, "true", &["token", "refresh"]);
    for user in [0, USER, 0, USER] {
        let ran = run_as(&world, user, "true", &[ENDPOINT]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "user {user}");
    }
    assert_eq!(granting.granted(), 1);
    let program = world.path("qs-api-call");
    let foreign = owners(world.dir()).into_iter().filter(|(path, ..)| *path != program);
    let foreign: Vec<_> = foreign.filter(|(_, user, group)| (*user, *group) != (USER, USER)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(!world.log().contains("event=token_not"), "{}", world.log());
}

#[test]
fn a_user_replaces_the_token_that_root_left() {
    if !is_root("a token of root in the directory of another user") {
        return;
    }
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server);
    for name in ["token", "token.meta.json", "token.login.json"] {
        world.write_secret(name, "{}");
    }
    chown(world.dir(), Some(USER), Some(USER)).unwrap();
    for _ in 0..2 {
        let ran = run_as(&world, USER, "true", &[ENDPOINT]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
    assert_eq!(granting.granted(), 1, "{}", world.log());
    assert_eq!(fs::metadata(world.path("token")).unwrap().uid(), USER);
}

#[test]
fn what_a_user_may_not_write_is_found_before_anything_is_sent() {
    if !is_root("directories that another user may not write to") {
        return;
    }
    let server = FakeServer::start(|_| success()).unused();
    for place in
        ["metrics", "locks", "tasks", &format!("tasks/.{TASK}.lock"), &format!("tasks/{TASK}.history.jsonl")]
    {
        let world = World::with_token(&server);
        chown(world.dir(), Some(USER), Some(USER)).unwrap();
        for dir in ["state", "state/tasks", "state/locks", "state/metrics"] {
            fs::create_dir(world.path(dir)).unwrap();
            chown(world.path(dir), Some(USER), Some(USER)).unwrap();
        }
        let path = world.path("state").join(place);
        if path.is_dir() {
            chown(&path, Some(0), Some(0)).unwrap();
        } else {
            world.write_secret(&format!("state/{place}"), "");
        }
        let ran = run_as(&world, USER, "true", &[ENDPOINT]);
        ran.assert_failure(73);
        let named =
            ran.stderr.contains(&format!("{}: ", path.display())) && ran.stderr.contains("has owner 0");
        assert!(named, "{place}: {ran:?}");
    }
}

#[test]
fn a_metrics_directory_that_is_a_file_is_found_before_anything_is_sent() {
    let server = FakeServer::start(|_| success()).unused();
    let world = World::with_token(&server);
    let file = world.write_secret("file", "");
    let world = world.set("QS_STATE__METRICS_DIR", file.display().to_string());
    world.run(&[ENDPOINT]).assert_failure(73);
}

#[test]
fn a_log_that_is_writable_in_a_directory_that_is_not_is_written() {
    if !is_root("a log in the directory of another user") {
        return;
    }
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).set("QS_LOG__ROTATE_SIZE", SMALL);
    chown(world.dir(), Some(USER), Some(USER)).unwrap();
    chown(world.path("token"), Some(USER), Some(USER)).unwrap();
    fs::create_dir(world.path("log")).unwrap();
    fs::set_permissions(world.path("log"), fs::Permissions::from_mode(0o755)).unwrap();
    chown(world.write_secret("log/api-call.log", ""), Some(USER), Some(USER)).unwrap();
    for _ in 0..3 {
        run_as(&world, USER, "true", &[ENDPOINT]).assert_silent_success();
    }
    assert_eq!(world.log().matches("API call successful").count(), 3, "{}", world.log());
    assert!(world.log().contains("event=log_not_rotated"), "{}", world.log());
}

#[test]
fn files_that_are_mounts_of_their_own_are_written_all_the_same() {
    if !is_root("a log and a token that are mounts") {
        return;
    }
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server).set("QS_LOG__ROTATE_SIZE", SMALL);
    fs::create_dir(world.path("log")).unwrap();
    for name in ["log/api-call.log", "mounted.log", "token", "mounted.token"] {
        world.write_secret(name, "");
    }
    let mounts = "mount --bind mounted.log log/api-call.log; mount --bind mounted.token token";
    for _ in 0..3 {
        run_as(&world, 0, mounts, &[ENDPOINT]).assert_silent_success();
    }
    let log = world.read("mounted.log");
    assert_eq!(log.matches("API call successful").count(), 3, "{log}");
    let warned = log.matches("event=log_not_rotated").count();
    assert!((1..=3).contains(&warned), "at most once a run: {log}");
    assert_eq!((granting.granted(), world.read("mounted.token").as_str()), (1, "granted-token-1\n"));
    assert!(
        fs::read_dir(world.dir())
            .unwrap()
            .flatten()
            .all(|file| file.path().extension() != Some("tmp".as_ref()))
    );
}

#[test]
fn a_disk_without_room_for_a_compressed_log_costs_neither_lines_nor_the_outcome() {
    if !is_root("a full disk below the log") {
        return;
    }
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server).set("QS_LOG__ROTATE_SIZE", "100000");
    fs::create_dir(world.path("log")).unwrap();
    // What cannot be compressed, and more of it than there is room left.
    let script = "mount -t tmpfs -o size=256k tmpfs log; head -c 190000 /dev/urandom > log/api-call.log; \
                  trap 'mkdir kept; cp -a log/. kept/' EXIT; shift; \"$0/qs-api-call\" \"$@\"; exit 0";
    let ran = run_as(&world, 0, script, &[ENDPOINT]);
    ran.assert_silent_success();
    let kept: Vec<String> = fs::read_dir(world.path("kept"))
        .unwrap()
        .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!kept.iter().any(|name| name.ends_with(".partial")), "{kept:?}");
    let rotated = kept.iter().find(|name| name.ends_with('Z')).expect("the plain file is kept");
    assert_eq!(fs::metadata(world.path("kept").join(rotated)).unwrap().len(), 190_000);
    let log = world.read("kept/api-call.log");
    assert!(log.contains("event=log_not_tidied") && log.contains("API call successful"), "{log}");
}

#[test]
fn a_token_behind_a_link_stays_behind_it() {
    let granting = Arc::new(Granting::new(900));
    let script = Arc::clone(&granting);
    let server = FakeServer::start(move |request| script.answer(request));
    let world = World::without_token(&server);
    fs::create_dir(world.path("volume")).unwrap();
    symlink("volume/token", world.path("token")).unwrap();
    for _ in 0..2 {
        world.run(&[ENDPOINT]).assert_silent_success();
    }
    assert_eq!((granting.granted(), world.read("volume/token").as_str()), (1, "granted-token-1\n"));
    assert!(fs::symlink_metadata(world.path("token")).unwrap().is_symlink());
    assert_eq!(world.run(&["token", "clear"]).code, 0);
    assert!(!world.path("volume/token").exists() && world.path("token").is_symlink());
}

#[test]
fn a_damaged_byte_hides_no_other_run() {
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    for _ in 0..3 {
        world.run(&[ENDPOINT]).assert_silent_success();
    }
    let history = world.path(&format!("state/tasks/{TASK}.history.jsonl"));
    let mut bytes = fs::read(&history).unwrap();
    bytes[2] = 0xff;
    let end = bytes.len() - 10;
    bytes[end] = 0xff;
    fs::write(&history, bytes).unwrap();
    let ran = world.run(&["history", TASK, "--json"]);
    assert_eq!(ran.json().as_array().unwrap().len(), 1, "{ran:?}");
    assert!(ran.stderr.contains("2 lines of the history cannot be read"), "{ran:?}");
    world.run(&[ENDPOINT]).assert_silent_success();
    let status = world.run(&["status", "--json"]).json();
    assert_eq!(status[0]["totals"]["success"], 3, "the second run, the third that is lost, and the fourth");
}
