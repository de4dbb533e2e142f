//! How the text of a field becomes a set of values.
//!
//! The rules are those of Debian's cron 3.0pl1 (crontab(5) and its `entry.c`), read strictly: what that cron skips
//! without a word (`5x`, `*-5`, `0~10`), wraps round (`4294967301`) or reads as nothing (`22-2`) is an error here.

use std::ops::Range;

use super::error::{CronError, CronErrorKind};
use super::{CronDialect, Field};
use crate::domain::digest::mix64;

/// The biggest number that cron does not read as another one: it keeps 32 bits.
const BIGGEST: u64 = 0x7fff_ffff;

/// Most characters of a number or a name.
const LONGEST: usize = 999;

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

/// A field as it is written.
pub(super) struct FieldText<'a> {
    pub(super) field: Field,
    pub(super) text: &'a str,
    /// The byte of its expression at which it begins.
    pub(super) offset: usize,
    pub(super) dialect: CronDialect,
    pub(super) seed: u64,
}

impl FieldText<'_> {
    /// Reads it.
    pub(super) fn values(&self) -> Result<Values, CronError> {
        let mut values = Values { set: 0, star: self.text.starts_with('*'), lone_step: false };
        let mut at = 0;
        for part in self.text.split(',') {
            self.part(part, at, &mut values)?;
            at += part.len() + 1;
        }
        if self.field == Field::DayOfWeek && values.set & 1 << 7 != 0 {
            values.set = (values.set | 1) & 0x7f;
        }
        Ok(values)
    }

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
            values.set |= 1 << self.random(range, step.is_some(), here)?;
            return Ok(());
        }
        let (low, high) = if range == "*" {
            self.field.bounds()
        } else if let Some((first, last)) = range.split_once('-').filter(|(first, _)| *first != "*") {
            self.range(first, last, at)?
        } else if let Some(rest) = range.strip_prefix('*') {
            let found = format!("{rest:?} after '*'");
            return Err(self.misread(here, &found, "nothing, or a step such as */5", "*"));
        } else {
            let value = self.value(range, at)?;
            if step.is_some() {
                let fix = format!("{range}-{}/{}", self.field.bounds().1, &part[range.len() + 1..]);
                let expected = "a step after '*' or a range only";
                return Err(self.error(here, "a step after one value", expected, fix));
            }
            (value, value)
        };
        let step = match step {
            Some((step, at)) => self.step(step, at)?,
            None => 1,
        };
        values.lone_step |= step > high - low && high > low;
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
        let mut names = self.field.names().map(|name| name[..3].to_ascii_lowercase());
        if let Some(index) = names.clone().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(low + u8::try_from(index).unwrap_or_default());
        }
        let longer = names.find(|name| text.len() > 3 && text.to_ascii_lowercase().starts_with(name));
        let fix = longer.unwrap_or_else(|| low.to_string());
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
    fn random(&self, range: &str, stepped: bool, here: Range<usize>) -> Result<u8, CronError> {
        let (first, last) = range.split_once('~').unwrap_or((range, ""));
        let (bottom, top) = self.field.extremes();
        if self.dialect == CronDialect::Debian {
            let why = "Debian's cron has no random values and would read only what stands before '~'";
            let found = format!("{range:?}: {why}");
            let fix = if first.is_empty() { bottom.to_string() } else { first.to_owned() };
            return Err(self.misread(here, &found, "a value, a range or '*'", &fix));
        }
        let low = if first.is_empty() { bottom } else { self.value(first, here.start)? };
        let last_at = here.start + first.len() + 1;
        let high = if last.is_empty() { top } else { self.value(last, last_at)? };
        if low > high {
            let fix = format!("{high}~{low}");
            return Err(self.error(here, &format!("{range:?}"), "the lower bound first", fix));
        }
        if stepped {
            let found = "a step after a random value";
            return Err(self.error(here, found, "one or the other", range.to_owned()));
        }
        let span = u64::from(high - low) + 1;
        Ok(low + u8::try_from(spread(self.seed, self.field) % span).unwrap_or_default())
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
    mix64(seed.wrapping_add((field as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}
