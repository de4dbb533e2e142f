//! Single fields as requests write them: each has one form, and what is not of that form is refused by its name.

use std::fmt::{self, Display};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ApiError;

/// A field that must be given.
pub fn required<T>(field: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::invalid(field, "is required"))
}

/// A day as `YYYY-MM-DD`, exactly.
pub fn day(field: &str, text: &str) -> Result<Date, ApiError> {
    // The parser is lenient; what it read must look as it was written.
    let day = text.parse().ok().filter(|day: &Date| day.to_string() == text);
    day.ok_or_else(|| ApiError::invalid(field, "expected a day as YYYY-MM-DD"))
}

/// An instant of RFC 3339.
pub fn instant(field: &str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|_| ApiError::invalid(field, "expected an instant of RFC 3339"))
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
    // 2^63: every whole number below it is one of 64 bits too.
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && number.abs() < TOO_LARGE).then_some(number as i64)
}

/// A number in its one form: no sign, no zeros before it, no space around it.
pub fn exact<T: FromStr + Display>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
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
        for bad in ["5.5", "1e300", "9223372036854775808", "true", "[]"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(exact::<i64>("12"), Some(12));
        for bad in ["", "+1", "01", " 1", "1.0", "9223372036854775808"] {
            assert_eq!(exact::<i64>(bad), None, "{bad:?}");
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
        for bad in
            ["", "2026-02-30", "2026-2-1", "20260201", "2026-02-01T00:00:00", "2026/02/01", "+026-02-01"]
        {
            assert!(day("d", bad).is_err(), "{bad:?}");
        }
    }
}
