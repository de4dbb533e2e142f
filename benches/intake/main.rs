//! `make bench-intake`: how many events a second `POST /api/v1/statistics/events` of a whole `qs-apiserver` takes, one by
//! one and many at once, on SQLite, on Redis, and on `MariaDB` with Redis; beside what a user would write instead.
//!
//! Options after `--`: `--check` (end with 1 when a bound is broken), `--print` (leave `docs/benchmarks.md` alone). A
//! private `MariaDB` and a private Redis are started; where they are not installed, only SQLite is measured and it says
//! so, unless `QS_BENCH_REQUIRE` names them. `QS_BENCH_APISERVER` names another server to measure.

#![expect(clippy::print_stdout, reason = "a benchmark talks to the person who runs it")]

#[path = "../support/apiserver.rs"]
#[expect(dead_code, reason = "made for the other benchmarks too, which ask it more")]
mod apiserver;
mod load;
#[path = "../support/machine.rs"]
mod machine;
mod others;
#[path = "../support/section.rs"]
mod section;
#[path = "../support/servers.rs"]
#[expect(dead_code, reason = "made for the benchmark of syncs, which needs more of it")]
mod servers;

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{bail, ensure};

use crate::apiserver::Apiserver;
use crate::load::{Measured, Shape};
use crate::machine::{machine, version};
use crate::servers::{MySql, Redis};

/// Events of one measurement.
const SINGLE: usize = 20_000;
const BATCHED: usize = 100_000;

/// Fewest events a second in batches, and one by one on SQLite.
const LEAST_BATCHED: u64 = 15_000;
const LEAST_SINGLE: u64 = 5_000;

const ONE_BY_ONE: Shape = Shape { batch: 1, connections: 64, origins: 3, lines: false };
const HUNDREDS: Shape = Shape { batch: 100, connections: 8, ..ONE_BY_ONE };
const THOUSANDS: Shape = Shape { batch: 1_000, connections: 4, ..ONE_BY_ONE };
const LINES: Shape = Shape { lines: true, ..THOUSANDS };
/// Each questionnaire is sent so many origins: most are refused, and the others cost no more than before.
const ORIGINS: Shape = Shape { origins: 4_000, ..HUNDREDS };

