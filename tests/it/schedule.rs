//! The next time against a walk over every minute, windows against a walk from one time to the next, and reading against
//! printing.
//!
//! The walk keeps the minute that it has served last and compares it with the wall clock, as Debian's cron does; it
//! shares neither the sets nor the search with the program.

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use qs_scheduler::domain::cron::{CronDialect, CronExpr, Dst};
use qs_scheduler::domain::schedule::Schedule;

/// Zones with gaps and overlaps of all kinds.
const ZONES: [&str; 12] = [
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Asia/Shanghai",
    "Asia/Tehran",
    "Pacific/Apia",
    "America/Caracas",
    "UTC",
];

/// One member of a field's list.
#[derive(Clone, Debug)]
enum Part {
    Star(Option<u8>),
    One(u8),
    Range(u8, u8, Option<u8>),
}

/// A field with its bounds.
#[derive(Clone, Debug)]
struct Field {
    low: u8,
    high: u8,
    parts: Vec<Part>,
}

impl Field {
    fn text(&self) -> String {
        let step = |step: &Option<u8>| step.map(|step| format!("/{step}")).unwrap_or_default();
        let parts = self.parts.iter().map(|part| match part {
            Part::Star(by) => format!("*{}", step(by)),
            Part::One(value) => value.to_string(),
            Part::Range(from, to, by) => format!("{from}-{to}{}", step(by)),
        });
        parts.collect::<Vec<_>>().join(",")
    }

    fn has(&self, value: u8) -> bool {
        let by = |from: u8, to: u8, step: &Option<u8>, value: u8| {
            (from..=to).contains(&value) && (value - from).is_multiple_of(step.unwrap_or(1))
        };
        self.parts.iter().any(|part| match part {
            Part::Star(step) => by(self.low, self.high, step, value),
            Part::One(one) => *one == value,
            Part::Range(from, to, step) => by(*from, *to, step, value),
        })
    }

    fn star(&self) -> bool {
        self.text().starts_with('*')
    }
}

/// Five fields; days of the week are 0 to 7.
#[derive(Clone, Debug)]
struct Rule([Field; 5]);

impl Rule {
    fn text(&self) -> String {
        self.0.iter().map(Field::text).collect::<Vec<_>>().join(" ")
    }

    fn follows_clock(&self) -> bool {
        self.0[0].star() || self.0[1].star()
    }

    /// Whether it names a minute of the wall clock, counted from 1970.
    fn names(&self, minute: i64) -> bool {
        let local = Timestamp::from_second(minute * 60).unwrap().to_zoned(TimeZone::UTC);
        let [minutes, hours, days, months, weekdays] = &self.0;
        let number = |value: i8| u8::try_from(value).unwrap();
        let weekday = number(local.weekday().to_sunday_zero_offset());
        let day = days.has(number(local.day()));
        let by_weekday = weekdays.has(weekday) || (weekday == 0 && weekdays.has(7));
        minutes.has(number(local.minute()))
            && hours.has(number(local.hour()))
            && months.has(number(local.month()))
            && if days.star() || weekdays.star() { day && by_weekday } else { day || by_weekday }
    }

    /// Walks the minutes from `from` for `count` minutes; each in which something starts once.
    fn walk(&self, zone: &TimeZone, from: Timestamp, count: i64) -> BTreeSet<Timestamp> {
        let wild = self.follows_clock();
        let clock = |at: Timestamp| (at.as_second() + i64::from(zone.to_offset(at).seconds())).div_euclid(60);
        let mut started = BTreeSet::new();
        // It has been running for a while.
        let lead = 300;
        let mut served = clock(from - SignedDuration::from_mins(lead + 1));
        for minute in -lead..count {
            let at = from + SignedDuration::from_mins(minute);
            let now = clock(at);
            let jump = now - served;
            let starts = match jump {
                // The next minute, or a clock that was a little late: every minute in between.
                1..=5 => {
                    let late = (served + 1..=now).any(|minute| self.names(minute));
                    served = now;
                    late
                }
                // Forward: what follows the clock as it is now; what is fixed, also for the minutes that were skipped.
                6..=180 => {
                    let starts = if wild {
                        self.names(now)
                    } else {
                        (served + 1..=now).any(|minute| self.names(minute))
                    };
                    served = now;
                    starts
                }
                // Back: what is fixed waits until the clock is where it was.
                -179..=0 => wild && self.names(now),
                _ => {
                    served = now;
                    self.names(now)
                }
            };
            if starts && minute >= 0 {
                started.insert(at);
            }
        }
        started
    }
}

