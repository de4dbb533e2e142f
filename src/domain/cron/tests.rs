use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;

fn cron(text: &str) -> CronExpr {
    CronExpr::parse(text, CronDialect::Debian, 0).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn six(text: &str) -> CronExpr {
    CronExpr::parse(text, CronDialect::Scheduler, 0).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The times after `from`, as minutes of the zone's clock with its offset.
fn times(expr: &CronExpr, zone: &str, from: &str, count: usize) -> Vec<String> {
    let zone = TimeZone::get(zone).unwrap();
    let mut at: Timestamp = from.parse().unwrap();
    let mut found = Vec::new();
    for _ in 0..count {
        let Some(next) = expr.next_after(at, &zone) else { break };
        assert!(next.at > at, "{expr} after {at} gave {}", next.at);
        at = next.at;
        found.push(at.to_zoned(zone.clone()).strftime("%m-%d %H:%M%:z").to_string());
    }
    found
}

#[test]
fn fields_become_sets() {
    use Field::{DayOfMonth, DayOfWeek, Hour, Minute, Month};
    let cases: [(&str, Field, &[u8]); 14] = [
        ("0 0 * * 7", DayOfWeek, &[0]),
        ("0 0 * * 5-7", DayOfWeek, &[0, 5, 6]),
        ("0 0 * * 0-7/2", DayOfWeek, &[0, 2, 4, 6]),
        ("0 0 * * mon-fri/2", DayOfWeek, &[1, 3, 5]),
        ("0 0 * * Sun,6", DayOfWeek, &[0, 6]),
        ("*/61 * * * *", Minute, &[0]),
        ("1-59/20,0 * * * *", Minute, &[0, 1, 21, 41]),
        ("00005 * * * *", Minute, &[5]),
        ("10-10 * * * *", Minute, &[10]),
        ("0 22-23,0-2 * * *", Hour, &[0, 1, 2, 22, 23]),
        ("0 0 */10 * *", DayOfMonth, &[1, 11, 21, 31]),
        ("0 0 1 JAN,mar-MAY *", Month, &[1, 3, 4, 5]),
        ("@yearly", Month, &[1]),
        ("@weekly", DayOfWeek, &[0]),
    ];
    for (text, field, values) in cases {
        assert_eq!(cron(text).values(field), values, "{text}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    use CronErrorKind as Kind;
    let cases: [(&str, Kind, std::ops::Range<usize>, &str); 22] = [
        ("61 * * * *", Kind::Field, 0..2, "59"),
        ("0 24 * * *", Kind::Field, 2..4, "23"),
        ("0 0 0 * *", Kind::Field, 4..5, "1"),
        ("0 0 * * 8", Kind::Field, 8..9, "7"),
        ("5/15 * * * *", Kind::Field, 0..4, "5-59/15"),
        ("*/0 * * * *", Kind::Field, 2..3, "*"),
        ("0, 2 * * *", Kind::Field, 2..2, "0"),
        (",0 2 * * *", Kind::Field, 0..0, "0"),
        ("0 0 L * *", Kind::Field, 4..5, "1"),
        ("0 0 ? * 1", Kind::Field, 4..5, "1"),
        ("-1 * * * *", Kind::Field, 0..0, "0"),
        ("0 0 * * MONDAY", Kind::Field, 8..14, "mon"),
        ("0 22-2 * * *", Kind::Misread, 2..6, "22-23,0-2"),
        ("0 0 * * FRI-MON", Kind::Misread, 8..15, "FRI-6,0-MON"),
        ("*-5 * * * *", Kind::Misread, 0..3, "*"),
        ("0~10 * * * *", Kind::Misread, 0..4, "0"),
        ("1.5 * * * *", Kind::Misread, 0..3, "1"),
        ("4294967301 * * * *", Kind::Misread, 0..10, "59"),
        ("0 2 * *", Kind::FieldCount, 0..7, "0 2 * * *"),
        ("@every 30s", Kind::Nickname, 0..10, "use the five fields, for example */5 * * * *"),
        ("@DAILY", Kind::Nickname, 0..6, "@daily"),
        ("0 0 30 2 *", Kind::NeverFires, 4..6, "0 0 28 2 *"),
    ];
    for (text, kind, at, fix) in cases {
        let error = CronExpr::parse(text, CronDialect::Debian, 0).expect_err(text);
        assert_eq!((error.kind, error.at.clone(), error.fix.as_str()), (kind, at, fix), "{text}: {error}");
        assert!(!error.found.is_empty() && !error.expected.is_empty(), "{text}");
    }
}

#[test]
fn only_months_length_makes_a_day_impossible() {
    for (text, fires) in [
        ("0 0 31 4,6,9,11 *", false),
        ("0 0 31 4,5 *", true),
        ("0 0 29 2 *", true),
        ("0 0 30 2 mon", true),
        ("0 0 29 2 */6", true),
        ("0 0 31 2 */2", false),
    ] {
        assert_eq!(CronExpr::parse(text, CronDialect::Debian, 0).is_ok(), fires, "{text}");
    }
    // 29 February on a Sunday: 2032, then 2060.
    let rare = times(&cron("0 0 29 2 */7"), "UTC", "2026-01-01T00:00:00Z", 1);
    assert_eq!(rare, ["02-29 00:00+00:00"]);
}

#[test]
fn days_match_by_either_unless_one_begins_with_a_star() {
    let either = times(&cron("0 0 13 * 5"), "UTC", "2026-11-01T00:00:00Z", 3);
    assert_eq!(either, ["11-06 00:00+00:00", "11-13 00:00+00:00", "11-20 00:00+00:00"]);
    let both = times(&cron("0 0 */2 * 5"), "UTC", "2026-11-01T00:00:00Z", 3);
    assert_eq!(both, ["11-13 00:00+00:00", "11-27 00:00+00:00", "12-11 00:00+00:00"]);
    let every = times(&cron("0 0 1-31 * 5"), "UTC", "2026-11-01T00:00:00Z", 2);
    assert_eq!(every, ["11-02 00:00+00:00", "11-03 00:00+00:00"]);
}

#[test]
fn gaps_are_as_in_debians_cron() {
    let ny = ("America/New_York", "2026-03-08T05:40:00Z");
    for (text, (zone, from), expected) in [
        ("30 2 * * *", ny, "03-08 03:00-04:00"),
        ("*/15 2 * * *", ny, "03-09 02:00-04:00"),
        ("0 */2 * * *", ny, "03-08 04:00-04:00"),
        ("15 2 * * *", ("Australia/Lord_Howe", "2026-10-03T14:00:00Z"), "10-04 02:30+11:00"),
        ("0 0 * * *", ("Africa/Cairo", "2026-04-23T20:00:00Z"), "04-24 01:00+03:00"),
        ("0 0 * * *", ("America/Sao_Paulo", "2018-11-04T02:00:00Z"), "11-04 01:00-02:00"),
        ("30 1 * * *", ("Antarctica/Troll", "2026-03-29T00:00:00Z"), "03-29 03:00+02:00"),
        // A day that the calendar does not have is more than three hours: nothing is caught up.
        ("0 9 * * *", ("Pacific/Apia", "2011-12-29T20:00:00Z"), "12-31 09:00+14:00"),
    ] {
        assert_eq!(times(&cron(text), zone, from, 1), [expected], "{text} {zone}");
    }
    // The real cron starts this twice at 03:00, for 02:00 and for 03:00.
    let twice = times(&cron("0 1-3 * * *"), ny.0, ny.1, 3);
    assert_eq!(twice, ["03-08 01:00-05:00", "03-08 03:00-04:00", "03-09 01:00-04:00"]);
}

#[test]
fn overlaps_are_as_in_debians_cron() {
    let (zone, from) = ("America/New_York", "2026-11-01T04:40:00Z");
    for (text, expected) in [
        ("30 1 * * *", vec!["11-01 01:30-04:00", "11-02 01:30-05:00"]),
        ("0,30 1 * * *", vec!["11-01 01:00-04:00", "11-01 01:30-04:00", "11-02 01:00-05:00"]),
        ("30 * * * *", vec!["11-01 01:30-04:00", "11-01 01:30-05:00", "11-01 02:30-05:00"]),
        (
            "*/30 1 * * *",
            vec!["11-01 01:00-04:00", "11-01 01:30-04:00", "11-01 01:00-05:00", "11-01 01:30-05:00"],
        ),
        ("0 1-3 * * *", vec!["11-01 01:00-04:00", "11-01 02:00-05:00", "11-01 03:00-05:00"]),
        ("30 0 * * *", vec!["11-02 00:30-05:00"]),
    ] {
        assert_eq!(times(&cron(text), zone, from, expected.len()), expected, "{text}");
    }
    // From within the second coming, what is fixed is over and what follows the clock goes on.
    let second = "2026-11-01T06:15:00Z";
    assert_eq!(times(&cron("30 1 * * *"), zone, second, 1), ["11-02 01:30-05:00"]);
    assert_eq!(times(&cron("*/30 1 * * *"), zone, second, 1), ["11-01 01:30-05:00"]);
}

#[test]
fn occurrences_tell_what_the_clocks_did() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let next = |text: &str, from: &str| cron(text).next_after(from.parse().unwrap(), &zone).unwrap().dst;
    assert_eq!(
        next("30 2 * * *", "2026-03-08T05:00:00Z"),
        Dst::AfterGap { wanted: "2026-03-08T02:30".parse().unwrap() }
    );
    assert_eq!(next("30 1 * * *", "2026-11-01T05:00:00Z"), Dst::First);
    assert_eq!(next("30 * * * *", "2026-11-01T06:00:00Z"), Dst::Second);
    assert_eq!(next("30 4 * * *", "2026-11-01T05:00:00Z"), Dst::Plain);
}

#[test]
fn six_fields_have_seconds_first() {
    assert_eq!(times(&six("0 0 2 * * *"), "UTC", "2026-11-01T02:00:00Z", 1), ["11-02 02:00+00:00"]);
    let zone = TimeZone::UTC;
    let expr = six("*/20 30 2 * * *");
    let mut at: Timestamp = "2026-11-01T02:30:20Z".parse().unwrap();
    for expected in ["2026-11-01T02:30:40Z", "2026-11-02T02:30:00Z"] {
        at = expr.next_after(at, &zone).unwrap().at;
        assert_eq!(at.to_string(), expected);
    }
    assert!(expr.follows_clock() && expr.has_seconds());
}

#[test]
fn random_values_stay_and_differ_by_seed() {
    let pick =
        |seed| CronExpr::parse("10~20 * * * *", CronDialect::Scheduler, seed).unwrap().values(Field::Minute);
    assert_eq!(pick(1), pick(1));
    let picks: std::collections::BTreeSet<Vec<u8>> = (0..50).map(pick).collect();
    assert!(picks.len() > 5 && picks.iter().all(|pick| pick.len() == 1 && (10..=20).contains(&pick[0])));
}

#[test]
fn the_end_of_the_calendar_ends_the_search() {
    let end = "9999-12-30T21:59:59Z".parse().unwrap();
    assert_eq!(cron("0 0 1 1 *").next_after(end, &TimeZone::UTC), None);
}

#[test]
fn sentences_say_what_cron_does() {
    for (text, sentence) in [
        ("0 * * * *", "at minute 0 of every hour"),
        ("*/15 * * * *", "every 15 minutes"),
        ("* * * * *", "every minute"),
        ("30 2 * * *", "at 02:30, every day"),
        ("0 9,18 * * 1-5", "at 09:00 and 18:00, on Monday to Friday"),
        ("0 0 13 * 5", "at 00:00, on day 13 of the month and also on every Friday"),
        (
            "0 0 */2 * 5",
            "at 00:00, on day 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month if it is Friday",
        ),
        ("0 0 1 1 *", "at 00:00, on day 1 of the month, in January"),
        ("*/5 8-17 * * *", "every 5 minutes of hour 8 to 17"),
        ("0 */2 * * *", "at minute 0 of every 2 hours"),
        ("0 0 1-31 * 5", "at 00:00, every day"),
    ] {
        assert_eq!(cron(text).describe(), sentence, "{text}");
    }
    assert_eq!(six("*/10 * * * * *").describe(), "every 10 seconds, every minute");
}
