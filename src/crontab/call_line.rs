//! The whole command line of a call, without commands: what the program reads when it is called, and what the linter, the
//! renderers and the demo read from a crontab.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use super::invocation::Invocation;

/// Every word that is a command of the program, so that a line with it is no call.
pub const COMMANDS: [&str; 11] = [
    "token",
    "check",
    "status",
    "history",
    "forget",
    "explain",
    "crontab",
    "config",
    "completions",
    "man",
    "help",
];

/// The arguments of a line that makes a call.
#[derive(Clone, Debug, Parser)]
#[command(name = "qs-api-call", version)]
pub struct CallLine {
    /// What is called, and how.
    #[command(flatten)]
    pub invocation: Invocation,
    /// How the call is shown.
    #[command(flatten)]
    pub call: CallOptions,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of a call that are not policy: they do not belong into a crontab line.
#[derive(Args, Clone, Debug, Default)]
pub struct CallOptions {
    /// Print one JSON object about the outcome on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Show progress and the reply; -vv shows more
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// Show what would be sent, and send nothing
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,

    /// Record the run as one by hand, as a run from a terminal is: no task, no metrics, no ping
    #[arg(long, help_heading = "Record")]
    pub manual: bool,

    /// Log in although the last login with this credential was rejected
    #[arg(long, help_heading = "Connection")]
    pub force_login: bool,
}

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// Read only this configuration file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,

    /// Directory of run records and locks
    #[arg(long, global = true, value_name = "DIR", help_heading = "Configuration")]
    pub state_dir: Option<PathBuf>,

    /// Accept token, password and key files that others may read
    #[arg(long, global = true, help_heading = "Configuration")]
    pub allow_insecure_permissions: bool,
}
