//! `make bench-load`: every reading route and the intake of a whole `qs-apiserver` under `wrk`, at 64 and at 1,000
//! connections, on SQLite and on `MariaDB` with Redis, beside nginx serving files of the same sizes, all in one run.
//!
//! Options after `--`: `--seconds N` (default 4, of each measurement), `--check` (end with 1 when a bound is broken),
//! `--print` (leave `docs/benchmarks.md` alone), `--program PATH` (measure another program, into a section of its own),
//! `--only WORD` (routes whose names have it, with `--print`).
//! A private `MariaDB`, Redis and nginx are started; `QS_BENCH_MYSQL_URL` names another database server, whose user must
//! be allowed to make databases. Where a program is not installed it says so and passes, unless `QS_BENCH_REQUIRE` names it.

#![expect(clippy::print_stdout, reason = "a benchmark talks to the person who runs it")]

#[path = "../support/apiserver.rs"]
mod apiserver;
mod data;
#[path = "../support/machine.rs"]
mod machine;
mod nginx;
mod report;
mod routes;
#[path = "../support/section.rs"]
mod section;
#[expect(dead_code, reason = "another benchmark also loads files into the database")]
#[path = "../support/servers.rs"]
mod servers;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};

use crate::apiserver::Apiserver;
use crate::machine::{machine, version};
use crate::nginx::Nginx;
use crate::report::{Line, Results};
use crate::routes::{Route, routes};
use crate::servers::{MySql, Redis};
use crate::wrk::{Load, Shot};

/// Connections at a time.
const CONNECTIONS: [u32; 2] = [64, 1_000];

/// The programs that must be there beside the servers, with their packages.
const TOOLS: [(&str, &str); 2] = [("wrk", "wrk"), ("nginx", "nginx-light")];

struct Options {
    seconds: u32,
    check: bool,
    print: bool,
    program: Option<PathBuf>,
    /// Only routes whose names have this word.
    only: String,
}

impl Options {
    /// `None` when this is not `cargo bench`: a test run builds benchmarks and must not wait for them.
    fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut options = Self { seconds: 4, check: false, print: false, program: None, only: String::new() };
        let mut bench = false;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => bench = true,
                "--seconds" => options.seconds = args.next().context("--seconds needs a number")?.parse()?,
                "--check" => options.check = true,
                "--print" => options.print = true,
                "--program" => options.program = Some(args.next().context("--program needs a path")?.into()),
                _ => bail!("{arg}: unknown option (known: --seconds N, --check, --print, --program PATH)"),
            }
        }
        ensure!(options.seconds >= 1, "--seconds: at least 1");
        if let Some(program) = &options.program {
            ensure!(program.is_file(), "--program: {} is no file", program.display());
        }
        Ok(bench.then_some(options))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        println!("not run: this is for cargo bench");
        return Ok(ExitCode::SUCCESS);
    };
    let missing = servers::missing(&TOOLS);
    if !missing.is_empty() {
        println!("not run: missing {}", missing.join(", "));
        let required = variable("QS_BENCH_REQUIRE").unwrap_or_default();
        let required =
            required.split(',').any(|name| missing.iter().any(|tool| tool.starts_with(name.trim())));
        return Ok(if required { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    // The client of HTTP asks for one, though nothing here is encrypted.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mysql = MySql::start(variable("QS_BENCH_MYSQL_URL")).await?;
    let redis = Redis::start()?;
    let results = measure(&mysql, &redis, &options).await;
    mysql.run("drop database if exists qs_bench_load_test").await?;
    let results = results?;
    let facts = facts(&mysql, &options).await?;
    let text = report::render(&facts, &results);
    println!("{text}");
    if !options.print {
        match options.program {
            Some(_) => section::write("bench-load-before", "Load, of an earlier program", &text)?,
            None => section::write("bench-load", "Load", &text)?,
        }
    }
    let broken = report::broken(&results);
    for bound in &broken {
        println!("bound broken: {bound}");
    }
    Ok(if options.check && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Route by route, so that what is compared is measured within seconds of each other.
async fn measure(mysql: &MySql, redis: &Redis, options: &Options) -> anyhow::Result<Results> {
    let program = options.program.clone().unwrap_or_else(Apiserver::program);
    let url = mysql.database("qs_bench_load_test").await?;
    let sqlite = Apiserver::start(&program, None, None).await?;
    let mariadb = Apiserver::start(&program, Some(&url), Some(&redis.database(0))).await?;
    let nginx = Nginx::start()?;
    println!("filling SQLite with {}", data::SUMMARY);
    let on_sqlite = data::fill(&sqlite).await?;
    println!("filling MariaDB");
    let on_mariadb = data::fill(&mariadb).await?;
    mysql.settle(&[]).await?;
    let load = Load::new(options.seconds)?;
    let mut lines = Vec::new();
    for (route, other) in routes(&on_sqlite).into_iter().zip(routes(&on_mariadb)) {
        if !route.name.contains(&options.only) {
            continue;
        }
        let Some(bytes) = size(&sqlite, &route).await? else {
            println!("{}: this program does not have it", route.name);
            continue;
        };
        ensure!(size(&mariadb, &other).await?.is_some(), "{}: only SQLite answers", route.name);
        let file = nginx.file(bytes)?;
        for connections in CONNECTIONS {
            let shot = |base: &str, token: &str, route: &Route| load.run(base, token, route, connections);
            let line = Line {
                route: route.name,
                reads: route.reads(),
                bytes,
                connections,
                nginx: nginx.known(file, connections, || {
                    shot(&nginx.base, "", &Route::read("a file", format!("/{file}")))
                })?,
                sqlite: shot(&sqlite.base, &sqlite.token, &route)?,
                mariadb: shot(&mariadb.base, &mariadb.token, &other)?,
            };
            println!("{}", report::progress(&line));
            lines.push(line);
        }
    }
    Ok(Results { lines, memory: [sqlite.peak()?, mariadb.peak()?] })
}

/// The machine, the programs and what they were given.
async fn facts(mysql: &MySql, options: &Options) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (server, settings) = mysql.settings().await?;
    let redis = version("redis-server").unwrap_or_default();
    let redis: Vec<&str> = redis.split(' ').take(3).collect();
    let seconds = options.seconds;
    let command = match options.program {
        Some(_) => format!("`cargo bench --bench load -- --seconds {seconds} --program PATH`"),
        None => format!("`cargo bench --bench load -- --seconds {seconds}`"),
    };
    Ok(vec![
        ("command", command),
        ("machine", machine()?),
        (
            "servers",
            format!("{server}; {}; {}; all on the machine that asks", redis.join(" "), nginx::version()?),
        ),
        ("settings", format!("`{settings}`; Redis without persistence; no limit of requests")),
        ("data", data::SUMMARY.to_owned()),
        ("asked", format!("by `wrk` with 2 threads, {seconds} s each, a token of RS256 with every request")),
    ])
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment where to run")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Shot {
    /// Requests that were not answered, or not with success.
    fn failed(&self) -> u64 {
        self.unanswered + self.refused
    }
}

/// How long the reply of a route is, which must be a success; nothing, when this program does not know it.
async fn size(server: &Apiserver, route: &Route) -> anyhow::Result<Option<usize>> {
    let (status, text) = server.send(&route.path, route.body("size", 0)).await?;
    if status == 400 && route.path.contains("after=") {
        return Ok(None);
    }
    ensure!(status == 200, "{}: {status}: {text}", route.path);
    Ok(Some(text.len()))
}
