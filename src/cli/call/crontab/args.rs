//! The command line of `crontab …`.

#![expect(clippy::doc_markdown, reason = "the comments are the help text")]

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::domain::cron::Dialect;

/// `crontab …`
#[derive(Debug, Subcommand)]
pub enum CrontabCommand {
    /// Find what cron would refuse, skip or read differently than it is written
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Say in words what each line does and when
    #[command(
        after_help = "Examples:\n  qs-api-call crontab explain crontab/qs-scheduler\n  qs-api-call crontab explain --json crontab/qs-scheduler"
    )]
    Explain(ExplainArgs),
    /// List the next runs of each line, with what the clocks do to them
    #[command(
        after_help = "Examples:\n  qs-api-call crontab next crontab/qs-scheduler\n  qs-api-call crontab next -n 5 --zone America/New_York --from 2026-03-08T00:00:00-05:00 crontab/qs-scheduler\n  qs-api-call crontab next --json crontab/qs-scheduler | jq '.[0]'"
    )]
    Next(NextArgs),
    /// Show a day at a glance
    #[command(
        after_help = "Examples:\n  qs-api-call crontab timeline crontab/qs-scheduler\n  qs-api-call crontab timeline --date 2026-03-08 --zone America/New_York crontab/qs-scheduler"
    )]
    Timeline(TimelineArgs),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  qs-api-call crontab check crontab/qs-scheduler
  qs-api-call crontab check --for qs-scheduler crontab/qs-scheduler
  qs-api-call crontab check --openapi https://api.example.com/openapi.json crontab/qs-scheduler
  sudo qs-api-call crontab check /etc/cron.d/qs-scheduler
  crontab -l | qs-api-call crontab check --user-crontab -
  qs-api-call crontab check --format sarif crontab/qs-scheduler > crontab.sarif

A file in /etc/cron.d is checked together with the machine: its owner and mode, its users, the programs, other crontabs.
Exit code 0 when nothing is an error, 78 when something is, 66 when there is no file.";

/// Who will run the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Runner {
    /// Debian's cron
    #[default]
    Cron,
    /// The daemon, which also reads six fields with seconds first, random values and CRON_TZ
    QsScheduler,
}

impl Runner {
    /// How it reads a line.
    pub fn dialect(self) -> Dialect {
        match self {
            Runner::Cron => Dialect::Cron,
            Runner::QsScheduler => Dialect::Scheduler,
        }
    }

    /// Its name, as it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Runner::Cron => "cron",
            Runner::QsScheduler => "qs-scheduler",
        }
    }
}

/// Which file, and how it is read.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// The crontab; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// How a file is read.
#[derive(Args, Clone, Debug)]
pub struct ReadingArgs {
    /// Who will run it
    #[arg(long = "for", value_name = "RUNNER", value_enum, default_value_t, help_heading = "Reading")]
    pub runner: Runner,

    /// The file has no user column, as what `crontab -e` edits
    #[arg(long, help_heading = "Reading")]
    pub user_crontab: bool,

    /// Time zone of the lines [default: what the file states, else that of this machine]
    #[arg(long, value_name = "IANA", help_heading = "Reading")]
    pub zone: Option<String>,
}

/// How problems are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, which code scanning reads
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

/// `crontab check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub source: SourceArgs,

    /// How problems are shown
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: Format,

    /// The same as --format json
    #[arg(long, help_heading = "Output", conflicts_with = "format")]
    pub json: bool,

    /// The server's OpenAPI document, a file or a URL: every endpoint must be in it
    #[arg(long, value_name = "FILE|URL", help_heading = "Against")]
    pub openapi: Option<String>,

    /// Check against this machine, also for a file that is not in /etc/cron.d
    #[arg(long, help_heading = "Against")]
    pub host: bool,

    /// Other crontabs on this machine, which must not have the same tasks [default with --host: /etc/cron.d and /etc/crontab]
    #[arg(long, value_name = "FILE", help_heading = "Against")]
    pub other: Vec<PathBuf>,

    /// The name that it will have in /etc/cron.d [default: its own]
    #[arg(long, help_heading = "Against")]
    pub name: Option<String>,

    /// Warnings are errors
    #[arg(long, help_heading = "Output")]
    pub strict: bool,
}

/// `crontab explain`
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub source: SourceArgs,

    /// As a JSON array
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// `crontab next`
#[derive(Args, Clone, Debug)]
pub struct NextArgs {
    #[command(flatten)]
    pub source: SourceArgs,

    /// How many runs of each line
    #[arg(short, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub n: u32,

    /// The runs after this instant, itself excluded [default: now]
    #[arg(long, value_name = "RFC3339")]
    pub from: Option<Timestamp>,

    /// As a JSON array
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// `crontab timeline`
#[derive(Args, Clone, Debug)]
pub struct TimelineArgs {
    #[command(flatten)]
    pub source: SourceArgs,

    /// The day [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<jiff::civil::Date>,
}
