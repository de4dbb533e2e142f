//! A crontab on a host: every way in which an install begins, ends, fails and is killed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Child;
use std::time::Duration;

use qs_scheduler::files::FileLock;
use serde_json::{Value, json};

use crate::support::fake::{Answer, FakeServer};
use crate::support::scratch::{BINARY, GOOD, STATE, Says, Scratch, TAB, snapshot, until};

/// A program whose check fails.
const BAD: &str = "case $1 in --version) echo qs-api-call 9.9.9;; *) echo 'qs-api-call: check: api: down' >&2; exit 75;; esac";

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap_or(&Value::Null)
}

fn signal(child: &Child, signal: &str) {
    let sent = std::process::Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_first_install_is_proved_by_the_log_and_a_second_one_changes_nothing() {
    let host = Scratch::with_cron(Says::Reload);
    let release = host.release("0");
    let report = host.install(&[&release]);
    assert_eq!(report["outcome"], "installed");
    assert_eq!(report["deployment"]["number"], 1);
    assert_eq!(report["deployment"]["proof"]["kind"], "log");
    assert_eq!(report["deployment"]["canary"], "/api/v1/x");
    let marks: Vec<_> =
        report["steps"].as_array().unwrap().iter().map(|step| (&step["step"], &step["result"])).collect();
    assert!(marks.iter().all(|(step, mark)| *mark == "ok" || *step == "parse"), "{marks:?}");
    assert_eq!(host.read(TAB), fs::read_to_string(&release).unwrap());
    let placed = fs::metadata(host.path(TAB)).unwrap();
    assert_eq!((placed.mode() & 0o7777, placed.nlink()), (0o644, 1));
    assert_eq!(fs::read_dir(host.path("etc/cron.d")).unwrap().count(), 1);
    assert_eq!(fs::metadata(host.path(STATE)).unwrap().mode() & 0o777, 0o700);

    let (tabs, programs) = (snapshot(&host.path("etc")), snapshot(&host.path("usr")));
    let state = snapshot(&host.path(STATE));
    let ran = host.run("install", &[&release]);
    assert_eq!((ran.code, ran.stdout.lines().last()), (0, Some("unchanged")), "{ran:?}");
    assert_eq!(host.install(&[&release])["outcome"], "unchanged");
    assert_eq!((snapshot(&host.path("etc")), snapshot(&host.path("usr"))), (tabs, programs));
    assert_eq!(snapshot(&host.path(STATE)), state, "not even a record is written");

    let ran = host.run("verify", &["--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["findings"], json!([]));
}

#[test]
fn the_program_is_placed_before_the_crontab_and_both_come_back() {
    let host = Scratch::with_cron(Says::Reload);
    host.install(&[&host.release("0")]);
    let (old_tab, old_program) = (host.read(TAB), host.read(BINARY));
    let program = host.new_program(&format!("{GOOD} # newer"));
    let program = program.to_str().unwrap();
    let report = host.install(&[&host.release("1"), "--binary", program]);
    let placed: Vec<_> =
        report["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "place").collect();
    assert!(placed[0]["message"].as_str().unwrap().ends_with(BINARY), "{placed:?}");
    assert!(placed[1]["message"].as_str().unwrap().ends_with(TAB), "{placed:?}");
    assert!(host.read(BINARY).contains("newer"));
    assert_eq!(fs::metadata(host.path(BINARY)).unwrap().mode() & 0o7777, 0o755);
    let new_tab = host.read(TAB);

    // Back, and not to and fro.
    let back = host.run("rollback", &["--json"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!((host.read(TAB), host.read(BINARY)), (old_tab.clone(), old_program.clone()));
    let again = host.run("rollback", &[]);
    again.assert_failure_after_data(1, "there is no earlier version");
    assert_eq!(host.read(TAB), old_tab);

    // By number, forward again.
    let list = host.run("rollback", &["--list", "--json"]).json();
    let newest = list[0]["number"].to_string();
    let forward = host.run("rollback", &["--to", &newest]);
    assert_eq!(forward.code, 0, "{forward:?}");
    assert_eq!(host.read(TAB), new_tab);
    assert!(host.read(BINARY).contains("newer"));
}

#[test]
fn a_bad_crontab_changes_nothing() {
    let host = Scratch::with_cron(Says::Reload);
    host.install(&[&host.release("0")]);
    let before = (snapshot(&host.path("etc")), snapshot(&host.path("usr")));
    for (lines, code) in [
        ("61 * * * * root /usr/local/bin/qs-api-call /api/v1/x\n", "bad-time"),
        ("0 * * * * nobody-here /usr/local/bin/qs-api-call /api/v1/x\n", "unknown-user"),
        ("0 * * * * root /usr/local/bin/not-there\n0 * * * * root /opt/qs-api-call /api/v1/x\n", "program"),
        ("0 * * * * root /usr/local/bin/qs-api-call /api/v1/x", "no-newline"),
        ("IAM_PASSWORD=CANARY-7\n0 * * * * root /usr/local/bin/qs-api-call /api/v1/x\n", "secret"),
    ] {
        let ran = host.run("install", &[&host.release_with(lines)]);
        assert_eq!(ran.code, 78, "{ran:?}");
        assert!(ran.stderr.contains(code), "{ran:?}");
        assert!(!format!("{ran:?}").contains("CANARY"), "{ran:?}");
        let forced = host.run("install", &[&host.release_with(lines), "--force"]);
        assert_eq!(forced.code, 78, "{forced:?}");
    }
    assert_eq!((snapshot(&host.path("etc")), snapshot(&host.path("usr"))), before);
    assert!(!host.path(STATE).join("qs-scheduler/staged").exists());
}

#[test]
fn what_is_wrong_with_the_order_has_its_code() {
    let host = Scratch::with_cron(Says::Reload);
    let release = host.release("0");
    for (args, code) in [
        (&[release.as_str(), "--name", "qs.scheduler"][..], 64),
        (&["/not/there"], 66),
        (&[&release, "--binary", "/not/there"], 66),
        (&[&release, "--manifest", "/not/there"], 66),
        (&[&release, "--canary", "/x", "--no-canary"], 64),
    ] {
        let ran = host.run("install", args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
    }
    assert!(!host.path(TAB).exists());
}

#[test]
fn a_manifest_must_name_what_is_sent() {
    let host = Scratch::with_cron(Says::Reload);
    let (release, program) = (host.release("0"), host.new_program(GOOD));
    let sums = host.world.path("release/SHA256SUMS");
    let of = |path: &std::path::Path| qs_scheduler::deploy::digest::of_file(path).unwrap();
    let (of_tab, of_program) = (of(release.as_ref()), of(&program));
    let args =
        [release.as_str(), "--manifest", sums.to_str().unwrap(), "--binary", program.to_str().unwrap()];
    for text in [
        format!("{of_program}  crontab\n{of_program}  qs-api-call\n"),
        format!("{of_tab}  crontab\n{of_tab}  qs-api-call\n"),
        format!("{of_tab}  crontab\n"),
        "nonsense\n".to_owned(),
    ] {
        fs::write(&sums, &text).unwrap();
        let ran = host.run("install", &args);
        assert_eq!(ran.code, 78, "{text}: {ran:?}");
        assert!(!host.path(TAB).exists());
    }
    fs::write(&sums, format!("{of_tab}  crontab\n{of_program} *qs-api-call\n")).unwrap();
    host.install(&args);
    let drift = host.run("drift", &args[..3]);
    assert_eq!(drift.code, 0, "{drift:?}");
    host.program(BINARY, "echo other");
    let drift = host.run("drift", &args[..3]);
    assert_eq!(drift.code, 1);
    assert!(drift.stdout.starts_with("binary "), "{drift:?}");
}

#[test]
fn a_failing_canary_brings_the_old_files_back_byte_for_byte() {
    let host = Scratch::with_cron(Says::Reload);
    host.install(&[&host.release("0")]);
    let before = (host.read(TAB), host.read(BINARY));
    let mtime = fs::metadata(host.path(TAB)).unwrap().mtime();
    let program = host.new_program(BAD);
    let ran = host.run("install", &[&host.release("1"), "--binary", program.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("rolled back: the canary failed: /api/v1/x: api: down (exit code 75)"),
        "{ran:?}"
    );
    let report = ran.json();
    assert_eq!(report["outcome"], "rolled_back");
    assert_eq!(step(&report, "roll-back")["result"], "ok");
    assert_eq!((host.read(TAB), host.read(BINARY)), before);
    assert!(fs::metadata(host.path(TAB)).unwrap().mtime() > mtime + 1, "cron reads the old file again");
    assert!(ran.stdout.contains("cron logged RELOAD of the old file"), "{ran:?}");
    assert_eq!(host.run("verify", &[]).code, 0);
    assert_eq!(
        host.run("rollback", &["--list", "--json"]).json(),
        json!([]),
        "no backup of what is in force"
    );
}

#[test]
fn a_first_install_whose_canary_fails_leaves_nothing() {
    let host = Scratch::with_cron(Says::Reload);
    fs::remove_file(host.path(BINARY)).unwrap();
    let program = host.new_program(BAD);
    let ran = host.run("install", &[&host.release("1"), "--binary", program.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!host.path(TAB).exists() && !host.path(BINARY).exists());
    let ran = host.run("verify", &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("is not there"), "{ran:?}");
}

/// The program under test in the place of the one that only pretends.
fn real_program(host: &Scratch) {
    fs::remove_file(host.path(BINARY)).unwrap();
    fs::hard_link(env!("CARGO_BIN_EXE_qs-api-call"), host.path(BINARY))
        .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_qs-api-call"), host.path(BINARY)).map(drop))
        .unwrap();
}

#[test]
fn the_canary_tries_the_first_call_of_each_target() {
    let (unnamed, eu) =
        (FakeServer::start(|_| Answer::status(204)), FakeServer::start(|_| Answer::status(404)));
    let host = Scratch::with_cron(Says::Reload);
    real_program(&host);
    let place = |name: &str| host.world.path(name).display().to_string();
    let line = |options: &str| {
        let (state, log) = (place("state"), place("log/call.log"));
        format!("0 * * * * root /{BINARY} --no-auth {options}--state-dir {state} /api/v1/x {log}\n")
    };
    let release = |lines: &str| {
        let targets = format!("QS_TARGETS__EU__API__BASE_URL={}\n", eu.url());
        host.release_with(&format!("API_BASE_URL={}\n{targets}{lines}", unnamed.url()))
    };
    let good = host.run("install", &[&release(&line(""))]);
    assert_eq!(good.code, 0, "{good:?}");
    let bad = host.run("install", &[&release(&(line("") + &line("--target eu ")))]);
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.stderr.contains("/api/v1/x: target eu: ") && bad.stderr.contains("HTTP 404"), "{bad:?}");
}

#[test]
fn the_canary_asks_a_real_server_as_cron_would() {
    let server = FakeServer::start(|request| match request.path.as_str() {
        "/health" | "/api/v1/good" => Answer::status(204),
        // Nobody says with which password the token in the file was got.
        "/authn/login" => Answer::json(200, &json!({"access_token": "CANARY-new-token", "expires_in": 900})),
        _ => Answer::status(404),
    });
    let host = Scratch::with_cron(Says::Reload);
    real_program(&host);
    let token = host.world.write_secret("token", "CANARY-token");
    let password = host.world.write_secret("password", "CANARY-password");
    let place = |name: &str| host.world.path(name).display().to_string();
    let lines = |endpoint: &str| {
        format!(
            "API_BASE_URL={}\nIAM_BASE_URL={}\nIAM_USERNAME=x\nIAM_PASSWORD_FILE={}\nTOKEN_FILE={}\n0 * * * * root /{BINARY} --state-dir {} {endpoint} {}\n",
            server.url(),
            server.url(),
            password.display(),
            token.display(),
            place("state"),
            place("log/call.log"),
        )
    };
    // What the deployer has in the environment is not what cron has.
    let good = host.release_with(&lines("/api/v1/good"));
    let mut command = host.command("install", &["--json", &good]);
    let ran = crate::support::world::Ran::of(
        &command.env("API_BASE_URL", "http://127.0.0.1:1").env("TOKEN_FILE", "/none").output().unwrap(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let old = host.read(TAB);
    let bad = host.run("install", &[&host.release_with(&lines("/api/v1/gone"))]);
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.stderr.contains("HTTP 404"), "{bad:?}");
    assert_eq!(host.read(TAB), old);
    let other = host.run(
        "install",
        &["--canary", "/api/v1/gone", &host.release_with(&lines("--retries 1 /api/v1/good"))],
    );
    assert_eq!(other.code, 1, "{other:?}");
    let none =
        host.run("install", &["--canary", "/api/v1/good", &host.release_with("0 * * * * root /bin/true\n")]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.stderr.contains("nothing was changed"), "{none:?}");
    let posted =
        |request: &crate::support::fake::Received| request.method == "POST" && request.path != "/authn/login";
    assert!(!server.requests().iter().any(posted), "nothing is called");
    assert_eq!(server.count("/authn/login"), 1, "then it is the token's");
    assert!(!format!("{ran:?}{bad:?}{other:?}").contains("CANARY"));
}

#[test]
fn an_error_in_crons_log_rolls_back() {
    let mut host = Scratch::with_cron(Says::Reload);
    host.install(&[&host.release("0")]);
    let old = host.read(TAB);
    host.says_from_now(Says::Error);
    let ran = host.run("install", &[&host.release("1")]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("cron refuses the file: bad minute"), "{ran:?}");
    assert_eq!(host.read(TAB), old);
    let verify = host.run("verify", &[]);
    assert_eq!(verify.code, 1, "the last that cron said is an error: {verify:?}");
}

#[test]
fn a_proof_that_does_not_come_or_cannot_come_is_no_success() {
    let mut host = Scratch::with_cron(Says::Reload);
    host.install(&[&host.release("0")]);
    let old = host.read(TAB);
    host.says_from_now(Says::Nothing);
    for proof in ["auto", "log"] {
        let ran = host.run("install", &[&host.release("1"), "--proof", proof, "--proof-timeout", "300ms"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("cron logged nothing about it"), "{ran:?}");
        assert_eq!(host.read(TAB), old);
    }
    // Before anything is placed.
    let before = snapshot(&host.path("etc"));
    let ran = host.run("install", &[&host.release("1"), "--proof", "parse"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("cannot be asked; nothing was changed"), "{ran:?}");
    assert_eq!(snapshot(&host.path("etc")), before);

    let host = Scratch::new();
    let ran = host.run("install", &[&host.release("1")]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("cron is not running"), "{ran:?}");
    let report = host.install(&[&host.release("1"), "--proof", "none", "--no-canary"]);
    assert_eq!(report["deployment"]["proof"]["kind"], "none");
    assert_eq!(step(&report, "prove")["result"], "skipped");
}

#[test]
fn a_dry_run_shows_the_change_without_secrets_and_changes_nothing() {
    let host = Scratch::with_cron(Says::Reload);
    let old = "IAM_PASSWORD=\"CANARY-7\"\n# IAM_TOKEN=CANARY-8\n0 * * * * root /usr/local/bin/qs-api-call.sh /api/v1/x\n";
    fs::write(host.path(TAB), old).unwrap();
    host.program("usr/local/bin/qs-api-call.sh", "exit 0");
    let before = (snapshot(&host.path("etc")), snapshot(&host.path("usr")));
    let ran = host.run("install", &["--dry-run", "--purge-legacy", &host.release("0")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        "- (a line with a secret)",
        "- 0 * * * * root /usr/local/bin/qs-api-call.sh /api/v1/x",
        "+ MAILTO=root",
    ] {
        assert!(ran.stdout.lines().any(|shown| shown == line), "{line}: {ran:?}");
    }
    assert!(ran.stdout.contains("removed: "), "{ran:?}");
    assert!(!format!("{ran:?}").contains("CANARY"), "{ran:?}");
    assert!((snapshot(&host.path("etc")), snapshot(&host.path("usr"))) == before);
    assert!(!host.path("var/lib").exists(), "nothing is remembered either");
}

#[test]
fn what_the_scripts_left_goes_and_what_is_ours_stays() {
    let host = Scratch::with_cron(Says::Reload);
    host.program("usr/local/bin/qs-api-call.sh", "exit 0");
    let link = host.path("usr/local/bin/qs-refresh-token.sh");
    std::os::unix::fs::symlink("qs-api-call", &link).unwrap();
    fs::create_dir_all(host.path("etc/logrotate.d")).unwrap();
    let logrotate = host.path("etc/logrotate.d/qs-scheduler");
    fs::write(&logrotate, "/data/logs/crontab/*.log {\n daily\n}\n").unwrap();
    let report = host.install(&[&host.release("0"), "--purge-legacy"]);
    let told = step(&report, "purge-legacy")["message"].as_str().unwrap().to_owned();
    assert!(told.contains("removed ") && told.contains("kept: "), "{told}");
    assert!(!host.path("usr/local/bin/qs-api-call.sh").exists() && !logrotate.exists());
    assert!(link.is_symlink());
    // A script that the crontab itself calls would leave lines that fail.
    host.program("usr/local/bin/qs-api-call.sh", GOOD);
    fs::write(&logrotate, "# qs-api-call rotates its logs by itself\n").unwrap();
    let lines = "0 * * * * root /usr/local/bin/qs-api-call.sh /api/v1/x /dev/null\n";
    let release = host.release_with(lines);
    host.install(&[&release, "--purge-legacy"]);
    // Also when there is nothing to install.
    host.program("usr/local/bin/qs-refresh-token.new", "exit 0");
    fs::rename(host.path("usr/local/bin/qs-refresh-token.new"), &link).unwrap();
    assert_eq!(host.install(&[&release, "--purge-legacy"])["outcome"], "unchanged");
    assert!(!link.exists(), "it was a script by now");
    assert!(host.path("usr/local/bin/qs-api-call.sh").exists() && logrotate.exists());
}

#[test]
fn a_script_that_any_crontab_calls_stays() {
    for place in
        ["etc/cron.d/other", "etc/crontab", "var/spool/cron/crontabs/root", "usr/local/bin/qs-api-call.sh"]
    {
        let host = Scratch::with_cron(Says::Reload);
        host.program("usr/local/bin/qs-api-call.sh", "exit 0");
        host.program("usr/local/bin/qs-refresh-token.sh", "exit 0");
        let path = host.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let script = place.ends_with(".sh");
        // A line that the script is called by, and a script that calls the other one.
        let lines = if script { "0 * * * * root qs-api-call.sh /api/v1/x /dev/null\n" } else { "" };
        if script {
            host.program(place, "qs-refresh-token.sh");
        } else {
            fs::write(&path, "0 5 1 1 * root cd /usr/local/bin && ./qs-refresh-token.sh\n").unwrap();
        }
        let release = host
            .release_with(&format!("0 * * * * root /usr/local/bin/qs-api-call /api/v1/x /dev/null\n{lines}"));
        let dry = host.run("install", &["--dry-run", "--purge-legacy", &release]);
        assert!(!dry.stdout.contains("qs-refresh-token.sh"), "{place}: {dry:?}");
        let report = host.install(&[&release, "--purge-legacy", "--no-canary", "--proof", "none"]);
        let told = step(&report, "purge-legacy")["message"].as_str().unwrap().to_owned();
        assert!(told.contains(&format!("{} names it", path.display())), "{place}: {told}");
        assert!(host.path("usr/local/bin/qs-refresh-token.sh").exists(), "{place}");
        assert_eq!(host.path("usr/local/bin/qs-api-call.sh").exists(), script, "{place}");
    }
}

#[test]
fn a_file_that_somebody_changed_is_told_and_kept_unless_forced() {
    let host = Scratch::with_cron(Says::Reload);
    let release = host.release("0");
    host.install(&[&release]);
    assert_eq!(host.run("drift", &[&release]).stdout, "no drift\n");
    let mut changed = host.read(TAB);
    changed.push_str("# by hand\n");
    fs::write(host.path(TAB), &changed).unwrap();
    fs::set_permissions(host.path(TAB), fs::Permissions::from_mode(0o664)).unwrap();
    let now = || (snapshot(&host.path("etc")), snapshot(&host.path(STATE)));
    let before = now();
    let drift = host.run("drift", &[&release]);
    assert_eq!((drift.code, drift.stdout.lines().count()), (1, 2), "{drift:?}");
    assert!(drift.stdout.contains("has mode 0664, expected 0644"), "{drift:?}");
    assert_eq!(host.run("verify", &[]).code, 1);
    assert!(now() == before, "they only look");
    let refused = host.run("install", &[&host.release("1")]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(host.read(TAB), changed);
    host.install(&[&host.release("1"), "--force"]);
    let back = host.run("rollback", &[]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(host.read(TAB), changed, "what was forced away is a backup");

    fs::remove_file(host.path(TAB)).unwrap();
    let drift = host.run("drift", &[&release, "--json"]);
    assert_eq!(drift.code, 1);
    assert_eq!(drift.json()["findings"][0]["what"], "crontab");
}

#[test]
fn a_mode_that_cron_refuses_is_repaired() {
    let host = Scratch::with_cron(Says::Reload);
    let release = host.release("0");
    host.install(&[&release]);
    fs::set_permissions(host.path(TAB), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(host.install(&[&release])["outcome"], "installed");
    assert_eq!(fs::metadata(host.path(TAB)).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn five_backups_are_kept_outside_of_crons_directory() {
    let host = Scratch::with_cron(Says::Reload);
    for minute in 0..9 {
        host.install(&[&host.release(&minute.to_string()), "--no-canary", "--proof", "none"]);
    }
    let list = host.run("rollback", &["--list", "--json"]).json();
    let numbers: Vec<_> =
        list.as_array().unwrap().iter().map(|backup| backup["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [9, 8, 7, 6, 5]);
    assert_eq!(fs::read_dir(host.path("etc/cron.d")).unwrap().count(), 1);
    let host_list = host.run("rollback", &["--list"]);
    assert_eq!(host_list.stdout.lines().count(), 5, "{host_list:?}");
    // Each goes one further back.
    for minute in [7, 6, 5] {
        let back = host.run("rollback", &["--no-canary", "--proof", "none"]);
        assert_eq!(back.code, 0, "{back:?}");
        assert!(host.read(TAB).contains(&format!("\n{minute} * * * * root")), "{minute}: {}", host.read(TAB));
    }
    let missing = host.run("rollback", &["--to", "1"]);
    assert_eq!(missing.code, 66, "{missing:?}");
}

#[test]
fn two_installs_at_once_are_one() {
    let host = Scratch::with_cron(Says::Reload);
    host.install(&[&host.release("0")]);
    let before = snapshot(&host.path("etc"));
    let lock = FileLock::try_take(&host.path(STATE).join("lock")).unwrap().unwrap();
    let ran = host.run("install", &[&host.release("1")]);
    ran.assert_failure(75);
    assert_eq!(host.run("rollback", &[]).code, 75);
    assert_eq!(snapshot(&host.path("etc")), before);
    drop(lock);
    host.install(&[&host.release("1")]);
}

#[test]
fn a_signal_in_the_middle_leaves_the_old_files() {
    for (name, code) in [("-TERM", 143), ("-HUP", 143), ("-INT", 130)] {
        let mut host = Scratch::with_cron(Says::Reload);
        host.install(&[&host.release("0")]);
        let before = (host.read(TAB), host.read(BINARY));
        host.says_from_now(Says::Nothing);
        let program = host.new_program(&format!("{GOOD} # newer"));
        let release = host.release("1");
        let args = [release.as_str(), "--binary", program.to_str().unwrap()];
        let child = host.command("install", &args).spawn().unwrap();
        until("it is placed", || host.read(TAB) != before.0);
        signal(&child, name);
        let ran = crate::support::world::Ran::of(&child.wait_with_output().unwrap());
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains("rolled back: stopped by SIG"), "{ran:?}");
        assert_eq!((host.read(TAB), host.read(BINARY)), before);
        assert!(!host.path(STATE).join("qs-scheduler/under-way.json").exists());
    }
}

/// A program that blocks where it is told to, until it is killed.
fn blocking(at: &str) -> String {
    format!(
        "case $1 in {at}) echo $$ > \"$0.pid\"; mv \"$0.pid\" \"$0.blocks\"; exec sleep 600;; --version) echo qs-api-call 9.9.9;; esac # {at}"
    )
}

#[test]
fn an_install_that_is_killed_is_rolled_back_by_the_next() {
    for at in ["host", "prove", "canary"] {
        let mut host = Scratch::with_cron(Says::Reload);
        host.install(&[&host.release("0")]);
        let before = (host.read(TAB), host.read(BINARY));
        let body = match at {
            "host" => blocking("--version"),
            "canary" => blocking("check"),
            _ => GOOD.to_owned() + " # newer",
        };
        if at == "prove" {
            host.says_from_now(Says::Nothing);
        }
        let program = host.new_program(&body);
        let release = host.release("1");
        let args = [release.as_str(), "--binary", program.to_str().unwrap()];
        let mut child = host.command("install", &args).spawn().unwrap();
        match at {
            "host" => until("it asks for the version", || {
                host.path(STATE).join("qs-scheduler/staged/qs-api-call.blocks").exists()
            }),
            "prove" => until("it is placed", || host.read(TAB) != before.0),
            _ => until("it sings", || host.path(&format!("{BINARY}.blocks")).exists()),
        }
        child.kill().unwrap();
        child.wait().unwrap();
        end_blocked(&host.path(STATE).join("qs-scheduler/staged/qs-api-call.blocks"));
        end_blocked(&host.path(&format!("{BINARY}.blocks")));
        let verify = host.run("verify", &[]);
        if at == "host" {
            assert_eq!((host.read(TAB), host.read(BINARY)), before);
            assert_eq!(verify.code, 0, "{verify:?}");
        } else {
            assert_eq!(verify.code, 1, "{verify:?}");
            assert!(verify.stdout.contains("the crontab is new, the program new"), "{verify:?}");
        }
        // The next one repairs before it does anything else, even when it has nothing to do.
        host.says_from_now(Says::Reload);
        let ran = host.run("install", &[&host.release("0"), "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let report = ran.json();
        assert_eq!(report["outcome"], "unchanged", "{at}: {report}");
        if at != "host" {
            assert!(ran.stdout.contains("an interrupted install was rolled back"), "{ran:?}");
        }
        assert_eq!((host.read(TAB), host.read(BINARY)), before);
        assert!(!host.path(STATE).join("qs-scheduler/under-way.json").exists());
    }
}

/// A blocked program outlives the install that was killed.
fn end_blocked(path: &std::path::Path) {
    if let Ok(pid) = fs::read_to_string(path) {
        drop(std::process::Command::new("kill").arg(pid.trim()).status());
    }
}

#[test]
fn killed_at_any_moment_the_host_has_the_old_or_the_new_file() {
    let host = Scratch::with_cron(Says::Reload);
    let quick = ["--no-canary", "--proof", "none"];
    host.install(&[&[host.release("0").as_str()], &quick[..]].concat());
    let mut random = fastrand::Rng::with_seed(7);
    for round in 1..=25_u32 {
        let old = host.read(TAB);
        let release = host.release(&(round % 60).to_string());
        let new = fs::read_to_string(&release).unwrap();
        let args = [&[release.as_str()], &quick[..]].concat();
        let mut child = host.command("install", &args).spawn().unwrap();
        std::thread::park_timeout(Duration::from_micros(random.u64(0..80_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = host.read(TAB);
        assert!(now == old || now == new, "round {round}: {now}");
        let verify = host.run("verify", &[]);
        assert!(matches!(verify.code, 0 | 1), "{verify:?}");
        if verify.code == 1 {
            assert!(verify.stdout.contains("install"), "{verify:?}");
        }
        let report = host.install(&args);
        assert!(report["outcome"] == "installed" || report["outcome"] == "unchanged", "{report}");
        assert_eq!(host.read(TAB), new);
        assert_eq!(host.run("verify", &[]).code, 0);
        assert_eq!(fs::read_dir(host.path("etc/cron.d")).unwrap().count(), 1, "no temporary file stays");
    }
}

#[test]
fn a_way_back_that_fails_is_shouted_with_what_to_type() {
    let mut host = Scratch::with_cron(Says::Reload);
    host.install(&[&host.release("0")]);
    host.says_from_now(Says::Nothing);
    let release = host.release("1");
    let child = host.command("install", &[&release, "--no-canary", "--json"]).spawn().unwrap();
    until("it is placed", || host.read(TAB) != host_backup(&host, "0002"));
    // Somebody puts a directory in the way.
    fs::remove_file(host.path(TAB)).unwrap();
    fs::create_dir(host.path(TAB)).unwrap();
    signal(&child, "-TERM");
    let ran = crate::support::world::Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("THE HOST IS HALF INSTALLED"), "{ran:?}");
    assert!(ran.stderr.contains("install -m 644 "), "{ran:?}");
    assert_eq!(ran.json()["outcome"], "half");
    fs::remove_dir(host.path(TAB)).unwrap();
    host.says_from_now(Says::Reload);
    host.install(&[&host.release("0"), "--no-canary"]);
}

fn host_backup(host: &Scratch, number: &str) -> String {
    let path = format!("{STATE}/qs-scheduler/backups/{number}/crontab");
    if host.path(&path).exists() { host.read(&path) } else { host.read(TAB) }
}

#[test]
fn no_command_shows_a_secret() {
    let host = Scratch::with_cron(Says::Reload);
    let legacy = "IAM_PASSWORD=\"CANARY-7\"\n0 * * * * root /usr/local/bin/qs-api-call /api/v1/x /dev/null\n";
    fs::write(host.path(TAB), legacy).unwrap();
    let release = host.release("0");
    let mut said = String::new();
    for (command, args) in [
        ("drift", &[release.as_str()][..]),
        ("verify", &["--json"]),
        ("verify", &[]),
        ("install", &["--dry-run", &release]),
        ("install", &[&release]),
        ("install", &["--json", "--force", &release]),
        ("rollback", &["--list"]),
        ("rollback", &["--list", "--json"]),
        ("rollback", &["--to", "1", "--json"]),
        ("verify", &[]),
        ("install", &["--dry-run", "--json", &release]),
    ] {
        said += &format!("{:?}", host.run(command, args));
    }
    assert!(host.read(TAB).contains("CANARY"), "it was rolled back to");
    assert!(!said.contains("CANARY"), "{said}");
    // The backup holds it, for root alone.
    let kept = snapshot(&host.path(STATE));
    let open = kept.iter().filter(|(_, mode, ..)| mode & 0o077 != 0).count();
    assert_eq!(open, 0, "{kept:?}");
}
