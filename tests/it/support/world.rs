//! The real `qs-api-call` in a directory of its own, with an environment of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::fake::{Answer, FakeServer, Received};

/// The account of the fake IAM.
pub const USERNAME: &str = "qs-scheduler@example.com";
pub const PASSWORD: &str = "correct horse battery staple";
/// The endpoint that most tests call.
pub const ENDPOINT: &str = "/api/v1/statistics/sync/daily";
/// Its task.
pub const TASK: &str = "statistics-sync-daily";
/// Where the fake IAM's login is, below its base.
pub const LOGIN: &str = "/api/v1/authn/login";

/// What a run of the program gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Silent success.
    #[track_caller]
    pub fn assert_silent_success(&self) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (0, "", ""));
    }

    /// A failure with one line on standard error and nothing on standard output.
    #[track_caller]
    pub fn assert_failure(&self, code: i32) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.ends_with('\n'), "{self:?}");
    }

    /// A failure with one line on standard error, whatever was shown before.
    #[track_caller]
    pub fn assert_failure_after_data(&self, code: i32, says: &str) {
        assert_eq!((self.code, self.stderr.lines().count()), (code, 1), "{self:?}");
        assert!(self.stderr.contains(says), "{self:?}");
    }

    /// The object of `--json`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A directory and an environment.
pub struct World {
    dir: TempDir,
    env: BTreeMap<String, String>,
}

impl World {
    /// A world without servers: addresses that refuse, retries that do not wait.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let env = [
            ("HOME", path("home")),
            ("TOKEN_FILE", path("token")),
            ("API_BASE_URL", "http://127.0.0.1:1".to_owned()),
            ("IAM_BASE_URL", "http://127.0.0.1:1/api/v1".to_owned()),
            ("IAM_USERNAME", USERNAME.to_owned()),
            ("IAM_PASSWORD", PASSWORD.to_owned()),
            ("QS_STATE__DIR", path("state")),
            ("QS_LOG__DIR", path("log")),
            ("QS_CALL__RETRY_BASE", "1ms".to_owned()),
            ("TZ", "UTC".to_owned()),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { dir, env }
    }

    /// A world whose API is `api`; the token file holds a token that is good for an hour.
    pub fn with_token(api: &FakeServer) -> Self {
        let world = Self::new().set("API_BASE_URL", api.url());
        world.write_secret("token", "cached-token");
        world
    }

    /// A world whose API and IAM are `server`, without a token.
    pub fn without_token(server: &FakeServer) -> Self {
        Self::new().set("API_BASE_URL", server.url()).set("IAM_BASE_URL", format!("{}/api/v1", server.url()))
    }

    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// The environment.
    #[cfg(feature = "server")]
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file that only the owner can read.
    pub fn write_secret(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path(name);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .expect("a writable directory");
        file.write_all(text.as_bytes()).expect("a writable file");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The default log.
    pub fn log(&self) -> String {
        self.read("log/api-call.log")
    }

    /// The program with `args`, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qs-api-call"));
        command.args(args).env_clear().envs(&self.env).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the program.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("the program starts")
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().expect("the program starts"))
    }
}

/// An IAM and an API in one: logins are counted and every business request must carry a token that was granted.
pub struct Granting {
    granted: AtomicUsize,
    lifetime: i64,
}

impl Granting {
    pub fn new(lifetime: i64) -> Self {
        Self { granted: AtomicUsize::new(0), lifetime }
    }

    /// Grants a token, numbered from 1.
    pub fn grant(&self) -> Answer {
        let n = self.granted.fetch_add(1, Ordering::SeqCst) + 1;
        let token = format!("granted-token-{n}");
        Answer::json(
            200,
            &json!({"code": 0, "message": "success",
            "data": {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}}),
        )
    }

    pub fn granted(&self) -> usize {
        self.granted.load(Ordering::SeqCst)
    }

    /// Whether the request carries the newest token.
    pub fn is_authorised(&self, request: &Received) -> bool {
        request.header("authorization") == Some(&format!("Bearer granted-token-{}", self.granted()))
    }

    /// The whole of a well-behaved server.
    pub fn answer(&self, request: &Received) -> Answer {
        if request.path == LOGIN {
            self.grant()
        } else if self.is_authorised(request) {
            success()
        } else {
            Answer::json(401, &json!({"code": 100_203, "message": "Token expired"}))
        }
    }
}

/// The success that business endpoints give.
pub fn success() -> Answer {
    Answer::json(200, &json!({"code": 200, "message": "success", "data": {"written": 3}}))
}
