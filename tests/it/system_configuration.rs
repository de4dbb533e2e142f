//! The system's configuration directory: what a call by root makes of it, and what users find who may not look into it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::support::databases::{required, skipped};
use crate::support::fake::FakeServer;
use crate::support::world::{Granting, Ran, World, success};

/// A user without rights.
const NOBODY: u32 = 65534;
const CALL: &str = env!("CARGO_BIN_EXE_qs-api-call");

/// An `/etc` of a test's own, in a mount namespace of its own.
struct Etc {
    root: tempfile::TempDir,
}

impl Etc {
    fn new(what: &str) -> Option<Self> {
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let unshares =
            || Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|s| s.success());
        if !is_root || !unshares() {
            assert!(!required("cron"), "QS_TEST_REQUIRE names cron, which needs root and mount namespaces");
            skipped(&format!("{what} (this is not root, or there are no mount namespaces)"));
            return None;
        }
        // The program must be within reach of a user who may not look into the home of whoever built it.
        let root = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for dir in ["etc", "home", "var"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        fs::set_permissions(root.path().join("home"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy("/etc/passwd", root.path().join("etc/passwd")).unwrap();
        fs::copy(CALL, root.path().join("qs-api-call")).unwrap();
        Some(Self { root })
    }

    fn path(&self) -> std::path::PathBuf {
        self.root.path().join("etc/qs-server")
    }

    /// The world with its places where a user without rights may write.
    fn home_of_nobody(&self, world: World) -> World {
        let mine = self.root.path().join("home");
        let token = mine.join("token");
        fs::copy(world.path("token"), &token).unwrap();
        std::os::unix::fs::chown(&token, Some(NOBODY), Some(NOBODY)).unwrap();
        let place = |name: &str| mine.join(name).display().to_string();
        world
            .set("TOKEN_FILE", place("token"))
            .set("LOG_FILE", place("call.log"))
            .set("HOME", place(""))
            .set("QS_STATE__DIR", place("state"))
    }

    /// Runs the program with this `/etc` and the environment of `world`, as a user with this id.
    fn run(&self, world: &World, uid: u32, args: &[&str]) -> Ran {
        self.run_after(":", world, uid, args)
    }

    /// The same, after a command of the shell.
    fn run_after(&self, first: &str, world: &World, uid: u32, args: &[&str]) -> Ran {
        let inside = "mount --bind \"$0/etc\" /etc; uid=$1; shift; eval \"$1\"; shift; \
                      exec setpriv --reuid=$uid --regid=$uid --clear-groups \"$0/qs-api-call\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", inside]).arg(self.root.path());
        command.arg(uid.to_string()).arg(first).args(args);
        let environment = world.command(&[]);
        command.env_clear().envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Ran::of(&command.output().unwrap())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_call_by_root_leaves_the_systems_directory_open_and_the_token_private() {
    let Some(etc) = Etc::new("a call by root in an /etc of its own") else { return };
    let iam = Granting::new(900);
    let server = FakeServer::start(move |request| iam.answer(request));
    let world = World::without_token(&server).unset("TOKEN_FILE");
    etc.run(&world, 0, &["/api/v1/x"]).assert_silent_success();
    assert_eq!(mode(&etc.path()), 0o755);
    for name in ["internal-token", "internal-token.meta.json", "internal-token.lock"] {
        assert_eq!(mode(&etc.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_system_file_that_cannot_be_seen_is_a_warning_when_the_users_own_settings_suffice() {
    let Some(etc) = Etc::new("a user who may not look into /etc/qs-server") else { return };
    let server = FakeServer::start(|_| success());
    let world = World::with_token(&server);
    fs::create_dir(etc.path()).unwrap();
    fs::set_permissions(etc.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let world = etc.home_of_nobody(world);
    let log = etc.root.path().join("home/call.log");
    etc.run(&world, NOBODY, &["/api/v1/x"]).assert_silent_success();
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("The system's configuration cannot be seen"), "{said}");
    assert!(said.contains("/etc/qs-server/qs-api-call.yaml"), "{said}");

    let shown = etc.run(&world, NOBODY, &["config", "show"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stderr.contains("your own settings are used"), "{shown:?}");

    // Without them the call would go to a server that nobody named.
    let refused = etc.run(&world.unset("API_BASE_URL"), NOBODY, &["/api/v1/x"]);
    refused.assert_failure(78);
    assert!(refused.stderr.contains("make it readable for this user"), "{refused:?}");
    assert_eq!(server.count("/api/v1/x"), 1);
}

#[test]
fn what_a_run_leaves_behind_has_its_place_as_root_and_otherwise() {
    let Some(etc) = Etc::new("the places of root and of a user") else { return };
    let iam = Granting::new(900);
    let server = FakeServer::start(move |request| iam.answer(request));
    let home = etc.root.path().join("home");
    let mut world = World::without_token(&server).set("HOME", home.display().to_string());
    for place in ["TOKEN_FILE", "QS_STATE__DIR", "QS_LOG__DIR"] {
        world = world.unset(place);
    }
    let run = |uid, var: &str| etc.run_after(var, &world, uid, &["/api/v1/x"]).assert_silent_success();
    run(0, "mount --bind \"$0/var\" /var");
    let var = etc.root.path().join("var");
    for place in [
        "lib/qs-scheduler/tasks/x.history.jsonl",
        "lib/qs-scheduler/metrics/qs_api_call_x.prom",
        "log/qs-scheduler/api-call.log",
    ] {
        assert!(var.join(place).is_file(), "{place}");
    }
    assert!(var.join("lib/qs-scheduler/locks").is_dir() && etc.path().join("internal-token").is_file());
    run(NOBODY, ":");
    let state = home.join(".local/state/qs-scheduler");
    for place in ["tasks/x.history.jsonl", "metrics/qs_api_call_x.prom", "api-call.log", "internal-token"] {
        assert!(state.join(place).is_file(), "{place}");
    }
    assert!(state.join("locks").is_dir());
    assert_eq!((mode(&state.join("internal-token")), mode(&state.join("api-call.log"))), (0o600, 0o640));
}

#[test]
fn a_name_that_no_thread_can_look_up_was_never_sent() {
    let Some(etc) = Etc::new("a user who may start no thread") else { return };
    let server = FakeServer::start(|_| success()).unused();
    let url = server.url().replace("127.0.0.1", "localhost");
    let world = etc.home_of_nobody(World::with_token(&server)).set("API_BASE_URL", url);
    let ran = etc.run_after("prlimit --pid $$ --nproc=1", &world, NOBODY, &["/api/v1/x"]);
    ran.assert_failure(75);
    assert!(ran.stderr.contains("no thread for the lookup"), "{ran:?}");
    let log = fs::read_to_string(etc.root.path().join("home/call.log")).unwrap();
    assert!(log.contains("exit_name=try_later"), "{log}");
    assert_eq!(server.requests().len(), 0);
}
