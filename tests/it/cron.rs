//! The shipped crontab under the real cron of this machine, and what that cron says of bad files beside what we say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use comfy_table::{Table, presets};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::apiserver::{ACCOUNT, Server};
use crate::support::databases::{required, skipped};
use crate::support::golden;
use crate::support::wait::until;
use crate::support::world::{Ran, World};

const CALL: &str = env!("CARGO_BIN_EXE_qs-api-call");
const SHIPPED: &str = "crontab/qs-scheduler";

/// The entries of the shipped file: endpoint, task, what the server calls it, log.
const ENTRIES: [(&str, &str, &str, &str); 5] = [
    ("/api/v1/statistics/sync/daily", "statistics-sync-daily", "daily", "sync-daily.log"),
    (
        "/api/v1/statistics/sync/accumulated",
        "statistics-sync-accumulated",
        "accumulated",
        "sync-accumulated.log",
    ),
    ("/api/v1/statistics/sync/plan", "statistics-sync-plan", "plan", "sync-plan.log"),
    ("/api/v1/statistics/validate", "statistics-validate", "validate", "validate.log"),
    ("/api/v1/plans/tasks/schedule", "plans-tasks-schedule", "schedule", "schedule-tasks.log"),
];

/// Whether the real cron can run here.
fn has_cron(what: &str) -> bool {
    let needs = Command::new(golden::root("bin/real-cron")).arg("--needs").output().unwrap();
    if needs.status.success() {
        return true;
    }
    let missing = String::from_utf8_lossy(&needs.stderr).trim().replace('\n', "; ");
    assert_eq!(needs.status.code(), Some(69), "{missing}");
    assert!(!required("cron"), "QS_TEST_REQUIRE names cron: {missing}");
    skipped(&format!("{what} ({missing})"));
    false
}

/// The real cron on one file, under a clock of which a minute takes two seconds.
struct RealCron {
    room: PathBuf,
    child: Child,
}

impl RealCron {
    /// Starts it in `room`, an empty directory. What it mails is kept there.
    fn start(room: &Path, crontab: &str) -> Self {
        let cron_d = room.join("cron.d");
        fs::create_dir(&cron_d).unwrap();
        write(&cron_d.join("qs-scheduler"), crontab, 0o644);
        let sendmail = "#!/bin/sh\ncat > /run/out/.$$ && mv /run/out/.$$ /run/out/mail.$$\n";
        write(&room.join("sendmail"), sendmail, 0o755);
        let stderr = fs::File::create(room.join("stderr.of-start")).unwrap();
        let child = Command::new(golden::root("bin/real-cron"))
            .arg(room)
            .args(["1767355240", "30", "stopped"])
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self { room: room.to_owned(), child }
    }

    /// Whether this machine has a mailer whose place ours can take.
    fn mails() -> bool {
        Path::new("/usr/sbin/sendmail").exists()
    }

    /// The mails so far.
    fn mailed(&self) -> Vec<String> {
        let entries = fs::read_dir(self.room.join("out")).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("mail."))
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .collect()
    }

    /// Ends it with every job, and gives what it has said.
    fn stop(mut self) -> String {
        write(&self.room.join("stop"), "", 0o644);
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{}", fs::read_to_string(self.room.join("stderr.of-start")).unwrap());
        fs::read_to_string(self.room.join("log")).unwrap()
    }
}

