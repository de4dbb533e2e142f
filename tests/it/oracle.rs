//! Expressions against the recorded verdicts, meanings and firings of the real cron (`bin/oracle`, `make oracle`).

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use qs_scheduler::crontab::file::{Crontab, Format, Line};
use qs_scheduler::domain::cron::{CronErrorKind, CronExpr, Dialect, Field};

const SYNTAX: &str = include_str!("../fixtures/cron/syntax.txt");
const MEANING: &str = include_str!("../fixtures/cron/meaning.txt");
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
    let format =
        Format { dialect: Dialect::Cron, user_column: true, zone: TimeZone::UTC, fixed_zone: true };
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
        let expr = match CronExpr::parse(&text, Dialect::Cron, 0) {
            Ok(expr) => expr,
            // Values of 32 bits and more wrap round in cron; here they are out of bounds.
            Err(error) if error.kind == CronErrorKind::Misread || value.contains("42949672") => {
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
    let live = std::env::var("QS_ORACLE_TABLE").ok().map(|path| std::fs::read_to_string(path).unwrap());
    let table = live.as_deref().unwrap_or(DST);
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
        let Ok(expr) = CronExpr::parse(text, Dialect::Cron, 0) else { continue };
        let fired = edge.fired(fired.trim());
        // The one deviation (decision 21): what cron starts several times in one minute runs once.
        let distinct: BTreeSet<Timestamp> = fired.iter().copied().collect();
        once += usize::from(distinct.len() < fired.len());
        let ours = edge.ours(&expr);
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
            zone: TimeZone::get(words[0]).unwrap(),
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
