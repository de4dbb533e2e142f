//! `bin/advisories`, which CI runs, with a `cargo` that answers as it is told.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// The script, with a `cargo` whose database can be fetched or not, and which finds a defect or not.
fn advisories(fetched: bool, defect: bool) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let cargo = dir.path().join("cargo");
    let answer = |good: bool| u8::from(!good);
    // Written by another process: one that is open for writing cannot be started, and other tests start programs.
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in\n'deny fetch db') echo 'failed to fetch advisory database' >&2; exit {};;\n\
         'deny --offline check advisories') echo checked; exit {};;\n*) echo \"not expected: $*\"; exit 9;;\nesac\n",
        answer(fetched),
        answer(!defect)
    );
    let write = "printf '%s' \"$1\" > \"$2\" && chmod 755 \"$2\"";
    let written = Command::new("sh").args(["-c", write, "sh", &text]).arg(&cargo).status().unwrap();
    assert!(written.success() && std::fs::metadata(&cargo).unwrap().permissions().mode() & 0o100 != 0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bin/advisories");
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    Command::new(script).env("PATH", path).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_known_defect_of_a_crate_is_a_failure() {
    let found = advisories(true, true);
    assert_eq!((found.status.success(), said(&found).contains("skipped")), (false, false), "{found:?}");
    let none = advisories(true, false);
    assert_eq!((none.status.success(), &*said(&none)), (true, "checked\n"), "{none:?}");
}

#[test]
fn a_database_that_cannot_be_fetched_is_named_and_no_failure() {
    for defect in [false, true] {
        let skipped = advisories(false, defect);
        assert!(skipped.status.success(), "{skipped:?}");
        let expected = "skipped: cargo-deny advisories (their database cannot be fetched)\n";
        assert_eq!(said(&skipped), expected, "{skipped:?}");
        assert!(String::from_utf8_lossy(&skipped.stderr).contains("failed to fetch"), "{skipped:?}");
    }
}

#[test]
fn ci_runs_it() {
    let ci = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run")).unwrap();
    assert!(ci.lines().any(|line| line.starts_with("step ") && line.ends_with(" bin/advisories")));
}
