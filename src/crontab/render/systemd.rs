//! A timer and a service of systemd for each line (systemd.time(7), systemd.exec(5)).

use super::{Names, Options, Rendered, Unrenderable, credentials, each, fill, lines, longest, mark, zone};
use crate::crontab::call::Call;
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::domain::cron::{CronExpr, Field};
use crate::domain::duration;
use crate::domain::overlap::Overlap;
use crate::domain::schedule::Schedule;

/// Longest name of a unit, without its suffix.
const LONGEST_NAME: usize = 240;
const SERVICE: &str = include_str!("templates/call.service");
const TIMER: &str = include_str!("templates/call.timer");
/// What a call may take beyond its own deadline until systemd ends it.
const SPARE: u64 = 60;
/// Names of the weekdays, Monday first as systemd has them, with their numbers.
const WEEKDAYS: [(u8, &str); 7] =
    [(1, "Mon"), (2, "Tue"), (3, "Wed"), (4, "Thu"), (5, "Fri"), (6, "Sat"), (0, "Sun")];

/// The units of every line.
///
/// # Errors
/// The first line that systemd cannot run as it is.
pub fn systemd(crontab: &Crontab, options: &Options) -> Result<Vec<Rendered>, Unrenderable> {
    let (mut files, mut names) = (Vec::new(), Names::new(LONGEST_NAME));
    for (entry, call) in each(crontab)? {
        if call.line.invocation.overlap == Some(Overlap::Parallel) {
            let why = "systemd never starts a unit that still runs, so --overlap parallel cannot be kept";
            return Err(Unrenderable::new(entry, why));
        }
        let Schedule::Cron { expr, .. } = &entry.schedule else {
            let why =
                "systemd would make the call whenever the timer is enabled, not when the machine starts";
            return Err(Unrenderable::new(entry, why));
        };
        let name = names.unique(&format!("qs-call-{}", entry.task()));
        // A backslash at the end of a line would take the next one in.
        let endpoint =
            specifiers(call.line.invocation.endpoint.as_deref().unwrap_or_default()).replace('\\', "/");
        let service = [
            ("mark", mark(options)),
            ("endpoint", endpoint.clone()),
            ("command", command(call)),
            ("timeout", duration::show(longest(call))),
            ("limit", (longest(call).as_secs() + SPARE).to_string()),
            ("credentials", load(&credentials(call, options))),
            ("environment", environment(entry, call)),
        ];
        files.push(Rendered { name: format!("{name}.service"), content: fill(SERVICE, &service) });
        let timer = [
            ("mark", mark(options)),
            ("endpoint", endpoint),
            ("schedule", specifiers(&entry.schedule.to_string())),
            ("when", when(expr, zone(entry, options))),
            ("name", name.clone()),
        ];
        files.push(Rendered { name: format!("{name}.timer"), content: fill(TIMER, &timer) });
    }
    Ok(files)
}

/// The lines that say when: one, or two when either day is enough.
fn when(expr: &CronExpr, zone: Option<&str>) -> String {
    let zone = zone.map(|zone| format!(" {zone}")).unwrap_or_default();
    lines(calendar(expr).into_iter().map(|calendar| format!("OnCalendar={calendar}{zone}")))
}

/// Calendar events of an expression. A timer with several fires at each of them.
pub(super) fn calendar(expr: &CronExpr) -> Vec<String> {
    let list = |field| list(expr, field);
    let time = format!("{}:{}:{}", list(Field::Hour), list(Field::Minute), list(Field::Second));
    let month = list(Field::Month);
    let by_day = |weekdays: &str| format!("{weekdays}*-{month}-{} {time}", list(Field::DayOfMonth));
    let by_weekday = || format!("{}*-{month}-* {time}", weekdays(expr));
    let (every_day, every_weekday) = (expr.is_every(Field::DayOfMonth), expr.is_every(Field::DayOfWeek));
    match (expr.either_day(), every_day || every_weekday) {
        (true, true) => vec![format!("*-{month}-* {time}")],
        (true, false) => vec![by_day(""), by_weekday()],
        (false, _) if every_weekday => vec![by_day("")],
        (false, _) => vec![by_day(&weekdays(expr))],
    }
}

fn list(expr: &CronExpr, field: Field) -> String {
    if expr.is_every(field) {
        return "*".to_owned();
    }
    let show = |first, last| {
        if first == last { format!("{first:02}") } else { format!("{first:02}..{last:02}") }
    };
    expr.runs(field, show).join(",")
}

fn weekdays(expr: &CronExpr) -> String {
    let set = expr.values(Field::DayOfWeek);
    let names: Vec<&str> =
        WEEKDAYS.iter().filter(|(number, _)| set.contains(number)).map(|(_, name)| *name).collect();
    format!("{} ", names.join(","))
}

/// The command line: the configuration is a credential, whose place systemd tells.
fn command(call: &Call) -> String {
    let program =
        if call.program.starts_with('/') { call.program.as_str() } else { "/usr/local/bin/qs-api-call" };
    let config = call.line.common.config.is_none().then(|| "--config %d/qs-api-call.yaml".to_owned());
    let words =
        std::iter::once(quote(program)).chain(config).chain(call.arguments.iter().map(|word| quote(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// What root alone may read, by the name under which the call looks for it.
fn load(credentials: &[String]) -> String {
    lines(credentials.iter().map(|name| format!("LoadCredential={name}:/etc/qs-server/credentials/{name}")))
}

fn environment(entry: &CrontabEntry, call: &Call) -> String {
    lines(
        call.settings(&entry.environment)
            .into_iter()
            .map(|(name, value)| format!("Environment={}", quote_value(&format!("{name}={value}")))),
    )
}

/// A word of a command line: specifiers and variables are taken literally.
fn quote(word: &str) -> String {
    quote_value(&word.replace('$', "$$"))
}

fn quote_value(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%$?&".contains(c);
    let word = specifiers(word);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `%` begins a specifier in every unit.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}
