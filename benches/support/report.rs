//! The result as Markdown, for people and for `docs/benchmarks.md`, and whether the targets are met.

use std::fmt::Write;

use super::measure::{Sample, quantile};
use super::world::Wire;
use crate::Client;

/// All samples: of each wire and client, one a round, in order of rounds.
pub(crate) type Samples = std::collections::BTreeMap<(Wire, Client), Vec<Sample>>;

type Metric = fn(&Sample) -> f64;
const WALL: Metric = |sample| sample.wall.as_secs_f64() * 1e3;
const CPU: Metric = |sample| sample.cpu.as_secs_f64() * 1e3;
#[expect(clippy::cast_precision_loss, reason = "memory of small programs")]
const MEMORY: Metric = |sample| sample.memory as f64 / f64::from(1 << 20);

/// A promise: `qs-api-call` needs at most `limit` times what `other` needs.
struct Target {
    what: &'static str,
    metric: Metric,
    other: Client,
    limit: f64,
}

const TARGETS: [Target; 4] = [
    Target { what: "CPU ÷ curl", metric: CPU, other: Client::Curl, limit: 0.28 },
    Target { what: "CPU ÷ script", metric: CPU, other: Client::Script, limit: 0.15 },
    Target { what: "peak memory ÷ curl", metric: MEMORY, other: Client::Curl, limit: 0.46 },
    Target { what: "wall ÷ bare client", metric: WALL, other: Client::Bare, limit: 1.6 },
];

/// The report, and the targets that were missed.
pub(crate) fn render(facts: &[(&str, String)], samples: &Samples) -> (String, Vec<String>) {
    let (mut text, mut missed) = (String::new(), Vec::new());
    let mut line = |line: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{line}");
    };
    for (name, value) in facts {
        line(format!("- {name}: {value}"));
    }
    line("\nRatios, `qs-api-call` to the other: median of the pairs of one round (quartiles).\n".to_owned());
    line(format!("| ratio | target | {} |", Wire::ALL.map(Wire::name).join(" | ")));
    line("|---|---|---|---|---|".to_owned());
    for target in &TARGETS {
        let cells = Wire::ALL.map(|wire| {
            let ratios = ratios(samples, wire, target);
            let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(ratios.iter().copied(), share));
            if median > target.limit {
                missed.push(format!("{} over {}: {median:.3} > {}", target.what, wire.name(), target.limit));
            }
            format!("**{median:.2}** ({low:.2}–{high:.2})")
        });
        line(format!("| {} | ≤ {} | {} |", target.what, target.limit, cells.join(" | ")));
    }
    for wire in Wire::ALL {
        line(format!("\n{}:\n", wire.name()));
        line("| program | wall ms, median (p95) | CPU ms | peak memory MiB |".to_owned());
        line("|---|--:|--:|--:|".to_owned());
        for client in Client::ALL {
            let own = &samples[&(wire, client)];
            let of = |metric: Metric, share| quantile(own.iter().map(metric), share);
            line(format!(
                "| {} | {:.2} ({:.2}) | {:.2} | {:.1} |",
                client.name(),
                of(WALL, 0.5),
                of(WALL, 0.95),
                of(CPU, 0.5),
                of(MEMORY, 0.5)
            ));
        }
    }
    (text, missed)
}

fn ratios(samples: &Samples, wire: Wire, target: &Target) -> Vec<f64> {
    let (ours, theirs) = (&samples[&(wire, Client::ApiCall)], &samples[&(wire, target.other)]);
    ours.iter().zip(theirs).map(|(ours, theirs)| (target.metric)(ours) / (target.metric)(theirs)).collect()
}
