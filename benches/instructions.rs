//! The guard of the start-up cost, against a baseline: what one call executes and touches, counted by valgrind, and what
//! the dynamic linker does to the program before that. Time depends on the machine and its mood; this does not, so a
//! change that costs shows on its own.
//!
//! Options after `--`: `--bless` (write the baseline), `--runs N` (default 5), `--order` (write anew which functions the
//! linker puts together). Without valgrind it says so and passes, unless `QS_BENCH_REQUIRE=valgrind`.

#![expect(clippy::print_stdout, reason = "a benchmark talks to the person who runs it")]

mod support {
    #[expect(dead_code, reason = "the count does not depend on the machine")]
    pub(crate) mod machine;
    pub(crate) mod order;
    pub(crate) mod relocations;
    pub(crate) mod server;
    #[expect(dead_code, reason = "the paired benchmark needs more of it")]
    pub(crate) mod world;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::support::machine::version;
use crate::support::order;
use crate::support::relocations::Relocations;
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
    /// User-space instructions of a call, median of the runs.
    instructions: BTreeMap<String, u64>,
    /// Pages of 4 KiB that a call reads, writes or executes: its memory, and most of what the kernel does for it.
    pages: BTreeMap<String, u64>,
    /// `words` that are moved to where the program was loaded, `names` that are looked up in its libraries.
    relocations: BTreeMap<String, u64>,
}

struct Options {
    bless: bool,
    order: bool,
    runs: usize,
}

