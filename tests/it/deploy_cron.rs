//! The same with the real cron. It looks at its files once a minute, so these tests take minutes; the slow ones wait
//! beside each other.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::cron::{RealCron, available};
use crate::support::databases::{required, skipped};
use crate::support::scratch::{BINARY, GOOD, STATE, Scratch, TAB, until};

/// A program whose check fails.
const BAD: &str = "case $1 in --version) echo qs-api-call 9.9.9;; *) echo down >&2; exit 75;; esac";

#[test]
fn the_hosts_own_cron_judges_a_file_before_it_is_placed() {
    if !available("the rehearsal with the real cron") {
        return;
    }
    let host = Scratch::for_real_cron();
    let args = ["--proof", "none", "--no-canary", "--json"];
    // Whatever it says, nothing of the file runs.
    let trap = host.path("it-ran");
    let lines = format!("* * * * * root touch {0}\n@reboot root touch {0}\n", trap.display());
    let report = host.install(&[&[host.release_with(&lines).as_str()], &args[..3]].concat());
    let parse =
        &report["steps"].as_array().unwrap().iter().find(|step| step["step"] == "parse").unwrap()["message"];
    assert_eq!(parse, "the host's cron reads it without a complaint");
    assert!(!trap.exists());

    // A version that was there before anybody checked comes back by a roll back, which only cron itself can refuse.
    let unknown = "0 * * * * nobody-here /usr/local/bin/qs-api-call /api/v1/x /dev/null\n";
    fs::copy(host.release_with(unknown), host.path(TAB)).unwrap();
    let good = host.release("7");
    host.install(&[&[good.as_str(), "--force"], &args[..3]].concat());
    let before = host.read(TAB);
    let ran = host.run("rollback", &args);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.stderr.contains("the host's cron refuses it: bad username"), "{ran:?}");
    assert_eq!(host.read(TAB), before);
    assert!(!host.path(STATE).join("qs-scheduler/staged").exists());
    assert_eq!(fs::read_dir(host.path("etc/cron.d")).unwrap().count(), 1);
}

#[test]
fn the_real_cron_says_that_it_has_read_what_was_placed() {
    if !required("minutes") {
        skipped("what the real cron says in its log (five minutes; QS_TEST_REQUIRE=minutes)");
        return;
    }
    if !available("installs under the real cron") {
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(first_install_then_a_failing_canary);
        scope.spawn(a_file_that_cron_refuses_behind_our_back);
    });
}

fn first_install_then_a_failing_canary() {
    let host = Scratch::for_real_cron();
    let _cron = RealCron::start(&host.root());
    until("cron runs", || host.path("run/crond.pid").exists());
    let ran = host.path("ran");
    let lines = |word: &str| {
        let call = format!("0 0 1 1 * root /{BINARY} /api/v1/x /dev/null\n");
        format!("{call}* * * * * root echo {word} >> {}\n", ran.display())
    };
    // Cron says nothing of a file that it did not know; it is asked again.
    let report = host.install(&[&host.release_with(&lines("old")), "--proof", "log"]);
    assert_eq!(report["deployment"]["proof"]["kind"], "log", "{report}");
    let placed = fs::metadata(host.path(TAB)).unwrap();
    let recorded = report["deployment"]["crontab"]["mtime"].as_i64().unwrap();
    assert_eq!(recorded, placed.mtime(), "the record knows the file as it is now");
    assert_eq!(host.run("verify", &[]).code, 0);
    let old = host.read(TAB);

    let program = host.new_program(BAD);
    let args = [&host.release_with(&lines("new")), "--binary", program.to_str().unwrap()];
    let failed = host.run("install", &args);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stdout.contains("cron logged RELOAD of the old file"), "{failed:?}");
    assert_eq!(host.read(TAB), old);
    assert!(host.read(BINARY).contains(GOOD));
    // The new one ran while it was in place; since cron has read the old one again, that one runs.
    until("cron has run the old one", || fs::read_to_string(&ran).unwrap_or_default().ends_with("old\n"));
    assert_eq!(host.run("verify", &[]).code, 0);
}

fn a_file_that_cron_refuses_behind_our_back() {
    let host = Scratch::for_real_cron();
    fs::copy(host.release("0"), host.path(TAB)).unwrap();
    let _cron = RealCron::start(&host.root());
    until("cron runs", || host.path("run/crond.pid").exists());
    let (old, release) = (host.read(TAB), host.release("1"));
    let child = host.command("install", &[&release, "--no-canary"]).spawn().unwrap();
    until("it is placed", || host.read(TAB) != old);
    fs::set_permissions(host.path(TAB), fs::Permissions::from_mode(0o666)).unwrap();
    let ran = crate::support::world::Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("cron refuses the file: INSECURE MODE"), "{ran:?}");
    assert_eq!(host.read(TAB), old);
    assert_eq!(fs::metadata(host.path(TAB)).unwrap().mode() & 0o7777, 0o644);
}
