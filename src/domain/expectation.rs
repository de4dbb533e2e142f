//! What a task expects of a reply: `POINTER=VALUE`, a JSON pointer (RFC 6901) and what must be there.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Longest value of a reply that is repeated in a message.
const SHOWN: usize = 80;
/// Longest text of a number that a double holds exactly.
const EXACT: usize = 15;

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    pointer: String,
    value: String,
}

/// A text that is no expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected POINTER=VALUE with a JSON pointer, for example /status=OK or /data/state=done")]
pub struct NoExpectation;

impl FromStr for Expectation {
    type Err = NoExpectation;

    fn from_str(text: &str) -> Result<Self, NoExpectation> {
        let (pointer, value) = text.split_once('=').ok_or(NoExpectation)?;
        // In a pointer, `~0` is a tilde and `~1` a slash; nothing else may follow a tilde.
        let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !pointer.starts_with('/') || !escapes {
            return Err(NoExpectation);
        }
        Ok(Self { pointer: pointer.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pointer, self.value)
    }
}

impl Expectation {
    /// Whether `found` is the value. A text is compared as it is; a number by what it is, whether it is written as a
    /// number or as a text, here or there; `true`, `null`, `[]` and `{"a":1}` as JSON.
    fn holds(&self, found: &Value) -> bool {
        let expected = self.value.as_str();
        if found.as_str() == Some(expected) || serde_json::from_str(expected).ok().as_ref() == Some(found) {
            return true;
        }
        let text = match found {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return false,
        };
        match (text.parse::<i128>(), expected.parse::<i128>()) {
            (Ok(one), Ok(other)) => one == other,
            // Different texts of one number: 1.0 and 1. Long ones would be rounded.
            _ if text.len().max(expected.len()) > EXACT || found.is_string() => false,
            _ => {
                matches!((text.parse::<f64>(), expected.parse::<f64>()), (Ok(one), Ok(other)) if one.is_finite() && one.total_cmp(&other).is_eq())
            }
        }
    }
}

/// What `reply` does not hold of `expectations`, in words; `None` when it holds them all. Several values for one pointer
/// mean any of them.
pub fn unmet(expectations: &[Expectation], reply: Option<&Value>) -> Option<String> {
    expectations.iter().find_map(|expectation| {
        let pointer = &expectation.pointer;
        let same: Vec<_> = expectations.iter().filter(|other| other.pointer == *pointer).collect();
        let found = match reply.map(|reply| reply.pointer(pointer)) {
            Some(Some(found)) if same.iter().any(|one| one.holds(found)) => return None,
            Some(Some(found)) => format!("is {}", show(found)),
            Some(None) => "is missing".to_owned(),
            None => "is missing, since the reply is no JSON".to_owned(),
        };
        let values: Vec<_> = same.iter().map(|one| one.value.as_str()).collect();
        Some(format!("{pointer} {found}, expected {}", values.join(" or ")))
    })
}

fn show(found: &Value) -> String {
    let text = found.to_string();
    // A part of a secret would not be known for one any more.
    match text.chars().count() {
        length if length > SHOWN => format!("a value of {length} characters"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expectations(texts: &[&str]) -> Vec<Expectation> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_expectation_is_a_pointer_and_a_value() {
        for text in ["/status=OK", "/a/0/b~1c~0=", "/=x", "/a=b=c"] {
            assert_eq!(text.parse::<Expectation>().unwrap().to_string(), text);
        }
        for text in ["", "status=OK", "/status", "=OK", "/a~2=x", "/a~=x"] {
            assert_eq!(text.parse::<Expectation>(), Err(NoExpectation), "{text:?}");
        }
    }

    #[test]
    fn values_are_compared_with_sense() {
        for (value, found, holds) in [
            ("OK", json!("OK"), true),
            ("OK", json!("ok"), false),
            ("0", json!(0), true),
            ("0", json!("0"), true),
            ("00000", json!(0), true),
            ("00000", json!("00000"), true),
            ("1", json!(1.0), true),
            ("1.50", json!(1.5), true),
            ("1", json!(2), false),
            ("9007199254740993", json!(9_007_199_254_740_992_i64), false),
            ("20261127000000000002", json!("20261127000000000001"), false),
            ("9876e543", json!("1234e567"), false),
            ("NaN", json!("nan"), false),
            ("true", json!(true), true),
            ("true", json!("true"), true),
            ("true", json!(1), false),
            ("null", json!(null), true),
            ("", json!(""), true),
            ("", json!(null), false),
            ("[]", json!([]), true),
            ("{\"a\": 1}", json!({"a": 1}), true),
            ("x", json!(["x"]), false),
        ] {
            let expectation = expectations(&[&format!("/a={value}")]).remove(0);
            assert_eq!(expectation.holds(&found), holds, "{value} and {found}");
        }
    }

    #[test]
    fn all_pointers_must_hold_and_of_one_pointer_any_value() {
        let reply = json!({"status": "DONE", "data": {"n": 3}, "a/b": [true]});
        for (texts, says) in [
            (&["/status=DONE"][..], None),
            (&["/status=OK", "/status=DONE", "/data/n=3", "/a~1b/0=true"], None),
            (&["/status=OK"], Some("/status is \"DONE\", expected OK")),
            (&["/data/n=1", "/status=DONE", "/data/n=2"], Some("/data/n is 3, expected 1 or 2")),
            (&["/status=DONE", "/none=1"], Some("/none is missing, expected 1")),
        ] {
            assert_eq!(unmet(&expectations(texts), Some(&reply)).as_deref(), says, "{texts:?}");
        }
        let none = unmet(&expectations(&["/a=1"]), None);
        assert_eq!(none.as_deref(), Some("/a is missing, since the reply is no JSON, expected 1"));
        let long = unmet(&expectations(&["/a=1"]), Some(&json!({"a": "ä".repeat(200)}))).unwrap();
        assert!(long.chars().count() < 120, "{long}");
    }
}
