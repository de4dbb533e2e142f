//! A host below a scratch root: its crontabs, its log, a process that is called cron, and a program that the lines call.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::world::{Ran, World};

/// The crontab that is installed.
pub const TAB: &str = "etc/cron.d/qs-scheduler";
/// The program that its lines call.
pub const BINARY: &str = "usr/local/bin/qs-api-call";
/// What is kept about installs.
pub const STATE: &str = "var/lib/qs-scheduler/deploy";

/// A scratch root in a world of its own.
pub struct Scratch {
    pub world: World,
    cron: Option<Child>,
    logger: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

/// What the pretended cron says about a crontab that it finds changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It has read it.
    Reload,
    /// It has read it, and cannot use it.
    Error,
    /// Nothing.
    Nothing,
}

impl Scratch {
    /// A root with a program that does what it is asked for, and no cron.
    pub fn new() -> Self {
        let scratch = Self { world: World::new(), cron: None, logger: None };
        for dir in ["etc/cron.d", "usr/local/bin", "usr/bin", "var/log", "run"] {
            fs::create_dir_all(scratch.path(dir)).unwrap();
        }
        let own = fs::metadata(scratch.root()).unwrap();
        let account = format!("root:x:{}:{}:root:/:/bin/sh\n", own.uid(), own.gid());
        fs::write(scratch.path("etc/passwd"), account).unwrap();
        // Without it the machine's own cron is asked about every file, which is a test of its own.
        scratch.program("usr/bin/unshare", "echo unshare: not here >&2; exit 1");
        scratch.program(BINARY, GOOD);
        scratch
    }

    /// The same with a process that is called cron, and its log, in which it says this of changed files.
    pub fn with_cron(says: Says) -> Self {
        let mut scratch = Self::new();
        scratch.start_cron();
        scratch.start_log(says);
        scratch
    }

    pub fn root(&self) -> PathBuf {
        self.world.path("root")
    }

    /// A path below the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Writes a shell script.
    pub fn program(&self, path: &str, body: &str) -> PathBuf {
        let path = self.path(path);
        script(&path, body);
        path
    }

    /// A program beside the root, to be installed.
    pub fn new_program(&self, body: &str) -> PathBuf {
        let path = self.world.path("release/qs-api-call");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        script(&path, body);
        path
    }

    /// A crontab beside the root, to be installed, whose one call is at this minute.
    pub fn release(&self, minute: &str) -> String {
        self.release_with(&format!("{minute} * * * * root /{BINARY} /api/v1/x /dev/null\n"))
    }

    /// The same with these lines behind the settings that every crontab should have.
    pub fn release_with(&self, lines: &str) -> String {
        let path = self.world.path("release/crontab");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{SETTINGS}{lines}")).unwrap();
        path.display().to_string()
    }

    /// `crontab COMMAND --root ROOT ARGS…`, not yet started.
    pub fn command(&self, command: &str, args: &[&str]) -> Command {
        let root = self.root().display().to_string();
        self.world.command(&[&["crontab", command, "--root", &root], args].concat())
    }

    pub fn run(&self, command: &str, args: &[&str]) -> Ran {
        Ran::of(&self.command(command, args).output().unwrap())
    }

    /// An install that must succeed.
    #[track_caller]
    pub fn install(&self, args: &[&str]) -> serde_json::Value {
        let ran = self.run("install", &[args, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()
    }

    /// A root whose files the machine's own cron is asked about.
    #[cfg(feature = "server")]
    pub fn for_real_cron() -> Self {
        let scratch = Self::new();
        fs::remove_file(scratch.path("usr/bin/unshare")).unwrap();
        scratch
    }

    fn start_cron(&mut self) {
        let cron = self.path("cron");
        // A process has the name by which it was started.
        std::os::unix::fs::symlink("/bin/sleep", &cron).unwrap();
        let child = Command::new(&cron).arg("600").stdin(Stdio::null()).spawn().unwrap();
        fs::write(self.path("run/crond.pid"), format!("{}\n", child.id())).unwrap();
        self.cron = Some(child);
    }

    /// Does what cron does with changed files, without waiting for a minute.
    fn start_log(&mut self, says: Says) {
        let (tab, log) = (self.path(TAB), self.path("var/log/syslog"));
        fs::write(&log, "Nov 21 12:00:00 host cron[1]: (CRON) INFO (pidfile fd = 3)\n").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mtime = |tab: &Path| fs::metadata(tab).ok().map(|file| file.mtime());
            let mut known = mtime(&tab);
            while !ended.load(Ordering::SeqCst) {
                let now = mtime(&tab);
                if now.is_some() && now != known {
                    say(&log, says);
                }
                known = now;
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        self.logger = Some((stop, thread));
    }

    /// Ends the pretended log, so that another one can begin.
    pub fn says_from_now(&mut self, says: Says) {
        self.stop_log();
        self.start_log(says);
    }

    fn stop_log(&mut self) {
        if let Some((stop, thread)) = self.logger.take() {
            stop.store(true, Ordering::SeqCst);
            thread.join().unwrap();
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.stop_log();
        if let Some(cron) = &mut self.cron {
            cron.kill().unwrap();
            cron.wait().unwrap();
        }
    }
}

/// A program that tells its version, and finds everything good.
pub const GOOD: &str = "case $1 in --version) echo qs-api-call 9.9.9;; esac";

const SETTINGS: &str = "SHELL=/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin\nMAILTO=root\n";

fn say(log: &Path, says: Says) {
    use std::io::Write;
    let lines = match says {
        Says::Nothing => return,
        Says::Reload => "cron[1]: (*system*qs-scheduler) RELOAD (/etc/cron.d/qs-scheduler)\n".to_owned(),
        Says::Error => [
            "cron[1]: (*system*qs-scheduler) RELOAD (/etc/cron.d/qs-scheduler)\n",
            "cron[1]: Error: bad minute; while reading /etc/cron.d/qs-scheduler\n",
        ]
        .join("Nov 21 12:00:01 host "),
    };
    let mut file = fs::File::options().append(true).open(log).unwrap();
    file.write_all(format!("Nov 21 12:00:01 host {lines}").as_bytes()).unwrap();
}

/// Written by another process: a program that somebody holds open for writing cannot be started, and the other tests
/// of this process start programs all the time, which inherit what is open at that moment.
fn script(path: &Path, body: &str) {
    let write = "printf '%s' \"$1\" > \"$2\" && chmod 755 \"$2\"";
    let text = format!("#!/bin/sh\n{body}\n");
    let status = Command::new("sh").args(["-c", write, "sh", &text]).arg(path).status().unwrap();
    assert!(status.success());
}

/// Asks until it is so.
#[track_caller]
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Every file below a directory with its content, mode and mtime.
pub fn snapshot(dir: &Path) -> Vec<(PathBuf, u32, i64, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        if metadata.is_dir() {
            found.extend(snapshot(&path));
        }
        let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.push((
            path,
            metadata.mode(),
            metadata.mtime_nsec() + metadata.mtime() * 1_000_000_000,
            content,
        ));
    }
    found.sort();
    found
}
