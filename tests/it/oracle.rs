//! Expressions against the recorded verdicts, meanings and firings of the real cron (`bin/oracle`, `make oracle`).

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use qs_scheduler::crontab::file::{Crontab, Format, Line};
use qs_scheduler::crontab::lint::{Facts, FileFacts, Host, lint};
use qs_scheduler::crontab::problem::{Problem, Rule, Severity};
use qs_scheduler::domain::cron::{CronDialect, CronErrorKind, CronExpr, Field};

const SYNTAX: &str = include_str!("../fixtures/cron/syntax.txt");
const MEANING: &str = include_str!("../fixtures/cron/meaning.txt");
const JUMPS: &str = include_str!("../fixtures/cron/jumps.txt");
const DST: &str = include_str!("../fixtures/cron/dst.txt");

/// `left | right` of every line that has both and is no comment.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter(|line| !line.starts_with("# ") && *line != "#").filter_map(|line| {
        let (left, right) = line.rsplit_once(" |")?;
        Some((left, right.trim()))
    })
}

/// `\t` and `\xNN` as bytes.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b't', tail @ ..]) => {
                bytes.push(b'\t');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let hex = String::from_utf8(vec![*high, *low]).unwrap();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                tail
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    bytes
}

fn cron_d(text: &[u8]) -> Crontab {
    let format = Format { fixed_zone: true, ..Format::system(TimeZone::UTC) };
    Crontab::parse(text, format)
}

