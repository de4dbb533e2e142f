//! Single fields as requests write them: each has one form, and what is not of that form is refused by its name.

use std::fmt::{self, Display};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ApiError;
use crate::domain::calendar::{KEPT, kept_day, kept_instant};

pub use crate::domain::number::exact;

/// A field that must be given.
pub fn required<T>(field: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::invalid(field, "is required"))
}

/// A day as `YYYY-MM-DD`, exactly.
pub fn day(field: &str, text: &str) -> Result<Date, ApiError> {
    // The parser is lenient; what it read must look as it was written.
    let day: Option<Date> = text.parse().ok().filter(|day: &Date| day.to_string() == text);
    let day = day.ok_or_else(|| ApiError::invalid(field, "expected a day as YYYY-MM-DD"))?;
    kept_day(day).ok_or_else(|| ApiError::invalid(field, format!("expected a day of {KEPT}")))
}

/// An instant of RFC 3339, such as `2026-11-21T08:30:00Z`.
pub fn instant(field: &str, text: &str) -> Result<Timestamp, ApiError> {
    let read = rfc3339(text).ok_or_else(|| ApiError::invalid(field, "expected an instant of RFC 3339"))?;
    kept(field, read)
}

/// The instant, if it is one of those that are kept.
pub fn kept(field: &str, at: Timestamp) -> Result<Timestamp, ApiError> {
    kept_instant(at).ok_or_else(|| ApiError::invalid(field, format!("expected an instant of {KEPT}")))
}

/// Reads the form of RFC 3339 alone: the parser would take others of ISO 8601 too, also such that databases cannot write.
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    let digit_to_zero = |c: char| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() };
    let shape: String = text.chars().map(digit_to_zero).collect();
    let rest = shape.strip_prefix("0000-00-00T00:00:00")?;
    let offset = match rest.strip_prefix(".0") {
        Some(fraction) => fraction.trim_start_matches('0'),
        None => rest,
    };
    matches!(offset, "Z" | "+00:00" | "-00:00").then(|| text.parse().ok()).flatten()
}

/// An instant of RFC 3339 as a field of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant(pub Timestamp);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = rfc3339(&String::deserialize(deserializer)?);
        read.map(Self).ok_or_else(|| D::Error::custom("expected an instant of RFC 3339"))
    }
}

/// A word of an enum.
pub fn word<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(field, error))
}

/// A number, or text: the query has only texts, and JavaScript cannot hold long numbers.
#[derive(Debug, PartialEq)]
pub enum NumberOrText {
    /// As JSON writes it.
    Number(i64),
    /// As the query writes it.
    Text(String),
}

impl Display for NumberOrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            Value::String(text) => return Ok(Self::Text(text)),
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            _ => None,
        };
        number.map(Self::Number).ok_or_else(|| D::Error::custom("expected a whole number, or text"))
    }
}

/// Some programs write whole numbers as `5.0`, which JSON Schema counts as whole.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: f64) -> Option<i64> {
    // 2^53: from there on what was written may have been another number.
    const INEXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() < INEXACT).then_some(number as i64)
}

/// The key of a row, as text.
pub fn positive(field: &str, text: &str) -> Result<i64, ApiError> {
    let number = exact(text).filter(|number| *number > 0);
    number.ok_or_else(|| ApiError::invalid(field, "expected a positive whole number"))
}

/// A whole number, or one as text.
pub fn number(field: &str, value: Option<&Value>) -> Result<Option<i64>, ApiError> {
    let read = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Some(Value::String(text)) => exact(text),
        Some(_) => None,
    };
    read.map(Some).ok_or_else(|| ApiError::invalid(field, "expected a whole number"))
}

/// A list of whole numbers, or a text that is split at commas.
pub fn numbers(field: &str, value: Option<&Value>) -> Result<Option<Vec<i64>>, ApiError> {
    let items = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items.clone(),
        Some(Value::String(text)) => text.split(',').map(|item| Value::String(item.to_owned())).collect(),
        Some(other) => vec![other.clone()],
    };
    let read = |item: &Value| {
        number(field, Some(item))?.ok_or_else(|| ApiError::invalid(field, "expected whole numbers"))
    };
    items.iter().map(read).collect::<Result<_, _>>().map(Some)
}

