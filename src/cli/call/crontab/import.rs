//! `crontab import`: from the scripts and from curl to calls.

use serde_json::json;

use super::args::ImportArgs;
use super::source;
use crate::cli::output::{Failure, Output};
use crate::crontab::import::import;
use crate::domain::exit::Exit;
use crate::domain::plural::plural;
use crate::files;

/// Turns a file; the old one is not touched unless it is named as the output.
pub(super) fn run(args: &ImportArgs, output: Output) -> Result<(), Failure> {
    let crontab = source::read(&args.source.file, &args.source.reading)?;
    let imported = import(&crontab);
    if args.json {
        return output.json(&json!(imported));
    }
    match &args.output {
        None => output.data(&imported.text)?,
        Some(path) => files::replace(path, imported.text.as_bytes(), 0o644, files::Durability::Rename)
            .map_err(|error| Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display())))?,
    }
    for change in &imported.changes {
        let word = if change.changed { "" } else { "left as it is: " };
        output.note(&format!("line {}: {word}{}", change.line, change.what));
    }
    if imported.servers.len() > 1 {
        let (count, servers) = (imported.servers.len(), imported.servers.join(", "));
        output.note(&format!(
            "the lines call {count} servers ({servers}): give each a configuration of its own with --config",
        ));
    }
    let changed = imported.changes.iter().filter(|change| change.changed).count();
    let left = imported.changes.len() - changed;
    let (changed, left) = (plural(changed, "line"), plural(left, "line"));
    output
        .note(&format!("{changed} changed, {left} left; see {} crontab check for the rest", output.program));
    Ok(())
}
