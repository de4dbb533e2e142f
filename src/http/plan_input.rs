//! The fields of plans and tasks as requests write them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::error::ApiError;
use super::input::{exact, whole};
use crate::business::plan::Page;

/// Items of one page, unless the request says otherwise, and at most.
const PAGE: i64 = 20;
const MAX_PAGE: i64 = 100;

pub(super) fn invalid(field: &str, reason: impl Into<String>) -> ApiError {
    ApiError::Invalid { field: field.to_owned(), reason: reason.into() }
}

/// A whole number, or one as text: the query has only texts, and JavaScript cannot hold long numbers.
pub(super) fn number(field: &str, value: Option<&Value>) -> Result<Option<i64>, ApiError> {
    let read = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Some(Value::String(text)) => exact(text),
        Some(_) => None,
    };
    read.map(Some).ok_or_else(|| invalid(field, "expected a whole number"))
}

/// The key of a row.
pub(super) fn id(field: &str, value: Option<&Value>) -> Result<Option<i64>, ApiError> {
    match number(field, value)? {
        Some(id) if id <= 0 => Err(invalid(field, "expected a positive whole number")),
        other => Ok(other),
    }
}

/// The same, where it must be given.
pub(super) fn required_id(field: &str, value: Option<&Value>) -> Result<i64, ApiError> {
    id(field, value)?.ok_or_else(|| invalid(field, "is required"))
}

/// The key of a row in a path.
pub(super) fn path_id(field: &str, text: &str) -> Result<i64, ApiError> {
    required_id(field, Some(&Value::String(text.to_owned())))
}

/// A list, or a text split at commas.
pub(super) fn numbers(field: &str, value: Option<&Value>) -> Result<Option<Vec<i64>>, ApiError> {
    let items = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items.clone(),
        Some(Value::String(text)) => text.split(',').map(|item| Value::String(item.to_owned())).collect(),
        Some(other) => vec![other.clone()],
    };
    let read =
        |item: &Value| number(field, Some(item))?.ok_or_else(|| invalid(field, "expected whole numbers"));
    items.iter().map(read).collect::<Result<_, _>>().map(Some)
}

/// A boolean, or one as text.
pub(super) fn flag(field: &str, value: Option<&Value>) -> Result<bool, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        Some(_) => Err(invalid(field, "expected true or false")),
    }
}

/// A word of an enum.
pub(super) fn word<T: std::str::FromStr<Err = String>>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|reason: String| invalid(field, reason))).transpose()
}

/// An instant. Without an offset it is the wall clock of this zone; a day alone is its first instant.
pub(super) fn moment(
    field: &str,
    text: Option<&str>,
    zone: &TimeZone,
) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || {
        invalid(field, "expected YYYY-MM-DD HH:mm:ss, YYYY-MM-DD, or RFC 3339 such as YYYY-MM-DDTHH:mm:ssZ")
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Some(at));
    }
    if text.len() == 10 {
        let day: Date = text.parse().map_err(|_| wrong())?;
        return crate::domain::plan_schedule::first_instant(day, zone).map(Some).ok_or_else(wrong);
    }
    let wall = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).map_err(|_| wrong())?;
    zone.to_timestamp(wall).map(Some).map_err(|_| wrong())
}

pub(super) fn page(number_: Option<&Value>, size: Option<&Value>) -> Result<Page, ApiError> {
    let within = |field, value, most: i64, default| match number(field, value)?.unwrap_or(default) {
        value if (1..=most).contains(&value) => {
            u32::try_from(value).map_err(|_| invalid(field, "is out of range"))
        }
        _ => Err(invalid(field, format!("expected a number from 1 to {most}"))),
    };
    Ok(Page {
        number: within("page", number_, i64::from(i32::MAX), 1)?,
        size: within("page_size", size, MAX_PAGE, PAGE)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The system before read what it did not understand as the year 1, and opened nothing (P1); and it read local times
    /// as UTC (P2).
    #[test]
    fn p1_p2_a_moment_is_understood_or_refused() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        assert!(moment("before", None, &shanghai).unwrap().is_none());
        for (text, expected) in [
            ("2026-11-21 08:30:00", "2026-11-21T00:30:00Z"),
            ("2026-11-21", "2026-11-20T16:00:00Z"),
            ("2026-11-21T08:30:00Z", "2026-11-21T08:30:00Z"),
            ("2026-11-21T08:30:00+02:00", "2026-11-21T06:30:00Z"),
        ] {
            assert_eq!(
                moment("before", Some(text), &shanghai).unwrap().unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        for bad in [
            "",
            "now",
            "2026-11-31",
            "2026-11-21 25:00:00",
            "2026-11-21T08:30:00",
            "21.11.2026",
            "1700000000",
        ] {
            match moment("before", Some(bad), &shanghai) {
                Err(ApiError::Invalid { field, reason }) => {
                    assert!(field == "before" && reason.contains("YYYY-MM-DD HH:mm:ss"), "{bad}");
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
    }

    #[test]
    fn numbers_may_be_texts() {
        assert_eq!(number("n", Some(&json!("12"))).unwrap(), Some(12));
        assert_eq!(number("n", Some(&json!(12))).unwrap(), Some(12));
        assert_eq!(numbers("n", Some(&json!([1, "2"]))).unwrap(), Some(vec![1, 2]));
        assert_eq!(numbers("n", Some(&json!("1,2"))).unwrap(), Some(vec![1, 2]));
        assert!(number("n", Some(&json!(1.5))).is_err() && id("n", Some(&json!(0))).is_err());
        assert!(page(None, Some(&json!("101"))).is_err() && page(Some(&json!(0)), None).is_err());
    }
}
