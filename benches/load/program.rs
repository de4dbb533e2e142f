//! The program: started on one of the databases, logged in to over HTTP, asked for what it is filled with.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::routes::Route;

/// A running server with a token for it. It ends with this value.
pub(crate) struct Program {
    process: Child,
    pub(crate) base: String,
    pub(crate) token: String,
    client: Client,
    _dir: TempDir,
}

impl Program {
    /// Starts it on a file of its own, or on these: a database and Redis.
    pub(crate) async fn start(program: &Path, servers: Option<(&str, &str)>) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let file = format!("sqlite:{}", dir.path().join("qs.db").display());
        let mut command = Command::new(program);
        command
            .args(["serve", "--dev-iam"])
            .env_clear()
            .env("HOME", dir.path())
            .env("QS_SERVER__ADDR", "127.0.0.1:0")
            .env("QS_SERVER__TIMEZONE", "UTC")
            .env("QS_SERVER__REQUEST_TIMEOUT", "1h")
            .env("QS_RATE_LIMIT__PER_SECOND", "0")
            // A line for each request measures the disk.
            .env("QS_LOG__LEVEL", "warn")
            .env("QS_DATABASE__URL", servers.map_or(file.as_str(), |(database, _)| database))
            .env("QS_DEV_IAM__PASSWORD", "benchmark");
        if let Some((_, redis)) = servers {
            command.env("QS_REDIS__URL", redis);
        }
        let log = std::fs::File::create(dir.path().join("log"))?;
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("standard output is a pipe")?).lines();
        let base = lines.find_map(|line| line.ok()?.strip_prefix("listening on ").map(str::to_owned));
        let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        let base = base.with_context(|| format!("{} did not start: {}", program.display(), log()))?;
        let client = Client::builder().no_proxy().build()?;
        let mut server = Self { process, base, token: String::new(), client, _dir: dir };
        let login = json!({"username": "dev", "password": "benchmark"});
        let token = server.post("/api/v1/authn/login", &login).await?;
        token["data"]["access_token"].as_str().context("no token")?.clone_into(&mut server.token);
        Ok(server)
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// How long the reply of a route is, which must be a success; nothing, when this program does not know it.
    pub(crate) async fn size(&self, route: &Route) -> anyhow::Result<Option<usize>> {
        let url = format!("{}{}", self.base, route.path);
        let request = match route.body("size", 0) {
            Some(body) => self.client.post(url).header("content-type", "application/json").body(body),
            None => self.client.get(url),
        };
        let reply = request.bearer_auth(&self.token).send().await?;
        let (status, text) = (reply.status(), reply.text().await?);
        if status.as_u16() == 400 && route.path.contains("after=") {
            return Ok(None);
        }
        ensure!(status.is_success(), "{}: {status}: {text}", route.path);
        Ok(Some(text.len()))
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base));
        self.send(path, request.header("content-type", "application/json").body(body.to_string())).await
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(path, self.client.get(format!("{}{path}", self.base))).await
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> anyhow::Result<Value> {
        let reply = request.bearer_auth(&self.token).send().await?;
        let (status, text) = (reply.status(), reply.text().await?);
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already; there is nothing left to tell it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
