//! L1 · Settings of each program: defaults < file < environment < flags. One file per program beside this machinery.
//!
//! A program's settings are a table of [`Setting`]s over its typed configuration. Every layer is read as the same
//! `(key, value)` pairs through that table, so a key has one name, one parser and one error message wherever it is
//! set. All problems are collected and reported at once; nothing is ever written at start-up.

mod env;
mod field;
mod file;
pub mod files;
mod load;
mod names;
mod problem;
mod section;
mod setting;
mod targets;

#[cfg(feature = "server")]
pub mod apiserver;
#[cfg(feature = "server")]
pub mod auth;
pub mod call;
#[cfg(feature = "server")]
pub mod server;

pub use env::Env;
pub use field::{Bytes, Field, SecretText, UrlText, Value, without_userinfo};
pub use file::ConfigFile;
pub use load::{Loaded, load, unknown_variable};
pub use problem::{ConfigError, Origin, Problem};
pub use setting::Setting;
pub use targets::{TargetRules, Targets, load_targets, target_names};

/// The default file holds every key, in the order of the table, and nothing but defaults.
#[cfg(test)]
fn assert_shipped<C: Default + PartialEq + std::fmt::Debug>(text: &str, settings: &'static [Setting<C>]) {
    let file = ConfigFile { path: "configs/default.yaml".into(), text: text.to_owned() };
    let loaded = load(settings, &[file], &Env::default()).unwrap();
    assert_eq!(loaded.config, C::default());
    // An unset key stands in the file without a value, so the text itself must be searched.
    let mut section = "";
    let mut keys = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let Some((name, _)) = line.split_once(':') {
            match name.strip_prefix("  ") {
                Some(key) => keys.push(format!("{section}.{key}")),
                None => section = name,
            }
        }
    }
    assert_eq!(keys, settings.iter().map(|setting| setting.key).collect::<Vec<_>>());
}
