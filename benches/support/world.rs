//! What is measured and where: the release binaries, a directory of their own, a token, and the commands that are run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::support::server::{Server, TOKEN};

/// The endpoint that is called.
pub(crate) const ENDPOINT: &str = "/api/v1/statistics/sync/daily";
/// Where distributions keep the bundle of trusted CAs.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// How the server is reached, and whom the client trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    /// Plain http.
    Http,
    /// https, one CA in a file.
    OneCa,
    /// https, the system's bundle with that CA at its end.
    Bundle,
}

impl Wire {
    /// All of them.
    pub(crate) const ALL: [Wire; 3] = [Wire::Http, Wire::OneCa, Wire::Bundle];

    /// The word in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Wire::Http => "http",
            Wire::OneCa => "https, one CA",
            Wire::Bundle => "https, system bundle",
        }
    }
}

/// A directory, a server, and a token that `qs-api-call` got from it.
pub(crate) struct World {
    dir: TempDir,
    /// The server.
    pub(crate) server: Server,
    /// The program that is measured.
    pub(crate) program: PathBuf,
}

impl World {
    /// Starts the server and lets `program` log in once, so that its token file is as it leaves it.
    pub(crate) fn new(program: PathBuf) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let server = Server::start(dir.path())?;
        let world = Self { dir, server, program };
        std::fs::create_dir(world.path("home"))?;
        // A token is for the API that it was got for.
        for wire in [Wire::Http, Wire::OneCa] {
            let mut login = world.command(Command::new(&world.program));
            login.args(["token", "refresh"]).env("IAM_BASE_URL", format!("{}/api/v1", world.server.http));
            login.env("API_BASE_URL", world.origin(wire)).env("TOKEN_FILE", world.token(wire));
            let login = login.env("IAM_USERNAME", "benchmark").env("IAM_PASSWORD", "benchmark").output()?;
            ensure!(login.status.success(), "no token: {}", String::from_utf8_lossy(&login.stderr));
        }
        std::fs::write(world.path("header"), format!("Authorization: Bearer {TOKEN}\n"))?;
        Ok(world)
    }

    /// Joins the system's CA bundle and the server's CA.
    pub(crate) fn make_bundle(&self) -> anyhow::Result<()> {
        let system = BUNDLES.iter().find(|path| Path::new(path).exists());
        let system = system.context("no CA bundle on this machine: install the package ca-certificates")?;
        let mut bundle = std::fs::read(system)?;
        bundle.extend(std::fs::read(self.path("ca.pem"))?);
        Ok(std::fs::write(self.path("bundle.pem"), bundle)?)
    }

    /// A file of this world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The address that every client calls.
    pub(crate) fn url(&self, wire: Wire) -> String {
        format!("{}{ENDPOINT}", self.origin(wire))
    }

    /// Its origin.
    pub(crate) fn origin(&self, wire: Wire) -> &str {
        if wire == Wire::Http { &self.server.http } else { &self.server.https }
    }

    /// The token for it.
    pub(crate) fn token(&self, wire: Wire) -> PathBuf {
        self.path(if wire == Wire::Http { "token" } else { "token-https" })
    }

    /// The file of trusted CAs.
    pub(crate) fn trusted(&self, wire: Wire) -> Option<PathBuf> {
        match wire {
            Wire::Http => None,
            Wire::OneCa => Some(self.path("ca.pem")),
            Wire::Bundle => Some(self.path("bundle.pem")),
        }
    }

    /// A command in this world's environment and no other.
    pub(crate) fn command(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("QS_STATE__DIR", self.path("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// `prefix` (a tool that watches, or nothing) and `qs-api-call` with its defaults: a log, a state directory, a
    /// cached token.
    pub(crate) fn api_call(&self, prefix: &[String], wire: Wire) -> Command {
        let program = self.program.as_os_str();
        let mut command = match prefix {
            [] => self.command(Command::new(program)),
            [tool, options @ ..] => {
                let mut command = self.command(Command::new(tool));
                command.args(options).arg(program);
                command
            }
        };
        command.env("API_BASE_URL", self.origin(wire)).env("TOKEN_FILE", self.token(wire));
        match (wire, self.trusted(wire)) {
            (Wire::OneCa, Some(ca)) => drop(command.arg("--cacert").arg(ca)),
            (_, Some(ca)) => drop(command.env("SSL_CERT_FILE", ca)),
            (_, None) => {}
        }
        command.arg(ENDPOINT).arg(self.path("qs-api-call.log"));
        command
    }
}

/// Builds one binary as it is released, and tells where it is. What stands behind `--` in `options` is for the compiler.
pub(crate) fn build(name: &str, options: &[&str]) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "rustc",
            "--profile",
            "cli",
            "--no-default-features",
            "--message-format=json-render-diagnostics",
        ])
        .args(["--bin", name])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()?;
    let messages = BufReader::new(cargo.stdout.take().context("standard output is a pipe")?);
    let mut executable = None;
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(&line?)?;
        if message["target"]["name"] == name {
            executable = message["executable"].as_str().map(PathBuf::from).or(executable);
        }
    }
    ensure!(cargo.wait()?.success(), "cargo could not build {name}");
    executable.with_context(|| format!("cargo built no {name}"))
}
