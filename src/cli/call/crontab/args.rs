//! The arguments of the commands that read a crontab.

#![expect(clippy::doc_markdown, reason = "the comments are the help text")]

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::domain::cron::CronDialect;

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
    pub fn dialect(self) -> CronDialect {
        match self {
            Runner::Cron => CronDialect::Debian,
            Runner::QsScheduler => CronDialect::Scheduler,
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

/// What is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A file for /etc/cron.d
    #[value(name = "cron.d")]
    CronD,
    /// A timer and a service for each line
    Systemd,
    /// A CronJob for each line
    Kubernetes,
    /// A Markdown table
    Table,
}

/// `crontab render`
#[derive(Args, Clone, Debug)]
pub struct RenderArgs {
    /// What is rendered
    #[arg(value_enum)]
    pub target: Target,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Write the files into this directory [default: all of them to standard output]
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Compare with the directory instead of writing
    #[arg(long, requires = "output", help_heading = "Output")]
    pub check: bool,

    /// The user of lines that have none, for cron.d
    #[arg(long, default_value = "root", help_heading = "Output")]
    pub user: String,

    /// For kubernetes: the PersistentVolumeClaim that keeps token, records and metrics [default: they end with the pod]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub state_claim: Option<String>,

    /// What the file is called in the first line of each rendered one [default: its path]
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub label: Option<String>,
}

/// How a difference is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
    /// A table for a pull request or a job summary
    Markdown,
}

/// `crontab diff`
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// The crontab that is there; - is standard input, /dev/null an empty one
    pub old: PathBuf,

    /// The crontab that comes
    pub new: PathBuf,

    #[command(flatten)]
    pub reading: ReadingArgs,

    /// From when on runs are compared [default: now]
    #[arg(long, value_name = "RFC3339")]
    pub from: Option<Timestamp>,

    /// For how many hours
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=8784))]
    pub hours: u16,

    /// How the difference is shown
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: DiffFormat,

    /// The same as --format json
    #[arg(long, help_heading = "Output", conflicts_with = "format")]
    pub json: bool,

    /// End with 1 when something runs differently
    #[arg(long, help_heading = "Output")]
    pub exit_code: bool,
}

/// `crontab import`
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    #[command(flatten)]
    pub source: SourceArgs,

    /// Write the new file here [default: standard output]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// As one JSON object with the new text, the changes and the servers
    #[arg(long, help_heading = "Output", conflicts_with = "output")]
    pub json: bool,
}
