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
        let object = |entry: &CrontabEntry| {
            json!({
                "line": entry.line,
                "schedule": entry.schedule.to_string(),
                "when": entry.schedule.describe(),
                "zone": zone_name(&crontab, entry),
                "user": entry.user,
                "task": entry.call().map(|_| entry.task()),
                "what": what(entry),
                "command": if secret.contains(&entry.line) { HIDDEN } else { &entry.command.shell },
                "next": entry.schedule.next_after(now).map(|next| next.at.to_string()),
                "notes": of_line(entry).iter().map(|problem| problem.message()).collect::<Vec<_>>(),
            })
        };
        return output.json(&crontab.entries().map(object).collect::<Vec<Value>>().into());
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
    let again = |retries| match retries {
        0 => "tried once".to_owned(),
        _ => format!("tried again up to {retries} times"),
    };
    let jitter = invocation.jitter.filter(|jitter| !jitter.is_zero());
    let parts = [
        Some(format!("{} {endpoint} as task {}", invocation.method(), invocation.task_name())),
        jitter.map(|jitter| format!("after a wait of up to {}", duration::show(jitter))),
        invocation.timeout.map(|timeout| format!("within {}", duration::show(timeout))),
        invocation.retries.map(again),
        invocation.idempotent.then(|| "may be repeated".to_owned()),
        invocation.overlap.map(|overlap| format!("{overlap} when the last run is not over")),
        invocation.log_file.as_ref().map(|log| format!("log {}", log.display())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
