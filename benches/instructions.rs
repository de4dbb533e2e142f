//! The guard of the start-up cost: user-space instructions of one call, counted by valgrind, against a baseline.
//! Time depends on the machine and its mood; this does not, so a change that costs shows on its own.
//!
//! Options after `--`: `--bless` (write the baseline), `--runs N` (default 5). Without valgrind it says so and passes,
//! unless `QS_BENCH_REQUIRE=valgrind`.

#![expect(clippy::print_stdout, reason = "a benchmark talks to the person who runs it")]

mod support {
    #[expect(dead_code, reason = "the count does not depend on the machine")]
    pub(crate) mod machine;
    pub(crate) mod server;
    #[expect(dead_code, reason = "the paired benchmark needs more of it")]
    pub(crate) mod world;
}

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::support::machine::version;
use crate::support::server;
use crate::support::world::{Wire, World, build};

/// What is counted: the two wires whose cost does not depend on what the machine trusts.
const WIRES: [(&str, Wire); 2] = [("http", Wire::Http), ("https_one_ca", Wire::OneCa)];

/// How far a count may rise. Runs of one binary differ by less than 1 %; the rest is for other versions of the
/// C library and for processors with other vector instructions.
const TOLERANCE_PERCENT: f64 = 5.0;

/// What the counts are compared with.
#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    /// The compiler: another one makes other counts.
    rustc: String,
    /// The counter.
    valgrind: String,
    /// Architecture of the processor.
    arch: String,
    /// How far a count may rise, in percent.
    tolerance_percent: f64,
    /// Median of the runs.
    instructions: BTreeMap<String, u64>,
}

fn main() -> anyhow::Result<ExitCode> {
    if server::served()? {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut bench, mut bless, mut runs) = (false, false, 5);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => bench = true,
            "--bless" => bless = true,
            "--runs" => runs = args.next().context("--runs needs a number")?.parse()?,
            _ => bail!("{arg}: unknown option (known: --bless, --runs N)"),
        }
    }
    if !bench {
        println!("not run: this is for cargo bench");
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(runs > 0, "--runs: at least one");
    let Some(valgrind) = version("valgrind") else {
        println!("not counted: valgrind is not on this machine (install the package valgrind)");
        #[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration to read it for it")]
        let required = std::env::var_os("QS_BENCH_REQUIRE").is_some_and(|tools| tools == "valgrind");
        return Ok(if required { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    };
    let mut world = World::new(build("qs-api-call", &[])?)?;
    let mut instructions = BTreeMap::new();
    for (name, wire) in WIRES {
        // The first run of a task makes its files; what is guarded is every other one.
        count(&mut world, wire)?;
        let mut counts = (0..runs).map(|_| count(&mut world, wire)).collect::<anyhow::Result<Vec<u64>>>()?;
        counts.sort_unstable();
        let (least, median, most) = (counts[0], counts[runs / 2], counts[runs - 1]);
        let spread = percent(most, least);
        println!("{name}: {median} instructions ({runs} runs, {least} to {most}, {spread:.2} % apart)");
        instructions.insert(name.to_owned(), median);
    }
    let now = Baseline {
        rustc: version("rustc").unwrap_or_default(),
        valgrind,
        arch: std::env::consts::ARCH.to_owned(),
        tolerance_percent: TOLERANCE_PERCENT,
        instructions,
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.baseline.json");
    if bless {
        std::fs::write(&path, serde_json::to_string_pretty(&now)? + "\n")?;
        println!("written: benches/instructions.baseline.json");
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&path).context("no baseline: run with --bless")?;
    Ok(compare(&now, &serde_json::from_str(&text)?))
}

/// Tells every difference; fails when a count rose by more than the tolerance.
fn compare(now: &Baseline, baseline: &Baseline) -> ExitCode {
    if now.arch != baseline.arch {
        println!("not compared: the baseline is of {}, this is {}", baseline.arch, now.arch);
        return ExitCode::SUCCESS;
    }
    for (what, now, then) in
        [("rustc", &now.rustc, &baseline.rustc), ("valgrind", &now.valgrind, &baseline.valgrind)]
    {
        if now != then {
            println!(
                "note: the baseline was made with {then}; this {what} is {now}, which makes other counts"
            );
        }
    }
    let mut verdict = ExitCode::SUCCESS;
    for (name, &count) in &now.instructions {
        let Some(&before) = baseline.instructions.get(name) else {
            println!("{name}: not in the baseline (run with --bless)");
            verdict = ExitCode::FAILURE;
            continue;
        };
        let change = percent(count, before);
        let tolerance = baseline.tolerance_percent;
        let word = match change {
            change if change > tolerance => "too much: find the cause, or --bless it and say why",
            change if change < -tolerance => "better: --bless it, so that it stays",
            _ => "within the tolerance",
        };
        println!("{name}: {change:+.1} % against {before}, {word} (±{tolerance} %)");
        if change > tolerance {
            verdict = ExitCode::FAILURE;
        }
    }
    verdict
}

/// Instructions of one call, dynamic linking included.
fn count(world: &mut World, wire: Wire) -> anyhow::Result<u64> {
    let out = world.path("callgrind.out");
    let prefix = [
        "valgrind".to_owned(),
        "--quiet".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    let before = world.server.authorised()?;
    let status = world.api_call(&prefix, wire).status()?;
    ensure!(status.success(), "qs-api-call under valgrind: {status}");
    ensure!(world.server.authorised()? == before + 1, "the call did not reach the server");
    let text = std::fs::read_to_string(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.context("callgrind wrote no total")?.trim().parse().context("callgrind's total is no number")
}

#[expect(clippy::cast_precision_loss, reason = "a share does not need 53 bits")]
fn percent(now: u64, then: u64) -> f64 {
    (now as f64 / then as f64 - 1.0) * 100.0
}
