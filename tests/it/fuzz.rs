//! Crontabs of arbitrary bytes, and of lines that nearly are right: nothing may panic, and what is said about a file must
//! be about that file. A moment of it in every run of the tests; `make fuzz` goes on for five minutes.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use qs_scheduler::crontab::diff::diff;
use qs_scheduler::crontab::file::{Crontab, Format};
use qs_scheduler::crontab::import::import;
use qs_scheduler::crontab::lint::{Facts, lint};
use qs_scheduler::crontab::render::{self, Options};
use qs_scheduler::domain::cron::{CronDialect, CronExpr};

/// Pieces that lines are made of, right and wrong ones.
const PIECES: [&str; 64] = [
    "*",
    "0",
    "5",
    "59",
    "60",
    "*/5",
    "*/0",
    "1-5",
    "5-1",
    "1,2",
    ",",
    "-",
    "/",
    "~",
    "0~9",
    "mon",
    "SUN",
    "jan",
    "@daily",
    "@reboot",
    "@every",
    "L",
    "?",
    "root",
    "nobody",
    "a.b",
    "/bin/true",
    "/usr/local/bin/qs-api-call",
    "qs-api-call.sh",
    "curl",
    "-d",
    "--data",
    "'{\"a\": 1}'",
    "\"",
    "'",
    "\\",
    "%",
    "\\%",
    "$X",
    "$(x)",
    "`",
    "|",
    ";",
    "&&",
    ">>",
    "2>&1",
    "/api/v1/a",
    "/tmp/x.log",
    "--timeout",
    "5m",
    "--idempotent",
    "https://u:p@h/x",
    "A=b",
    "A",
    "=",
    "CRON_TZ=UTC",
    "# qs: zone=Asia/Shanghai",
    "# qs: fields=6",
    "#",
    "é",
    "\u{feff}",
    "\t",
    "\r",
    "4294967301",
];

fn grammar() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(&PIECES[..]);
    let line =
        prop::collection::vec((piece, prop::sample::select(vec![" ", " ", " ", "", "\t", "  "])), 0..12);
    let ends = prop::sample::select(vec!["\n", "\n", "\n", "", "\r\n"]);
    prop::collection::vec((line, ends), 0..8).prop_map(|lines| {
        let text = lines.into_iter().map(|(line, end)| {
            line.into_iter().flat_map(|(piece, blank)| [piece, blank]).collect::<String>() + end
        });
        text.collect::<String>().into_bytes()
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![4 => 32..127_u8, 1 => any::<u8>(), 2 => Just(b' '), 1 => Just(b'\n')],
        0..200,
    )
}

fn check(source: &[u8], dialect: CronDialect, user_column: bool) -> Result<(), TestCaseError> {
    let zone = TimeZone::get("America/New_York").unwrap();
    let format = Format { dialect, user_column, zone, fixed_zone: false };
    let crontab = Crontab::parse(source, format.clone());
    prop_assert_eq!(crontab.lines.len(), crontab.texts.len());
    let from: Timestamp = "2026-03-07T12:00:00Z".parse().unwrap();
    let problems = lint(&crontab, &Facts { name: Some("qs-x"), from, ..Facts::default() });
    for problem in &problems {
        prop_assert!(problem.line <= crontab.texts.len(), "{:?}", problem);
        prop_assert!(!problem.message().is_empty());
        if let Some(text) = problem.line.checked_sub(1).and_then(|line| crontab.texts.get(line)) {
            let width = text.chars().count() + 2;
            prop_assert!(problem.columns.end <= width, "{:?} in {:?}", problem, text);
        }
    }
    for entry in crontab.entries() {
        let mut at = from;
        for next in entry.schedule.after(from).take(20) {
            prop_assert!(next.at > at);
            at = next.at;
        }
        if let Some(expr) = entry.schedule.expr() {
            // The same seed would give a random value again; a printed one has none.
            let again = CronExpr::parse(&expr.to_string(), dialect, 0);
            prop_assert!(again.is_ok(), "{}", expr);
            prop_assert!(again.unwrap() == *expr || expr.to_string().contains('~'), "{}", expr);
        }
        prop_assert!(!entry.schedule.describe().is_empty());
    }
    // What is printed reads the same, but for the newline that was missing.
    let printed = crontab.to_string();
    let again = Crontab::parse(printed.as_bytes(), format.clone());
    prop_assert_eq!(&again.texts, &crontab.texts);
    prop_assert_eq!(again.entries().count(), crontab.entries().count());
    let options = Options {
        source: "x".to_owned(),
        command: "y".to_owned(),
        zone: None,
        credentials: None,
        state_claim: None,
    };
    for files in
        [render::systemd(&crontab, &options), render::kubernetes(&crontab, &options)].into_iter().flatten()
    {
        for file in files {
            prop_assert!(
                file.content.starts_with(render::MARK) && !file.content.contains("{{"),
                "{}",
                file.content
            );
            prop_assert!(!file.name.contains('/') && !file.name.starts_with('.'), "{}", file.name);
        }
    }
    let same = diff(&crontab, &again, from, from);
    prop_assert!(same.iter().all(|one| one.kind == qs_scheduler::crontab::diff::Kind::Same), "{:?}", same);
    let imported = import(&crontab);
    let read = Crontab::parse(imported.text.as_bytes(), format);
    prop_assert_eq!(read.lines.len(), crontab.lines.len());
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long `make fuzz` goes on")]
fn no_crontab_is_too_strange() {
    let seconds = std::env::var("QS_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let input = (prop_oneof![bytes(), grammar()], any::<bool>(), any::<bool>());
    let mut cases = 0;
    loop {
        let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
        let result = TestRunner::new(config).run(&input, |(source, six, user_column)| {
            check(&source, if six { CronDialect::Scheduler } else { CronDialect::Debian }, user_column)
        });
        result.unwrap_or_else(|error| panic!("{error}"));
        cases += 500;
        if Instant::now() >= end {
            break;
        }
    }
    if seconds.is_some() {
        println!("{cases} crontabs, none too strange");
    }
}
