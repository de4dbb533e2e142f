//! What travels to and from the database.

/// What travels to and from the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// A text: also a day, an instant, JSON.
    Text(String),
    /// Bytes: an id.
    Bytes(Vec<u8>),
}

impl Value {
    /// The number, if it is one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Null | Self::Text(_) | Self::Bytes(_) => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Int(_) | Self::Bytes(_) => None,
        }
    }
}

macro_rules! from {
    ($($given:ident: $type:ty => $value:expr;)+) => {$(
        impl From<$type> for Value {
            fn from($given: $type) -> Self {
                $value
            }
        }
    )+};
}

from! {
    number: i64 => Value::Int(number);
    number: u32 => Value::Int(number.into());
    // Databases count in signed numbers: what does not fit is as good as infinite.
    number: u64 => Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    text: &str => Value::Text(text.to_owned());
    text: String => Value::Text(text);
    text: &String => Value::Text(text.clone());
    bytes: [u8; 16] => Value::Bytes(bytes.to_vec());
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
