//! One field of a cron expression: its bounds, its names, and how its text becomes a set of values.
//!
//! The rules are those of Debian's cron 3.0pl1 (crontab(5) and its `entry.c`), read strictly: what that cron skips
//! without a word (`5x`, `*-5`, `0~10`), wraps round (`4294967301`) or reads as nothing (`22-2`) is an error here.

use std::fmt;
use std::ops::Range;

use super::CronDialect;
use super::error::{CronError, CronErrorKind};

/// The fields of an expression, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// 0 to 59; only in six fields.
    Second,
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or jan to dec.
    Month,
    /// 0 to 7, or sun to sat; 0 and 7 are Sunday.
    DayOfWeek,
}

/// The biggest number that cron does not read as another one: it keeps 32 bits.
const BIGGEST: u64 = 0x7fff_ffff;

/// Most characters of a number or a name.
const LONGEST: usize = 999;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Field {
    /// The six, seconds first.
    pub const ALL: [Field; 6] =
        [Field::Second, Field::Minute, Field::Hour, Field::DayOfMonth, Field::Month, Field::DayOfWeek];

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Field::Second => "second",
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day of month",
            Field::Month => "month",
            Field::DayOfWeek => "day of week",
        }
    }

    /// Lowest and highest value.
    pub fn bounds(self) -> (u8, u8) {
        match self {
            Field::Second | Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            Field::DayOfWeek => (0, 7),
        }
    }

    /// Lowest and highest value, each value once.
    fn extremes(self) -> (u8, u8) {
        let (low, high) = self.bounds();
        (low, if self == Field::DayOfWeek { 6 } else { high })
    }

    /// The names of its values, the first of which is the lowest value.
    fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek => &DAYS,
            _ => &[],
        }
    }

    /// Every value, as bits. Sunday is bit 0 alone.
    pub(super) fn every(self) -> u64 {
        let (low, high) = self.extremes();
        (low..=high).fold(0, |set, value| set | 1 << value)
    }

    fn expected(self) -> String {
        let (low, high) = self.bounds();
        match self {
            Field::Month => format!("{low} to {high} or jan to dec"),
            Field::DayOfWeek => format!("{low} to {high} or sun to sat (0 and 7 are Sunday)"),
            _ => format!("{low} to {high}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Values {
    /// A bit for each value.
    pub(super) set: u64,
    /// Whether the text begins with `*`, which is all that cron looks at to call a field wild.
    pub(super) star: bool,
    /// A step is longer than its range, so that only the first value is left.
    pub(super) lone_step: bool,
}

/// Reads `text`, which stands at byte `offset` of its expression.
pub(super) fn parse(
    field: Field,
    text: &str,
    offset: usize,
    dialect: CronDialect,
    seed: u64,
) -> Result<Values, CronError> {
    let reader = Reader { field, text, offset, dialect, seed };
    let mut values = Values { set: 0, star: text.starts_with('*'), lone_step: false };
    let mut at = 0;
    for part in text.split(',') {
        reader.part(part, at, &mut values)?;
        at += part.len() + 1;
    }
    if field == Field::DayOfWeek && values.set & 1 << 7 != 0 {
        values.set = (values.set | 1) & 0x7f;
    }
    Ok(values)
}

struct Reader<'a> {
    field: Field,
    text: &'a str,
    offset: usize,
    dialect: CronDialect,
    seed: u64,
}

impl Reader<'_> {
    /// One member of the list: `*`, a value, a range, each but a value with a step.
    fn part(&self, part: &str, at: usize, values: &mut Values) -> Result<(), CronError> {
        let here = at..at + part.len();
        if part.is_empty() {
            let fix = match self.text.trim_matches(',') {
                "" => "*".to_owned(),
                rest => rest.split(',').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(","),
            };
            let found = if self.text.is_empty() { "nothing" } else { "a comma with nothing beside it" };
            return Err(self.error(here, found, "a value on both sides of a comma", fix));
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some((step, at + range.len() + 1))),
            None => (part, None),
        };
        if range.contains('~') {
            return self.random(range, step.is_some(), &here, values);
        }
        let (low, high) = if range == "*" {
            self.field.bounds()
        } else if let Some((first, last)) = range.split_once('-').filter(|(first, _)| *first != "*") {
            self.range(first, last, at)?
        } else if let Some(rest) = range.strip_prefix('*') {
            return Err(self.misread(
                here,
                &format!("{rest:?} after '*'"),
                "nothing, or a step such as */5",
                "*",
            ));
        } else {
            let value = self.value(range, at)?;
            if step.is_some() {
                let (_, high) = self.field.bounds();
                let expected = "a step after '*' or a range only";
                return Err(self.error(
                    here,
                    "a step after one value",
                    expected,
                    format!("{range}-{high}/{}", &part[range.len() + 1..]),
                ));
            }
            (value, value)
        };
        let step = match step {
            Some((step, at)) => self.step(step, at)?,
            None => 1,
        };
        if step > high - low && high > low {
            values.lone_step = true;
        }
        values.set |= (low..=high).step_by(step.into()).fold(0, |set, value| set | 1 << value);
        Ok(())
    }

    fn range(&self, first: &str, last: &str, at: usize) -> Result<(u8, u8), CronError> {
        let low = self.value(first, at)?;
        let last_at = at + first.len() + 1;
        let high = self.value(last, last_at)?;
        if low <= high {
            return Ok((low, high));
        }
        let (bottom, top) = self.field.extremes();
        let here = at..last_at + last.len();
        let found = format!("a range from {first} to {last}, which holds nothing");
        Err(self.misread(here, &found, "a range that rises", &format!("{first}-{top},{bottom}-{last}")))
    }

    fn step(&self, step: &str, at: usize) -> Result<u8, CronError> {
        let here = at..at + step.len();
        let expected = "a step of 1 or more";
        let without = self.text.replace(&format!("/{step}"), "");
        let digits = &step[..step.find(|c: char| !c.is_ascii_digit()).unwrap_or(step.len())];
        let rest = &step[digits.len()..];
        match digits.parse::<u64>() {
            Ok(0) if rest.is_empty() => Err(self.error(here, "a step of 0", expected, without)),
            Ok(value) if rest.is_empty() && value <= BIGGEST => Ok(u8::try_from(value).unwrap_or(u8::MAX)),
            // The end of the number ends what cron reads of the field.
            Ok(value) if value > 0 && !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                let found = format!("the step {step:?}, which cron reads as another number");
                let fix = if rest.is_empty() { "1" } else { digits };
                Err(self.misread(here, &found, "a step of at most 2147483647, and nothing behind it", fix))
            }
            Err(_) if !digits.is_empty() => {
                Err(self.misread(here, &format!("the step {digits}"), "a step of at most 2147483647", "1"))
            }
            _ => {
                let found = if step.is_empty() { "nothing".to_owned() } else { format!("{step:?}") };
                Err(self.error(here, &found, expected, without))
            }
        }
    }

    fn value(&self, text: &str, at: usize) -> Result<u8, CronError> {
        let (low, high) = self.field.bounds();
        let here = at..at + text.len();
        let expected = self.field.expected();
        if text.len() > LONGEST {
            let found = format!("{} characters", text.len());
            return Err(self.error(here, &found, &expected, low.to_string()));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = text.parse::<u64>().unwrap_or(u64::MAX);
            return match u8::try_from(value) {
                Ok(value) if (low..=high).contains(&value) => Ok(value),
                _ if value > BIGGEST => {
                    let found = format!("{text}, which cron reads as another number");
                    Err(self.misread(here, &found, &expected, &high.to_string()))
                }
                _ => {
                    let fix = if value < low.into() { low } else { high };
                    Err(self.error(here, text, &expected, fix.to_string()))
                }
            };
        }
        let names = self.field.names();
        if let Some(index) = names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(low + u8::try_from(index).unwrap_or_default());
        }
        let longer =
            names.iter().find(|name| text.len() > 3 && text.to_ascii_lowercase().starts_with(**name));
        let fix = longer.map_or_else(|| low.to_string(), |name| (*name).to_owned());
        let found = if text.is_empty() { "nothing".to_owned() } else { format!("{text:?}") };
        // Cron stops at the first character that is no letter or digit and skips the rest of the field.
        let head = text.find(|c: char| !c.is_ascii_alphanumeric()).map(|end| &text[..end]);
        if let Some(head) = head.filter(|head| !head.is_empty() && self.value(head, at).is_ok()) {
            let found = format!("{found}, of which cron would read {head:?} alone");
            return Err(self.misread(here, &found, &expected, head));
        }
        Err(self.error(here, &found, &expected, fix))
    }

    /// `low~high`: one value, which qs-scheduler derives from the task; Debian's cron reads the first and skips the rest.
    fn random(
        &self,
        range: &str,
        stepped: bool,
        here: &Range<usize>,
        values: &mut Values,
    ) -> Result<(), CronError> {
        let (first, last) = range.split_once('~').unwrap_or((range, ""));
        let (bottom, top) = self.field.extremes();
        if self.dialect == CronDialect::Debian {
            let found = format!(
                "{range:?}: Debian's cron has no random values and would read only what stands before '~'"
            );
            let fix = if first.is_empty() { bottom.to_string() } else { first.to_owned() };
            return Err(self.misread(here.clone(), &found, "a value, a range or '*'", &fix));
        }
        let low = if first.is_empty() { bottom } else { self.value(first, here.start)? };
        let last_at = here.start + first.len() + 1;
        let high = if last.is_empty() { top } else { self.value(last, last_at)? };
        if low > high {
            let fix = format!("{high}~{low}");
            return Err(self.error(here.clone(), &format!("{range:?}"), "the lower bound first", fix));
        }
        if stepped {
            return Err(self.error(
                here.clone(),
                "a step after a random value",
                "one or the other",
                range.to_owned(),
            ));
        }
        let span = u64::from(high - low) + 1;
        let pick = u8::try_from(spread(self.seed, self.field) % span).unwrap_or_default();
        values.set |= 1 << (low + pick);
        Ok(())
    }

    fn error(&self, here: Range<usize>, found: &str, expected: &str, fix: String) -> CronError {
        CronError {
            kind: CronErrorKind::Field,
            field: Some(self.field),
            at: here.start + self.offset..here.end + self.offset,
            found: found.to_owned(),
            expected: expected.to_owned(),
            fix,
        }
    }

    fn misread(&self, here: Range<usize>, found: &str, expected: &str, fix: &str) -> CronError {
        CronError { kind: CronErrorKind::Misread, ..self.error(here, found, expected, fix.to_owned()) }
    }
}

/// A number that is the same on every host and in every version (`SplitMix64` of the seed and the field).
fn spread(seed: u64, field: Field) -> u64 {
    let mut x = seed.wrapping_add((field as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
