//! The environment, read once: the only place that touches `std::env`.

use std::collections::BTreeMap;

/// A snapshot of the environment variables.
#[derive(Clone, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
    /// Names of the variables whose values are no text.
    no_text: Vec<String>,
}

impl Env {
    /// The environment of this process.
    pub fn from_process() -> Self {
        let mut env = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(env.values.insert(name, value)),
                Err(_) => env.no_text.push(name),
            }
        }
        env
    }

    /// The value of `name`; an empty value counts as unset, as an empty crontab assignment means "none".
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same with these set over it, as a crontab sets them for a call.
    #[must_use]
    pub fn with<'a>(&self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut env = self.clone();
        for (name, value) in settings {
            env.no_text.retain(|other| other != name);
            env.values.insert(name.to_owned(), value.to_owned());
        }
        env
    }

    /// Names of the variables whose values are no UTF-8 text.
    pub fn no_text(&self) -> &[String] {
        &self.no_text
    }

    /// Variables of this project, whose names begin with `QS_`.
    pub fn ours(&self) -> impl Iterator<Item = (&str, &str)> {
        let set = self.values.iter().filter(|(name, value)| name.starts_with("QS_") && !value.is_empty());
        set.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The dotted key of a variable `QS_<SECTION>__<KEY>`: that of `QS_CALL__TIMEOUT` is `call.timeout`.
pub(super) fn dotted(name: &str) -> Option<String> {
    let (section, key) = name.strip_prefix("QS_")?.split_once("__")?;
    Some(format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase()))
}

/// The name of the variable that sets `key`: `call.timeout` is `QS_CALL__TIMEOUT`, and of the target `eu-1` it is
/// `QS_TARGETS__EU_1__CALL__TIMEOUT`.
pub(super) fn variable(target: Option<&str>, key: &str) -> String {
    let target = target.map(|name| format!("TARGETS__{}__", name.replace('-', "_"))).unwrap_or_default();
    format!("QS_{target}{}", key.replacen('.', "__", 1)).to_ascii_uppercase()
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { values, no_text: Vec::new() }
    }
}
