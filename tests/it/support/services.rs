//! The Redis that the environment names, and a Redis of a test's own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::databases::{required, service, skipped};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// The Redis that tests may use, with other users' keys in it.
pub fn redis_url() -> Option<String> {
    service("redis", "QS_TEST_REDIS_URL")
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Redis process of a test's own. It is killed when dropped.
pub struct PrivateRedis {
    dir: TempDir,
    port: u16,
    options: Vec<String>,
    child: Child,
}

impl PrivateRedis {
    /// Starts one; none where the program is not installed.
    pub fn start(what: &str) -> Option<Self> {
        Self::start_with(what, &[])
    }

    /// Starts one with more options.
    pub fn start_with(what: &str, options: &[&str]) -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if version.is_err() {
            assert!(!required("redis-server"), "QS_TEST_REQUIRE names redis-server: install it");
            skipped(&format!("{what} (redis-server is not installed)"));
            return None;
        }
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let dir = tempfile::tempdir().unwrap();
        // Another process may take the port before the server does.
        (0..5)
            .find_map(|_| {
                let port = free_port();
                let child = launch(&dir, port, &options)?;
                Some((port, child))
            })
            .map(|(port, child)| Self { dir, port, options, child })
            .or_else(|| panic!("redis-server does not start with {what}"))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it without a chance to say goodbye. What was not saved is lost.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with what `SAVE` saved.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(&self.dir, self.port, &self.options).expect("redis-server starts again");
    }

    /// Removes every key.
    pub fn flush(&self) {
        self.run::<()>(&["FLUSHALL"]);
    }

    /// Runs one command on a connection of its own.
    pub fn run<T: redis::FromRedisValue>(&self, command: &[impl redis::ToRedisArgs]) -> T {
        run(&self.url(), command)
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one command on a connection of its own.
pub fn run<T: redis::FromRedisValue>(url: &str, command: &[impl redis::ToRedisArgs]) -> T {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut whole = redis::Cmd::new();
    whole.arg(command);
    whole.query(&mut connection).unwrap()
}

/// A server that answers; none when it ended instead.
fn launch(dir: &TempDir, port: u16, options: &[String]) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(dir.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server can be run");
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let deadline = Instant::now() + START;
    loop {
        let answers = client
            .get_connection_with_timeout(START)
            .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        // A server that wants a password is there, too.
        if answers.is_ok() || answers.is_err_and(|error| error.code() == Some("NOAUTH")) {
            return Some(child);
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "redis-server does not answer on port {port}");
        std::thread::yield_now();
    }
}
