//! `crontab explain`: each line in words.

use serde_json::{Value, json};

use super::args::ExplainArgs;
use super::{next, source};
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::crontab::call::{Call, Reading};
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::crontab::lint::{self, Facts, HIDDEN, lint};
use crate::crontab::problem::{Problem, Severity};
use crate::domain::duration;

/// Says what each line does and when.
pub(super) fn run(args: &ExplainArgs, output: Output, clock: &dyn Clock) -> Result<(), Failure> {
    let crontab = source::read(&args.source.file, &args.source.reading)?;
    let now = clock.now();
    let problems = lint(&crontab, &Facts { from: now, ..Facts::default() });
    let secret = lint::secret_lines(&crontab);
    let what = |entry: &CrontabEntry| {
        if secret.contains(&entry.line) { HIDDEN.to_owned() } else { what(entry) }
    };
    let of_line = |entry: &CrontabEntry| -> Vec<&Problem> {
        problems.iter().filter(|problem| problem.line == entry.line).collect()
    };
    if args.json {
        let lines: Vec<Value> = crontab
            .entries()
            .map(|entry| {
                let next = entry.schedule.next_after(now);
                json!({
                    "line": entry.line,
                    "schedule": entry.schedule.to_string(),
                    "when": entry.schedule.describe(),
                    "zone": zone_name(&crontab, entry),
                    "user": entry.user,
                    "task": entry.call().map(|_| entry.task()),
                    "what": what(entry),
                    "command": if secret.contains(&entry.line) { HIDDEN } else { &entry.command.shell },
                    "next": next.map(|next| next.at.to_string()),
                    "notes": of_line(entry).iter().map(|problem| problem.message()).collect::<Vec<_>>(),
                })
            })
            .collect();
        return output.json(&lines.into());
    }
    let text = |entry| text(entry, &what(entry), &of_line(entry), &crontab, now);
    let texts: Vec<String> = crontab.entries().map(text).collect();
    output.data(&if texts.is_empty() { "no line runs anything".to_owned() } else { texts.join("\n") })?;
    source::sound(&crontab, &args.source.file, output)
}

fn text(
    entry: &CrontabEntry,
    what: &str,
    problems: &[&Problem],
    crontab: &Crontab,
    now: jiff::Timestamp,
) -> String {
    let user = entry.user.as_ref().map(|user| format!(", as {user}")).unwrap_or_default();
    let zone = zone_name(crontab, entry).map(|zone| format!(" ({zone})")).unwrap_or_default();
    let mut lines = vec![
        format!("line {}: {}", entry.line, entry.schedule),
        format!("  when  {}{zone}{user}", entry.schedule.describe()),
        format!("  what  {}", what.replace(char::is_control, " ")),
    ];
    if let Some(next) = entry.schedule.next_after(now) {
        let mark = next::mark(next.dst);
        let mark = if mark.is_empty() { mark } else { format!(" ({mark})") };
        lines.push(format!("  next  {}{mark}", next::local(next, &entry.schedule)));
    }
    let (notes, worse): (Vec<&Problem>, Vec<&Problem>) =
        problems.iter().partition(|problem| problem.severity == Severity::Note);
    let said = worse.into_iter().chain(notes);
    lines.extend(said.map(|problem| format!("  {}  {}", problem.severity, problem.message())));
    lines.join("\n") + "\n"
}

fn zone_name(crontab: &Crontab, entry: &CrontabEntry) -> Option<String> {
    entry.zone.clone().or_else(|| crontab.format.zone.iana_name().map(str::to_owned))
}

fn what(entry: &CrontabEntry) -> String {
    match &entry.reading {
        Reading::Call(call) => describe(call),
        Reading::Command { .. } | Reading::Other => format!("runs {}", entry.command.shell),
        Reading::Unclear(why) => format!("runs {} (a call in it is not read: {why})", entry.command.shell),
        Reading::Wrong { reason } => format!("fails with exit code 64: {reason}"),
    }
}

/// The policy of a call, in the order in which it matters.
fn describe(call: &Call) -> String {
    let invocation = &call.line.invocation;
    let endpoint = invocation.endpoint.as_deref().unwrap_or_default();
    let mut parts = vec![format!("{} {endpoint} as task {}", invocation.method(), invocation.task_name())];
    if let Some(jitter) = invocation.jitter.filter(|jitter| !jitter.is_zero()) {
        parts.push(format!("after a wait of up to {}", duration::show(jitter)));
    }
    if let Some(timeout) = invocation.timeout {
        parts.push(format!("within {}", duration::show(timeout)));
    }
    if let Some(retries) = invocation.retries {
        let again = format!("tried again up to {retries} times");
        parts.push(if retries == 0 { "tried once".to_owned() } else { again });
    }
    if invocation.idempotent {
        parts.push("may be repeated".to_owned());
    }
    if let Some(overlap) = invocation.overlap {
        parts.push(format!("{overlap} when the last run is not over"));
    }
    if let Some(log) = &invocation.log_file {
        parts.push(format!("log {}", log.display()));
    }
    parts.join(", ")
}
