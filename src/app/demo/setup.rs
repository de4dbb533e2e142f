//! What the demonstration works with: a temporary directory, a server on a free loopback port, calls with an environment
//! of their own.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::backing::Backing;
use super::crontab::CrontabCall;
use super::programs::Programs;
use crate::cli::output::Failure;
use crate::domain::exit::Exit;

/// How long the server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// The account of the development IAM.
const USERNAME: &str = "qs-scheduler@example.com";

/// The task of calls that no crontab makes.
const BUSINESS: &str = "business";

/// What one call gave.
pub(super) struct CallResult {
    pub(super) code: Option<i32>,
    pub(super) json: Value,
    pub(super) stderr: String,
}

/// The server, the directory, and what the calls need.
pub(super) struct Setup {
    programs: Programs,
    password: String,
    url: String,
    server: Option<Child>,
    backing: Backing,
    dir: PathBuf,
    keep: bool,
}

impl Setup {
    /// Makes a private directory. [`Setup::remove`] must follow, whatever happens.
    pub(super) fn new(programs: Programs, backing: Backing, keep: bool) -> Result<Self, Failure> {
        let name = format!("qs-scheduler-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let dir = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|error| failed(&dir.display().to_string(), &error))?;
        let password = format!("demo \"{:016x}\" 密码", fastrand::u64(..));
        Ok(Self { programs, password, url: String::new(), server: None, backing, dir, keep })
    }

    /// Makes the database and starts the server.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        self.backing.make().await?;
        self.start_server("127.0.0.1:0", "15m").await
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where the data is.
    pub(super) fn data(&self) -> String {
        self.backing.describe(&self.dir)
    }

    async fn start_server(&mut self, addr: &str, token_life: &str) -> Result<(), Failure> {
        let mut server = Command::new(&self.programs.apiserver);
        self.backing.apply(&mut server, &self.dir);
        let mut server = server
            .args(["serve", "--dev-iam"])
            .env("QS_SERVER__ADDR", addr)
            .env("QS_DEV_IAM__USERNAME", USERNAME)
            .env("QS_DEV_IAM__PASSWORD", &self.password)
            .env("QS_DEV_IAM__TTL", token_life)
            .env("QS_LOG__LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("qs-apiserver", &error))?;
        let stdout = server.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        self.server = Some(server);
        let Some(mut lines) = stdout else {
            return Err(Failure::new(Exit::Internal, "qs-apiserver has no output"));
        };
        let late = |_| Failure::new(Exit::Failed, "qs-apiserver did not start in time");
        loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.map_err(late)?;
            let Some(line) = line.map_err(|error| failed("qs-apiserver", &error))? else {
                return Err(Failure::new(Exit::Failed, "qs-apiserver ended at once; its error is above"));
            };
            if let Some(url) = line.strip_prefix("listening on ") {
                url.clone_into(&mut self.url);
                return Ok(());
            }
        }
    }

    /// Stops the server as a supervisor would, and waits for its end.
    pub(super) async fn stop_server(&mut self) -> Result<(), Failure> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        if let Some(pid) = server.id() {
            let kill = Command::new("kill").arg(pid.to_string()).status().await;
            kill.map_err(|error| failed("kill", &error))?;
        }
        match tokio::time::timeout(PATIENCE, server.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed("qs-apiserver", &error)),
            Err(_) => Err(Failure::new(Exit::Failed, "qs-apiserver did not stop in time")),
        }
    }

    /// The same address, new keys: every token that is out is rejected from now on, and new ones live two seconds.
    pub(super) async fn start_with_new_keys(&mut self) -> Result<(), Failure> {
        let addr = self.url.trim_start_matches("http://").to_owned();
        self.start_server(&addr, "2s").await
    }

    /// Waits until the cached token is over, as `qs-api-call token status` sees it.
    pub(super) async fn wait_for_expiry(&self, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        loop {
            let output = self.command(&["token", "status", "--json"]).output().await;
            let output = output.map_err(|error| failed("qs-api-call", &error))?;
            // Output that is no JSON names no state, and the wait goes on to its deadline.
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if status["state"] == "expired" {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::new(Exit::Failed, format!("the token did not expire: {status}")));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A crontab entry, with its log in this directory.
    pub(super) async fn call(&self, entry: &CrontabCall) -> Result<CallResult, Failure> {
        self.run(self.entry_command(entry)).await
    }

    /// The same entry against a gateway that lies: whatever is asked, it answers HTTP 200 with an error inside.
    pub(super) async fn against_broken_gateway(&self, entry: &CrontabCall) -> Result<CallResult, Failure> {
        let cannot = |error| failed("gateway", &error);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(cannot)?;
        let mut command = self.entry_command(entry);
        command.env("API_BASE_URL", format!("http://{}", listener.local_addr().map_err(cannot)?));
        let lie = || async { Json(json!({"code": 100_101, "message": "Database error"})) };
        let mut gateway = JoinSet::new();
        gateway.spawn(axum::serve(listener, Router::new().fallback(lie)).into_future());
        // The gateway stops when it is dropped.
        self.run(command).await
    }

    /// A call that sends this.
    pub(super) async fn post(&self, endpoint: &str, body: &Value) -> Result<CallResult, Failure> {
        self.run(self.command(&["--json", "--task", BUSINESS, "--data", &body.to_string(), endpoint])).await
    }

    /// A call that only reads.
    pub(super) async fn get(&self, endpoint: &str) -> Result<CallResult, Failure> {
        self.run(self.command(&["--json", "--task", BUSINESS, "--method", "GET", endpoint])).await
    }

    /// What an operator sees.
    pub(super) async fn status(&self) -> Result<String, Failure> {
        let output =
            self.command(&["status"]).output().await.map_err(|error| failed("qs-api-call", &error))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) fn log(&self, entry: &CrontabCall) -> Result<String, Failure> {
        let path = self.dir.join("log").join(&entry.log);
        std::fs::read_to_string(&path).map_err(|error| failed(&path.display().to_string(), &error))
    }

    /// Stops the server and removes what it worked on, all of it that can be removed.
    pub(super) async fn remove(&mut self) -> Result<(), Failure> {
        let stopped = self.stop_server().await;
        let removed = self.backing.remove().await;
        if !self.keep {
            std::fs::remove_dir_all(&self.dir)
                .map_err(|error| failed(&self.dir.display().to_string(), &error))?;
        }
        stopped.and(removed)
    }

    /// The directory, if it is left on purpose.
    pub(super) fn kept(&self) -> Option<&Path> {
        self.keep.then_some(&*self.dir)
    }

    fn entry_command(&self, entry: &CrontabCall) -> Command {
        let mut command = self.command(&["--json"]);
        command.args(&entry.args).arg(self.dir.join("log").join(&entry.log));
        command
    }

    /// The program with the environment that a crontab would give it, and nothing else.
    fn command(&self, args: &[&str]) -> Command {
        let dir = &self.dir;
        let mut command = Command::new(&self.programs.api_call);
        command
            .args(args)
            .env_clear()
            .env("HOME", dir)
            .env("API_BASE_URL", &self.url)
            .env("IAM_BASE_URL", format!("{}/api/v1", self.url))
            .env("IAM_USERNAME", USERNAME)
            .env("IAM_PASSWORD", &self.password)
            .env("TOKEN_FILE", dir.join("internal-token"))
            .env("QS_STATE__DIR", dir.join("state"))
            .env("QS_LOG__DIR", dir.join("log"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, mut command: Command) -> Result<CallResult, Failure> {
        let output = command.output().await.map_err(|error| failed("qs-api-call", &error))?;
        // Output that is no JSON matches no expectation: the step is shown as NOT, with what stands on standard error.
        Ok(CallResult {
            code: output.status.code(),
            json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("{what}: {error}"))
}