#[test]
fn what_the_real_cron_refuses_is_refused_and_the_rest_is_read_or_called_misread() {
    let mut wrong = Vec::new();
    let (mut accepted, mut refused, mut misread) = (0, 0, 0);
    for (specification, verdict) in rows(SYNTAX) {
        let file = [&unescape(specification)[..], b" root x\n"].concat();
        let crontab = cron_d(&file);
        let runs = matches!(crontab.lines.last(), Some(Line::Entry(_))) && crontab.is_sound();
        match (verdict, runs) {
            ("accepted", true) => accepted += 1,
            // What cron takes and reads as something else is refused with that reason.
            ("accepted", false) => {
                misread += 1;
                let codes: Vec<&str> = crontab.problems.iter().map(|problem| problem.rule.code()).collect();
                let reason = ["misread-time", "misread-setting", "never-fires", "cron-tz"];
                if !codes.iter().any(|code| reason.contains(code)) {
                    wrong.push(format!("{specification:?}: cron takes it, we say {:?}", crontab.problems));
                }
            }
            (_, false) => refused += 1,
            (verdict, true) => wrong.push(format!("{specification:?}: cron says {verdict}, we take it")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted > 60 && refused > 60 && misread > 15, "{accepted} {refused} {misread}");
}

#[test]
fn what_is_read_means_what_the_real_cron_means() {
    let mut wrong = Vec::new();
    let (mut equal, mut refused) = (0, 0);
    for (specification, meaning) in rows(MEANING) {
        let (field, value) = specification.split_once(' ').unwrap();
        let days: BTreeSet<u8> = meaning.split_whitespace().map(|day| day.parse().unwrap()).collect();
        let (text, of) = match field {
            "minute" => (format!("{value} * * * *"), Field::Minute),
            "hour" => (format!("0 {value} * * *"), Field::Hour),
            "day-of-month" => (format!("0 0 {value} * *"), Field::DayOfMonth),
            "month" => (format!("0 0 1 {value} *"), Field::Month),
            "day-of-week" => (format!("0 0 * * {value}"), Field::DayOfWeek),
            "days" => (format!("0 0 {value}"), Field::DayOfMonth),
            other => panic!("{other}"),
        };
        let expr = match CronExpr::parse(&text, CronDialect::Debian, 0) {
            Ok(expr) => expr,
            Err(error) if error.kind == CronErrorKind::Misread => {
                refused += 1;
                continue;
            }
            Err(error) => {
                wrong.push(format!("{specification}: {error}"));
                continue;
            }
        };
        let ours: BTreeSet<u8> =
            if field == "days" { october(&expr) } else { expr.values(of).into_iter().collect() };
        if ours == days {
            equal += 1;
        } else {
            wrong.push(format!("{specification}: cron {days:?}, ours {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(equal > 70 && refused > 20, "{equal} {refused}");
}

/// The days of October 2026 on which it fires.
fn october(expr: &CronExpr) -> BTreeSet<u8> {
    let end: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut at: Timestamp = "2026-09-30T23:59:59Z".parse().unwrap();
    let mut days = BTreeSet::new();
    while let Some(next) = expr.next_after(at, &TimeZone::UTC).filter(|next| next.at < end) {
        at = next.at;
        days.insert(u8::try_from(at.to_zoned(TimeZone::UTC).day()).unwrap());
    }
    days
}

#[test]
fn it_fires_when_the_real_cron_fires() {
    #[expect(clippy::disallowed_methods, reason = "the table of a run just now, for `make oracle`")]
    let live = std::env::var("QS_ORACLE_TABLE").ok().map(|path| std::fs::read_to_string(path).unwrap());
    let recorded = format!("{DST}\n{JUMPS}");
    let table = live.as_deref().unwrap_or(&recorded);
    let mut wrong = Vec::new();
    let (mut edges, mut equal, mut once) = (0, 0, 0);
    let mut edge: Option<Edge> = None;
    for line in table.lines() {
        if let Some(text) = line.strip_prefix("edge ") {
            edge = Some(Edge::parse(text));
            edges += 1;
            continue;
        }
        let (Some(edge), Some((text, fired))) = (&edge, line.split_once(" |")) else { continue };
        if line.starts_with("# ") {
            continue;
        }
        let Ok(expr) = CronExpr::parse(text, CronDialect::Debian, 0) else { continue };
        let fired = edge.fired(fired.trim());
        // The one deviation (decision 21): what cron starts several times in one minute runs once.
        let distinct: BTreeSet<Timestamp> = fired.iter().copied().collect();
        once += usize::from(distinct.len() < fired.len());
        let mut ours = edge.ours(&expr);
        // Clocks that go back by exactly one minute show one minute twice, which cron takes for one. No zone does that.
        if (edge.name.as_str(), text) == ("back-by-1", "* * * * *") {
            let lost = "2026-11-01T05:59:00Z".parse().unwrap();
            assert!(ours.remove(&lost));
        }
        if ours == distinct {
            equal += 1;
        } else {
            let only = |a: &BTreeSet<Timestamp>, b: &BTreeSet<Timestamp>| -> Vec<String> {
                a.difference(b).map(ToString::to_string).collect()
            };
            wrong.push(format!(
                "{} {}: {text}: cron alone {:?}, ours alone {:?}",
                edge.name,
                edge.zone.iana_name().unwrap_or_default(),
                only(&distinct, &ours),
                only(&ours, &distinct)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), wrong.len() + equal, wrong.join("\n"));
    assert!(edges >= 16 && equal > 1000 && once > 10, "{edges} {equal} {once}");
}

/// A window of whole minutes in which the real cron was watched.
struct Edge {
    zone: TimeZone,
    name: String,
    first: Timestamp,
    minutes: i64,
}

impl Edge {
    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        Self {
            zone: TimeZone::get(words[0]).or_else(|_| TimeZone::posix(words[0])).unwrap(),
            name: words[1].to_owned(),
            first: words[2].parse().unwrap(),
            minutes: words[3].parse().unwrap(),
        }
    }

    fn fired(&self, text: &str) -> Vec<Timestamp> {
        if text == "every minute" {
            return (0..self.minutes).map(|minute| self.first + SignedDuration::from_mins(minute)).collect();
        }
        let minute = |word: &str| word.replace('Z', ":00Z").parse().unwrap();
        text.split_whitespace().map(minute).collect()
    }

    fn ours(&self, expr: &CronExpr) -> BTreeSet<Timestamp> {
        let end = self.first + SignedDuration::from_mins(self.minutes);
        let mut at = self.first - SignedDuration::from_secs(1);
        let mut found = BTreeSet::new();
        while let Some(next) = expr.next_after(at, &self.zone).filter(|next| next.at < end) {
            at = next.at;
            found.insert(at);
        }
        found
    }
}

/// Files that Debian's cron takes and that do something else than they seem to say, at which we only warn, or which we
/// take as they are; each with the reason.
const TOLERATED: [(&str, &str); 11] = [
    ("day-and-weekday", "warned of: either day is enough, as crontab(5) says"),
    ("star-step-and-weekday", "warned of: both days must match"),
    ("step-beyond-the-range", "warned of"),
    ("tz", "warned of: the command may need it"),
    ("variable-after-the-job", "warned of"),
    ("variable-path-empty", "warned of"),
    ("byte-ff-in-command", "warned of: not UTF-8"),
    ("comment-after-command", "the shell reads it as a comment"),
    ("percent-escaped-in-single-quotes", "what the shell gets is what was meant"),
    ("no-user-command-is-a-user-name", "no parser can tell that `mail` was meant as the command"),
    ("variable-home-missing", "the command decides whether that matters"),
];

/// The users of the machine on which the verdicts were recorded.
struct Debian;

impl Host for Debian {
    fn has_user(&self, name: &str) -> bool {
        ["root", "daemon", "bin", "sys", "games", "man", "mail", "news", "backup", "nobody"].contains(&name)
    }

    fn file(&self, path: &str) -> Option<FileFacts> {
        let program = ["/bin/sh", "/bin/bash"].contains(&path);
        program.then_some(FileFacts { regular: true, mode: 0o755, owner: 0, links: 1, link_owner: None })
    }

    fn zone(&self) -> Option<String> {
        None
    }
}

/// One row of `verdicts.txt` with what ran.
#[derive(Default)]
struct Verdict {
    file: String,
    options: Vec<String>,
    said: String,
    runs: Vec<Run>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    user: String,
    shell: Vec<u8>,
    input: Option<Vec<u8>>,
    env: BTreeSet<Vec<u8>>,
}

fn verdicts() -> Vec<Verdict> {
    let table = include_str!("../fixtures/crontab/verdicts.txt");
    let mut found: Vec<Verdict> = Vec::new();
    for line in table.lines().filter(|line| !matches!(*line, "" | "#") && !line.starts_with("# ")) {
        let Some(said) = line.strip_prefix("  ") else {
            let (what, verdict) = line.split_once(" |").unwrap();
            let mut words = what.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
            let file = words.next().unwrap();
            found.push(Verdict {
                file,
                options: words.collect(),
                said: verdict.trim().to_owned(),
                runs: vec![],
            });
            continue;
        };
        let (kind, text) = said.split_once(" | ").unwrap_or((said.trim_end_matches(" |"), ""));
        let last = found.last_mut().unwrap();
        if let Some(user) = kind.strip_prefix("run ") {
            last.runs.push(Run { user: user.to_owned(), shell: unescape(text), ..Run::default() });
        } else if kind == "stdin" {
            last.runs.last_mut().unwrap().input = Some(unescape(text));
        } else {
            last.runs.last_mut().unwrap().env.insert(unescape(text));
        }
    }
    found
}

impl Verdict {
    fn option(&self, name: &str) -> Option<&str> {
        let at = self.options.iter().position(|option| option == name)?;
        self.options.get(at + 1).map(String::as_str)
    }

    fn source(&self) -> Vec<u8> {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/crontab").join(&self.file);
        if path.is_dir() {
            return Vec::new();
        }
        let source = std::fs::read(path).unwrap();
        let Some(lines) = self.options.iter().find_map(|option| option.strip_prefix("lines=")) else {
            return source;
        };
        let (lines, now): (usize, usize) =
            (lines.parse().unwrap(), source.split_inclusive(|byte| *byte == b'\n').count());
        let first = source.split_inclusive(|byte| *byte == b'\n').next().unwrap();
        [first.repeat(lines - now), source.clone()].concat()
    }

    fn problems(&self, crontab: &Crontab) -> Vec<Problem> {
        let name = self.option("--name").unwrap_or("qs-test");
        let number = |user: Option<&str>| if user.is_some() { 65534 } else { 0 };
        let has = |name: &str| self.options.iter().any(|option| option == name);
        let file = FileFacts {
            regular: self.file.contains('/'),
            mode: u32::from_str_radix(self.option("--mode").unwrap_or("0644"), 8).unwrap(),
            owner: number(self.option("--owner")),
            links: if has("--hard-link") { 2 } else { 1 },
            link_owner: (has("--link") || has("--link-owner")).then(|| number(self.option("--link-owner"))),
        };
        let facts = Facts { name: Some(name), file: Some(&file), host: Some(&Debian), ..Facts::default() };
        // Programs are the recorder's business: the files name some that no machine has.
        lint(crontab, &facts).into_iter().filter(|problem| problem.rule != Rule::Program).collect()
    }

    /// What we say would run at the minute for which the verdict was taken.
    fn ours(&self, crontab: &Crontab) -> Vec<Run> {
        let minute = self.option("--at").unwrap_or("04:30");
        let due: Timestamp = format!("2026-01-02T{minute}:00Z").parse().unwrap();
        let before = due - SignedDuration::from_secs(1);
        let due = crontab
            .entries()
            .filter(|entry| entry.schedule.next_after(before).is_some_and(|next| next.at == due));
        due.map(|entry| {
            let by_default = |name: &str, value: &str| {
                matches!(name, "LOGNAME" | "HOME")
                    || (name, value) == ("SHELL", "/bin/sh")
                    || (name, value) == ("PATH", "/usr/bin:/bin")
            };
            let settings =
                entry.environment.iter().filter(|setting| !by_default(&setting.name, &setting.value));
            Run {
                user: entry.user.clone().unwrap_or_default(),
                shell: entry.command.shell.trim_start_matches([' ', '\t']).as_bytes().to_vec(),
                input: entry.command.input.as_ref().map(|input| input.as_bytes().to_vec()),
                env: settings
                    .map(|setting| format!("{}={}", setting.name, setting.value).into_bytes())
                    .collect(),
            }
        })
        .collect()
    }
}

#[test]
fn whole_files_get_the_verdict_of_the_real_cron() {
    let mut wrong = Vec::new();
    let (mut passed, mut refused, mut runs) = (0, 0, 0);
    for verdict in verdicts() {
        let crontab = cron_d(&verdict.source());
        let problems = verdict.problems(&crontab);
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        let name = verdict.file.rsplit('/').next().unwrap();
        let misread = verdict.file.starts_with("bad/");
        let tolerated = TOLERATED.iter().any(|(file, _)| *file == name);
        let accepted = verdict.said == "accepted";
        if verdict.said.is_empty() {
            continue;
        }
        let row = format!("{} {:?} | {}", verdict.file, verdict.options, verdict.said);
        match (accepted, misread && !tolerated, errors) {
            (true, false, 0) => passed += 1,
            (false, _, 1..) | (true, true, 1..) => refused += 1,
            (true, false, _) => {
                wrong.push(format!("{row}: runs as it is written, and we refuse: {problems:?}"));
            }
            (_, _, 0) => wrong.push(format!("{row}: we let it pass: {problems:?}")),
        }
        if accepted && errors == 0 {
            let trimmed = |run: &Run| Run { shell: run.shell.trim_ascii_start().to_vec(), ..run.clone() };
            let mut theirs: Vec<Run> = verdict.runs.iter().map(trimmed).collect();
            let mut ours = verdict.ours(&crontab);
            for run in theirs.iter_mut().chain(&mut ours) {
                run.env.retain(|setting| !setting.starts_with(b"HOME=") && !setting.starts_with(b"LOGNAME="));
            }
            theirs.sort();
            ours.sort();
            runs += theirs.len();
            if theirs != ours && name != "byte-ff-in-command" {
                wrong.push(format!("{row}: cron runs {theirs:?}, we say {ours:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
    assert!(passed > 100 && refused > 100 && runs > 80, "{passed} {refused} {runs}");
}
