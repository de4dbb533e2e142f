//! nginx, which serves a file from memory: what a server can do on this machine that has nothing to look up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tempfile::TempDir;

use crate::wrk::Shot;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx. It ends with this value.
pub(crate) struct Nginx {
    process: Child,
    pub(crate) base: String,
    /// What was measured of a file at so many connections.
    known: RefCell<BTreeMap<(usize, u32), Shot>>,
    dir: TempDir,
}

impl Nginx {
    /// Starts it on a free port, with nothing of the machine's own configuration.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let place = dir.path().display();
        let user = String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?;
        // As root it would give up its rights, and could not read this directory.
        let user = if user.trim() == "root" { "user root;" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {place}/{what};"))
            .join(" ");
        let configuration = format!(
            "{user} worker_processes auto; daemon off; pid {place}/pid; error_log {place}/error;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; {temporary} keepalive_requests 1000000000; open_file_cache max=100; \
             default_type application/json; server {{ listen 127.0.0.1:{port} backlog=4096; root {place}; }} }}\n"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let process = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(dir.path().join("error"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let base = format!("http://127.0.0.1:{port}");
        let mut nginx = Self { process, base, known: RefCell::default(), dir };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let error = || std::fs::read_to_string(nginx.dir.path().join("error")).unwrap_or_default();
            ensure!(nginx.process.try_wait()?.is_none(), "nginx ended: {}", error());
            ensure!(Instant::now() < deadline, "no answer of nginx: {}", error());
            std::thread::yield_now();
        }
        Ok(nginx)
    }

    /// A file of about so many bytes. A quarter more or less makes no difference to it, and few files are few runs.
    pub(crate) fn file(&self, bytes: usize) -> anyhow::Result<usize> {
        let mut size = 128;
        while size * 5 / 4 < bytes {
            size = size * 3 / 2;
        }
        std::fs::write(self.dir.path().join(size.to_string()), "x".repeat(size))?;
        Ok(size)
    }

    /// What is known of a file, else what this measures.
    pub(crate) fn known(
        &self,
        file: usize,
        connections: u32,
        measure: impl FnOnce() -> anyhow::Result<Shot>,
    ) -> anyhow::Result<Shot> {
        if let Some(shot) = self.known.borrow().get(&(file, connections)) {
            return Ok(*shot);
        }
        let shot = measure()?;
        self.known.borrow_mut().insert((file, connections), shot);
        Ok(shot)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with the master when that is told to stop; it may be gone already.
        drop(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status());
        drop(self.process.wait());
    }
}

/// What it says of itself.
pub(crate) fn version() -> anyhow::Result<String> {
    let said = Command::new("nginx").arg("-v").output()?.stderr;
    Ok(String::from_utf8_lossy(&said).trim().trim_start_matches("nginx version: ").to_owned())
}
