//! One setting: its key, how it is read and how it is shown.

use super::field::Value;

/// One setting of the configuration `C`.
pub struct Setting<C> {
    /// `section.key`, as in the file.
    pub key: &'static str,
    /// Further environment names, beside `QS_<SECTION>__<KEY>` which wins over them.
    pub env: &'static [&'static str],
    /// Whether the value must never be shown.
    pub secret: bool,
    /// Reads the value into the configuration; the error says what was expected.
    pub set: fn(&mut C, &Value) -> Result<(), String>,
    /// Shows the value; empty when unset.
    pub show: fn(&C) -> String,
}

/// Declares the setting `section.key` of a configuration with the field path `section.key`.
macro_rules! setting {
    ($section:ident.$key:ident) => { setting!($section.$key, []) };
    ($section:ident.$key:ident, [$($env:literal),*]) => { setting!($section.$key, [$($env),*], secret: false) };
    ($section:ident.$key:ident, [$($env:literal),*], secret: $secret:literal) => {
        $crate::config::Setting {
            key: concat!(stringify!($section), ".", stringify!($key)),
            env: &[$($env),*],
            secret: $secret,
            set: |config, value| {
                config.$section.$key = $crate::config::Field::read(value)?;
                Ok(())
            },
            show: |config| $crate::config::Field::show(&config.$section.$key),
        }
    };
}
pub(super) use setting;
