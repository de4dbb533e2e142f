//! The result: a table for people, one line of JSON for programs, and the bounds that must hold.

use std::fmt::Write;

use serde_json::json;

use crate::others::Speed;

/// How much faster than the replaced system's way the first run must be.
const OVER_UPSTREAM: f64 = 30.0;
/// Which share of the bulk load's speed it must reach.
const OF_BULK_LOAD: f64 = 0.5;
/// How much more memory ten times the rows may take.
const MEMORY_GROWTH: f64 = 1.25;

/// What one sync answered, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sync {
    /// From request to reply.
    pub(crate) seconds: f64,
    /// Counters read.
    pub(crate) scanned: u64,
    /// Rows inserted or changed.
    pub(crate) written: u64,
    /// Rows that were right.
    pub(crate) unchanged: u64,
}

/// What was measured.
pub(crate) struct Results {
    /// Into an empty table.
    pub(crate) first: Speed,
    /// The same again.
    pub(crate) second: Speed,
    /// (a)
    pub(crate) upstream: Speed,
    /// (b): bulk load, and the statement after it.
    pub(crate) bulk_load: [f64; 2],
    /// Rows and bytes, in rising order.
    pub(crate) memory: [(u32, u64); 3],
}

impl Results {
    fn bulk(&self) -> Speed {
        Speed { rows: self.first.rows, seconds: self.bulk_load.iter().sum() }
    }

    fn over_upstream(&self) -> f64 {
        self.first.rate() / self.upstream.rate()
    }

    fn of_bulk_load(&self) -> f64 {
        self.first.rate() / self.bulk().rate()
    }

    /// Of the most rows to a tenth of them.
    #[expect(clippy::cast_precision_loss, reason = "memory of a small program")]
    fn memory_growth(&self) -> f64 {
        self.memory[2].1 as f64 / self.memory[1].1 as f64
    }
}

/// The section of the document.
pub(crate) fn render(facts: &[(&str, String)], results: &Results) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{line}");
    };
    for (name, value) in facts {
        line(format!("- {name}: {value}"));
    }
    line("\n| ratio | bound | measured |\n|---|---|---|".to_owned());
    line(format!(
        "| first sync ÷ replaced system's way, rows/s | ≥ {OVER_UPSTREAM} | **{:.1}** |",
        results.over_upstream()
    ));
    line(format!(
        "| first sync ÷ bulk load, rows/s | ≥ {OF_BULK_LOAD} | **{:.2}** |",
        results.of_bulk_load()
    ));
    let [(few, _), (some, _), (many, _)] = results.memory;
    line(format!(
        "| peak memory at {} rows ÷ at {} rows | ≤ {MEMORY_GROWTH} | **{:.2}** |",
        grouped(many.into()),
        grouped(some.into()),
        results.memory_growth()
    ));
    line("\n| what | rows | seconds | rows/s |\n|---|--:|--:|--:|".to_owned());
    let speed = |what: &str, speed: Speed| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows a second")]
        let rate = grouped(speed.rate() as u64);
        format!("| {what} | {} | {:.2} | {rate} |", grouped(speed.rows.into()), speed.seconds)
    };
    line(speed("`qs-apiserver`, first sync: every row is new", results.first));
    line(speed("`qs-apiserver`, second sync: every row is right", results.second));
    line(speed("(a) replaced system's way: one `HMGET` and one upsert a counter", results.upstream));
    line(speed("(b) bulk load: `load data` and `insert … select … on duplicate key update`", results.bulk()));
    let [load, merge] = results.bulk_load;
    line(format!(
        "\nOf (b), {load:.2} s are `load data` into a table without indexes, {merge:.2} s the statement after it."
    ));
    line("\n| rows of one sync | peak memory of `qs-apiserver`, MiB |\n|--:|--:|".to_owned());
    for ((rows, bytes), _) in results.memory.into_iter().zip([few, some, many]) {
        line(format!("| {} | {:.1} |", grouped(rows.into()), mebibytes(bytes)));
    }
    text
}

/// One line for programs.
pub(crate) fn json(facts: &[(&str, String)], results: &Results) -> String {
    let speed =
        |speed: Speed| json!({"rows": speed.rows, "seconds": speed.seconds, "rows_per_second": speed.rate()});
    let memory = results.memory.map(|(rows, bytes)| json!({"rows": rows, "peak_bytes": bytes}));
    let facts: serde_json::Map<_, _> =
        facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "facts": facts,
        "first": speed(results.first),
        "second": speed(results.second),
        "upstream": speed(results.upstream),
        "bulk_load": speed(results.bulk()),
        "bulk_load_seconds": results.bulk_load,
        "memory": memory,
        "first_over_upstream": results.over_upstream(),
        "first_of_bulk_load": results.of_bulk_load(),
        "memory_growth": results.memory_growth(),
    })
    .to_string()
}

/// The bounds that do not hold.
pub(crate) fn broken(results: &Results) -> Vec<String> {
    let bounds = [
        (
            results.over_upstream() >= OVER_UPSTREAM,
            format!("first sync is {:.1} times as fast as (a), not {OVER_UPSTREAM}", results.over_upstream()),
        ),
        (
            results.of_bulk_load() >= OF_BULK_LOAD,
            format!("first sync reaches {:.2} of (b), not {OF_BULK_LOAD}", results.of_bulk_load()),
        ),
        (
            results.memory_growth() <= MEMORY_GROWTH,
            format!("memory grows {:.2} times, not {MEMORY_GROWTH}", results.memory_growth()),
        ),
    ];
    bounds.into_iter().filter(|(holds, _)| !holds).map(|(_, text)| text).collect()
}

#[expect(clippy::cast_precision_loss, reason = "memory of a small program")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
