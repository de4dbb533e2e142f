//! A defect of the program ends with 70 and one line that shows its place and nothing of its data.

use std::process::Command;

use crate::support::world::Ran;

/// Set in the process that is to panic.
const CHILD: &str = "QS_TEST_PANIC_CHILD";

#[test]
fn a_panic_is_70_and_one_line_without_data() {
    if qs_scheduler::config::Env::from_process().get(CHILD).is_some() {
        qs_scheduler::cli::call::install_panic_hook();
        panic!("CANARY-token");
    }
    let test = "panic::a_panic_is_70_and_one_line_without_data";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let ran = Ran::of(&child.args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().unwrap());
    ran.assert_failure(70);
    assert!(ran.stderr.contains("a defect of this program at tests/it/panic.rs"), "{ran:?}");
    assert!(!ran.stderr.contains("CANARY") && !ran.stdout.contains("CANARY"), "{ran:?}");
}
