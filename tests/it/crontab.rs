//! `qs-api-call crontab`: the program on files, and the files that it renders for the repository.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::golden;
use crate::support::world::Ran;

const GOOD: &str =
    "MAILTO=root\n0 * * * * root /usr/local/bin/qs-api-call --idempotent /api/v1/a /var/log/a.log\n";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `qs-api-call crontab …` in the repository, in UTC unless a line says otherwise.
fn crontab(args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_qs-api-call"))
        .arg("crontab")
        .args(args)
        .current_dir(repository())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Ran::of(&child.wait_with_output().unwrap())
}

fn file(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn rules(ran: &Ran) -> Vec<String> {
    let problems = ran.json()["problems"].as_array().unwrap().clone();
    problems.iter().map(|problem| problem["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_shipped_crontab_has_no_problem_at_all() {
    let ran = crontab(&["check", "--strict", "--json", "crontab/qs-scheduler"], "");
    assert_eq!((ran.code, ran.json()["problems"].clone()), (0, json!([])), "{ran:?}");
    assert_eq!(ran.json()["entries"], 5);
    for runner in ["cron", "qs-scheduler"] {
        assert_eq!(crontab(&["check", "--for", runner, "crontab/qs-scheduler"], "").code, 0);
    }
}

#[test]
fn a_mistake_is_shown_with_its_place_and_a_fix() {
    let ran = crontab(&["check", "-"], "0 * * * * root /bin/true\n61 * * * * root /bin/true\n");
    assert_eq!(ran.code, 78);
    assert_eq!(
        ran.stdout,
        "standard input:2:1: error: minute: found 61, expected 0 to 59 [bad-time]\n    61 * * * * root /bin/true\n    ^^\n    fix: 59\nstandard input: 1 entry, 0 of them calls, for cron: 1 error, 0 warnings\n"
    );
    assert_eq!(ran.stderr, "qs-api-call: standard input: 1 error [78 config]\n");
}

#[test]
fn files_that_are_missing_or_no_crontab_end_with_their_codes() {
    assert_eq!(crontab(&["check", "/nonexistent"], "").code, 66);
    assert_eq!(crontab(&["next", "/nonexistent"], "").code, 66);
    assert_eq!(crontab(&["check"], "").code, 64);
    assert_eq!(crontab(&["check", "--zone", "Mars/Olympus", "-"], GOOD).code, 64);
    assert_eq!(crontab(&["next", "-"], "x\n").code, 78);
}

#[test]
fn each_kind_of_reader_gets_the_same_problems() {
    let bad = "PASSWORD=hunter22\n0 22-2 * * * root /bin/x\n";
    let json = crontab(&["check", "--json", "-"], bad);
    assert_eq!(rules(&json), ["secret", "misread-time"]);
    assert_eq!(json.json()["problems"][1]["column"], 3);
    let sarif = crontab(&["check", "--format", "sarif", "-"], bad).json();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(results[1]["ruleId"], "misread-time");
    assert_eq!(results[1]["locations"][0]["physicalLocation"]["region"]["startColumn"], 3);
    let github = crontab(&["check", "--format", "github", "-"], bad);
    assert!(
        github.stdout.starts_with("::error file=-,line=1,title=secret::a secret in the setting PASSWORD"),
        "{github:?}"
    );
    assert!(
        github.stdout.contains("::error file=-,line=2,col=3,endColumn=7,title=misread-time::"),
        "{github:?}"
    );
    for ran in [&json, &github, &crontab(&["check", "-"], bad)] {
        assert!(!ran.stdout.contains("hunter22") && !ran.stderr.contains("hunter22"), "{ran:?}");
        assert_eq!(ran.code, 78);
    }
}

#[test]
fn six_fields_are_for_qs_scheduler_and_must_have_one_reading() {
    let six = "0 0 2 * * * root /bin/x\n";
    let cron = crontab(&["check", "--json", "-"], six);
    assert_eq!(rules(&cron), ["six-fields"]);
    assert!(cron.json()["problems"][0]["found"].as_str().unwrap().contains("at 02:00, every day"));
    let scheduler = crontab(&["check", "--json", "--for", "qs-scheduler", "-"], six);
    assert_eq!((scheduler.code, rules(&scheduler)), (0, vec![]));
    let either = "0 0 2 * * mon root /bin/x\n";
    let ran = crontab(&["check", "--json", "--for", "qs-scheduler", "-"], either);
    assert_eq!(rules(&ran), ["ambiguous-fields"]);
    let found = ran.json()["problems"][0]["found"].as_str().unwrap().to_owned();
    assert!(found.contains("as user mon") && found.contains("at 02:00, on Monday"), "{found}");
    for (fields, code) in [("5", "0 0 2 * *"), ("6", "0 0 2 * * mon")] {
        let ran = crontab(
            &["explain", "--json", "--for", "qs-scheduler", "-"],
            &format!("# qs: fields={fields}\n{either}"),
        );
        assert_eq!(ran.json()[0]["schedule"], code, "{ran:?}");
    }
}

#[test]
fn zones_are_for_qs_scheduler_or_stated() {
    let zoned = "CRON_TZ=America/New_York\n0 2 * * * root /bin/x\n";
    let ran = crontab(&["check", "--json", "-"], zoned);
    assert_eq!((ran.code, rules(&ran)[0].as_str()), (78, "cron-tz"));
    let next = |text: &str, args: &[&str]| {
        let args = [
            &["next", "--json", "-n", "1", "--from", "2026-11-20T00:00:00Z", "--for", "qs-scheduler"],
            args,
            &["-"],
        ];
        crontab(&args.concat(), text).json()[0]["at"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(zoned, &[]), "2026-11-20T07:00:00Z");
    let stated = "# qs: zone=Asia/Shanghai\n0 2 * * * root /bin/x\n";
    assert_eq!(next(stated, &[]), "2026-11-20T18:00:00Z");
    assert_eq!(next(stated, &["--zone", "UTC"]), "2026-11-20T02:00:00Z");
}

#[test]
fn the_next_runs_are_one_array_with_what_the_clocks_do() {
    let lines = "30 2 * * * root /bin/qs-api-call /api/v1/a\n0 3 * * * root /bin/b\n@reboot root /bin/c\n";
    let args =
        ["next", "--json", "-n", "2", "--zone", "America/New_York", "--from", "2026-03-08T07:00:00Z", "-"];
    let at = |ran: &Ran| {
        let rows = ran.json().as_array().unwrap().clone();
        rows.iter()
            .map(|row| format!("{} {} {} {}", row["at"], row["line"], row["task"], row["dst"]))
            .collect::<Vec<_>>()
    };
    // --from is excluded: 07:00 UTC is 03:00, the first minute after the gap.
    assert_eq!(
        at(&crontab(&args, lines)),
        [
            "\"2026-03-09T06:30:00Z\" 1 \"a\" null",
            "\"2026-03-09T07:00:00Z\" 2 \"line-2\" null",
            "\"2026-03-10T06:30:00Z\" 1 \"a\" null",
            "\"2026-03-10T07:00:00Z\" 2 \"line-2\" null",
        ]
    );
    let args =
        ["next", "--json", "-n", "1", "--zone", "America/New_York", "--from", "2026-03-08T06:59:59Z", "-"];
    let rows = crontab(&args, lines).json();
    assert_eq!(rows[0]["dst"], json!({"kind": "gap", "wanted": "2026-03-08T02:30:00"}));
    assert_eq!(rows[0]["local"], "2026-03-08T03:00:00-04:00");
    let text = crontab(
        &["next", "-n", "1", "--zone", "America/New_York", "--from", "2026-03-08T06:59:59Z", "-"],
        lines,
    );
    assert!(
        text.stdout.contains("02:30 does not exist that day")
            && text.stdout.contains("when the machine starts"),
        "{text:?}"
    );
}

#[test]
fn a_day_has_as_many_columns_as_half_hours() {
    for (date, hours) in [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-02", 24)] {
        let ran = crontab(&["timeline", "--zone", "America/New_York", "--date", date, "-"], GOOD);
        assert!(ran.stdout.starts_with(&format!("{date}, America/New_York, {hours} hours\n")), "{ran:?}");
        let row = ran.stdout.lines().nth(2).unwrap();
        assert_eq!(row.chars().filter(|c| matches!(c, '1' | '·')).count(), hours * 2, "{row}");
        assert!(row.ends_with(&format!("{hours} times")), "{row}");
    }
}

#[test]
fn endpoints_must_be_in_the_servers_document() {
    let dir = TempDir::new().unwrap();
    let document =
        json!({"openapi": "3.1.0", "paths": {"/api/v1/plans/{id}": {"post": {}}, "/api/v1/a": {"get": {}}}});
    let openapi = file(&dir, "openapi.json", &document.to_string());
    let check = |path: &str| {
        let line = format!("MAILTO=root\n0 * * * * root /usr/local/bin/qs-api-call {path} /var/log/a.log\n");
        crontab(&["check", "--json", "--openapi", &openapi, "-"], &line)
    };
    assert_eq!(check("/api/v1/plans/7").code, 0);
    assert_eq!(check("-X GET /api/v1/a").code, 0);
    let unknown = check("/api/v1/plan/7");
    assert_eq!((unknown.code, rules(&unknown)), (78, vec!["unknown-endpoint".to_owned()]));
    assert_eq!(unknown.json()["problems"][0]["fix"], "/api/v1/plans/{id}");
    assert!(check("/api/v1/a").json()["problems"][0]["fix"].as_str().unwrap().contains("-X GET"));
    let broken = file(&dir, "broken.json", "{}");
    assert_eq!(crontab(&["check", "--openapi", &broken, "-"], GOOD).code, 78);
}

#[test]
fn two_schedulers_must_not_have_one_task() {
    let dir = TempDir::new().unwrap();
    let (one, two) = (file(&dir, "one", GOOD), file(&dir, "two", GOOD));
    let ran = crontab(&["check", "--json", "--other", &two, &one], "");
    assert_eq!((ran.code, rules(&ran)), (78, vec!["two-owners".to_owned()]));
    // Another call under the name: a warning in one file and across files, unless the users, whose records are apart, differ.
    let named = |user: &str, call: &str| {
        format!(
            "MAILTO=root\n30 * * * * {user} /usr/local/bin/qs-api-call --idempotent --task a {call} /var/log/b.log\n"
        )
    };
    for (other, found) in [
        (named("root", "/api/v1/b"), vec!["same-task"]),
        (named("root", "-H 'X-Org: 1' /api/v1/a"), vec!["same-task"]),
        (named("daemon", "/api/v1/b"), vec![]),
        (named("daemon", "/api/v1/a"), vec!["two-owners"]),
        (named("root", "--state-dir /var/lib/b /api/v1/b"), vec![]),
        (format!("API_BASE_URL=https://b.example\n{}", named("root", "/api/v1/a")), vec!["same-task"]),
    ] {
        let path = file(&dir, "other", &other);
        let ran = crontab(&["check", "--json", "--other", &path, &one], "");
        assert_eq!(rules(&ran), found, "{other}");
        assert_eq!(ran.code, if found == ["two-owners"] { 78 } else { 0 });
        let in_one = other.lines().rfind(|line| line.starts_with("30")).unwrap();
        if !other.contains("API_BASE_URL") {
            let ran = crontab(&["check", "--json", "-"], &format!("{GOOD}{in_one}\n"));
            let expected = if found.is_empty() { vec![] } else { vec!["same-task"] };
            assert_eq!(rules(&ran), expected, "{other}");
        }
    }
    let by_hand = GOOD.replace("--idempotent", "--manual");
    assert_eq!(rules(&crontab(&["check", "--json", "-"], &by_hand)), ["call-arguments"]);
    let twice =
        format!("{GOOD}5 * * * * root /usr/local/bin/qs-api-call --idempotent /api/v1/a /var/log/a.log\n");
    assert_eq!(rules(&crontab(&["check", "--json", "-"], &twice)), ["same-task"]);
    let met = format!("{GOOD}0 2 * * * root /usr/local/bin/qs-api-call /api/v1/b /var/log/b.log\n");
    assert_eq!(rules(&crontab(&["check", "--json", "-"], &met)), ["same-minute"]);
    assert_eq!(crontab(&["check", "--strict", "-"], &met).code, 78);
}

#[test]
fn a_difference_is_told_in_runs() {
    let dir = TempDir::new().unwrap();
    let old = file(&dir, "old", GOOD);
    let new = file(&dir, "new", &GOOD.replace("0 * * * *", "0,30 * * * *"));
    let ran = crontab(&["diff", "--exit-code", &old, &new], "");
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.starts_with("~ a (line 2 → 2): 24 runs more\n    time 0 * * * * → 0,30 * * * *\n"),
        "{ran:?}"
    );
    let json = crontab(&["diff", "--json", &old, &new], "");
    assert_eq!((json.code, json.json()["differences"][0]["runs_gained"].clone()), (0, json!(24)));
    let markdown = crontab(&["diff", "--format", "markdown", "/dev/null", &new], "");
    assert!(markdown.stdout.contains("| added | a | "), "{markdown:?}");
    assert_eq!(crontab(&["diff", "--exit-code", &old, &old], "").code, 0);
}

#[test]
fn importing_keeps_the_old_file_and_tells_what_it_did() {
    let dir = TempDir::new().unwrap();
    let text = "IAM_PASSWORD=hunter22\n0 * * * * root /usr/local/bin/qs-api-call.sh /api/v1/a /var/log/a.log\n5 * * * * root curl -k https://h/b\n";
    let old = file(&dir, "old", text);
    let ran = crontab(&["import", &old], "");
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains("0 * * * * root /usr/local/bin/qs-api-call /api/v1/a /var/log/a.log\n"),
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("curl -k https://h/b") && ran.stderr.contains("line 3: left as it is"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains("hunter22") && !ran.stderr.contains("hunter22"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&old).unwrap(), text);
}

/// `qs-api-call crontab render … -o DIR` makes these; a change of the crontab must come with them.
#[test]
fn the_repositorys_units_and_manifests_are_rendered_from_the_crontab() {
    for target in ["systemd", "kubernetes"] {
        let dir = format!("deploy/{target}");
        let check =
            ["render", target, "--zone", "Asia/Shanghai", "-o", &dir, "--check", "crontab/qs-scheduler"];
        let ran = crontab(&check, "");
        assert_eq!(ran.code, 0, "make render: {ran:?}");
    }
    let kustomization = golden::read("deploy/kubernetes/kustomization.yaml");
    for manifest in std::fs::read_dir(repository().join("deploy/kubernetes")).unwrap() {
        let name = manifest.unwrap().file_name().into_string().unwrap();
        assert!(name == "kustomization.yaml" || kustomization.contains(&format!("  - {name}\n")), "{name}");
    }
}

#[test]
fn rendering_writes_what_changed_removes_what_is_left_over_and_keeps_what_is_not_its_own() {
    let dir = TempDir::new().unwrap();
    let source = file(
        &dir,
        "crontab",
        &format!("{GOOD}5 * * * * root /usr/local/bin/qs-api-call /api/v1/b /var/log/b.log\n"),
    );
    let output = dir.path().join("units").display().to_string();
    let render = |args: &[&str]| {
        crontab(&[&["render", "systemd", "-o", &output], args, &[source.as_str()]].concat(), "")
    };
    assert_eq!(render(&[]).stdout.matches("new ").count(), 4);
    assert_eq!(render(&["--check"]).code, 0);
    let own = Path::new(&output).join("mine.service");
    std::fs::write(&own, "[Unit]\n").unwrap();
    std::fs::write(&source, GOOD).unwrap();
    let check = render(&["--check"]);
    assert_eq!(check.code, 1);
    assert_eq!(check.stdout.matches("belongs to no line").count(), 2, "{check:?}");
    assert_eq!(render(&[]).stdout.matches("removed ").count(), 2);
    assert!(own.exists());
    assert_eq!(render(&["--check"]).code, 0);
    let shell = file(&dir, "shell", "0 * * * * root cd / && /usr/local/bin/qs-api-call /x\n");
    let refused = crontab(&["render", "kubernetes", "-o", &output, &shell], "");
    assert_eq!(refused.code, 78);
    assert!(refused.stderr.contains("line 1: it is not a call"), "{refused:?}");
}

/// Every way in which a line with a secret could be shown, in every command and form.
#[test]
fn a_secret_is_found_wherever_it_stands_and_shown_nowhere() {
    let dir = TempDir::new().unwrap();
    for line in [
        "IAM_PASSWORD=pa$hunter22",
        "IAM_PASSWORD=hunter22 # old",
        "IAM_PASSWORD=\"hunter22\" # old",
        "# IAM_PASSWORD=hunter22",
        "0 3 * * * root IAM_PASSWORD=hunter22 /usr/local/bin/qs-api-call --retry 3 /x",
        "0 3 * * * root /usr/local/bin/qs-api-call -q token=hunter22 /x /l",
        "0 3 * * * root /usr/local/bin/qs-api-call '/x?access_token=hunter22' /l",
        "0 3 * * * root /usr/local/bin/qs-api-call -H 'X-Auth-Token: hunter22' /x /l",
        "0 3 * * * root /usr/local/bin/qs-api-call -d '{\"a\":{\"password\":\"hunter22\"}}' /x /l",
        "0 3 * * * root /usr/local/bin/qs-api-call --content-type text/x-form -d 'a=1&password=hunter22' /x /l",
        "QS_TARGETS__EU__IAM__PASSWORD=hunter22",
        "0 3 * * * root curl -u admin:hunter22 https://h/\\%41x",
        "0 3 * * * root /bin/x --password hunter22",
        "0 3 * * root curl -u admin:hunter22 https://h/x",
    ] {
        let source = file(&dir, "tab", &format!("MAILTO=root\n{line}\n"));
        let check = crontab(&["check", "--json", &source], "");
        assert_eq!(check.code, 78, "{line}");
        assert!(rules(&check).contains(&"secret".to_owned()), "{line}: {check:?}");
        let commands: [&[&str]; 11] = [
            &["check", &source],
            &["check", "--json", &source],
            &["check", "--format", "sarif", &source],
            &["check", "--format", "github", &source],
            &["explain", &source],
            &["explain", "--json", &source],
            &["next", &source],
            &["diff", "/dev/null", &source],
            &["diff", "--format", "markdown", &source, "/dev/null"],
            &["render", "table", &source],
            &["render", "kubernetes", &source],
        ];
        for command in commands {
            let ran = crontab(command, "");
            assert!(!format!("{ran:?}").contains("hunter22"), "{command:?}: {ran:?}");
        }
    }
}

#[test]
fn what_the_shell_or_the_program_would_change_or_refuse_is_seen() {
    let check = |line: &str| {
        let ran = crontab(&["check", "--json", "-"], &format!("MAILTO=root\n0 3 * * * root {line}\n"));
        (ran.code, rules(&ran))
    };
    let call = "/usr/local/bin/qs-api-call";
    for (arguments, code, rule) in [
        ("-d {\"a\":1,\"b\":2} /x /l", 0, "unchecked"),
        ("/x ~/l", 0, "unchecked"),
        ("/x /l 2>/dev/null --retry 3", 0, "unchecked"),
        ("--task status --retry 3 /x /l", 78, "call-arguments"),
        ("-X 'PO ST' /x /l", 78, "call-arguments"),
        ("-H bad /x /l", 78, "call-arguments"),
        ("-q noeq /x /l", 78, "call-arguments"),
        ("-d 'not json' /x /l", 78, "call-arguments"),
    ] {
        assert_eq!(check(&format!("{call} {arguments}")), (code, vec![rule.to_owned()]), "{arguments}");
    }
    for good in [
        format!("{call} --task status /x /l"),
        format!("A=/x/y {call} token refresh"),
        format!("\"{call}\" status"),
    ] {
        assert_eq!(check(&good), (0, vec![]), "{good}");
    }
    assert_eq!(check("tar czf /b/db-%Y.tgz /db"), (78, vec!["percent".to_owned()]));
    let every_day = crontab(&["check", "--json", "-"], "0 3 1-31 * 1 root /bin/x\n");
    assert_eq!((every_day.code, rules(&every_day)), (0, vec!["either-day".to_owned()]));
    let below = crontab(&["check", "--json", "-"], "0 3 * * * root /bin/x\n# qs: zone=Asia/Tokyo\n");
    assert_eq!(rules(&below), ["unknown-directive"]);
}

#[test]
fn a_verdict_stands_when_nobody_reads_it() {
    let line = "61 * * * * root x\n".repeat(5_000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_qs-api-call"))
        .args(["crontab", "check", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(78));
}

#[test]
fn a_terminal_output_has_no_colours_where_none_are_wanted() {
    let ran = crontab(&["check", "-"], "61 * * * * root x\n");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'));
}

#[test]
fn a_claim_keeps_what_a_pod_leaves_behind() {
    let render = |args: &[&str]| crontab(&[&["render"], args, &["-"]].concat(), GOOD);
    let plain = render(&["kubernetes"]);
    assert!(plain.stdout.contains("medium: Memory") && !plain.stdout.contains("claimName"), "{plain:?}");
    let kept = render(&["kubernetes", "--state-claim", "qs-state"]);
    assert!(
        kept.stdout.contains("              persistentVolumeClaim:\n                claimName: qs-state\n"),
        "{kept:?}"
    );
    assert!(
        kept.stdout.contains(" --state-claim qs-state ") && !kept.stdout.contains("medium: Memory"),
        "{kept:?}"
    );
    for (target, claim) in [("systemd", "qs-state"), ("kubernetes", "a b"), ("kubernetes", "-x\n")] {
        assert_eq!(render(&[target, &format!("--state-claim={claim}")]).code, 64, "{target} {claim:?}");
    }
}
