//! The environment, read once: the only place that touches `std::env`.

use std::collections::BTreeMap;

/// A snapshot of the environment variables. Values that are not UTF-8 are left out.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The environment of this process.
    pub fn from_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value of `name`; an empty value counts as unset, as an empty crontab assignment means "none".
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Variables of the form `QS_<SECTION>__<KEY>` with their dotted key: `QS_CALL__TIMEOUT` is `call.timeout`.
    pub fn dotted(&self) -> impl Iterator<Item = (&str, String, &str)> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(name, value)| {
            let (section, key) = name.strip_prefix("QS_")?.split_once("__")?;
            Some((
                name.as_str(),
                format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase()),
                value.as_str(),
            ))
        })
    }
}

/// The name of the variable that sets `key`: `call.timeout` is `QS_CALL__TIMEOUT`, and of the target `eu-1` it is
/// `QS_TARGETS__EU_1__CALL__TIMEOUT`.
pub(super) fn variable(target: Option<&str>, key: &str) -> String {
    let target = target.map(|name| format!("TARGETS__{}__", name.replace('-', "_"))).unwrap_or_default();
    format!("QS_{target}{}", key.replacen('.', "__", 1)).to_ascii_uppercase()
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
