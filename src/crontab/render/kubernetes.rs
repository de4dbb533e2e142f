//! A `CronJob` of Kubernetes for each line.

use super::{Names, Options, Rendered, Unrenderable, each, fill, lines, longest, mark, zone};
use crate::crontab::call::Call;
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::domain::cron::{CronExpr, Field};
use crate::domain::digest::fnv32;
use crate::domain::duration;
use crate::domain::overlap::Overlap;

const CRONJOB: &str = include_str!("templates/cronjob.yaml");
const IDEMPOTENT_RULES: &str = include_str!("templates/rules-idempotent.yaml");
const ONCE_RULES: &str = include_str!("templates/rules-once.yaml");
const NO_STATE: &str = include_str!("templates/state-none.yaml");
const STATE_CLAIM: &str = include_str!("templates/state-claim.yaml");
/// Longest name of a `CronJob`: its Jobs append eleven characters.
const LONGEST_NAME: usize = 52;
/// What a pod may need to start.
const START: u64 = 60;
/// Shortest and longest time after which a start that could not be made is left out. The controller looks every ten
/// seconds, so that less loses runs.
const DEADLINE: (u64, u64) = (60, 300);
/// How many occurrences are looked at for the shortest distance between two.
const SAMPLE: usize = 200;

/// The manifest of every line.
///
/// # Errors
/// The first line that Kubernetes cannot run as it is.
pub fn kubernetes(crontab: &Crontab, options: &Options) -> Result<Vec<Rendered>, Unrenderable> {
    let (mut files, mut names) = (Vec::new(), Names::new(LONGEST_NAME));
    for (entry, call) in each(crontab)? {
        let expr = entry.schedule.expr().ok_or("@reboot has no counterpart in Kubernetes");
        let schedule = expr.and_then(schedule).map_err(|why| Unrenderable::new(entry, why))?;
        let name = names.unique(&object_name(&entry.task()));
        let zone = zone(entry, options);
        // A call that must not be repeated is not after a kill either, which has a code that is not in our table.
        let rules = if call.line.invocation.idempotent { IDEMPOTENT_RULES } else { ONCE_RULES };
        let zone_line = zone.map(|zone| format!("  timeZone: {zone}\n")).unwrap_or_default();
        let values = [
            ("mark", mark(options)),
            ("name", name.clone()),
            ("component", name.trim_start_matches("qs-").to_owned()),
            ("schedule", schedule),
            ("zone", zone_line),
            ("overlap", overlap(call)),
            ("starting", starting(entry).to_string()),
            ("limits", limits(call)),
            ("rules", rules.to_owned()),
            ("arguments", arguments(call)),
            ("environment", environment(entry, call, zone)),
            ("state", state(options)),
        ];
        files.push(Rendered { name: format!("{name}.yaml"), content: fill(CRONJOB, &values) });
    }
    Ok(files)
}

/// The expression in the dialect of the controller: Sunday is 0 alone, ranges rise, and a day matches by either of the
/// two unless one of them is `*` itself; a step takes the star's meaning away.
pub(super) fn schedule(expr: &CronExpr) -> Result<String, &'static str> {
    if expr.has_seconds() {
        return Err("Kubernetes has no seconds");
    }
    if expr.day_and_weekday() {
        return Err("Kubernetes would fire when either day matches, cron when both do");
    }
    let (day, weekday) = (Field::DayOfMonth, Field::DayOfWeek);
    let any_day = expr.either_day() && (expr.is_every(day) || expr.is_every(weekday));
    let fields = [Field::Minute, Field::Hour, day, Field::Month, weekday];
    let words = fields.map(|field| match field {
        Field::DayOfMonth | Field::DayOfWeek if any_day => "*".to_owned(),
        _ => list(expr, field),
    });
    Ok(words.join(" "))
}