impl Options {
    /// `None` when this is not `cargo bench`.
    fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut options = Self { bless: false, order: false, runs: 5 };
        let mut bench = false;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => bench = true,
                "--bless" => options.bless = true,
                "--order" => options.order = true,
                "--runs" => options.runs = args.next().context("--runs needs a number")?.parse()?,
                _ => bail!("{arg}: unknown option (known: --bless, --order, --runs N)"),
            }
        }
        ensure!(options.runs > 0, "--runs: at least one");
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
    let Some(valgrind) = version("valgrind") else {
        println!("not counted: valgrind is not on this machine (install the package valgrind)");
        #[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration to read it for it")]
        let required = std::env::var_os("QS_BENCH_REQUIRE").is_some_and(|tools| tools == "valgrind");
        return Ok(if required { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    };
    if options.order {
        return write_order();
    }
    let now = measure(valgrind, options.runs)?;
    let path = in_project("benches/instructions.baseline.json");
    if options.bless {
        std::fs::write(&path, serde_json::to_string_pretty(&now)? + "\n")?;
        println!("written: benches/instructions.baseline.json");
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&path).context("no baseline: run with --bless")?;
    Ok(compare(&now, &serde_json::from_str(&text)?))
}

/// Counts everything.
fn measure(valgrind: String, runs: usize) -> anyhow::Result<Baseline> {
    let mut world = World::new(build("qs-api-call", &[])?)?;
    let (mut instructions, mut pages) = (BTreeMap::new(), BTreeMap::new());
    for (name, wire) in WIRES {
        // The first run of a task makes its files; what is guarded is every other one.
        count_instructions(&mut world, wire)?;
        let mut counts =
            (0..runs).map(|_| count_instructions(&mut world, wire)).collect::<anyhow::Result<Vec<u64>>>()?;
        counts.sort_unstable();
        let (least, median, most) = (counts[0], counts[runs / 2], counts[runs - 1]);
        let spread = percent(most, least);
        println!("{name}: {median} instructions ({runs} runs, {least} to {most}, {spread:.2} % apart)");
        instructions.insert(name.to_owned(), median);
        let touched = count_pages(&mut world, wire)?;
        println!("{name}: {touched} pages");
        pages.insert(name.to_owned(), touched);
    }
    let Relocations { words, names } = Relocations::of(&world.program)?;
    println!("relocations: {words} words, {names} names");
    Ok(Baseline {
        rustc: version("rustc").unwrap_or_default(),
        valgrind,
        arch: std::env::consts::ARCH.to_owned(),
        tolerance_percent: TOLERANCE_PERCENT,
        instructions,
        pages,
        relocations: [("words", words), ("names", names)]
            .map(|(name, count)| (name.to_owned(), count))
            .into(),
    })
}

/// Writes which functions calls enter, for the linker.
fn write_order() -> anyhow::Result<ExitCode> {
    let mut world = World::new(build("qs-api-call", &["--", "-C", "strip=none"])?)?;
    let mut calls = Vec::new();
    for (name, wire) in WIRES {
        // A first call makes its files, and its functions are entered once.
        count_instructions(&mut world, wire)?;
        let out = under_valgrind(&mut world, wire, "callgrind", &["--demangle=no"], "--callgrind-out-file")?;
        let functions = order::patterns(&out, &world.program)?;
        println!("{name}: {} functions", functions.len());
        calls.push(functions);
    }
    std::fs::write(in_project(order::SCRIPT), order::script(&calls))?;
    println!("written: {}", order::SCRIPT);
    Ok(ExitCode::SUCCESS)
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
    for (what, now, then) in [
        ("instructions", &now.instructions, &baseline.instructions),
        ("pages", &now.pages, &baseline.pages),
        ("relocations", &now.relocations, &baseline.relocations),
    ] {
        for (name, &count) in now {
            if !is_within(&format!("{what}, {name}"), count, then.get(name), baseline.tolerance_percent) {
                verdict = ExitCode::FAILURE;
            }
        }
    }
    verdict
}

/// Tells how a count differs, and whether it may.
fn is_within(name: &str, count: u64, before: Option<&u64>, tolerance: f64) -> bool {
    let Some(&before) = before else {
        println!("{name}: not in the baseline (run with --bless)");
        return false;
    };
    let change = percent(count, before);
    let word = match change {
        change if change > tolerance && name.starts_with("pages") => {
            "too much: the functions of a call lie apart (make order), else find the cause, or --bless it and say why"
        }
        change if change > tolerance => "too much: find the cause, or --bless it and say why",
        change if change < -tolerance => "better: --bless it, so that it stays",
        _ => "within the tolerance",
    };
    println!("{name}: {count}, {change:+.1} % against {before}, {word} (±{tolerance} %)");
    change <= tolerance
}

/// Instructions of one call, dynamic linking included.
fn count_instructions(world: &mut World, wire: Wire) -> anyhow::Result<u64> {
    let out = under_valgrind(world, wire, "callgrind", &[], "--callgrind-out-file")?;
    let text = std::fs::read_to_string(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.context("callgrind wrote no total")?.trim().parse().context("callgrind's total is no number")
}

/// Pages that one call touches, those of its libraries, heap and stack included.
fn count_pages(world: &mut World, wire: Wire) -> anyhow::Result<u64> {
    let out = under_valgrind(world, wire, "lackey", &["--trace-mem=yes"], "--log-file")?;
    let mut pages = BTreeSet::new();
    for line in BufReader::new(File::open(out)?).lines() {
        // `I  04001090,3` is an instruction, ` L`, ` S` and ` M` are data: address and length.
        let line = line?;
        let Some((address, length)) = line.get(3..).and_then(|access| access.split_once(',')) else {
            continue;
        };
        if let (Ok(address), Ok(length)) = (u64::from_str_radix(address, 16), length.parse::<u64>()) {
            pages.extend(address >> 12..=(address + length - 1) >> 12);
        }
    }
    ensure!(!pages.is_empty(), "lackey wrote no access");
    Ok(pages.len() as u64)
}

/// Makes a call under a tool of valgrind. Returns the file that it wrote.
fn under_valgrind(
    world: &mut World,
    wire: Wire,
    tool: &str,
    options: &[&str],
    output: &str,
) -> anyhow::Result<PathBuf> {
    let out = world.path("valgrind.out");
    let mut prefix = vec!["valgrind".to_owned(), "--quiet".to_owned(), format!("--tool={tool}")];
    prefix.extend(options.iter().map(|&option| option.to_owned()));
    prefix.push(format!("{output}={}", out.display()));
    let before = world.server.authorised()?;
    let status = world.api_call(&prefix, wire).status()?;
    ensure!(status.success(), "qs-api-call under valgrind: {status}");
    ensure!(world.server.authorised()? == before + 1, "the call did not reach the server");
    Ok(out)
}

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[expect(clippy::cast_precision_loss, reason = "a share does not need 53 bits")]
fn percent(now: u64, then: u64) -> f64 {
    (now as f64 / then as f64 - 1.0) * 100.0
}
