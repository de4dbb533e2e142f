//! A deployment as the workflow makes it: its scripts, over a real sshd, with the real program, into a root under the
//! real cron. Cron looks once a minute, so this takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use crate::support::cron::{self, RealCron};
use crate::support::databases::{required, skipped};
use crate::support::fake::{Answer, FakeServer};
use crate::support::scratch::{BINARY, Scratch, TAB, snapshot, until};
use crate::support::sshd::{self, Sshd};
use crate::support::world::{Granting, LOGIN, Ran};

/// Shown nowhere.
const PASSWORD: &str = "CANARY-pass\"wo'rd\\-77c1";
const MARK: &str = "CANARY-pass";
/// The same as it travels.
const ENCODED_MARK: &str = "Q0FOQVJZLXBhc3";

struct Deployment {
    host: Scratch,
    sshd: Sshd,
    _cron: RealCron,
    server: FakeServer,
    transcript: Mutex<String>,
}

impl Deployment {
    fn new() -> Self {
        let granting = Granting::new(3600);
        let server = FakeServer::start(move |request| match request.path.as_str() {
            LOGIN => granting.grant(),
            "/health" | "/api/v1/health" | "/api/v1/good" => Answer::status(204),
            _ => Answer::status(404),
        });
        let host = Scratch::for_real_cron();
        fs::remove_file(host.path(BINARY)).unwrap();
        let cron = RealCron::start(&host.root());
        until("cron runs", || host.path("run/crond.pid").exists());
        let sshd = Sshd::start(host.world.dir());
        Self { host, sshd, _cron: cron, server, transcript: Mutex::default() }
    }

    /// A crontab with everything that its call needs, and a line by which it is told from others.
    fn crontab(&self, endpoint: &str, word: &str) -> String {
        let (root, url) = (self.host.root(), self.server.url());
        let root = root.display();
        format!(
            "SHELL=/bin/sh\nPATH=/usr/bin:/bin\nMAILTO=root\nAPI_BASE_URL={url}\nIAM_BASE_URL={url}/api/v1\n\
             IAM_USERNAME=qs\nIAM_PASSWORD_FILE={root}/etc/qs-server/credentials/iam-password\n\
             TOKEN_FILE={root}/state/token\n\
             0 0 1 1 * root /{BINARY} --state-dir {root}/state {endpoint} {root}/state/call.log\n\
             * * * * * root echo {word} >> {root}/ran\n"
        )
    }

    /// A bundle as `deploy/bundle` makes it; its check is left out, so that a host can meet a bad crontab.
    fn bundle(&self, crontab: &str) -> PathBuf {
        let dir = self.host.world.path("bundle");
        fs::create_dir_all(&dir).unwrap();
        let program = dir.join("qs-api-call");
        if !program.exists() {
            fs::hard_link(env!("CARGO_BIN_EXE_qs-api-call"), &program)
                .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_qs-api-call"), &program).map(drop))
                .unwrap();
        }
        fs::write(dir.join("crontab"), crontab).unwrap();
        let sums =
            Command::new("sha256sum").args(["crontab", "qs-api-call"]).current_dir(&dir).output().unwrap();
        fs::write(dir.join("SHA256SUMS"), sums.stdout).unwrap();
        dir
    }

    fn begin(&self, args: &[&str]) -> Child {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(repository.join("deploy/ship"));
        command.arg("--helper").arg(repository.join("deploy/qs-scheduler-deploy")).args(args);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.host.world.dir());
        command.envs(self.sshd.environment()).env("QS_DEPLOY_ROOT", self.host.root());
        command.env("IAM_PASSWORD", PASSWORD).env("IAM_USERNAME", "qs");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn end(&self, child: Child) -> Ran {
        let ran = Ran::of(&child.wait_with_output().unwrap());
        let mut transcript = self.transcript.lock().unwrap();
        transcript.push_str(&ran.stdout);
        transcript.push_str(&ran.stderr);
        ran
    }

    #[track_caller]
    fn ship(&self, code: i32, args: &[&str]) -> Ran {
        let ran = self.end(self.begin(args));
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        ran
    }

    fn install(&self, code: i32, crontab: &str) -> Ran {
        let bundle = self.bundle(crontab);
        self.ship(code, &["--bundle", bundle.to_str().unwrap()])
    }

    /// The workers of lost connections have ended.
    fn quiet(&self) {
        until("nobody works on the host", || {
            let ship = self.host.path("var/lib/qs-scheduler/ship");
            let stages = fs::read_dir(ship).unwrap().flatten();
            let lock = self.host.path("var/lib/qs-scheduler/ship/lock");
            let free = Command::new("flock").arg("-n").arg(&lock).arg("true").status().unwrap().success();
            free && stages.into_iter().all(|entry| {
                let live = entry.path().join("live");
                !live.exists()
                    || Command::new("flock").arg("-n").arg(live).arg("true").status().unwrap().success()
            })
        });
    }
}

