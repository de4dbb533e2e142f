//! JSON that means one thing: an object that names a field twice is refused, at any depth. Parsers differ in which of the
//! two they take, so who checks and who acts could see different values (RFC 8259 §4, RFC 7519 §4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads a text of JSON.
///
/// # Errors
/// When it is no JSON, or names a field twice.
pub fn unambiguous(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text).map(|Unambiguous(value)| value)
}

/// A value without two fields of one name.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Unambiguous(value) = entries.next_value()?;
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the field {name:?} is given twice")));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_once_is_read_as_serde_json_reads_it() {
        for text in [
            "null",
            " true ",
            "-5",
            "18446744073709551615",
            "1.5",
            r#""a\u00e9\ud83d\ude00""#,
            r#"[1,[],{"a":{"a":[null]}}]"#,
            r#"{"a":1,"A":2,"a ":3}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(unambiguous(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_said_twice_is_refused_at_any_depth_and_however_it_is_written() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"[{"a":1,"a":2}]"#,
        ] {
            let error = unambiguous(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(r#"the field "a" is given twice"#), "{text}: {error}");
        }
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        for text in ["", "{", "NaN", "1e999", r#""\ud800""#, "\u{feff}{}", "{} {}", &deep] {
            assert!(unambiguous(text.as_bytes()).is_err(), "{text}");
        }
        assert!(unambiguous(b"\"\xff\"").is_err(), "no UTF-8");
    }
}
