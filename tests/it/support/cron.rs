//! The real cron over a scratch root: it sees the root's crontabs as the machine's, and logs into the root's syslog.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::databases::{required, skipped};

/// A cron of a test's own. It is killed when dropped.
pub struct RealCron {
    child: Child,
    stop: Arc<AtomicBool>,
    collector: Option<JoinHandle<()>>,
}

/// Whether cron can be run here; where it must be, its absence is a failure.
pub fn available(what: &str) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let there = is_root
        && Path::new("/usr/sbin/cron").exists()
        && Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !there {
        assert!(!required("cron"), "QS_TEST_REQUIRE names cron: install it, and be root");
        skipped(&format!("{what} (cron is not installed, or this is not root)"));
    }
    there
}

/// Everything that the daemon sees of the machine is the root's, or empty.
const SCRIPT: &str = r#"
set -eu
small() { mount -t tmpfs -o mode=0755,size=64k tmpfs "$1"; }
mkdir -p "$ROOT/dev"
small "$ROOT/dev"
: > "$ROOT/dev/null"
mount --bind /dev/null "$ROOT/dev/null"
: > "$ROOT/dev/log"
mount --bind "$ROOT/syslog" "$ROOT/dev/log"
: > "$ROOT/no-crontab"
mount --bind "$ROOT/no-crontab" /etc/crontab
mount --bind "$ROOT/etc/cron.d" /etc/cron.d
mount --bind "$ROOT/etc/passwd" /etc/passwd
small /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
: > "$ROOT/run/crond.reboot"
mount --bind "$ROOT/run" /run
mount --rbind "$ROOT/dev" /dev
exec cron -f
"#;

impl RealCron {
    /// Starts it.
    pub fn start(root: &Path) -> Self {
        let socket = UnixDatagram::bind(root.join("syslog")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, log) = (Arc::clone(&stop), root.join("var/log/syslog"));
        fs::write(&log, "").unwrap();
        let collector = std::thread::spawn(move || {
            let mut datagram = vec![0; 8192];
            while !ended.load(Ordering::SeqCst) {
                let Ok(length) = socket.recv(&mut datagram) else { continue };
                let line = String::from_utf8_lossy(&datagram[..length]).into_owned();
                let line = line.split_once('>').map_or(line.as_str(), |(_, line)| line);
                let mut file = fs::File::options().append(true).open(&log).unwrap();
                writeln!(file, "{}", line.trim_end_matches(['\0', '\n'])).unwrap();
            }
        });
        let mut command = Command::new("unshare");
        command.args(["--mount", "--fork", "--kill-child", "sh", "-c", SCRIPT]).env("ROOT", root);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, stop, collector: Some(collector) }
    }
}

impl Drop for RealCron {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stop.store(true, Ordering::SeqCst);
        drop(self.collector.take().map(JoinHandle::join));
    }
}
