//! A cron expression: five fields, six with seconds first, or a nickname; which times it names, and when it fires next.
//!
//! The meaning is that of Debian's cron (crontab(5), and its behaviour at changes of the clocks), for which recorded
//! verdicts and firings of the real one are under `tests/fixtures/cron`.

mod calendar;
mod describe;
mod error;
mod field;
mod next;
mod values;
#[cfg(feature = "server")]
mod window;

#[cfg(test)]
mod tests;

use std::fmt;

#[cfg(feature = "server")]
pub(in crate::domain) use describe::and;
pub use error::{CronError, CronErrorKind};
pub use field::Field;
pub use next::{Dst, Occurrence};

pub(in crate::domain) use self::calendar::Rule;
use self::values::{FieldText, Values};

/// Whose reading of an expression counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CronDialect {
    /// Debian's cron: five fields, no seconds, no random values.
    #[default]
    Debian,
    /// qs-scheduler: also six fields with seconds first, and `~`.
    Scheduler,
}

/// Nicknames and the five fields that each stands for.
pub const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A cron expression. Two are equal when they name the same times, however they are written.
#[derive(Clone, Debug)]
pub struct CronExpr {
    text: String,
    rule: Rule,
    lone_step: Option<Field>,
}

impl CronExpr {
    /// Reads an expression. `seed` decides what a random value (`~`) is; the same seed gives the same value everywhere.
    ///
    /// # Errors
    /// Where it is wrong, what stands there, what was expected, and a fix. An expression that can never fire is an error.
    pub fn parse(text: &str, dialect: CronDialect, seed: u64) -> Result<Self, CronError> {
        let text = text.trim_matches([' ', '\t']);
        if text.starts_with('@') {
            return Self::nickname(text);
        }
        let words = words(text);
        let fields = match (words.len(), dialect) {
            (5, _) => &Field::ALL[1..],
            (6, CronDialect::Scheduler) => Field::ALL,
            _ => return Err(count(text, &words, dialect)),
        };
        let mut values = [Values { set: 1, star: false, lone_step: false }; 6];
        for (&field, &(offset, text)) in fields.iter().zip(&words) {
            values[field as usize] = FieldText { field, text, offset, dialect, seed }.values()?;
        }
        let normal: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
        let expr = Self::new(normal.join(" "), &values);
        if expr.rule.fires() {
            return Ok(expr);
        }
        let (at, day) = words[words.len() - 3];
        let (_, month) = words[words.len() - 2];
        Err(CronError {
            kind: CronErrorKind::NeverFires,
            field: Some(Field::DayOfMonth),
            at: at..at + day.len(),
            found: format!("day {day} in month {month}, which no year has"),
            expected: "a day that some month has".to_owned(),
            fix: text.replacen(day, "28", 1),
        })
    }

    fn nickname(text: &str) -> Result<Self, CronError> {
        if let Some((_, fields)) = NICKNAMES.iter().find(|(name, _)| *name == text) {
            let expr = Self::parse(fields, CronDialect::Debian, 0)?;
            return Ok(Self { text: text.to_owned(), ..expr });
        }
        let lower = text.to_ascii_lowercase();
        let every = "use the five fields, for example */5 * * * *".to_owned();
        let fix = match NICKNAMES.iter().find(|(name, _)| *name == lower) {
            Some((name, _)) => (*name).to_owned(),
            None if lower.starts_with("@every") => every,
            None => "@daily".to_owned(),
        };
        let names: Vec<&str> = NICKNAMES.iter().map(|(name, _)| *name).collect();
        Err(CronError {
            kind: CronErrorKind::Nickname,
            field: None,
            at: 0..text.len(),
            found: format!("{text:?}"),
            expected: format!("@reboot, {} (in lower case)", names.join(", ")),
            fix,
        })
    }

    fn new(text: String, values: &[Values; 6]) -> Self {
        let star = |field: Field| values[field as usize].star;
        let either_day = !star(Field::DayOfMonth) && !star(Field::DayOfWeek);
        Self {
            text,
            rule: Rule {
                sets: values.map(|values| values.set),
                either_day,
                last_day: false,
                follows_clock: star(Field::Second) || star(Field::Minute) || star(Field::Hour),
            },
            lone_step: Field::ALL.iter().copied().find(|field| values[*field as usize].lone_step),
        }
    }

    /// Which times it names.
    #[cfg(feature = "server")]
    pub(in crate::domain) fn rule(&self) -> Rule {
        self.rule
    }

    /// Whether it follows the wall clock through changes of the clocks, because its second, minute or hour begins with
    /// `*`; otherwise its times are fixed, and each is served once.
    pub fn follows_clock(&self) -> bool {
        self.rule.follows_clock
    }

    /// Whether a day matches by its number *or* by its weekday, because neither field begins with `*` and both say
    /// something.
    pub fn day_or_weekday(&self) -> bool {
        self.rule.either_day && self.restricts_both_days()
    }

    /// Whether a day matches by either of its two fields; true of all expressions of which neither begins with `*`.
    pub fn either_day(&self) -> bool {
        self.rule.either_day
    }

    /// Whether a day must match by number *and* weekday although both say something, because one begins with `*`.
    pub fn day_and_weekday(&self) -> bool {
        !self.rule.either_day && self.restricts_both_days()
    }

    fn restricts_both_days(&self) -> bool {
        !self.is_every(Field::DayOfMonth) && !self.is_every(Field::DayOfWeek)
    }

    /// A field whose step is longer than its range, so that only its first value is left (`*/61`).
    pub fn lone_step(&self) -> Option<Field> {
        self.lone_step
    }

    /// The values of a field, in rising order; Sunday is 0.
    pub fn values(&self, field: Field) -> Vec<u8> {
        let set = self.rule.set(field);
        (0..64).filter(|bit| set & 1_u64 << bit != 0).collect()
    }

    /// Whether a field has every value.
    pub fn is_every(&self, field: Field) -> bool {
        self.rule.set(field) == field.every()
    }

    /// Whether it names seconds other than the first of a minute.
    pub fn has_seconds(&self) -> bool {
        self.rule.set(Field::Second) != 1
    }
}

impl PartialEq for CronExpr {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl Eq for CronExpr {}

/// As it was written, with one space between the fields.
impl fmt::Display for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The words of a text and the byte at which each begins. Cron separates fields by spaces and tabs, by nothing else.
pub fn words(text: &str) -> Vec<(usize, &str)> {
    let mut begins = 0;
    let words = text.split([' ', '\t']).map(|word| {
        let at = begins;
        begins += word.len() + 1;
        (at, word)
    });
    words.filter(|(_, word)| !word.is_empty()).collect()
}

fn count(text: &str, words: &[(usize, &str)], dialect: CronDialect) -> CronError {
    let expected = match dialect {
        CronDialect::Debian => "5: minute, hour, day of month, month, day of week",
        CronDialect::Scheduler => {
            "5: minute, hour, day of month, month, day of week; or 6 with seconds first"
        }
    };
    let stars = ["*"; 5];
    let given: Vec<&str> = words.iter().map(|(_, word)| *word).take(5).collect();
    let fix = match (words.len(), dialect) {
        (6, CronDialect::Debian) => words[1..].iter().map(|(_, word)| *word).collect::<Vec<_>>().join(" "),
        _ => [&given[..], &stars[given.len()..]].concat().join(" "),
    };
    CronError {
        kind: CronErrorKind::FieldCount,
        field: None,
        at: 0..text.len(),
        found: format!("{} fields", words.len()),
        expected: expected.to_owned(),
        fix,
    }
}
