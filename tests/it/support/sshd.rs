//! An sshd of a test's own: loopback, a free port, its own host key, one user with one key.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::databases::{required, skipped};
use super::scratch::until;
use super::services::free_port;

const PROGRAM: &str = "/usr/sbin/sshd";

/// A server that is killed when dropped.
pub struct Sshd {
    dir: PathBuf,
    port: u16,
    child: Child,
}

/// Whether it is installed; where it must be, its absence is a failure.
pub fn available(what: &str) -> bool {
    let there = Path::new(PROGRAM).exists() && Path::new("/usr/bin/ssh-keygen").exists();
    if !there {
        assert!(!required("sshd"), "QS_TEST_REQUIRE names sshd: install it");
        skipped(&format!("{what} (sshd is not installed)"));
    }
    there
}

impl Sshd {
    /// Starts it with everything that it needs in `dir`.
    pub fn start(dir: &Path) -> Self {
        let dir = dir.join("ssh");
        fs::create_dir_all(dir.join("home")).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        // Where its children change their root to; the package's unit makes it.
        fs::create_dir_all("/run/sshd").unwrap();
        for key in ["host_key", "key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.join(key))
                .status();
            assert!(made.unwrap().success());
        }
        let port = free_port();
        let at = dir.display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\nPidFile {at}/pid\n\
             AuthorizedKeysFile {at}/key.pub\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nSetEnv HOME={at}/home\n\
             Subsystem sftp internal-sftp\n"
        );
        fs::write(dir.join("config"), config).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["-D", "-f"]).arg(dir.join("config")).arg("-E").arg(dir.join("log"));
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        until("sshd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { dir, port, child }
    }

    /// The environment by which `deploy/ship` finds it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).unwrap();
        let key = read("host_key.pub");
        let key: Vec<&str> = key.split(' ').take(2).collect();
        vec![
            ("SVRA_HOST", "127.0.0.1".to_owned()),
            ("SVRA_USERNAME", "root".to_owned()),
            ("SVRA_SSH_PORT", self.port.to_string()),
            ("SVRA_SSH_KEY", read("key")),
            ("SVRA_KNOWN_HOSTS", format!("[127.0.0.1]:{} {}", self.port, key.join(" "))),
        ]
    }

    /// The home of who logs in.
    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Loses every connection: the processes that serve them are killed. Returns how many there were.
    pub fn lose_connections(&self) -> usize {
        let mut lost = 0;
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)).map(str::parse);
            if parent == Some(Ok(self.child.id())) {
                let pid = entry.file_name();
                let killed =
                    Command::new("kill").arg("-KILL").arg(&pid).stderr(Stdio::null()).status().unwrap();
                lost += usize::from(killed.success());
            }
        }
        lost
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
