//! A `qs-apiserver` of a benchmark's own: started, logged in to, and spoken to over HTTP.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running server with a token for it. It ends with this value.
pub(crate) struct Apiserver {
    process: Child,
    pub(crate) base: String,
    pub(crate) token: String,
    client: Client,
    _dir: TempDir,
}

impl Apiserver {
    /// The program that is measured: this build's, unless `QS_BENCH_APISERVER` names another one.
    pub(crate) fn program() -> PathBuf {
        let named = crate::variable("QS_BENCH_APISERVER");
        named.map_or_else(|| env!("CARGO_BIN_EXE_qs-apiserver").into(), PathBuf::from)
    }

    /// Starts it on these; without a URL of a database on a SQLite file of its own, without one of Redis on counters in
    /// that. No limit holds callers up, and the log has no line for each request, which would measure the disk.
    pub(crate) async fn start(
        program: &Path,
        database: Option<&str>,
        redis: Option<&str>,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let file = format!("sqlite:{}", dir.path().join("qs.db").display());
        let mut process = Command::new(program)
            .args(["serve", "--dev-iam"])
            .env_clear()
            .env("HOME", dir.path())
            .env("QS_SERVER__ADDR", "127.0.0.1:0")
            .env("QS_SERVER__TIMEZONE", "UTC")
            .env("QS_SERVER__REQUEST_TIMEOUT", "1h")
            .env("QS_RATE_LIMIT__PER_SECOND", "0")
            .env("QS_LOG__LEVEL", "warn")
            .env("QS_DATABASE__URL", database.unwrap_or(&file))
            .envs(redis.map(|url| ("QS_REDIS__URL", url)))
            .env("QS_DEV_IAM__PASSWORD", "benchmark")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log"))?)
            .spawn()?;
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

    /// The reply to this body, which must be a success.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        success(path, self.send(path, Some(body.to_string())).await?)
    }

    /// The reply, which must be a success.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        success(path, self.send(path, None).await?)
    }

    /// Status and text of the reply to a `POST` of this body, or to a `GET`.
    pub(crate) async fn send(&self, path: &str, body: Option<String>) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.base);
        let request: RequestBuilder = match body {
            Some(body) => self.client.post(url).header("content-type", "application/json").body(body),
            None => self.client.get(url),
        };
        let reply = request.bearer_auth(&self.token).send().await?;
        Ok((reply.status().as_u16(), reply.text().await?))
    }
}

fn success(path: &str, (status, text): (u16, String)) -> anyhow::Result<Value> {
    ensure!((200..300).contains(&status), "{path}: {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

impl Drop for Apiserver {
    fn drop(&mut self) {
        // It may be gone already; there is nothing left to tell it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
