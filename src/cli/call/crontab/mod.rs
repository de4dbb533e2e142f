//! `crontab …`: the file that says what is called, and when.

pub(super) mod args;
mod check;
mod commands;
mod deployment;
mod diff;
mod drift;
mod explain;
mod import;
mod install;
mod next;
mod openapi;
mod render;
mod report;
mod rollback;
pub(super) mod source;
mod timeline;
mod verify;

pub(super) use self::commands::CrontabCommand;

use std::path::Path;

use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::config::Env;

/// Runs one of the commands; `config` is the configuration that is named for the calls of the crontab.
pub(super) async fn run(
    command: &CrontabCommand,
    config: Option<&Path>,
    env: &Env,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    match command {
        CrontabCommand::Check(args) => check::run(args, config, env, output, clock).await,
        CrontabCommand::Explain(args) => explain::run(args, output, clock),
        CrontabCommand::Next(args) => next::run(args, output, clock),
        CrontabCommand::Timeline(args) => timeline::run(args, output, clock),
        CrontabCommand::Diff(args) => diff::run(args, output, clock),
        CrontabCommand::Render(args) => render::run(args, config, output),
        CrontabCommand::Import(args) => import::run(args, output),
        CrontabCommand::Install(args) => install::run(args, output, clock).await,
        CrontabCommand::Rollback(args) => rollback::run(args, output, clock).await,
        CrontabCommand::Verify(args) => verify::run(args, output, clock).await,
        CrontabCommand::Drift(args) => drift::run(args, output),
    }
}