struct Row {
    what: String,
    measured: Measured,
    least: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let (mut bench, mut check, mut print) = (false, false, false);
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--bench" => bench = true,
            "--check" => check = true,
            "--print" => print = true,
            _ => bail!("{arg}: unknown option (known: --check, --print)"),
        }
    }
    if !bench {
        println!("not run: this is for cargo bench");
        return Ok(ExitCode::SUCCESS);
    }
    // The client of HTTP asks for one, though nothing here is encrypted.
    drop(rustls::crypto::ring::default_provider().install_default());
    let missing = servers::missing(&[]);
    let required = variable("QS_BENCH_REQUIRE").unwrap_or_default();
    if required
        .split(',')
        .filter(|name| !name.trim().is_empty())
        .any(|name| missing.iter().any(|tool| tool.starts_with(name.trim())))
    {
        bail!("missing {}", missing.join(", "));
    }
    let mut rows = sqlite().await?;
    if missing.is_empty() {
        rows.extend(redis().await?);
    } else {
        println!("SQLite alone: missing {}", missing.join(", "));
    }
    let text = render(&rows)?;
    println!("{text}");
    if !print {
        section::write("bench-intake", "Events: `make bench-intake`", &text)?;
    }
    let broken = rows.iter().filter(|row| row.least.is_some_and(|least| row.measured.rate() < least));
    let broken: Vec<&str> = broken.map(|row| row.what.as_str()).collect();
    for what in &broken {
        println!("bound broken: {what}");
    }
    Ok(if check && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn sqlite() -> anyhow::Result<Vec<Row>> {
    let floor = others::sqlite(2_000).await?;
    let what = "one `insert`, three upserts and a commit an event, no HTTP, on SQLite".to_owned();
    let mut rows = vec![Row { what, measured: floor, least: None }];
    let program = Apiserver::start(&Apiserver::program(), None, None).await?;
    rows.extend(measure(&program, "SQLite", Some(LEAST_SINGLE)).await?);
    Ok(rows)
}

async fn redis() -> anyhow::Result<Vec<Row>> {
    let redis = Redis::start()?;
    let mut rows = Vec::new();
    for batch in [1, 100] {
        let measured = others::redis(redis.connection(1)?, if batch == 1 { SINGLE } else { BATCHED }, batch)?;
        let what = format!("`SET` and three `HINCRBY` an event, no HTTP, pipelines of {batch}, on Redis");
        rows.push(Row { what, measured, least: None });
    }
    let program = Apiserver::start(&Apiserver::program(), None, Some(&redis.database(2))).await?;
    rows.extend(measure(&program, "SQLite and Redis", None).await?);
    drop(program);
    let mysql = MySql::start(variable("QS_BENCH_MYSQL_URL")).await?;
    let database = mysql.database("qs_bench_intake").await?;
    let program = Apiserver::start(&Apiserver::program(), Some(&database), Some(&redis.database(3))).await?;
    rows.extend(measure(&program, "MariaDB and Redis", None).await?);
    drop(program);
    mysql.run("drop database qs_bench_intake").await?;
    Ok(rows)
}

/// The shapes on one server; every event must be counted, except those of too many origins.
async fn measure(program: &Apiserver, stores: &str, least_single: Option<u64>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, how, events, shape, least) in [
        ("s", "one by one, 64 connections", SINGLE, ONE_BY_ONE, least_single),
        ("h", "arrays of 100, 8 connections", BATCHED, HUNDREDS, Some(LEAST_BATCHED)),
        ("t", "arrays of 1,000, 4 connections", BATCHED, THOUSANDS, Some(LEAST_BATCHED)),
        ("l", "1,000 lines, 4 connections", BATCHED, LINES, Some(LEAST_BATCHED)),
        ("o", "arrays of 100, 4,000 origins", BATCHED, ORIGINS, None),
    ] {
        let measured =
            load::run(program.base.trim_start_matches("http://"), &program.token, name, events, shape)
                .await?;
        println!("{stores}: {how}: {} events/s", measured.rate());
        let all = measured.counted == events as u64;
        ensure!(all || shape.origins > 64, "{stores}, {how}: {} of {events} are counted", measured.counted);
        rows.push(Row { what: format!("`qs-apiserver` on {stores}: {how}"), measured, least });
    }
    Ok(rows)
}

fn render(rows: &[Row]) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "- command: `cargo bench --bench intake`")?;
    writeln!(text, "- machine: {}; load and stores run on it, too", machine()?)?;
    for store in ["mariadbd", "redis-server"].into_iter().filter_map(version) {
        writeln!(text, "- {}", store.split(" sha=").next().unwrap_or_default())?;
    }
    writeln!(text, "- an event adds to a questionnaire (of 50), a testee (of 5,000) and a plan (of 20)\n")?;
    writeln!(text, "| what | events | events/s | bound |\n|---|--:|--:|--:|")?;
    for Row { what, measured, least } in rows {
        let bound = least.map_or_else(String::new, |least| format!("≥ {}", grouped(least)));
        let (events, rate) = (grouped(measured.events as u64), grouped(measured.rate()));
        writeln!(text, "| {what} | {events} | {rate} | {bound} |")?;
    }
    let refused: Vec<String> = rows
        .iter()
        .filter(|row| row.measured.counted < row.measured.events as u64)
        .map(|row| grouped(row.measured.events as u64 - row.measured.counted))
        .collect();
    if !refused.is_empty() {
        writeln!(
            text,
            "\nOf the events with 4,000 origins, {} were refused: a counter has 64.",
            refused.join(", ")
        )?;
    }
    Ok(text)
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment where to run")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
