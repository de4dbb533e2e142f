//! `make bench-sync`: `POST /api/v1/statistics/sync/daily` of a whole `qs-apiserver` on `MariaDB` and Redis, against the
//! way that the replaced system writes and against the bulk load that the database has of its own, in one run.
//!
//! Options after `--`: `--rows N` (default 1,000,000), `--check` (end with 1 when a bound is broken), `--print` (leave
//! `docs/benchmarks.md` alone), `--statements` (instead of all that, what a statement over TCP costs that is kept and one
//! that is not; `QS_BENCH_APISERVER` names another server to measure). A private `MariaDB` and a private Redis are started; `QS_BENCH_MYSQL_URL` names another
//! server, whose user must be allowed to make databases and to set global variables. Where one of the servers is not
//! installed it says so and passes, unless `QS_BENCH_REQUIRE` names it.

#![expect(clippy::print_stdout, reason = "a benchmark talks to the person who runs it")]

#[path = "../support/apiserver.rs"]
mod apiserver;
mod data;
#[path = "../support/machine.rs"]
mod machine;
mod measured;
mod others;
mod report;
#[path = "../support/section.rs"]
mod section;
#[path = "../support/servers.rs"]
mod servers;
mod statements;

use std::process::ExitCode;

use anyhow::{Context, bail, ensure};

use crate::apiserver::Apiserver;
use crate::data::Data;
use crate::machine::{machine, version};
use crate::measured::sync;
use crate::others::Speed;
use crate::report::Results;
use crate::servers::{MySql, Redis};

struct Options {
    rows: u32,
    check: bool,
    print: bool,
    statements: bool,
}

impl Options {
    /// `None` when this is not `cargo bench`: a test run builds benchmarks and must not wait for them.
    fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut options = Self { rows: 1_000_000, check: false, print: false, statements: false };
        let mut bench = false;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => bench = true,
                "--rows" => options.rows = args.next().context("--rows needs a number")?.parse()?,
                "--check" => options.check = true,
                "--print" => options.print = true,
                "--statements" => options.statements = true,
                _ => bail!("{arg}: unknown option (known: --rows N, --check, --print, --statements)"),
            }
        }
        ensure!(options.rows >= 100, "--rows: at least 100");
        Ok(bench.then_some(options))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        println!("not run: this is for cargo bench");
        return Ok(ExitCode::SUCCESS);
    };
    let missing = servers::missing(&[]);
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
    if options.statements {
        println!("{}", statements::measure(&mysql, &redis).await?);
        return Ok(ExitCode::SUCCESS);
    }
    let results = measure(&mysql, &redis, options.rows).await?;
    let facts = facts(&mysql, options.rows).await?;
    let text = report::render(&facts, &results);
    println!("{text}\n{}", report::json(&facts, &results));
    if !options.print {
        section::write("bench-sync", "Sync", &text)?;
    }
    let broken = report::broken(&results);
    for bound in &broken {
        println!("bound broken: {bound}");
    }
    Ok(if options.check && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One contestant after the other, each on an empty table and a disk with nothing left to write.
async fn measure(mysql: &MySql, redis: &Redis, rows: u32) -> anyhow::Result<Results> {
    let data = Data { rows };
    println!("filling Redis with {rows} counters");
    data.fill(&mut redis.connection(0)?)?;
    mysql.settle(&[]).await?;
    println!("first sync, second sync");
    let program = start(mysql, redis, 0).await?;
    let first = sync(&program).await?;
    let most = program.peak()?;
    let all = u64::from(rows);
    ensure!((first.scanned, first.written) == (all, all), "the first sync says {first:?}");
    others::check(mysql, "qs_bench", rows, Data::sum(data.counters())).await?;
    mysql.settle(&[]).await?;
    let second = sync(&program).await?;
    ensure!(
        (second.scanned, second.unchanged, second.written) == (all, all, 0),
        "the second says {second:?}"
    );
    drop(program);
    println!("{:.2} s, {:.2} s; bulk load", first.seconds, second.seconds);
    mysql.settle(&[]).await?;
    let bulk_load = others::bulk_load(mysql, data).await?;
    println!("{bulk_load:.2?} s; the replaced system's way");
    mysql.settle(&["qs_bench_load"]).await?;
    let upstream = others::upstream(mysql, redis, data).await?;
    println!("{:.2} s; memory", upstream.seconds);
    mysql.settle(&["qs_bench", "qs_bench_upstream"]).await?;
    let memory =
        [memory(mysql, redis, 1, rows / 100).await?, memory(mysql, redis, 2, rows / 10).await?, (rows, most)];
    let speed = |seconds: f64| Speed { rows, seconds };
    Ok(Results { first: speed(first.seconds), second: speed(second.seconds), upstream, bulk_load, memory })
}

/// A server on an empty database and a database of Redis.
pub(crate) async fn start(mysql: &MySql, redis: &Redis, database: u32) -> anyhow::Result<Apiserver> {
    let (mysql, redis) = (mysql.database("qs_bench").await?, redis.database(database));
    Apiserver::start(&Apiserver::program(), Some(&mysql), Some(&redis)).await
}

/// The peak memory of a fresh server that syncs so many rows, from a database of Redis of their own.
async fn memory(mysql: &MySql, redis: &Redis, database: u32, rows: u32) -> anyhow::Result<(u32, u64)> {
    Data { rows }.fill(&mut redis.connection(database)?)?;
    let program = start(mysql, redis, database).await?;
    let sync = sync(&program).await?;
    ensure!(sync.written == u64::from(rows), "a sync of {rows} rows says {sync:?}");
    Ok((rows, program.peak()?))
}

/// The machine, the servers and their settings.
async fn facts(mysql: &MySql, rows: u32) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (server, settings) = mysql.settings().await?;
    let redis = version("redis-server").unwrap_or_default();
    let redis: Vec<&str> = redis.split(' ').take(3).collect();
    Ok(vec![
        ("command", format!("`cargo bench --bench sync -- --rows {rows}`")),
        ("machine", machine()?),
        ("servers", format!("{server}; {}; all on the same machine as the contestants", redis.join(" "))),
        ("settings", format!("`{settings}`; Redis without persistence")),
        ("counters", format!("{rows} of {} subjects on 100 days, two fields each", rows.div_ceil(100))),
    ])
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment where to run")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
