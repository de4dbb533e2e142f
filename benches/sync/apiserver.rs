//! The program: started, logged in to over HTTP, asked for a sync.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::data::Data;
use crate::report::Sync;

/// A running server with a token for it. It ends with this value.
pub(crate) struct Apiserver {
    process: Child,
    base: String,
    token: String,
    client: Client,
    _dir: TempDir,
}

impl Apiserver {
    /// Starts it on these.
    pub(crate) async fn start(mysql: &str, redis: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let program = crate::variable("QS_BENCH_APISERVER");
        let mut process = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_qs-apiserver")))
            .args(["serve", "--dev-iam"])
            .env_clear()
            .env("HOME", dir.path())
            .env("QS_SERVER__ADDR", "127.0.0.1:0")
            .env("QS_SERVER__TIMEZONE", "UTC")
            .env("QS_SERVER__REQUEST_TIMEOUT", "1h")
            .env("QS_RATE_LIMIT__PER_SECOND", "0")
            .env("QS_DATABASE__URL", mysql)
            .env("QS_REDIS__URL", redis)
            .env("QS_DEV_IAM__PASSWORD", "benchmark")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log"))?)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("standard output is a pipe")?).lines();
        let base = lines.find_map(|line| line.ok()?.strip_prefix("listening on ").map(str::to_owned));
        let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        let base = base.with_context(|| format!("qs-apiserver did not start: {}", log()))?;
        let client = Client::builder().no_proxy().build()?;
        let mut server = Self { process, base, token: String::new(), client, _dir: dir };
        let login = json!({"username": "dev", "password": "benchmark"});
        let token = server.post("/api/v1/authn/login", &login).await?;
        token["data"]["access_token"].as_str().context("no token")?.clone_into(&mut server.token);
        Ok(server)
    }

    /// Syncs every day that there is, which must not fail anywhere.
    pub(crate) async fn sync(&self) -> anyhow::Result<Sync> {
        let [start, end] = Data::days();
        let began = Instant::now();
        let window = json!({"start_date": start, "end_date": end});
        let reply = self.post("/api/v1/statistics/sync/daily", &window).await?;
        let seconds = began.elapsed().as_secs_f64();
        let count = |name: &str| reply["data"][name].as_u64().with_context(|| format!("no {name}: {reply}"));
        ensure!(count("failed")? == 0, "not everything was synced: {reply}");
        Ok(Sync {
            seconds,
            scanned: count("scanned")?,
            written: count("written")?,
            unchanged: count("unchanged")?,
        })
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
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

impl Drop for Apiserver {
    fn drop(&mut self) {
        // It may be gone already; there is nothing left to tell it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
