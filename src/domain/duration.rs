//! Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`, or bare seconds as the scripts had them (`300`).

use std::time::Duration;

/// Longest duration that any setting accepts: one year. Longer is a slip of the keyboard.
pub const MAX: Duration = Duration::from_hours(8784);

/// What [`parse`] expects, for error messages.
pub const EXPECTED: &str = "a duration such as 30s, 5m, 1h30m or 300 (seconds)";

/// Reads a duration. A bare number is seconds; `0` is none; days are written `1d` or `24h`.
///
/// # Errors
/// A sentence that says what was expected, when the text is no duration, is negative, or exceeds a year.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let expected = || format!("expected {EXPECTED}");
    let parsed = if let Ok(seconds) = text.parse::<f64>() {
        Duration::try_from_secs_f64(seconds).map_err(|_| expected())?
    } else if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        Duration::from_secs(u64::from(days) * 24 * 3600)
    } else {
        let signed: jiff::SignedDuration = text.parse().map_err(|_| expected())?;
        Duration::try_from(signed).map_err(|_| expected())?
    };
    if parsed > MAX {
        return Err("expected at most 366 days".to_owned());
    }
    Ok(parsed)
}

/// The same for a limit, which zero is none of.
///
/// # Errors
/// As [`parse`], and for zero.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("expected more than 0s".to_owned()),
        limit => Ok(limit),
    }
}

/// Writes a duration so that [`parse`] reads it back: `1h30m`, `250ms`, `0s`.
pub fn show(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    let parts =
        [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(millis), "ms")];
    let text = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .fold(String::new(), |text, (number, unit)| text + &number.to_string() + unit);
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Whole milliseconds, saturating: the unit of every `duration_ms` field.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Durations as text in what is stored and sent: `#[serde(with = "duration::text")]`.
#[cfg(feature = "server")]
pub mod text {
    use std::borrow::Cow;
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::show(*duration))
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        super::parse(&text)
            .map_err(|expected| serde::de::Error::custom(format_args!("{expected}, found {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("0", 0),
            ("300", 300_000),
            ("1.5", 1_500),
            ("30s", 30_000),
            ("250ms", 250),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            (" 10s ", 10_000),
        ] {
            assert_eq!(millis(parse(text).unwrap()), ms, "{text}");
        }
        for text in ["", "abc", "-5", "-5s", "10 parsecs", "nan", "inf", "400d", "1e300"] {
            assert!(parse(text).is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["0s", "30s", "1h30m", "250ms", "24h", "5m30s"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
