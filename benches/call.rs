//! `make bench-call`: whole processes of `qs-api-call` against `curl`, against a shell script that does the same, and
//! against a bare HTTP client, in interleaved rounds over http and https.
//!
//! Options after `--`: `--quick` (40 rounds instead of 200), `--rounds N`, `--check` (end with 1 when a target is
//! missed), `--print` (leave `docs/benchmarks.md` alone).

#![expect(clippy::print_stdout, reason = "a benchmark talks to the person who runs it")]

mod support {
    pub(crate) mod machine;
    pub(crate) mod measure;
    pub(crate) mod report;
    pub(crate) mod section;
    pub(crate) mod server;
    pub(crate) mod world;
}

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};

use crate::support::machine::{machine, version};
use crate::support::measure::run;
use crate::support::report::{self, Samples};
use crate::support::world::{ENDPOINT, Wire, World, build};
use crate::support::{section, server};

/// Rounds that warm caches and are not counted.
const WARM_UP: usize = 3;

/// The programs that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// No work at all: what any process costs here.
    Floor,
    /// `curl`, with the authorisation header in a file.
    Curl,
    /// `benches/seed-shaped.sh`.
    Script,
    /// `benches/bare`.
    Bare,
    /// The program.
    ApiCall,
}

impl Client {
    /// All of them.
    pub(crate) const ALL: [Client; 5] =
        [Client::Floor, Client::Curl, Client::Script, Client::Bare, Client::ApiCall];

    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::Floor => "`true` (floor)",
            Client::Curl => "`curl`",
            Client::Script => "shell script",
            Client::Bare => "bare client",
            Client::ApiCall => "`qs-api-call`",
        }
    }

    fn command(self, world: &World, bare: &Path, wire: Wire) -> Command {
        let trusted = world.trusted(wire);
        match self {
            Client::Floor => world.command(Command::new("true")),
            Client::Curl => {
                let mut command = world.command(Command::new("curl"));
                let header = format!("@{}", world.path("header").display());
                command.args(["-q", "-sS", "--fail", "-o", "/dev/null", "--data", "{}", "-H", &header]);
                command.args(["-H", "Content-Type: application/json"]);
                if let Some(ca) = trusted {
                    command.arg("--cacert").arg(ca);
                }
                command.arg(world.url(wire));
                command
            }
            Client::Script => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/seed-shaped.sh");
                let mut command = world.command(Command::new("bash"));
                command.env("API_BASE_URL", world.origin(wire)).env("TOKEN_FILE", world.token(wire));
                if let Some(ca) = trusted {
                    command.env("CURL_CA_BUNDLE", ca);
                }
                command.arg(script).arg(ENDPOINT).arg(world.path("script.log"));
                command
            }
            Client::Bare => {
                let mut command = world.command(Command::new(bare));
                command.arg(world.url(wire)).arg(world.token(wire)).args(trusted);
                command
            }
            Client::ApiCall => world.api_call(&[], wire),
        }
    }
}

struct Options {
    rounds: usize,
    check: bool,
    print: bool,
}

impl Options {
    /// `None` when this is not `cargo bench`: a test run builds benchmarks and must not wait for them.
    fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut options = Self { rounds: 200, check: false, print: false };
        let mut bench = false;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => bench = true,
                "--quick" => options.rounds = 40,
                "--rounds" => options.rounds = args.next().context("--rounds needs a number")?.parse()?,
                "--check" => options.check = true,
                "--print" => options.print = true,
                _ => bail!("{arg}: unknown option (known: --quick, --rounds N, --check, --print)"),
            }
        }
        ensure!(options.rounds > 0, "--rounds: at least one");
        Ok(bench.then_some(options))
    }
}

fn main() -> anyhow::Result<ExitCode> {
    if server::served()? {
        return Ok(ExitCode::SUCCESS);
    }
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        println!("not run: this is for cargo bench");
        return Ok(ExitCode::SUCCESS);
    };
    for tool in ["curl", "bash"] {
        version(tool)
            .with_context(|| format!("{tool} is not on this machine: install the package {tool}"))?;
    }
    let program = build("qs-api-call", &[])?;
    let bare = build("bare", &["--features", "bench"])?;
    let mut world = World::new(program)?;
    world.make_bundle()?;
    let samples = measure(&mut world, &bare, options.rounds)?;
    ensure!(
        floor_is_low(&samples),
        "the measuring process is too large: peak memory would be its own and not the program's"
    );
    let (text, missed) = report::render(&facts(&world, options.rounds)?, &samples);
    println!("{text}");
    if !options.print {
        section::write("bench-call", "qs-api-call", &text)?;
    }
    for target in &missed {
        println!("target missed: {target}");
    }
    Ok(if options.check && !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs every client over every wire once a round, each round beginning with another client, so that a slow minute
/// of the machine meets all of them.
fn measure(world: &mut World, bare: &Path, rounds: usize) -> anyhow::Result<Samples> {
    let mut samples = Samples::new();
    for round in 0..WARM_UP + rounds {
        for wire in Wire::ALL {
            for turn in 0..Client::ALL.len() {
                let client = Client::ALL[(round + turn) % Client::ALL.len()];
                let command = client.command(world, bare, wire);
                let before = world.server.authorised()?;
                let sample = run(command)?;
                let calls = world.server.authorised()? - before;
                let due = u64::from(client != Client::Floor);
                ensure!(calls == due, "{} made {calls} authorised calls, not {due}", client.name());
                if round >= WARM_UP {
                    samples.entry((wire, client)).or_default().push(sample);
                }
            }
        }
    }
    Ok(samples)
}

/// A process inherits the peak memory of the one that started it, so that must be less than what is measured.
fn floor_is_low(samples: &Samples) -> bool {
    let least = |client| samples[&(Wire::Http, client)].iter().map(|sample| sample.memory).min();
    least(Client::Floor) < least(Client::Bare)
}

/// The machine, the tools and the build.
fn facts(world: &World, rounds: usize) -> anyhow::Result<Vec<(&'static str, String)>> {
    let tools = ["curl", "bash", "rustc"].map(|tool| {
        let version = version(tool).unwrap_or_else(|| format!("{tool} unknown"));
        let words: Vec<&str> = version.split(" (").next().unwrap_or_default().split(' ').collect();
        words[..words.len().min(4)].join(" ")
    });
    #[expect(clippy::cast_precision_loss, reason = "the size of a small program")]
    let megabytes = std::fs::metadata(&world.program)?.len() as f64 / 1e6;
    Ok(vec![
        ("command", "`make bench-call`".to_owned()),
        ("machine", machine()?),
        ("tools", tools.join("; ")),
        (
            "rounds",
            format!(
                "{rounds}, interleaved; a token that is cached, server on loopback in a process of its own"
            ),
        ),
        (
            "`qs-api-call`",
            format!(
                "{megabytes:.2} MB, {} crates; all defaults: log, run record, overlap lock, metrics textfile",
                crates()?
            ),
        ),
    ])
}

/// How many crates are in the program, itself included.
fn crates() -> anyhow::Result<usize> {
    let tree = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "tree",
            "--locked",
            "-e",
            "normal",
            "--no-default-features",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .output()?;
    ensure!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8_lossy(&tree.stdout).into_owned();
    Ok(text.lines().map(|line| line.trim_end_matches(" (*)")).collect::<BTreeSet<_>>().len())
}