/// A list of keys of rows.
pub fn ids(field: &str, value: Option<&Value>) -> Result<Option<Vec<i64>>, ApiError> {
    let ids = numbers(field, value)?;
    match &ids {
        Some(ids) if ids.iter().any(|id| *id <= 0) => {
            Err(ApiError::invalid(field, "expected positive whole numbers"))
        }
        _ => Ok(ids),
    }
}

/// A number from 1 to this.
pub fn up_to(most: u32, field: &str, value: Option<&Value>) -> Result<Option<u32>, ApiError> {
    let Some(number) = number(field, value)? else { return Ok(None) };
    let number = u32::try_from(number).ok().filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| ApiError::invalid(field, format!("expected a number from 1 to {most}")))
}

/// The key of a row.
pub fn id(field: &str, value: Option<&Value>) -> Result<Option<i64>, ApiError> {
    match number(field, value)? {
        Some(id) if id <= 0 => Err(ApiError::invalid(field, "expected a positive whole number")),
        other => Ok(other),
    }
}

/// The key of a row in a path.
pub fn path_id(field: &str, text: &str) -> Result<i64, ApiError> {
    required(field, id(field, Some(&Value::String(text.to_owned())))?)
}

/// True or false, or one of them as text.
pub fn flag(field: &str, value: Option<&Value>) -> Result<bool, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        Some(_) => Err(ApiError::invalid(field, "expected true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<NumberOrText>(text).ok();
        for text in ["5", "5.0", "0.5e1"] {
            assert_eq!(read(text), Some(NumberOrText::Number(5)), "{text}");
        }
        assert_eq!(read("\"5\""), Some(NumberOrText::Text("5".to_owned())));
        for bad in ["5.5", "1e300", "9007199254740993.0", "9223372036854775808", "true", "[]"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_may_be_texts() {
        assert_eq!(number("n", Some(&json!("12"))).unwrap(), Some(12));
        assert_eq!(number("n", Some(&json!(12))).unwrap(), Some(12));
        assert_eq!(numbers("n", Some(&json!([1, "2"]))).unwrap(), Some(vec![1, 2]));
        assert_eq!(numbers("n", Some(&json!("1,2"))).unwrap(), Some(vec![1, 2]));
        assert!(number("n", Some(&json!(1.5))).is_err() && id("n", Some(&json!(0))).is_err());
    }

    #[test]
    fn what_is_counted_has_bounds() {
        assert_eq!(up_to(100, "n", None).unwrap(), None);
        assert_eq!(up_to(100, "n", Some(&json!("100"))).unwrap(), Some(100));
        for bad in [json!(0), json!("101"), json!(-1), json!(i64::MAX)] {
            assert!(up_to(100, "n", Some(&bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_has_one_form() {
        assert_eq!(day("d", "2026-02-28").unwrap(), "2026-02-28".parse().unwrap());
        for bad in [
            "",
            "2026-02-30",
            "2026-2-1",
            "20260201",
            "2026-02-01T00:00:00",
            "2026/02/01",
            "+026-02-01",
            "-000001-01-01",
            "0000-01-01",
            "0999-12-31",
            "２０２６-02-01",
        ] {
            assert!(day("d", bad).is_err(), "{bad:?}");
        }
        assert!(day("d", "1000-01-01").is_ok() && day("d", "9999-12-31").is_ok());
    }

    #[test]
    fn an_instant_has_the_form_of_rfc_3339_and_no_other() {
        for good in [
            "2026-11-21T08:30:00Z",
            "2026-11-21t08:30:00.123456789z",
            "2026-11-21T08:30:00+05:30",
            "1000-01-02T00:00:00Z",
        ] {
            assert!(instant("at", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "2026-11-21",
            "2026-11-21T08:30:00",
            "2026-11-21T08:30Z",
            "2026-11-21T08:30:00.Z",
            "2026-11-21T08:30:00+0530",
            "2026-11-21T08:30:00+05",
            "2026-11-21T08:30:00Z[UTC]",
            "20261121T083000Z",
            "+002026-11-21T08:30:00Z",
            "-000001-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "1000-01-01T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "2026-11-21T08:30:00é",
        ] {
            let message = instant("at", bad).unwrap_err().message;
            assert!(message.starts_with("at: expected an instant of "), "{bad}: {message}");
        }
    }
}
