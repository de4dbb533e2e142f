//! The program: started on its stores, logged in to over HTTP.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running server with a token for it. It ends with this value.
pub(crate) struct Program {
    process: Child,
    pub(crate) host: String,
    pub(crate) token: String,
    _dir: TempDir,
}

impl Program {
    /// Starts it on these; without a URL of a database, on a new SQLite file.
    pub(crate) async fn start(database: Option<&str>, redis: Option<&str>) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let sqlite = format!("sqlite:{}/qs.db", dir.path().display());
        let program = crate::variable("QS_BENCH_APISERVER");
        let mut process = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_qs-apiserver")))
            .args(["serve", "--dev-iam"])
            .env_clear()
            .env("HOME", dir.path())
            .env("QS_SERVER__ADDR", "127.0.0.1:0")
            .env("QS_SERVER__TIMEZONE", "UTC")
            .env("QS_DATABASE__URL", database.unwrap_or(&sqlite))
            .envs(redis.map(|url| ("QS_REDIS__URL", url)))
            .env("QS_DEV_IAM__PASSWORD", "benchmark")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log"))?)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("standard output is a pipe")?).lines();
        let base = lines.find_map(|line| line.ok()?.strip_prefix("listening on ").map(str::to_owned));
        let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        let base = base.with_context(|| format!("qs-apiserver did not start: {}", log()))?;
        let host = base.trim_start_matches("http://").to_owned();
        let login = json!({"username": "dev", "password": "benchmark"});
        let client = Client::builder().no_proxy().build()?;
        let reply = client.post(format!("{base}/api/v1/authn/login")).body(login.to_string()).send().await?;
        let reply: Value = serde_json::from_str(&reply.text().await?)?;
        let token = reply["data"]["access_token"].as_str().context("no token")?.to_owned();
        Ok(Self { process, host, token, _dir: dir })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already; there is nothing left to tell it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