impl Drop for RealCron {
    fn drop(&mut self) {
        // The namespace, with everything in it, ends with this process. After `stop` it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The shipped file for a machine where everything is in this world, and with every entry in every minute.
fn every_minute(world: &World) -> String {
    let place = |name: &str| world.path(name).display().to_string();
    let call = format!("{CALL} --config {} --state-dir {}", place("qs-api-call.yaml"), place("state"));
    let mut entries = 0;
    let mut text = String::new();
    for line in golden::read(SHIPPED).lines() {
        let is_entry = line.starts_with(|c: char| c.is_ascii_digit());
        entries += usize::from(is_entry);
        let line = match line.splitn(6, ' ').last() {
            Some(rest) if is_entry => format!("* * * * * {rest}")
                .replace("/usr/local/bin/qs-api-call", &call)
                .replace("/var/log/qs-scheduler", &place("log")),
            _ => line.to_owned(),
        };
        text += &line;
        text.push('\n');
    }
    assert_eq!(entries, ENTRIES.len());
    text
}

/// An account for cron's calls on this server.
fn world_on(server: &Server) -> World {
    let world = World::new();
    let password = world.write_secret("password", &format!("{}\n", ACCOUNT[1].1));
    let config = json!({
        "api": {"base_url": server.base},
        "iam": {
            "base_url": format!("{}/api/v1", server.base),
            "username": ACCOUNT[0].1,
            "password_file": password,
        },
        "token": {"file": world.path("token")},
    });
    // JSON is YAML.
    world.write_secret("qs-api-call.yaml", &config.to_string());
    world
}

/// What the server itself has on record, by kind: of each sync that a call asked for, its status and what it wrote.
async fn recorded(server: &Server, token: &str) -> BTreeMap<String, Vec<(String, u64)>> {
    let headers = [("authorization", &*format!("Bearer {token}"))];
    let reply = server.send(Method::GET, "/api/v1/statistics/runs?limit=100", &headers, "").await;
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for run in reply.data()["items"].as_array().unwrap_or_else(|| panic!("{reply:?}")) {
        assert_eq!(run["trigger"], "call", "nobody else asks: {run}");
        let text = |name: &str| run[name].as_str().unwrap().to_owned();
        found.entry(text("kind")).or_default().push((text("status"), run["written"].as_u64().unwrap()));
    }
    found
}

#[tokio::test]
async fn the_real_cron_calls_the_five_endpoints_of_the_shipped_file_and_mails_what_fails() {
    if !has_cron("the shipped crontab under the real cron") {
        return;
    }
    let mut server = Server::start(&ACCOUNT);
    let token = server.token().await;
    let event = json!({"event_id": "e", "type": "submitted", "questionnaire_code": "PHQ-9", "testee_id": 42});
    assert_eq!(server.post(&token, "/api/v1/statistics/events", &event.to_string()).await.status, 200);
    let world = world_on(&server);
    let room = tempfile::tempdir().unwrap();
    let cron = RealCron::start(room.path(), &every_minute(&world));

    // All five begin in the same minute, so a validation may come before what it compares has been written. The logs are
    // looked at first: a question to the server counts as a request, a question for the history is a process.
    until("cron has had all five endpoints called with success", async || {
        let succeeded = |log: &str| {
            fs::read_to_string(world.path("log").join(log))
                .is_ok_and(|log| log.contains("API call successful"))
        };
        ENTRIES.iter().all(|entry| succeeded(entry.3)).then_some(())
    })
    .await;
    until("each call has left its record", async || {
        let history = history(&world);
        let succeeded =
            |task: &str| history.iter().any(|run| run["task"] == task && run["status"] == "success");
        ENTRIES.iter().all(|entry| succeeded(entry.1)).then_some(())
    })
    .await;
    let recorded = recorded(&server, &token).await;
    for (_, _, kind, _) in ENTRIES {
        let succeeded = |runs: &Vec<(String, u64)>| runs.iter().any(|run| run.0 == "succeeded");
        assert!(recorded.get(kind).is_some_and(succeeded), "{kind}: {recorded:?}");
    }
    assert!(recorded["daily"].iter().any(|run| run.1 > 0), "the event is counted: {recorded:?}");
    for run in history(&world) {
        let may_differ = run["task"] == "statistics-validate" && run["exit_code"] == 1;
        assert!(run["exit_code"] == 0 || may_differ, "{run}");
    }
    for mail in cron.mailed() {
        assert!(mail.contains("statistics/validate"), "a successful call prints nothing: {mail}");
    }

    if RealCron::mails() {
        server.kill();
        let daily = |mail: &String| mail.contains(ENTRIES[0].0);
        let mail = until("cron mails a failure", async || cron.mailed().into_iter().find(daily)).await;
        let (head, body) = mail.split_once("\n\n").unwrap();
        assert!(head.lines().any(|line| line == "To: root"), "{mail}");
        assert!(body.starts_with("qs-api-call: ") && body.trim_end().lines().count() == 1, "{mail}");
    } else {
        skipped("the mail of a failure under the real cron (/usr/sbin/sendmail is not there)");
    }

    let log = cron.stop();
    for (endpoint, ..) in ENTRIES {
        let ran = |line: &str| line.contains("(root) CMD (") && line.contains(&format!(" {endpoint} "));
        assert!(log.lines().any(ran), "{endpoint}: {log}");
    }
    assert!(!log.contains("rror"), "{log}");
    eprintln!("{}", log.lines().filter(|line| line.contains("CMD")).take(5).collect::<Vec<_>>().join("\n"));
}

/// Every run record, as `history` shows it. Before the first one there is none.
fn history(world: &World) -> Vec<Value> {
    let place = |name: &str| world.path(name).display().to_string();
    let (config, state) = (place("qs-api-call.yaml"), place("state"));
    let ran = world.run(&["history", "--json", "-n", "100", "--config", &config, "--state-dir", &state]);
    ran.json().as_array().unwrap().clone()
}

#[test]
fn the_real_cron_takes_the_shipped_file_as_it_is() {
    if has_cron("the shipped crontab before the real cron") {
        let said = verdict(&golden::root(SHIPPED), &["--name", "qs-scheduler"]);
        assert_eq!(said, "accepted\n");
    }
}

/// A file, how it lies in /etc/cron.d, whether cron must run it to show what it makes of it, and our reason to refuse.
struct Case {
    file: &'static str,
    name: &'static str,
    mode: u32,
    owner: u32,
    run: bool,
    rule: Option<&'static str>,
}

impl Case {
    const fn new(file: &'static str, rule: Option<&'static str>) -> Self {
        Self { file, name: "candidate", mode: 0o644, owner: 0, run: false, rule }
    }

    const fn running(file: &'static str, rule: &'static str) -> Self {
        Self { run: true, ..Self::new(file, Some(rule)) }
    }

    /// The options of `bin/cron-verdict` that differ from its defaults.
    fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        let mut add = |differs: bool, name: &str, value: String| {
            if differs {
                options.extend([name.to_owned(), value]);
            }
        };
        add(self.name != "candidate", "--name", self.name.to_owned());
        add(self.mode != 0o644, "--mode", format!("{:04o}", self.mode));
        add(self.owner != 0, "--owner", "nobody".to_owned());
        options
    }

    /// As a person reads it.
    fn label(&self) -> String {
        [vec![self.file.to_owned()], self.options()].concat().join(" ")
    }
}

const CASES: [Case; 14] = [
    Case::new(SHIPPED, None),
    Case::new("bad/no-newline-after-good-lines", Some("no-newline")),
    Case::new("bad/bad-minute-after-a-good-line", Some("bad-time")),
    Case::new("bad/no-user", Some("no-user")),
    Case::new("bad/no-user-and-arguments", Some("no-user")),
    Case::new("bad/unknown-user", Some("unknown-user")),
    Case { mode: 0o664, ..Case::new("good/plain", Some("file-mode")) },
    Case { owner: 65_534, ..Case::new("good/plain", Some("file-owner")) },
    Case { name: "qs-scheduler.cron", ..Case::new("good/plain", Some("file-name")) },
    Case::running("bad/crlf", "carriage-return"),
    Case::running("bad/percent", "percent"),
    Case::running("bad/percent-url", "percent"),
    Case::running("bad/variable-command-substitution", "not-expanded"),
    Case::running("bad/cron-tz", "cron-tz"),
];

/// Programs that are on this machine in place of those that are on none, so that nothing else is wrong.
fn installed(text: &[u8]) -> Vec<u8> {
    let text = text.iter().map(|&byte| char::from(byte)).collect::<String>();
    let text = text.replace("/usr/local/bin/qs-api-call", CALL);
    let text = text.replace("/bin/one", "/bin/true").replace("/bin/two", "/bin/true");
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// What the real cron says, and with `--at` what it runs.
fn verdict(file: &Path, options: &[impl AsRef<std::ffi::OsStr>]) -> String {
    let output = Command::new(golden::root("bin/cron-verdict")).arg(file).args(options).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What was recorded of it: the verdict, and what ran, each line with its end.
fn recorded_verdict(label: &str) -> String {
    let table = golden::read("tests/fixtures/crontab/verdicts.txt");
    let head = format!("{label} | ");
    let mut lines = table.lines().skip_while(|line| !line.starts_with(&head));
    let first = lines.next().unwrap_or_else(|| panic!("{label} is not recorded"));
    let mut text = format!("{}\n", &first[head.len()..]);
    for line in lines.take_while(|line| line.starts_with("  ")) {
        text += line;
        text.push('\n');
    }
    text
}

/// One row of the table.
fn compare(case: &Case) -> [String; 3] {
    let source = if case.file == SHIPPED {
        golden::root(SHIPPED)
    } else {
        golden::root("tests/fixtures/crontab").join(case.file)
    };
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join(case.name);
    write(&copy, installed(&fs::read(source).unwrap()), case.mode);
    chown(&copy, Some(case.owner), None).unwrap();

    let mut options = case.options();
    if case.run {
        options.extend(["--at".to_owned(), "04:30".to_owned()]);
    }
    let live = if case.file == SHIPPED {
        verdict(&copy, &options)
    } else {
        let recorded = String::from_utf8(installed(recorded_verdict(&case.label()).as_bytes())).unwrap();
        let expected =
            if case.run { &*recorded } else { recorded.split_inclusive('\n').next().unwrap_or_default() };
        // On a crowded machine the minute may end before the job has begun.
        let ask = || verdict(&copy, &options);
        let live = (0..3).map(|_| ask()).find(|live| live == expected).unwrap_or_else(ask);
        assert_eq!(live, expected, "{}: cron no longer says what was recorded", case.label());
        live
    };

    let check = Command::new(CALL)
        .args(["crontab", "check", "--host", "--json", "--other", "/dev/null"])
        .arg(&copy)
        .env_clear()
        .env("HOME", dir.path())
        .output()
        .unwrap();
    let ours = Ran::of(&check);
    let report = ours.json();
    let errors: BTreeSet<&str> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|problem| problem["severity"] == "error")
        .map(|problem| problem["rule"].as_str().unwrap())
        .collect();
    assert_eq!(errors, case.rule.into_iter().collect(), "{}: {report:#}", case.label());
    assert_eq!(ours.code, if case.rule.is_some() { 78 } else { 0 }, "{}: {ours:?}", case.label());

    // The last line is the one that tells what was misread.
    let shown = live.replace(CALL, "/usr/local/bin/qs-api-call").replace(" | ", " ");
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    let says =
        if case.run { format!("{}, {}", lines[0], lines[lines.len() - 1]) } else { lines[0].to_owned() };
    [case.label(), says, format!("{} {}", ours.code, case.rule.unwrap_or("no error"))]
}

#[test]
fn what_the_real_cron_refuses_ignores_or_misreads_is_refused_by_us() {
    if !has_cron("bad crontabs before the real cron") {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(["file", "cron says", "we say"]);
    // Four at a time: each is a cron that waits for a minute.
    for cases in CASES.chunks(4) {
        let rows: Vec<[String; 3]> = std::thread::scope(|scope| {
            let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| compare(case))).collect();
            running.into_iter().map(|row| row.join().unwrap()).collect()
        });
        for [file, cron, ours] in rows {
            let refused = ours.starts_with("78 ");
            assert!(refused || (cron == "accepted" && file == SHIPPED), "{file}: {cron}, {ours}");
            table.add_row([file, cron, ours]);
        }
    }
    println!("{table}");
}
