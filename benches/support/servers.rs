//! The two servers, started for the benchmark alone and gone with it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, MySqlPool};
use tempfile::TempDir;
use url::Url;

/// The programs that must be there, and their packages.
const TOOLS: [(&str, &str); 4] = [
    ("mariadbd", "mariadb-server"),
    ("mariadb-install-db", "mariadb-server"),
    ("mariadb", "mariadb-client"),
    ("redis-server", "redis-server"),
];

/// How long pages may take to reach the disk before the next contestant begins all the same.
const SETTLED: Duration = Duration::from_secs(20);

/// How long a server may take to start, and its pages to reach the disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// What every contestant finds. What is not named is the server's default.
const SETTINGS: [&str; 7] = [
    "--innodb-flush-log-at-trx-commit=1",
    "--sync-binlog=1",
    "--skip-log-bin",
    "--innodb-doublewrite=1",
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=512M",
    "--local-infile=1",
];

/// The settings that matter, by the server's own word.
const SHOWN: [&str; 7] = [
    "innodb_flush_log_at_trx_commit",
    "sync_binlog",
    "log_bin",
    "innodb_doublewrite",
    "innodb_buffer_pool_size",
    "innodb_log_file_size",
    "innodb_flush_method",
];

/// The programs that are not installed, with their packages; of those, and of what the servers need.
pub(crate) fn missing(others: &[(&str, &str)]) -> Vec<String> {
    let absent = |tool: &str| {
        let started =
            Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        started.is_err()
    };
    let absent = TOOLS.iter().chain(others).filter(|(tool, _)| absent(tool));
    absent.map(|(tool, package)| format!("{tool} (package {package})")).collect()
}

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already; there is nothing left to tell it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A database server.
pub(crate) struct MySql {
    url: Url,
    pool: MySqlPool,
    // In this order: the process ends before its directory goes.
    _process: Option<Process>,
    _dir: TempDir,
}

impl MySql {
    /// Starts one, unless another one was given.
    pub(crate) async fn start(given: Option<String>) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let (url, process) = match given {
            Some(url) => (url, None),
            None => launch(&dir).map(|(url, process)| (url, Some(process)))?,
        };
        let url: Url = url.parse().context("the URL of the database")?;
        let options: MySqlConnectOptions = url.as_str().parse()?;
        let deadline = Instant::now() + PATIENCE;
        let pool = loop {
            match MySqlPoolOptions::new().max_connections(1).connect_with(options.clone()).await {
                Ok(pool) => break pool,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("no answer of the database");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        Ok(Self { url, pool, _process: process, _dir: dir })
    }

    /// An empty database, and its URL.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        self.run(&format!("drop database if exists {name}")).await?;
        self.run(&format!("create database {name} character set utf8mb4")).await?;
        let mut url = self.url.clone();
        url.set_path(name);
        Ok(url.into())
    }

    /// Removes a database, and waits until nothing is left to be written to the disk: nobody pays for another one.
    pub(crate) async fn settle(&self, dropped: &[&str]) -> anyhow::Result<()> {
        for name in dropped {
            self.run(&format!("drop database if exists {name}")).await?;
        }
        let normal = self.text("select cast(@@global.innodb_max_dirty_pages_pct as char)").await?;
        self.run("set global innodb_max_dirty_pages_pct = 0").await?;
        let deadline = Instant::now() + SETTLED;
        let dirty = "select variable_value from information_schema.global_status \
                     where variable_name = 'Innodb_buffer_pool_pages_dirty'";
        while self.text(dirty).await?.parse::<u64>()? > 50 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.run(&format!("set global innodb_max_dirty_pages_pct = {normal}")).await
    }

    /// Runs one statement.
    pub(crate) async fn run(&self, statement: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.pool).await?;
        Ok(())
    }

    /// The only value of a query, as text.
    pub(crate) async fn text(&self, query: &str) -> anyhow::Result<String> {
        Ok(sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&self.pool).await?)
    }

    /// Version and settings.
    pub(crate) async fn settings(&self) -> anyhow::Result<(String, String)> {
        let mut settings = Vec::new();
        for name in SHOWN {
            let value = self.text(&format!("select cast(@@global.{name} as char)")).await?;
            settings.push(format!("{name}={value}"));
        }
        Ok((self.text("select version()").await?, settings.join(" ")))
    }

    /// The client of the server, with one script to run.
    pub(crate) fn client(&self, script: &str) -> Command {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--local-infile=1", "--protocol=tcp"]);
        command.args(["--host", self.url.host_str().unwrap_or("127.0.0.1")]);
        command.args(["--port", &self.url.port().unwrap_or(3306).to_string(), "--user", self.url.username()]);
        command.args(["--execute", script]).env("MYSQL_PWD", self.url.password().unwrap_or_default());
        command
    }
}

/// A server with a data directory of its own.
fn launch(dir: &TempDir) -> anyhow::Result<(String, Process)> {
    let data = dir.path().join("data");
    let user = String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?;
    let user = format!("--user={}", user.trim());
    let made = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", &user])
        .arg(format!("--datadir={}", data.display()))
        .output()?;
    ensure!(made.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&made.stderr));
    let port = free_port()?;
    let process = Command::new("mariadbd")
        .args(["--no-defaults", &user, "--bind-address=127.0.0.1", &format!("--port={port}")])
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", dir.path().join("socket").display()))
        .arg(format!("--log-error={}", dir.path().join("log").display()))
        .args(SETTINGS)
        .stdout(Stdio::null())
        .spawn()?;
    Ok((format!("mysql://root@127.0.0.1:{port}"), Process(process)))
}

/// A Redis that keeps nothing.
pub(crate) struct Redis {
    /// Its address without a database.
    pub(crate) url: String,
    _process: Process,
    _dir: TempDir,
}

impl Redis {
    /// Starts one.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        let process = Command::new("redis-server")
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
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self { url: format!("redis://127.0.0.1:{port}"), _process: Process(process), _dir: dir };
        let deadline = Instant::now() + PATIENCE;
        while redis.connection(0).is_err() {
            if Instant::now() > deadline {
                bail!("no answer of redis-server");
            }
            std::thread::yield_now();
        }
        Ok(redis)
    }

    /// A connection to one of its databases.
    pub(crate) fn connection(&self, database: u32) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.database(database))?.get_connection()
    }

    /// The URL of one of its databases.
    pub(crate) fn database(&self, database: u32) -> String {
        format!("{}/{database}", self.url)
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
