//! `make bench-cron`: reading an expression and finding its next time, against the crates `croner`, `cron` and `cronexpr`
//! as they come, in one run and in turns.
//!
//! Options after `--`: `--check` (end with 1 when a bound is broken: 1 µs for a next time, 5 µs for reading), `--print`
//! (leave `docs/benchmarks.md` alone). Wall clock, so run it on a quiet machine; the ratios hold on a busy one too.

#![expect(clippy::print_stdout, reason = "a benchmark talks to the person who runs it")]

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "no tool is measured whose version would count")]
mod machine;
#[path = "support/section.rs"]
mod section;

use std::fmt::Write;
use std::hint::black_box;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use qs_scheduler::domain::cron::{CronDialect, CronExpr};

/// What is measured: a name, five fields, and the same with seconds and English weekdays for `cron`.
const EXPRESSIONS: [(&str, &str, &str); 6] = [
    ("every hour", "0 * * * *", "0 0 * * * *"),
    ("every minute", "* * * * *", "0 * * * * *"),
    ("every day", "30 2 * * *", "0 30 2 * * *"),
    ("working hours", "*/15 9-17 * * 1-5", "0 */15 9-17 * * Mon-Fri"),
    ("some days", "5,35 1-5 1,15 1,4,7,10 *", "0 5,35 1-5 1,15 1,4,7,10 *"),
    ("29 February", "0 0 29 2 *", "0 0 0 29 2 *"),
];
const ZONE: &str = "America/New_York";
/// How many turns each gets, and how many operations a turn has.
const TURNS: usize = 41;
const OPERATIONS: u32 = 400;
/// What ours may take, in nanoseconds.
const BOUNDS: (f64, f64) = (5_000.0, 1_000.0);

/// One library with one expression.
struct Contestant {
    parse: Box<dyn FnMut()>,
    next: Box<dyn FnMut()>,
    parse_ns: Vec<f64>,
    next_ns: Vec<f64>,
}

fn main() -> anyhow::Result<ExitCode> {
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
    let mut text =
        format!("{}; {ZONE}, medians of {TURNS} turns of {OPERATIONS} operations.\n\n", machine::machine()?);
    let heads = "| expression | | qs-scheduler | croner 4.0.3 | cron 0.17 | cronexpr 1.7 |\n|---|---|---|---|---|---|\n";
    text += heads;
    let (mut slowest_parse, mut slowest_next) = (0.0_f64, 0.0_f64);
    for (name, five, six) in EXPRESSIONS {
        let mut all = contestants(five, six)?;
        for _ in 0..TURNS {
            for one in &mut all {
                let parse = turn(&mut *one.parse);
                let next = turn(&mut *one.next);
                one.parse_ns.push(parse);
                one.next_ns.push(next);
            }
        }
        let (parses, nexts): (Vec<f64>, Vec<f64>) =
            all.into_iter().map(|one| (median(one.parse_ns), median(one.next_ns))).unzip();
        slowest_parse = slowest_parse.max(parses[0]);
        slowest_next = slowest_next.max(nexts[0]);
        writeln!(text, "| {name}: `{five}` | reading | {} |", row(&parses))?;
        writeln!(text, "| | next time | {} |", row(&nexts))?;
    }
    let notes = "\nBehind the times of the others: how many times ours they take. `cron` is measured in UTC, which spares it the zone. \
        Which of them fires when the real cron fires is another question, which `tests/it/oracle.rs` answers for ours.\n";
    text += notes;
    println!("{text}");
    println!("slowest: reading {}, next time {}", time(slowest_parse), time(slowest_next));
    if !print {
        section::write("bench-cron", "Cron expressions: `make bench-cron`", &text)?;
    }
    if check && (slowest_parse > BOUNDS.0 || slowest_next > BOUNDS.1) {
        println!("too slow: at most {} to read and {} for a next time", time(BOUNDS.0), time(BOUNDS.1));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The four, each with its own search from where it found the last time, so that all meet the same calendar.
fn contestants(five: &'static str, six: &'static str) -> anyhow::Result<Vec<Contestant>> {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse()?;
    let zone = TimeZone::get(ZONE)?;
    let contestant = |parse, next| Contestant { parse, next, parse_ns: Vec::new(), next_ns: Vec::new() };

    let ours = CronExpr::parse(five, CronDialect::Debian, 0)?;
    let mut at = begin;
    let our_zone = zone.clone();
    let ours = contestant(
        Box::new(move || drop(black_box(CronExpr::parse(black_box(five), CronDialect::Debian, 0)))),
        Box::new(move || at = ours.next_after(black_box(at), &our_zone).map_or(begin, |next| next.at)),
    );

    let expr = croner::Cron::from_str(five).context("croner")?;
    let first: Zoned = begin.to_zoned(zone.clone());
    let mut at = first.clone();
    let croner = contestant(
        Box::new(move || drop(black_box(croner::Cron::from_str(black_box(five))))),
        Box::new(move || {
            at = expr.find_next_occurrence(black_box(&at), false).unwrap_or_else(|_| first.clone());
        }),
    );

    let expr = cron::Schedule::from_str(six).context("cron")?;
    let first = chrono::DateTime::from_timestamp(begin.as_second(), 0).context("chrono")?;
    let mut at = first;
    let cron = contestant(
        Box::new(move || drop(black_box(cron::Schedule::from_str(black_box(six))))),
        Box::new(move || at = expr.after(black_box(&at)).next().unwrap_or(first)),
    );

    let with_zone: &'static str = format!("{five} {ZONE}").leak();
    let expr = cronexpr::parse_crontab(with_zone).map_err(|error| anyhow::anyhow!("cronexpr: {error}"))?;
    let first = begin.to_zoned(zone);
    let mut at = first.clone();
    let cronexpr = contestant(
        Box::new(move || drop(black_box(cronexpr::parse_crontab(black_box(with_zone))))),
        Box::new(move || {
            let next = expr.find_next(cronexpr::MakeTimestamp(black_box(at.timestamp())));
            at = next.unwrap_or_else(|_| first.clone());
        }),
    );
    Ok(vec![ours, croner, cron, cronexpr])
}

/// Nanoseconds of one operation.
fn turn(operation: &mut dyn FnMut()) -> f64 {
    let begin = Instant::now();
    for _ in 0..OPERATIONS {
        operation();
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(OPERATIONS)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn row(times: &[f64]) -> String {
    let first = times[0];
    let cells = times.iter().enumerate().map(|(index, ns)| match index {
        0 => time(*ns),
        _ => format!("{} ({:.1}×)", time(*ns), ns / first),
    });
    cells.collect::<Vec<_>>().join(" | ")
}

fn time(ns: f64) -> String {
    if ns < 1_000.0 { format!("{ns:.0} ns") } else { format!("{:.1} µs", ns / 1_000.0) }
}
