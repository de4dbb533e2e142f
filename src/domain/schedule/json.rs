//! A schedule as JSON: one column of a table, one field of a request. The zone stands beside it.
//!
//! ```text
//! {"cron": "*/5 * * * *"}                                  five fields, six with seconds first, or @daily, @reboot, …
//! {"every": "5m", "anchor": "2026-11-27T00:00:00Z"}        1s to 366d, counted from the anchor
//! {"daily": {"at": "02:30"}}                               at takes seconds too: 02:30:15
//! {"weekly": {"at": "02:30", "on": ["mon", "fri"]}}
//! {"monthly": {"at": "02:30", "day": 31}}                  or "last"; a month without day 31 is left out
//! {"once": "2026-11-27T00:00:00Z"}
//! ```

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::kinds::clock;
use super::parts::whole_milliseconds;
use super::{Every, MonthDay, Schedule, Weekday, Weekdays};
use crate::domain::cron::{CronDialect, CronExpr};
use crate::domain::nearest::nearest;
use crate::domain::number::exact;
use crate::domain::{duration, json};

/// The first key of each kind.
const KINDS: [&str; 6] = ["cron", "every", "daily", "weekly", "monthly", "once"];
/// Longest value that is repeated in a message.
const SHOWN: usize = 80;
const AN_INSTANT: &str = "an instant in whole milliseconds with its offset";
const INSTANT: &str = r#""2026-11-27T00:00:00Z""#;
const DAILY: &str = r#"{"daily": {"at": "02:30"}}"#;
const WEEKLY: &str = r#"{"at": "02:30", "on": ["mon", "fri"]}"#;
const MONTHLY: &str = r#"{"at": "02:30", "day": 31}"#;

impl Schedule {
    /// As JSON, without the zone.
    pub fn to_json(&self) -> String {
        let value = match self {
            Schedule::Cron { expr, .. } => json!({ "cron": expr.to_string() }),
            Schedule::Reboot => json!({ "cron": "@reboot" }),
            Schedule::Every(every) => {
                json!({ "every": duration::show(every.period()), "anchor": every.anchor().to_string() })
            }
            Schedule::Daily { at, .. } => json!({ "daily": { "at": clock(*at) } }),
            Schedule::Weekly { on, at, .. } => {
                json!({ "weekly": { "at": clock(*at), "on": on.days().collect::<Vec<_>>() } })
            }
            Schedule::Monthly { day, at, .. } => {
                let day = day.number().map_or_else(|| json!("last"), |day| json!(day));
                json!({ "monthly": { "at": clock(*at), "day": day } })
            }
            Schedule::Once { at } => json!({ "once": at.to_string() }),
        };
        value.to_string()
    }

    /// From JSON and the zone beside it. `seed` decides what a random value (`~`) of a cron expression is.
    ///
    /// # Errors
    /// The first key that is wrong, what stands there, what was expected, and an example or a fix.
    pub fn from_json(text: &str, zone: &TimeZone, seed: u64) -> Result<Self, String> {
        let value = json::unambiguous(text.as_bytes()).map_err(|error| {
            format!("schedule: found text that is no JSON ({error}), expected an object; for example {DAILY}")
        })?;
        let all = object("schedule", &value, DAILY)?;
        let kind = KINDS.into_iter().find(|kind| all.contains_key(*kind)).ok_or_else(|| unknown_kind(all))?;
        let of = &all[kind];
        let known: &[&str] = if kind == "every" { &["every", "anchor"] } else { &[kind] };
        only("schedule", all, known)?;
        match kind {
            "cron" => cron(of, zone, seed),
            "every" => every(of, all.get("anchor")),
            "daily" => daily(of, zone),
            "weekly" => weekly(of, zone),
            "monthly" => monthly(of, zone),
            _ => Ok(Schedule::Once { at: instant("schedule.once", of)? }),
        }
    }
}

