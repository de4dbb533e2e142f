//! The names of the keys. Those of counters and events are the ones that existing workers write; the others are ours.

use jiff::civil::Date;

use crate::domain::statistics::{DailyKey, MAX_KEY, StatisticType, Subject, check_key};

/// Random text that is lost with the counters.
pub(super) const GENERATION: &str = "qs:counters:generation";

/// Set of the organisations whose events were counted here.
pub(super) const ORGANISATIONS: &str = "qs:counters:organisations";

/// Every counter begins with it.
const DAILY: &str = "stats:daily:";

/// The organisation whose events are marked without its number, as existing workers do.
const FIRST_ORG: i64 = 1;

/// The most characters of a foreign key that a report shows.
const SHOWN: usize = 120;

/// How many events of this organisation were counted.
pub(super) fn revision(org_id: i64) -> String {
    format!("qs:counters:revision:{org_id}")
}

/// Sorted set: day → revision of the last change of one of its counters.
pub(super) fn touched(org_id: i64) -> String {
    format!("qs:counters:touched:{org_id}")
}

/// Says that this event was counted.
pub(super) fn mark(org_id: i64, event_id: &str) -> String {
    match org_id {
        FIRST_ORG => format!("event:processed:{event_id}"),
        _ => format!("event:processed@{org_id}:{event_id}"),
    }
}

/// The hash of one counter.
pub(super) fn counter(org_id: i64, key: &DailyKey) -> String {
    let DailyKey { subject, date } = key;
    format!("{DAILY}{org_id}:{}:{}:{date}", subject.statistic, subject.key)
}

/// What the keys of all counters of this organisation begin with.
pub(super) fn prefix(org_id: i64) -> String {
    format!("{DAILY}{org_id}:")
}

/// The `MATCH` of every counter of every organisation.
pub(super) fn every_counter() -> String {
    format!("{DAILY}*")
}

/// The organisation of a counter; none when it is not written as this program would write it.
pub(super) fn organisation(key: &[u8]) -> Option<i64> {
    let rest = key.strip_prefix(DAILY.as_bytes())?;
    let text = std::str::from_utf8(rest.split(|byte| *byte == b':').next()?).ok()?;
    text.parse().ok().filter(|org_id: &i64| org_id.to_string() == text)
}

/// The day of a counter: the last characters of its key.
pub(super) fn date(key: &[u8]) -> Result<Date, &'static str> {
    let wrong = "expected a key that ends in :YYYY-MM-DD";
    let [.., b':', y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = key else { return Err(wrong) };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i16, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + i16::from(digit - b'0')).ok_or(wrong)
        })
    };
    let small = |digits: &[u8]| number(digits).and_then(|number| i8::try_from(number).map_err(|_| wrong));
    Date::new(number(&[*y1, *y2, *y3, *y4])?, small(&[*m1, *m2])?, small(&[*d1, *d2])?).map_err(|_| wrong)
}

/// The subject of a counter whose key begins with the prefix and ends in a date. What stands between type and date is
/// the statistic key, which may hold colons itself.
pub(super) fn subject(prefix: &str, key: &[u8]) -> Result<Subject, String> {
    let middle = key.get(prefix.len()..key.len().saturating_sub(":YYYY-MM-DD".len())).unwrap_or_default();
    let text = std::str::from_utf8(middle).map_err(|_| "expected a key of UTF-8 text".to_owned())?;
    let (statistic, key) =
        text.split_once(':').ok_or_else(|| "expected a key that names type, key and day".to_owned())?;
    let statistic: StatisticType =
        statistic.parse().map_err(|_| format!("unknown statistic type {statistic:?}"))?;
    check_key(key, MAX_KEY).map_err(|reason| format!("the statistic key {reason}"))?;
    Ok(Subject { statistic, key: key.to_owned() })
}

/// A key that may be anything, for a report.
pub(super) fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_whatever_stands_in_it() {
        for text in ["a", "a:b", ":", "::2026-01-01", "*?[a-z]\\", "问卷 1", "2026-01-01"] {
            let subject = Subject { statistic: StatisticType::Plan, key: text.to_owned() };
            let key = DailyKey { subject, date: Date::constant(2026, 2, 28) };
            let name = counter(-7, &key);
            assert_eq!(date(name.as_bytes()), Ok(key.date), "{name}");
            assert_eq!(super::subject(&prefix(-7), name.as_bytes()), Ok(key.subject), "{name}");
            assert_eq!(organisation(name.as_bytes()), Some(-7));
        }
    }

    #[test]
    fn what_is_no_counter_is_refused() {
        for day in ["", "2026-01-01", ":2026-02-30", ":2026-1-01", ":20260101", ":+026-01-01", ":2026-01-01 "]
        {
            assert!(date(day.as_bytes()).is_err(), "{day}");
        }
        let long = format!("stats:daily:1:plan:{}:2026-01-01", "x".repeat(256));
        for key in [
            "stats:daily:1:2026-01-01",
            "stats:daily:1:plan:2026-01-01",
            "stats:daily:1:plan::2026-01-01",
            &long,
        ] {
            assert!(subject("stats:daily:1:", key.as_bytes()).is_err(), "{key}");
        }
        for key in ["stats:daily:", "stats:daily:x:", "stats:daily:01:plan:a:2026-01-01", "stats:accum:1:a"] {
            assert_eq!(organisation(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn events_of_the_first_organisation_are_marked_as_workers_do() {
        assert_eq!(mark(1, "a:b"), "event:processed:a:b");
        assert_eq!(mark(12, "a:b"), "event:processed@12:a:b");
    }
}
