//! `crontab …`: the file that says what is called, and when.

mod args;
mod check;
mod diff;
mod explain;
mod host;
mod import;
mod next;
mod openapi;
mod render;
mod report;
mod source;
mod timeline;

pub(super) use self::args::CrontabCommand;

use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::config::Env;

/// Runs one of the commands.
pub(super) async fn run(
    command: &CrontabCommand,
    env: &Env,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    match command {
        CrontabCommand::Check(args) => check::run(args, env, output, clock).await,
        CrontabCommand::Explain(args) => explain::run(args, output, clock),
        CrontabCommand::Next(args) => next::run(args, output, clock),
        CrontabCommand::Render(args) => render::run(args, output),
        CrontabCommand::Diff(args) => diff::run(args, output, clock),
        CrontabCommand::Import(args) => import::run(args, output),
        CrontabCommand::Timeline(args) => timeline::run(args, output, clock),
    }
}
