//! The real `qs-apiserver` on a free port, with its own database, and how tests talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// A reply that was read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn code(&self) -> u64 {
        self.body["code"].as_u64().unwrap_or_else(|| panic!("no envelope: {:?}", self.body))
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap()
    }

    pub fn data(&self) -> &Value {
        &self.body["data"]
    }
}

pub fn http_client() -> Client {
    static TLS: Once = Once::new();
    TLS.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder().no_proxy().build().unwrap()
}

pub async fn send(client: &Client, method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = client.request(method, url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|error| panic!("{url}: {error}: {}", String::from_utf8_lossy(&bytes)));
    Reply { status, headers, body }
}

/// The program, started and listening.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub base: String,
    pub first_lines: Vec<String>,
    client: Client,
    dir: tempfile::TempDir,
}

/// The program with an environment of its own and its database in this directory.
pub fn command(dir: &tempfile::TempDir, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qs-apiserver"));
    command
        .env_clear()
        .env("HOME", dir.path())
        .env("QS_SERVER__ADDR", "127.0.0.1:0")
        .env("QS_SERVER__TIMEZONE", "UTC")
        .env("QS_DATABASE__URL", format!("sqlite:{}/qs.db", dir.path().display()))
        .envs(env.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub const ACCOUNT: [(&str, &str); 2] =
    [("QS_DEV_IAM__USERNAME", "amy"), ("QS_DEV_IAM__PASSWORD", "s3cret\"\\&%")];

impl Server {
    pub fn start(env: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), env)
    }

    pub fn start_in(dir: tempfile::TempDir, env: &[(&str, &str)]) -> Self {
        Self::launch(dir, &["serve", "--dev-iam"], env)
    }

    pub fn launch(dir: tempfile::TempDir, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = command(&dir, env);
        command.args(args);
        Self::spawn(dir, command, None)
    }

    /// With a limit of the shell.
    pub fn launch_limited(dir: tempfile::TempDir, limit: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let plain = command(&dir, env);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]).arg(plain.get_program()).args(args);
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/bin:/bin").stdout(Stdio::piped());
        Self::spawn(dir, command, None)
    }

    /// With its log going there.
    pub fn launch_to(log: impl Into<Stdio>, args: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = command(&dir, env);
        command.args(args);
        Self::spawn(dir, command, Some(log.into()))
    }

    fn spawn(dir: tempfile::TempDir, mut command: Command, log: Option<Stdio>) -> Self {
        let file = std::fs::File::create(dir.path().join("stderr")).unwrap();
        let mut child = command.stderr(log.unwrap_or_else(|| file.into())).spawn().unwrap();
        // It holds the other end of a pipe as long as it lives.
        drop(command);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_lines = Vec::new();
        let base = loop {
            let mut line = String::new();
            let read = stdout.read_line(&mut line).unwrap();
            let log = || std::fs::read_to_string(dir.path().join("stderr")).unwrap();
            assert!(read > 0, "the server ended before it listened: {}", log());
            match line.trim_end().strip_prefix("listening on ") {
                Some(base) => break base.to_owned(),
                None => first_lines.push(line.trim_end().to_owned()),
            }
        };
        Self { child, stdout, base, first_lines, client: http_client(), dir }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        send(&self.client, method, &format!("{}{path}", self.base), headers, body).await
    }

    pub async fn login(&self, body: Value) -> Reply {
        self.send(Method::POST, "/api/v1/authn/login", &[], &body.to_string()).await
    }

    pub async fn token(&self) -> String {
        let reply = self.login(json!({"username": "amy", "password": "s3cret\"\\&%"})).await;
        reply.data()["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn post(&self, token: &str, path: &str, body: &str) -> Reply {
        self.send(Method::POST, path, &[("authorization", &format!("Bearer {token}"))], body).await
    }

    /// The status that a request gets whose body is announced and never sent.
    pub fn status_without_body(&self, method: &Method, path: &str, bearer: &str) -> u16 {
        let port = self.base.rsplit(':').next().unwrap();
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\ncontent-length: 9\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        std::str::from_utf8(&line[9..]).unwrap().parse().unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a chance to say goodbye.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it has not ended.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks for an orderly stop and tells the exit code and what was still printed.
    pub fn terminate(&mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        self.terminated()
    }

    /// Waits for the end and tells the exit code and what was still printed.
    pub fn terminated(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }

    /// Its directory.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Its directory, which outlives it.
    pub fn take_dir(&mut self) -> tempfile::TempDir {
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A start that must fail: its exit code and its stderr.
pub fn refused(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let output = command(&dir, env).args(args).output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}
