//! A defect of the program ends with 70 and one line that shows its place and nothing of its data; what the system does
//! not allow is told and kills nobody.

use std::process::Command;

use qs_scheduler::cli::defect;
use qs_scheduler::cli::output::Output;

use crate::support::fake::{Answer, FakeServer};
use crate::support::world::{Ran, World};

#[test]
fn a_panic_is_its_place_without_data() {
    defect::install_hook(Output::of_process("test", None));
    let said = defect::caught(|| panic!("CANARY-token")).unwrap_err();
    drop(std::panic::take_hook());
    assert!(said.starts_with("a defect of this program at tests/it/panic.rs:"), "{said}");
    assert!(!said.contains("CANARY"), "{said}");
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_future_ends_that_future_alone() {
    let work = async {
        tokio::task::yield_now().await;
        panic!("CANARY-token");
    };
    let ended: Result<(), String> = defect::caught_in(std::pin::pin!(work)).await;
    assert!(ended.unwrap_err().starts_with("a defect of this program"));
}

/// Runs `call` below a limit of the shell.
fn limited(limit: &str, call: &Command) -> Ran {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
        .arg(call.get_program())
        .args(call.get_args());
    command.env_clear().envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&command.env("PATH", "/usr/sbin:/usr/bin:/bin").output().unwrap())
}

#[test]
fn a_program_that_may_open_no_file_says_so_in_one_line() {
    let ran = limited("ulimit -n 6", &World::new().command(&["/api/v1/x"]));
    ran.assert_failure(70);
    assert!(ran.stderr.contains("a defect of this program at "), "{ran:?}");
}

#[test]
fn a_file_that_may_not_grow_is_found_and_does_not_kill() {
    let server = FakeServer::start(|_| Answer::typed(200, "text/plain", "x".repeat(8000))).unused();
    let world = World::with_token(&server);
    std::fs::create_dir(world.path("log")).unwrap();
    std::fs::write(world.path("log/api-call.log"), "x".repeat(1020)).unwrap();
    let ran = limited("ulimit -f 1", &world.command(&["/api/v1/x"]));
    assert!(matches!(ran.code, 73 | 74), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}