fn cron(of: &Value, zone: &TimeZone, seed: u64) -> Result<Schedule, String> {
    let key = "schedule.cron";
    let text = of.as_str().ok_or_else(|| wrong(key, of, "an expression", r#""*/5 * * * *""#))?;
    if text == "@reboot" {
        return Ok(Schedule::Reboot);
    }
    let expr = CronExpr::parse(text, CronDialect::Scheduler, seed)
        .map_err(|error| format!("{key}: in {}, {error}; fix: {}", shown(of), error.fix))?;
    Ok(Schedule::Cron { expr, zone: zone.clone() })
}

fn every(of: &Value, anchor: Option<&Value>) -> Result<Schedule, String> {
    let key = "schedule.every";
    let expected = "1s to 366d in whole milliseconds, as text";
    let period = of.as_str().and_then(|text| duration::parse(text).ok());
    let period = period.ok_or_else(|| wrong(key, of, expected, r#""5m""#))?;
    let anchor = anchor.ok_or_else(|| missing("schedule.anchor", AN_INSTANT, INSTANT))?;
    let anchor = instant("schedule.anchor", anchor)?;
    // The anchor is right by now.
    Ok(Schedule::Every(Every::new(period, anchor).map_err(|_| wrong(key, of, expected, r#""5m""#))?))
}

fn daily(of: &Value, zone: &TimeZone) -> Result<Schedule, String> {
    let key = "schedule.daily";
    let fields = object(key, of, r#"{"at": "02:30"}"#)?;
    only(key, fields, &["at"])?;
    Ok(Schedule::Daily { at: time("schedule.daily.at", fields.get("at"))?, zone: zone.clone() })
}

fn weekly(of: &Value, zone: &TimeZone) -> Result<Schedule, String> {
    let (key, expected) = ("schedule.weekly.on", format!("a list of {}", Weekday::WORDS.join(", ")));
    let example = r#"["mon", "fri"]"#;
    let fields = object("schedule.weekly", of, WEEKLY)?;
    only("schedule.weekly", fields, &["at", "on"])?;
    let at = time("schedule.weekly.at", fields.get("at"))?;
    let found = fields.get("on").ok_or_else(|| missing(key, &expected, example))?;
    let days = found.as_array().map(|days| days.iter().map(weekday).collect::<Option<Vec<_>>>());
    let on = days.flatten().and_then(|days| Weekdays::new(days).ok());
    let on = on.ok_or_else(|| wrong(key, found, &expected, example))?;
    Ok(Schedule::Weekly { on, at, zone: zone.clone() })
}

fn weekday(day: &Value) -> Option<Weekday> {
    day.as_str()?.parse().ok()
}

fn monthly(of: &Value, zone: &TimeZone) -> Result<Schedule, String> {
    let (key, expected) = ("schedule.monthly.day", r#"1 to 31, or "last""#);
    let fields = object("schedule.monthly", of, MONTHLY)?;
    only("schedule.monthly", fields, &["at", "day"])?;
    let at = time("schedule.monthly.at", fields.get("at"))?;
    let found = fields.get("day").ok_or_else(|| missing(key, expected, "31"))?;
    let day = match found.as_str() {
        Some("last") => Some(MonthDay::LAST),
        _ => number(found).and_then(|day| MonthDay::new(day).ok()),
    };
    let day = day.ok_or_else(|| wrong(key, found, expected, "31"))?;
    Ok(Schedule::Monthly { day, at, zone: zone.clone() })
}

fn number(value: &Value) -> Option<u8> {
    value.as_u64().and_then(|number| u8::try_from(number).ok())
}

/// A time of the wall clock: `HH:MM` or `HH:MM:SS`.
fn time(key: &str, found: Option<&Value>) -> Result<Time, String> {
    let (expected, example) = ("00:00 to 23:59, with seconds or without", r#""02:30""#);
    let found = found.ok_or_else(|| missing(key, expected, example))?;
    found.as_str().and_then(read_time).ok_or_else(|| wrong(key, found, expected, example))
}

fn read_time(text: &str) -> Option<Time> {
    let two_digits = |part: &str| {
        let part = if part.len() == 2 { part.strip_prefix('0').unwrap_or(part) } else { "" };
        exact::<i8>(part).filter(|number| *number >= 0)
    };
    let parts: Vec<i8> = text.split(':').map(two_digits).collect::<Option<_>>()?;
    match parts[..] {
        [hour, minute] => Time::new(hour, minute, 0, 0).ok(),
        [hour, minute, second] => Time::new(hour, minute, second, 0).ok(),
        _ => None,
    }
}

fn instant(key: &str, found: &Value) -> Result<Timestamp, String> {
    let at = found.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let whole = at.filter(|at| whole_milliseconds(*at).is_some());
    whole.ok_or_else(|| wrong(key, found, AN_INSTANT, INSTANT))
}

fn object<'a>(key: &str, value: &'a Value, example: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| wrong(key, value, "an object", example))
}

/// That there are no other keys.
fn only(key: &str, fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let Some(other) = fields.keys().find(|field| !known.contains(&field.as_str())) else { return Ok(()) };
    let expected = known.join(" and ");
    let fix = match nearest(other, known.iter().copied()).filter(|known| !fields.contains_key(*known)) {
        Some(known) => format!("did you mean {known:?}?"),
        None => format!("leave out {}", shown_key(other)),
    };
    Err(format!("{key}: found the key {}, expected {expected} alone; {fix}", shown_key(other)))
}

fn unknown_kind(fields: &Map<String, Value>) -> String {
    let found =
        fields.keys().next().map_or_else(|| "no key".to_owned(), |key| format!("the key {}", shown_key(key)));
    let meant = fields.keys().find_map(|key| nearest(key, KINDS));
    let fix = meant.map_or_else(|| format!("for example {DAILY}"), |kind| format!("did you mean {kind:?}?"));
    format!("schedule: found {found}, expected one of {}; {fix}", KINDS.join(", "))
}

fn wrong(key: &str, found: &Value, expected: &str, example: &str) -> String {
    format!("{key}: found {}, expected {expected}; for example {example}", shown(found))
}

fn missing(key: &str, expected: &str, example: &str) -> String {
    format!("{key}: found nothing, expected {expected}; for example {example}")
}

/// A value as it is shown in a message.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.chars().count() {
        length if length > SHOWN => format!("a value of {length} characters"),
        _ => text,
    }
}

fn shown_key(key: &str) -> String {
    shown(&json!(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Schedule, String> {
        Schedule::from_json(text, &TimeZone::UTC, 7)
    }

    #[test]
    fn each_kind_is_written_as_it_is_read() {
        for text in [
            r#"{"cron":"*/5 * * * *"}"#,
            r#"{"cron":"*/5 0 2 * * *"}"#,
            r#"{"cron":"@daily"}"#,
            r#"{"cron":"0~59 2 * * *"}"#,
            r#"{"cron":"@reboot"}"#,
            r#"{"every":"5m","anchor":"2026-11-27T00:00:00Z"}"#,
            r#"{"every":"1s1ms","anchor":"2026-11-27T00:00:00.001Z"}"#,
            r#"{"every":"8784h","anchor":"1969-11-27T00:00:00Z"}"#,
            r#"{"daily":{"at":"02:30"}}"#,
            r#"{"daily":{"at":"23:59:59"}}"#,
            r#"{"weekly":{"at":"02:30","on":["mon","fri"]}}"#,
            r#"{"monthly":{"at":"00:00","day":31}}"#,
            r#"{"monthly":{"at":"00:00","day":"last"}}"#,
            r#"{"once":"2026-11-27T00:00:00.5Z"}"#,
        ] {
            let schedule = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(schedule.to_json(), text);
            assert_eq!(read(&schedule.to_json()), Ok(schedule), "{text}");
        }
    }

    #[test]
    fn the_zone_and_the_seed_stand_beside_it() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, zone) in [
            (r#"{"cron":"0 0 * * *"}"#, Some(&berlin)),
            (r#"{"daily":{"at":"02:30"}}"#, Some(&berlin)),
            (r#"{"weekly":{"on":["sun"],"at":"02:30"}}"#, Some(&berlin)),
            (r#"{"monthly":{"day":1,"at":"02:30"}}"#, Some(&berlin)),
            (r#"{"every":"5m","anchor":"2026-11-27T01:00:00+01:00"}"#, None),
            (r#"{"once":"2026-11-27T01:00:00+01:00"}"#, None),
        ] {
            assert_eq!(Schedule::from_json(text, &berlin, 0).unwrap().zone(), zone, "{text}");
        }
        let random = |seed| Schedule::from_json(r#"{"cron":"0~59 * * * *"}"#, &berlin, seed).unwrap();
        assert_eq!(random(1), random(1));
        assert_ne!(random(1), random(2));
    }

    #[test]
    fn mistakes_name_the_key_the_value_and_what_to_write() {
        let long = format!(r#"{{"cron":"{}"}}"#, "9".repeat(1_000));
        for (text, said) in [
            ("", "schedule: found text that is no JSON ("),
            ("5", r#"schedule: found 5, expected an object; for example {"daily": {"at": "02:30"}}"#),
            (
                "{}",
                "schedule: found no key, expected one of cron, every, daily, weekly, monthly, once; for example",
            ),
            (
                r#"{"dayly":{}}"#,
                r#"schedule: found the key "dayly", expected one of cron, every, daily, weekly, monthly, once; did you mean "daily"?"#,
            ),
            (r#"{"cron":"* * * * *","cron":"0 0 * * *"}"#, r#"the field "cron" is given twice"#),
            (
                r#"{"cron":"* * * * *","zone":"UTC"}"#,
                r#"schedule: found the key "zone", expected cron alone; leave out "zone""#,
            ),
            (
                r#"{"cron":"61 * * * *"}"#,
                r#"schedule.cron: in "61 * * * *", minute: found 61, expected 0 to 59; fix: 59"#,
            ),
            (r#"{"cron":5}"#, r#"schedule.cron: found 5, expected an expression; for example "*/5 * * * *""#),
            (&long, "schedule.cron: in a value of 1002 characters, found 1 fields"),
            (
                r#"{"every":5,"anchor":"2026-11-27T00:00:00Z"}"#,
                r#"schedule.every: found 5, expected 1s to 366d in whole milliseconds, as text; for example "5m""#,
            ),
            (
                r#"{"every":"999ms","anchor":"2026-11-27T00:00:00Z"}"#,
                r#"schedule.every: found "999ms", expected 1s"#,
            ),
            (
                r#"{"every":"5m"}"#,
                r#"schedule.anchor: found nothing, expected an instant in whole milliseconds with its offset; for example "2026-11-27T00:00:00Z""#,
            ),
            (
                r#"{"every":"5m","ancor":"2026-11-27T00:00:00Z"}"#,
                r#"schedule: found the key "ancor", expected every and anchor alone; did you mean "anchor"?"#,
            ),
            (
                r#"{"every":"5m","anchor":"2026-11-27"}"#,
                r#"schedule.anchor: found "2026-11-27", expected an instant"#,
            ),
            (
                r#"{"daily":"02:30"}"#,
                r#"schedule.daily: found "02:30", expected an object; for example {"at": "02:30"}"#,
            ),
            (r#"{"daily":{}}"#, "schedule.daily.at: found nothing, expected 00:00 to 23:59"),
            (
                r#"{"daily":{"at":"24:00"}}"#,
                r#"schedule.daily.at: found "24:00", expected 00:00 to 23:59, with seconds or without; for example "02:30""#,
            ),
            (r#"{"daily":{"at":"2:30"}}"#, r#"schedule.daily.at: found "2:30""#),
            (r#"{"daily":{"at":"02:30:60"}}"#, r#"schedule.daily.at: found "02:30:60""#),
            (r#"{"daily":{"at":"-1:30"}}"#, r#"schedule.daily.at: found "-1:30""#),
            (
                r#"{"weekly":{"at":"02:30","on":[]}}"#,
                r#"schedule.weekly.on: found [], expected a list of sun, mon, tue, wed, thu, fri, sat; for example ["mon", "fri"]"#,
            ),
            (r#"{"weekly":{"at":"02:30","on":["monday"]}}"#, r#"schedule.weekly.on: found ["monday"]"#),
            (r#"{"weekly":{"at":"02:30"}}"#, "schedule.weekly.on: found nothing"),
            (
                r#"{"monthly":{"at":"02:30","day":32}}"#,
                r#"schedule.monthly.day: found 32, expected 1 to 31, or "last"; for example 31"#,
            ),
            (r#"{"monthly":{"at":"02:30","day":"Last"}}"#, r#"schedule.monthly.day: found "Last""#),
            (
                r#"{"monthly":{"at":"02:30","on":"mon"}}"#,
                r#"schedule.monthly: found the key "on", expected at and day alone"#,
            ),
            (
                r#"{"once":"2026-11-27T00:00:00.0001Z"}"#,
                r#"schedule.once: found "2026-11-27T00:00:00.0001Z", expected an instant in whole milliseconds"#,
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