#[test]
fn a_crontab_is_shipped_to_a_host_that_stays_whole() {
    if !required("minutes") {
        skipped("a deployment over sshd into the real cron (six minutes; QS_TEST_REQUIRE=minutes)");
        return;
    }
    let what = "a deployment over sshd into the real cron";
    if !cron::available(what) || !sshd::available(what) {
        return;
    }
    let deployment = Deployment::new();
    let host = &deployment.host;
    let first = deployment.crontab("/api/v1/good", "first");

    // The first one, and what it brought.
    let ran = deployment.install(0, &first);
    assert!(ran.stdout.contains("cron logged RELOAD of it"), "{ran:?}");
    assert_eq!(host.read(TAB), first);
    let verified = deployment.ship(0, &["--verify"]);
    assert!(verified.stdout.contains("cron logged RELOAD of it"), "{verified:?}");

    // Unchanged.
    let before = (snapshot(&host.path("etc")), snapshot(&host.path("usr")));
    let ran = deployment.install(0, &first);
    assert!(ran.stdout.contains("unchanged"), "{ran:?}");
    // A bad crontab.
    let bad = deployment.install(78, &first.replace("0 0 1 1 *", "61 0 1 1 *"));
    assert!(bad.stdout.contains("bad-time"), "{bad:?}");
    assert!((snapshot(&host.path("etc")), snapshot(&host.path("usr"))) == before, "nothing has changed");

    // A canary that fails: the real cron runs the old file.
    let ran = deployment.install(1, &deployment.crontab("/api/v1/gone", "gone"));
    assert!(ran.stdout.contains("HTTP 404"), "{ran:?}");
    assert!(ran.stdout.contains("cron logged RELOAD of the old file"), "{ran:?}");
    assert_eq!(host.read(TAB), first);
    until("cron has run the old file", || host.read("ran").ends_with("first\n"));
    deployment.ship(0, &["--verify"]);

    lost_connections(&deployment, &first);

    // Drift is told and left alone.
    let crontab = host.world.path("bundle/crontab");
    let drift = ["--drift", "--crontab", crontab.to_str().unwrap()];
    deployment.ship(0, &drift);
    let by_hand = host.read(TAB) + "# by hand\n";
    fs::write(host.path(TAB), &by_hand).unwrap();
    let ran = deployment.ship(1, &drift);
    assert!(ran.stdout.contains("has the digest"), "{ran:?}");
    assert_eq!(host.read(TAB), by_hand);

    let shown =
        deployment.transcript.lock().unwrap().clone() + &deployment.sshd.log() + &host.read("var/log/syslog");
    assert!(!shown.contains(MARK) && !shown.contains(ENCODED_MARK), "{shown}");
    let password = host.path("etc/qs-server/credentials/iam-password");
    let holders: Vec<_> = snapshot(&host.root())
        .into_iter()
        .filter(|(.., content)| String::from_utf8_lossy(content).contains(MARK))
        .map(|(path, ..)| path)
        .collect();
    assert_eq!(holders, [password]);
}

/// At each moment the host is the old or the new one, whole, and tells which.
fn lost_connections(deployment: &Deployment, old: &str) {
    let host = &deployment.host;
    let staged = || {
        let ship = fs::read_dir(host.path("var/lib/qs-scheduler/ship")).into_iter().flatten().flatten();
        ship.into_iter().any(|entry| entry.path().join("report").exists())
    };
    let mut old = old.to_owned();
    for moment in ["sending", "working", "placed"] {
        let new = deployment.crontab("/api/v1/good", moment);
        let bundle = deployment.bundle(&new);
        let child = deployment.begin(&["--bundle", bundle.to_str().unwrap()]);
        until(moment, || match moment {
            "sending" => fs::read_dir(deployment.sshd.home()).unwrap().count() > 0,
            "working" => staged(),
            _ => host.read(TAB) == new,
        });
        // Between two connections there is none to lose; the next one comes at once.
        until(moment, || deployment.sshd.lose_connections() > 0);
        let ran = deployment.end(child);
        assert!(matches!(ran.code, 75 | 124), "{moment}: {ran:?}");
        deployment.quiet();
        let now = host.read(TAB);
        assert!(now == old || now == new, "{moment}: {now}");
        assert_eq!(now == new, moment != "sending", "what has begun goes on to its end");
        let verified = deployment.ship(0, &["--verify"]);
        let digest = qs_scheduler::deploy::digest::of(now.as_bytes());
        assert!(verified.stdout.contains(&digest), "{moment}: it tells which: {verified:?}");
        for entry in fs::read_dir(deployment.sshd.home()).unwrap().flatten() {
            fs::remove_dir_all(entry.path()).unwrap();
        }
        old = now;
    }
    let status = deployment.ship(0, &["--status"]);
    assert!(status.stdout.contains("exit=0"), "{status:?}");
}
