//! What the command lines of the servers share: how the configuration is read and shown, `migrate`, `health`.

pub mod health;

use std::path::Path;

use clap::{Args, Subcommand};

use super::output::{Failure, Output};
use crate::config::{Env, Loaded, Setting, files, load};
use crate::domain::exit::Exit;

/// What a command line leaves to do with the configuration `C`.
#[derive(Debug)]
pub enum Action<C> {
    /// Print the OpenAPI document.
    Openapi,
    /// Serve with it.
    Serve(C),
    /// Bring the database up to date, or only check whether it is.
    Migrate {
        /// Where the database is.
        config: C,
        /// Only check.
        check: bool,
    },
}

/// `config …`; `S` says which configuration is meant.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand<S: Args> {
    /// Prints a complete commented file with every default.
    Default,
    /// Prints every setting with the place where it was set; secrets stay hidden.
    Show(S),
}

/// `migrate`; `S` says which configuration is meant.
#[derive(Debug, Args)]
pub(super) struct Migrate<S: Args> {
    #[command(flatten)]
    pub(super) source: S,
    /// Changes nothing; fails with 1 if a change is missing.
    #[arg(long)]
    pub(super) check: bool,
}

/// Reads files and environment into the configuration of a server.
pub(super) fn read<C: Default>(
    settings: &'static [Setting<C>],
    named: Option<&Path>,
    file: &str,
    env: &Env,
) -> Result<Loaded<C>, Failure> {
    let found = files::read(named, file)?;
    if let Some(unseen) = found.unseen {
        return Err(unseen);
    }
    let loaded = load(settings, &found.files, env)?;
    files::check_modes(&loaded, env)?;
    Ok(loaded)
}

/// Every setting with the place where it was set.
pub(super) fn show<C>(settings: &[Setting<C>], loaded: &Loaded<C>) -> String {
    let line = |setting: &Setting<C>| {
        let value = (setting.show)(&loaded.config);
        format!("{} = {value}  # {}\n", setting.key, loaded.origin(setting.key))
    };
    settings.iter().map(line).collect()
}

/// Says how many schema changes were missing; with `check`, which has made none, that is a failure.
///
/// # Errors
/// A check that found any.
pub fn migrated(pending: usize, check: bool, output: Output) -> Result<(), Failure> {
    match (pending, check) {
        (0, _) => output.data("the schema is current"),
        (steps, true) => {
            Err(Failure::new(Exit::Failed, format!("the database lacks {steps} schema changes")))
        }
        (steps, false) => output.data(&format!("{steps} schema changes were made; the schema is current")),
    }
}
