//! A MariaDB of a test's own, which it may kill.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, sql};
use tempfile::TempDir;

use super::databases::{required, skipped};
use super::services::free_port;

/// How long a server may take to start, recovery included.
const START: Duration = Duration::from_secs(60);

/// The smallest server that does what a large one does. A commit is in the hands of the kernel before it is reported, so
/// it survives the end of the process.
const SMALL: [&str; 12] = [
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=48M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--innodb-use-native-aio=0",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=1M",
    "--performance-schema=OFF",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--skip-networking=0",
    "--bind-address=127.0.0.1",
];

/// The files of a new server, made once and copied by every test; kept with what else the build makes.
static TEMPLATE: LazyLock<PathBuf> = LazyLock::new(template);

/// A MariaDB process of a test's own, with an empty database. It is killed when dropped.
pub struct PrivateMariaDb {
    dir: TempDir,
    port: u16,
    options: Vec<String>,
    child: Child,
}

impl PrivateMariaDb {
    /// Starts one with these options beside those of a small server; none where the program is not installed.
    pub async fn start(what: &str, options: &[&str]) -> Option<Self> {
        let version = Command::new("mariadbd").arg("--version").stdout(Stdio::null()).status();
        if version.is_err() {
            assert!(!required("mariadbd"), "QS_TEST_REQUIRE names mariadbd: install it");
            skipped(&format!("{what} (mariadbd is not installed)"));
            return None;
        }
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let dir = tempfile::tempdir().unwrap();
        copy(&TEMPLATE, &dir.path().join("data"));
        // Another process may take the port before the server does.
        let (port, child) = (0..5)
            .find_map(|_| {
                let port = free_port();
                Some((port, launch(dir.path(), port, &options)?))
            })
            .unwrap_or_else(|| panic!("mariadbd does not start for {what}: {}", log(dir.path())));
        let server = Self { dir, port, options, child };
        let db = Db::connect(&Address::Url(Secret::new(server.address())), 1).await.unwrap();
        db.execute(sql("create database qs character set utf8mb4")).await.unwrap();
        db.close().await;
        Some(server)
    }

    fn address(&self) -> String {
        format!("mysql://root@127.0.0.1:{}", self.port)
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        format!("{}/qs", self.address())
    }

    /// Connections of the test's own.
    pub async fn connect(&self) -> Db {
        Db::connect(&Address::Url(Secret::new(self.address())), 3).await.unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The URL of its database for this account.
    pub fn url_of(&self, account: &str) -> String {
        format!("mysql://{account}@127.0.0.1:{}/qs", self.port)
    }

    /// Ends it without a chance to say goodbye.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with the same files.
    pub fn restart(&mut self) {
        self.kill();
        let child = launch(self.dir.path(), self.port, &self.options);
        self.child = child.unwrap_or_else(|| panic!("mariadbd starts again: {}", log(self.dir.path())));
    }
}

impl Drop for PrivateMariaDb {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that answers; none when it ended instead.
fn launch(dir: &Path, port: u16, options: &[String]) -> Option<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    // A starting server removes what looks like a temporary table, also that of another one, from the directory of these.
    let scratch = dir.join("tmp");
    fs::create_dir_all(&scratch).unwrap();
    let mut child = server(&dir.join("data"))
        .arg(format!("--tmpdir={}", scratch.display()))
        .arg(format!("--port={port}"))
        .arg(format!("--socket={}", dir.join("socket").display()))
        .arg(format!("--pid-file={}", dir.join("pid").display()))
        .args(SMALL)
        .args(options)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("mariadbd can be run");
    let deadline = Instant::now() + START;
    loop {
        if greets(port) {
            return Some(child);
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "mariadbd does not answer on port {port}");
        std::thread::yield_now();
    }
}

fn server(data: &Path) -> Command {
    let mut command = Command::new("mariadbd");
    command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
    // It refuses to run as root unless it is told to.
    command.args(root_option());
    command
}

fn root_option() -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    (fs::metadata("/proc/self").unwrap().uid() == 0).then_some("--user=root")
}

/// Whether it sends the greeting with which its protocol, version 10, begins: it does that when it is ready.
fn greets(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    connection.set_read_timeout(Some(START)).unwrap();
    let mut greeting = [0; 5];
    connection.read_exact(&mut greeting).is_ok() && greeting[4] == 10
}

fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}

fn template() -> PathBuf {
    let version = Command::new("mariadbd").arg("--version").output().unwrap().stdout;
    let version: String = String::from_utf8_lossy(&version)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let done = home.join(format!("mariadb-{version}"));
    if done.exists() {
        return done;
    }
    let making = tempfile::tempdir_in(home).unwrap();
    let data = making.path().join("data");
    let output = Command::new("mariadb-install-db")
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--tmpdir={}", making.path().display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .args(root_option())
        .args(["--innodb-log-file-size=48M", "--innodb-use-native-aio=0"])
        .output()
        .expect("mariadb-install-db can be run");
    assert!(output.status.success(), "{output:?}");
    // Another test process may have been quicker; both have made the same.
    if fs::rename(&data, &done).is_err() {
        assert!(done.exists(), "{} cannot be made", done.display());
    }
    done
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-r", "--sparse=always"]).args([from, to]).status().unwrap();
    assert!(copied.success(), "{} cannot be copied", from.display());
}