fn list(expr: &CronExpr, field: Field) -> String {
    if expr.is_every(field) {
        return "*".to_owned();
    }
    if let Some(step) = expr.rhythm(field).filter(|_| !matches!(field, Field::DayOfMonth | Field::DayOfWeek))
    {
        return format!("*/{step}");
    }
    let show = |first, last| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    expr.runs(field, show).join(",")
}

/// A DNS label: lower case, digits and `-`, and not too long; a digest keeps two long names apart.
fn object_name(task: &str) -> String {
    let lower: String =
        task.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let name = match lower.trim_matches('-') {
        "" => "qs-task".to_owned(),
        lower => format!("qs-{lower}"),
    };
    if name.len() <= LONGEST_NAME {
        return name;
    }
    format!("{}-{:08x}", name[..LONGEST_NAME - 9].trim_end_matches('-'), fnv32(task.bytes()))
}

fn overlap(call: &Call) -> String {
    let policy = call.line.invocation.overlap.unwrap_or_default();
    let (comment, word) = match policy {
        Overlap::Skip => ("--overlap skip", "Forbid"),
        Overlap::Parallel => ("--overlap parallel", "Allow"),
        Overlap::Sequential => {
            ("--overlap sequential: Kubernetes cannot wait, so a start is left out", "Forbid")
        }
        Overlap::Fail => ("--overlap fail: Kubernetes leaves a start out, and counts it as missed", "Forbid"),
    };
    format!("  # {comment}\n  concurrencyPolicy: {word}\n")
}

/// After how many seconds a start that could not be made is left out: less than the time to the next one, where that is
/// more than a minute.
fn starting(entry: &CrontabEntry) -> u64 {
    let runs = entry.schedule.after(jiff::Timestamp::UNIX_EPOCH).take(SAMPLE);
    let times: Vec<i64> = runs.map(|next| next.at.as_second()).collect();
    let shortest = times.windows(2).map(|pair| (pair[1] - pair[0]).unsigned_abs()).min().unwrap_or(u64::MAX);
    shortest.saturating_sub(1).clamp(DEADLINE.0, DEADLINE.1)
}

/// A second pod only for a call that may be repeated: the first one may have sent its request.
fn limits(call: &Call) -> String {
    let each = duration::show(longest(call));
    let (comment, retries) = if call.line.invocation.idempotent {
        (format!("Two pods at most, each with the call's {each} and a minute to start."), 1)
    } else {
        (format!("One pod, with the call's {each} and a minute to start: this call must not be repeated."), 0)
    };
    let deadline = (longest(call).as_secs() + START) * (retries + 1);
    format!("      # {comment}\n      backoffLimit: {retries}\n      activeDeadlineSeconds: {deadline}\n")
}

fn arguments(call: &Call) -> String {
    let json = (!call.line.call.json).then(|| "--json".to_owned());
    let all = json.iter().chain(&call.arguments);
    lines(all.map(|argument| format!("                - {}", scalar(&literal(argument)))))
}

fn environment(entry: &CrontabEntry, call: &Call, zone: Option<&str>) -> String {
    let own = call.settings(&entry.environment);
    let zone = zone.map(|zone| ("TZ", zone)).filter(|_| own.iter().all(|(name, _)| *name != "TZ"));
    let all = zone.into_iter().chain(own);
    lines(all.map(|(name, value)| {
        format!("                - name: {name}\n                  value: {}", scalar(&literal(value)))
    }))
}

/// The volume of the state directory.
fn state(options: &Options) -> String {
    match &options.state_claim {
        None => NO_STATE.to_owned(),
        Some(claim) => fill(STATE_CLAIM, &[("claim", claim.clone())]),
    }
}

/// `$(NAME)` is a variable to the kubelet, and `$$` a dollar.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// A YAML scalar. Plain where nothing can be meant but the text, else quoted as JSON, which is YAML.
fn scalar(text: &str) -> String {
    let begins = text.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic()) || text.starts_with("--");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.?=&".contains(c);
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if begins && text.chars().all(plain) && !word.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
