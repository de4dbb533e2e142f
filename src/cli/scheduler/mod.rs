//! The command line of `qs-scheduler`.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use super::output::{Output, usage};
use crate::domain::exit::Exit;

/// The program's name, in usage and errors.
pub const PROGRAM: &str = "qs-scheduler";

/// Runs a crontab of `qs-api-call` lines
///
/// This release holds the demonstration of the call. The daemon that runs the crontab itself, with history, retries and
/// catch-up, comes with the engine.
#[derive(Debug, Parser)]
#[command(
    name = "qs-scheduler",
    version,
    after_help = "Examples:\n  qs-scheduler demo\n  qs-scheduler demo --keep"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a server, make the crontab's calls, break things on purpose, and show that the call notices
    #[command(
        after_help = "Everything happens on free loopback ports and in a temporary directory, which is removed.\n\n\
                      With QS_DEMO_MYSQL_URL (mysql://user:password@host:port) and QS_DEMO_REDIS_URL (an empty \
                      logical database, redis://host:port/15) the same runs on these servers, in a database of its \
                      own; both are left as they were found."
    )]
    Demo(DemoArgs),
}

/// `demo …`
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct DemoArgs {
    /// Leave the temporary directory with the logs and the database
    #[arg(long)]
    pub keep: bool,
}

/// Reads the command line. `Err` is the exit code of a program that has nothing left to do.
pub fn parse(args: impl IntoIterator<Item = OsString>, output: Output) -> Result<Command, Exit> {
    match Cli::try_parse_from(args) {
        Ok(cli) => Ok(cli.command),
        Err(error) => Err(output.finish(usage(&error, output))),
    }
}
