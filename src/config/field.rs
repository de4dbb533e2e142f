//! How one setting is read from text and shown again: one implementation per type, for every layer.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::code::Code;
use crate::domain::expectation::Expectation;
use crate::domain::overlap::Overlap;
use crate::domain::{duration, size};
use crate::secret::Secret;

/// What a layer gives for a key: a scalar as text, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One value; numbers and booleans as they were written.
    Text(String),
    /// A YAML sequence.
    List(Vec<String>),
}

impl Value {
    /// The single value.
    ///
    /// # Errors
    /// When a list was given.
    pub fn text(&self) -> Result<&str, String> {
        match self {
            Value::Text(text) => Ok(text),
            Value::List(_) => Err("expected one value, found a list".to_owned()),
        }
    }

    /// The values: a list, or a text split at commas.
    pub fn list(&self) -> Vec<&str> {
        match self {
            Value::List(items) => items.iter().map(String::as_str).collect(),
            Value::Text(text) => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
        }
    }
}

/// A type that a setting can have.
pub trait Field: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What was expected, without repeating the value.
    fn read(value: &Value) -> Result<Self, String>;

    /// Writes it so that [`Field::read`] reads it back; empty when unset.
    fn show(&self) -> String;
}

impl Field for String {
    fn read(value: &Value) -> Result<Self, String> {
        value.text().map(str::to_owned)
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Field for PathBuf {
    fn read(value: &Value) -> Result<Self, String> {
        value.text().map(PathBuf::from)
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Field for bool {
    fn read(value: &Value) -> Result<Self, String> {
        match value.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "no" | "n" | "off" | "0" => Ok(false),
            _ => Err("expected true or false".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(value: &Value) -> Result<Self, String> {
                value.text()?.trim().parse().map_err(|_| {
                    format!("expected a whole number from {} to {}", <$type>::MIN, <$type>::MAX)
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
number!(u32, u64, i64);

/// Makes settings of types that have one text.
macro_rules! text_fields {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(value: &Value) -> Result<Self, String> {
                value.text()?.parse().map_err(|error| format!("{error}"))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
text_fields!(Code, Expectation);

impl Field for Duration {
    fn read(value: &Value) -> Result<Self, String> {
        duration::parse(value.text()?)
    }

    fn show(&self) -> String {
        duration::show(*self)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Field for Bytes {
    fn read(value: &Value) -> Result<Self, String> {
        size::parse(value.text()?).map(Bytes)
    }

    fn show(&self) -> String {
        size::show(self.0)
    }
}

/// Makes enums of [`crate::domain::word`] settings.
macro_rules! word_fields {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::config::Field for $name {
            fn read(value: &$crate::config::Value) -> Result<Self, String> {
                value.text()?.parse().map_err(|unknown: $crate::domain::word::UnknownWord| unknown.expected())
            }

            fn show(&self) -> String {
                self.as_str().to_owned()
            }
        }
    )+};
}
pub(super) use word_fields;

word_fields!(Overlap);

/// A URL as a setting: its userinfo, which does not belong there, is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlText(pub String);

impl Field for UrlText {
    fn read(value: &Value) -> Result<Self, String> {
        value.text().map(|text| UrlText(text.to_owned()))
    }

    fn show(&self) -> String {
        without_userinfo(&self.0)
    }
}

/// A URL-like text without what stands before an `@` in its authority.
pub fn without_userinfo(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// A secret as a setting: read like a text, shown as `[secret]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretText(pub Secret);

impl Field for SecretText {
    fn read(value: &Value) -> Result<Self, String> {
        value.text().map(|text| SecretText(Secret::new(text)))
    }

    fn show(&self) -> String {
        "[secret]".to_owned()
    }
}

impl<T: Field> Field for Option<T> {
    fn read(value: &Value) -> Result<Self, String> {
        T::read(value).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map(Field::show).unwrap_or_default()
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        value.list().into_iter().map(|item| T::read(&Value::Text(item.to_owned()))).collect()
    }

    fn show(&self) -> String {
        self.iter().map(Field::show).collect::<Vec<_>>().join(", ")
    }
}
