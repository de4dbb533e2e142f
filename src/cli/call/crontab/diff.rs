//! `crontab diff`: what will run differently.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::args::{DiffArgs, DiffFormat};
use super::source;
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::crontab::diff::{Difference, Kind, Side, diff};
use crate::domain::exit::Exit;

/// Compares two files over the next hours.
pub(super) fn run(args: &DiffArgs, output: Output, clock: &dyn Clock) -> Result<(), Failure> {
    let old = source::read_sound(&args.old, &args.reading, output)?;
    let new = source::read_sound(&args.new, &args.reading, output)?;
    let from = args.from.unwrap_or_else(|| clock.now());
    let to = from.saturating_add(SignedDuration::from_hours(args.hours.into())).unwrap_or(from);
    let found = diff(&old, &new, from, to);
    match if args.json { DiffFormat::Json } else { args.format } {
        DiffFormat::Text => output.data(&text(&found, args.hours))?,
        DiffFormat::Json => output.json(&object(&found, from, to))?,
        DiffFormat::Markdown => output.data(&markdown(&found, args.hours))?,
    }
    let differs = found.iter().any(|one| one.kind != Kind::Same);
    if args.exit_code && differs {
        return Err(Failure::new(Exit::Failed, "something will run differently"));
    }
    Ok(())
}

fn text(found: &[Difference], hours: u16) -> String {
    let lines = |one: &Difference| {
        let sign = match one.kind {
            Kind::Added => '+',
            Kind::Removed => '-',
            _ => '~',
        };
        let head = format!("{sign} {} ({}): {}", one.task, place(one), runs(one));
        std::iter::once(head).chain(what(one).into_iter().map(|what| format!("    {what}")))
    };
    let changed = found.iter().filter(|one| one.kind != Kind::Same);
    changed.flat_map(lines).chain([sum(found, hours)]).collect::<Vec<_>>().join("\n")
}

fn markdown(found: &[Difference], hours: u16) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let row = |one: &Difference| {
        let what: Vec<String> = what(one).iter().map(|what| format!("`{}`", cell(what))).collect();
        format!("| {} | {} | {} | {} |", one.kind, cell(&one.task), what.join("<br>"), runs(one))
    };
    let rows: Vec<String> = found.iter().filter(|one| one.kind != Kind::Same).map(row).collect();
    let sum = sum(found, hours);
    if rows.is_empty() {
        return sum;
    }
    format!("| | task | what | runs in {hours} hours |\n|---|---|---|---|\n{}\n\n{sum}", rows.join("\n"))
}

fn object(found: &[Difference], from: Timestamp, to: Timestamp) -> Value {
    let side = |side: &Side| {
        json!({
            "line": side.line, "schedule": side.schedule, "user": side.user, "command": side.shown(), "runs": side.at.len(),
        })
    };
    let difference = |one: &Difference| {
        let ((lost, gained), old, new) = (one.runs(), one.old.as_ref().map(side), one.new.as_ref().map(side));
        json!({
            "kind": one.kind, "task": one.task, "changes": one.changes(),
            "runs_lost": lost, "runs_gained": gained, "old": old, "new": new,
        })
    };
    let differences: Vec<Value> = found.iter().map(difference).collect();
    json!({"from": from.to_string(), "to": to.to_string(), "differences": differences})
}

fn place(one: &Difference) -> String {
    match (&one.old, &one.new) {
        (Some(old), Some(new)) => format!("line {} → {}", old.line, new.line),
        (Some(side), None) | (None, Some(side)) => format!("line {}", side.line),
        (None, None) => String::new(),
    }
}

/// The line that comes or goes, or what changes in it.
fn what(one: &Difference) -> Vec<String> {
    match one.kind {
        Kind::Added => one.new.iter().map(describe).collect(),
        Kind::Removed => one.old.iter().map(describe).collect(),
        _ => one.changes(),
    }
}

fn describe(side: &Side) -> String {
    let user = side.user.as_ref().map(|user| format!(" {user}")).unwrap_or_default();
    format!("{}{user} {}", side.schedule, side.shown())
}

fn runs(one: &Difference) -> String {
    match one.runs() {
        (0, 0) => "the same times".to_owned(),
        (1, 0) => "1 run less".to_owned(),
        (0, 1) => "1 run more".to_owned(),
        (lost, 0) => format!("{lost} runs less"),
        (0, gained) => format!("{gained} runs more"),
        (lost, gained) => format!("{lost} runs less, {gained} more"),
    }
}

fn sum(found: &[Difference], hours: u16) -> String {
    let count = |kind| found.iter().filter(|one| one.kind == kind).count();
    let (lost, gained) =
        found.iter().map(Difference::runs).fold((0, 0), |sum, runs| (sum.0 + runs.0, sum.1 + runs.1));
    format!(
        "{} added, {} removed, {} changed, {} the same; in {hours} hours {lost} runs less and {gained} more",
        count(Kind::Added),
        count(Kind::Removed),
        count(Kind::Changed),
        count(Kind::Same)
    )
}