fn field(low: u8, high: u8) -> impl Strategy<Value = Field> {
    let value = low..=high;
    let step = prop_oneof![3 => Just(None), 1 => (1..=high).prop_map(Some)];
    let part = prop_oneof![
        1 => step.clone().prop_map(Part::Star),
        3 => value.clone().prop_map(Part::One),
        2 => (value.clone(), value, step).prop_map(|(a, b, step)| Part::Range(a.min(b), a.max(b), step)),
    ];
    let every = Just(vec![Part::Star(None)]);
    prop_oneof![2 => every, 3 => prop::collection::vec(part, 1..4)].prop_map(move |parts| Field {
        low,
        high,
        parts,
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
        .prop_map(|(minute, hour, day, month, weekday)| Rule([minute, hour, day, month, weekday]))
}

/// A zone and a minute: of any day between 2000 and 2036, or shortly before a change of the clocks.
fn window() -> impl Strategy<Value = (&'static str, i64)> {
    let minutes = 15_778_080..35_000_000_i64;
    (prop::sample::select(&ZONES[..]), minutes, any::<bool>(), 0..600_i64).prop_map(
        |(zone, minute, near, ahead)| {
            let at = Timestamp::from_second(minute * 60).unwrap();
            let zone_of = TimeZone::get(zone).unwrap();
            let change = near.then(|| zone_of.following(at).next()).flatten();
            (zone, change.map_or(minute, |change| change.timestamp().as_second().div_euclid(60) - ahead))
        },
    )
}

#[test]
fn the_next_time_is_what_a_walk_over_every_minute_finds() {
    let mut runner = TestRunner::new(Config { cases: 3_000, failure_persistence: None, ..Config::default() });
    let mut found = 0;
    let hits = std::cell::Cell::new(0_usize);
    let result = runner.run(&(rule(), window()), |(rule, (zone, minute))| {
        let Ok(expr) = CronExpr::parse(&rule.text(), CronDialect::Debian, 0) else { return Ok(()) };
        let zone = TimeZone::get(zone).unwrap();
        let from = Timestamp::from_second(minute * 60).unwrap();
        let count = 26 * 60;
        let walked = rule.walk(&zone, from, count);
        let end = from + SignedDuration::from_mins(count);
        let mut at = from - SignedDuration::from_secs(1);
        let mut ours = BTreeSet::new();
        while let Some(next) = expr.next_after(at, &zone).filter(|next| next.at < end) {
            prop_assert!(next.at > at);
            at = next.at;
            ours.insert(at);
        }
        hits.set(hits.get() + ours.len());
        let mut told = String::new();
        write!(told, "{} in {:?} from {from}", rule.text(), zone.iana_name()).unwrap();
        prop_assert_eq!(ours, walked, "{}", told);
        Ok(())
    });
    found += hits.get();
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(found > 10_000, "{found}");
}

#[test]
fn any_instant_may_be_asked_for() {
    // A search that starts between two minutes, or within an overlap, finds the same as one that has come there.
    let mut runner = TestRunner::new(Config { cases: 1_000, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(rule(), window(), 0..86_400_i64), |(rule, (zone, minute), seconds)| {
        let Ok(expr) = CronExpr::parse(&rule.text(), CronDialect::Debian, 0) else { return Ok(()) };
        let zone = TimeZone::get(zone).unwrap();
        let from = Timestamp::from_second(minute * 60).unwrap();
        let asked = from + SignedDuration::from_secs(seconds);
        let mut at = from;
        let mut walked = expr.next_after(at, &zone);
        while let Some(next) = walked.filter(|next| next.at <= asked) {
            at = next.at;
            walked = expr.next_after(at, &zone);
        }
        prop_assert_eq!(expr.next_after(asked, &zone), walked, "{} {} {}", rule.text(), asked, at);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_printed_reads_the_same() {
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let blank = prop::sample::select(vec![" ", "\t", "  "]);
    let result = runner.run(&(rule(), blank), |(rule, blank)| {
        let text = rule.0.iter().map(Field::text).collect::<Vec<_>>().join(blank);
        let Ok(expr) = CronExpr::parse(&text, CronDialect::Debian, 0) else { return Ok(()) };
        let printed = expr.to_string();
        let again = CronExpr::parse(&printed, CronDialect::Debian, 0).unwrap();
        prop_assert_eq!(&again, &expr);
        prop_assert_eq!(again.to_string(), printed);
        prop_assert!(!expr.describe().is_empty());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Where `croner` does as cron does: it differs in days of which one begins with `*` and both say something, in lists
/// and ranges at overlaps, where a day is missing, and in expressions that are accepted here or there alone.
#[test]
fn croner_finds_the_same_on_ordinary_days() {
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let compared = std::cell::Cell::new(0_usize);
    let result = runner.run(&(rule(), window()), |(rule, (zone, minute))| {
        let zone_of = TimeZone::get(zone).unwrap();
        let from = Timestamp::from_second(minute * 60).unwrap();
        let Ok(expr) = CronExpr::parse(&rule.text(), CronDialect::Debian, 0) else { return Ok(()) };
        let Ok(theirs) = rule.text().parse::<croner::Cron>() else { return Ok(()) };
        let starred = |field: &Field| field.star() && field.text() != "*";
        if starred(&rule.0[2]) || starred(&rule.0[4]) || expr.either_day() != expr.day_or_weekday() {
            return Ok(());
        }
        let Some(ours) = expr.next_after(from, &zone_of) else { return Ok(()) };
        let overlap = |at: Timestamp| zone_of.to_ambiguous_timestamp(zone_of.to_datetime(at)).is_ambiguous();
        if ours.dst != Dst::Plain || overlap(from) || zone == "Pacific/Apia" {
            return Ok(());
        }
        if let Ok(next) = theirs.find_next_occurrence(&from.to_zoned(zone_of.clone()), false) {
            compared.set(compared.get() + 1);
            // A gap or an overlap on the way is where the two may part.
            let changed = zone_of.following(from).next().is_some_and(|change| change.timestamp() <= ours.at);
            prop_assert!(
                next.timestamp() == ours.at || changed,
                "{} {zone} {from}: {next}, {}",
                rule.text(),
                ours.at
            );
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(compared.get() > 500, "{}", compared.get());
}

/// A schedule of any kind as JSON, for a window that begins at this minute.
fn kind(minute: i64) -> impl Strategy<Value = String> {
    let time = (0..24, 0..60, 0..60, any::<bool>()).prop_map(|(hour, minute, second, fine)| {
        if fine { format!("{hour:02}:{minute:02}:{second:02}") } else { format!("{hour:02}:{minute:02}") }
    });
    // Half of the times lie in the hours in which clocks change.
    let time = prop_oneof![time, (0..4, 0..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"))];
    let near = (-200_000..400_000_i64, 0..1_000_i64).prop_map(move |(seconds, millis)| {
        Timestamp::from_millisecond((minute * 60 + seconds) * 1_000 + millis).unwrap()
    });
    let days = prop::sample::subsequence(vec!["sun", "mon", "tue", "wed", "thu", "fri", "sat"], 1..=7);
    let day = prop_oneof![(1..=31_u8).prop_map(|day| day.to_string()), Just(r#""last""#.to_owned())];
    prop_oneof![
        2 => rule().prop_map(|rule| format!(r#"{{"cron":"{}"}}"#, rule.text())),
        2 => (field(0, 59), rule()).prop_map(|(seconds, rule)| {
            format!(r#"{{"cron":"{} {}"}}"#, seconds.text(), rule.text())
        }),
        1 => (1_000..200_000_000, near.clone())
            .prop_map(|(period, anchor)| format!(r#"{{"every":"{period}ms","anchor":"{anchor}"}}"#)),
        1 => time.clone().prop_map(|at| format!(r#"{{"daily":{{"at":"{at}"}}}}"#)),
        1 => (time.clone(), days)
            .prop_map(|(at, on)| format!(r#"{{"weekly":{{"at":"{at}","on":{on:?}}}}}"#)),
        1 => (time, day).prop_map(|(at, day)| format!(r#"{{"monthly":{{"at":"{at}","day":{day}}}}}"#)),
        1 => near.prop_map(|at| format!(r#"{{"once":"{at}"}}"#)),
    ]
}

/// A schedule of any kind and the beginning of a window. Some expressions never fire, and are no schedule.
fn any_schedule() -> impl Strategy<Value = (Option<Schedule>, Timestamp)> {
    let of_window = |(zone, minute): (&'static str, i64)| {
        let zone = TimeZone::get(zone).unwrap();
        let begin = (0..60_000_000_000_i64).prop_map(move |nanos| {
            Timestamp::from_second(minute * 60).unwrap() + SignedDuration::from_nanos(nanos)
        });
        (kind(minute).prop_map(move |text| Schedule::from_json(&text, &zone, 0).ok()), begin)
    };
    window().prop_flat_map(of_window)
}

#[test]
fn a_window_has_what_a_walk_finds_in_it() {
    let mut runner = TestRunner::new(Config { cases: 2_500, failure_persistence: None, ..Config::default() });
    let lengths = prop_oneof![0..7_200_i64, 0..200_000_i64, 0..100_000_000_i64];
    let found = std::cell::Cell::new(0_usize);
    let strategy = (any_schedule(), lengths, 0..1_000_000_000_i64, 0..=40_usize);
    let result = runner.run(&strategy, |((schedule, after), seconds, nanos, most)| {
        let Some(schedule) = schedule else { return Ok(()) };
        let mut through = after + SignedDuration::from_secs(seconds) + SignedDuration::from_nanos(nanos);
        let within = |through| schedule.after(after).map(|next| next.at).take_while(move |at| *at <= through);
        let walked: Vec<Timestamp> = within(through).take(800).collect();
        if walked.len() == 800 {
            through = walked[799];
        }
        found.set(found.get() + walked.len());
        let told = || format!("{schedule} in {:?}, {after} to {through}", schedule.zone());
        prop_assert_eq!(schedule.count(after, through), walked.len() as u64, "{}", told());
        prop_assert_eq!(schedule.first(after, through), walked.first().copied(), "{}", told());
        prop_assert_eq!(schedule.last(after, through), walked.last().copied(), "{}", told());
        let latest = &walked[walked.len().saturating_sub(most)..];
        prop_assert_eq!(schedule.latest(after, through, most), latest, "{}", told());
        prop_assert_eq!(schedule.latest(after, through, usize::MAX), &walked[..], "{}", told());
        prop_assert!(schedule.walk(after, through).eq(walked.iter().copied()), "{}", told());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(found.get() > 100_000, "{}", found.get());
}

#[test]
fn the_last_change_of_a_zone_file_doubles_nothing() {
    for zone in ZONES {
        let zone = TimeZone::get(zone).unwrap();
        let daily = Schedule::Daily { at: jiff::civil::time(0, 0, 0, 0), zone };
        let (after, through): (Timestamp, Timestamp) =
            ("2036-03-27T23:08:00Z".parse().unwrap(), "2040-06-05T13:30:00Z".parse().unwrap());
        let walked = daily.after(after).take_while(|next| next.at <= through).count();
        assert_eq!(daily.count(after, through), walked as u64, "{daily} in {:?}", daily.zone());
    }
}

#[test]
fn two_windows_have_what_one_has() {
    let mut runner = TestRunner::new(Config { cases: 2_500, failure_persistence: None, ..Config::default() });
    let parts = (0..600_000_000_000_i64, 0..=1_000_i64);
    let result = runner.run(&(any_schedule(), parts), |((schedule, after), (millis, cut))| {
        let Some(schedule) = schedule else { return Ok(()) };
        let later = |millis| after + SignedDuration::from_millis(millis);
        // Twenty years at most; the cut is near a change of the clocks in a part of them.
        let (through, middle) = (later(millis), later(millis / 1_000 * cut));
        let change = schedule.zone().and_then(|zone| zone.following(middle).next());
        let near = change.map(|change| change.timestamp() + SignedDuration::from_millis(cut * 4_000));
        let middle = near.filter(|near| *near < through && cut % 2 == 0).unwrap_or(middle);
        let whole = schedule.count(after, through);
        let (before, behind) = (schedule.count(after, middle), schedule.count(middle, through));
        let told = || format!("{schedule} in {:?}, {after}, {middle}, {through}", schedule.zone());
        prop_assert_eq!(whole, before + behind, "{}", told());
        let last = schedule.last(middle, through).or_else(|| schedule.last(after, middle));
        prop_assert_eq!(schedule.last(after, through), last, "{}", told());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_stored_reads_the_same() {
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let read = std::cell::Cell::new(0_usize);
    let result = runner.run(&any_schedule(), |(schedule, _)| {
        let Some(schedule) = schedule else { return Ok(()) };
        let zone = schedule.zone().cloned().unwrap_or(TimeZone::UTC);
        let again = Schedule::from_json(&schedule.to_json(), &zone, 0);
        prop_assert_eq!(again.as_ref(), Ok(&schedule), "{}", schedule.to_json());
        prop_assert_eq!(again.map(|again| again.to_json()), Ok(schedule.to_json()));
        prop_assert!(!schedule.describe().is_empty() && !schedule.to_string().is_empty());
        read.set(read.get() + 1);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(read.get() > 1_500, "{}", read.get());
}
