//! `config …`: the settings in force, and the default file.

use serde_json::{Value, json};

use super::args::ConfigCommand;
use crate::cli::output::{Failure, Output};
use crate::config::call::{DEFAULT_YAML, SETTINGS};
use crate::native_call::settings::Settings;

/// The commented default file.
pub(super) fn default(output: Output) -> Result<(), Failure> {
    output.data(DEFAULT_YAML)
}

/// The settings in force and where each comes from.
pub(super) fn show(command: &ConfigCommand, settings: &Settings, output: Output) -> Result<(), Failure> {
    let ConfigCommand::Show(args) = command else { return default(output) };
    let rows = SETTINGS.iter().map(|setting| {
        let value = (setting.show)(settings.config());
        let value = if value.is_empty() { in_force(setting.key, settings) } else { value };
        (setting.key, value, settings.loaded.origin(setting.key).to_string())
    });
    if args.json {
        let object: serde_json::Map<String, Value> = rows
            .map(|(key, value, origin)| (key.to_owned(), json!({"value": value, "origin": origin})))
            .collect();
        return output.json(&Value::Object(object));
    }
    output.table(&["key", "value", "from"], rows.map(|(key, value, origin)| [key.to_owned(), value, origin]))
}

/// What an unset place comes to.
fn in_force(key: &str, settings: &Settings) -> String {
    match key {
        "token.file" => settings.token_path.display().to_string(),
        "log.file" => settings.log_path.display().to_string(),
        "state.dir" => settings.state_dir.display().to_string(),
        "state.metrics_dir" => settings.metrics_dir().display().to_string(),
        _ => String::new(),
    }
}
