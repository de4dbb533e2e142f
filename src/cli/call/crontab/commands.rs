//! The commands of `crontab …`, with their examples.

#![expect(clippy::doc_markdown, reason = "the comments are the help text")]

use clap::Subcommand;

use super::args::{CheckArgs, DiffArgs, ExplainArgs, ImportArgs, NextArgs, RenderArgs, TimelineArgs};
use super::drift::DriftArgs;
use super::install::InstallArgs;
use super::rollback::RollbackArgs;
use super::verify::VerifyArgs;

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
    /// Tell what will run differently in the next 24 hours
    #[command(
        after_help = "Examples:\n  qs-api-call crontab diff /etc/cron.d/qs-scheduler crontab/qs-scheduler\n  qs-api-call crontab diff --format markdown OLD NEW >> \"$GITHUB_STEP_SUMMARY\"\n  git show HEAD~1:crontab/qs-scheduler | qs-api-call crontab diff - crontab/qs-scheduler"
    )]
    Diff(DiffArgs),
    /// Render the file for another runner: cron.d, systemd timers, Kubernetes CronJobs, or a table
    #[command(after_help = RENDER_EXAMPLES)]
    Render(RenderArgs),
    /// Turn lines that call the old scripts or curl into calls
    #[command(
        after_help = "Examples:\n  qs-api-call crontab import /etc/cron.d/qs-scheduler > qs-scheduler\n  crontab -l | qs-api-call crontab import --user-crontab - -o qs-scheduler\n\nThe new file goes to standard output, what was done to standard error. A line that cannot be turned without changing\nwhat it does is left as it is."
    )]
    Import(ImportArgs),
    /// Put it on this host: checked, placed, proved, tried; rolled back when any of that fails
    #[command(after_help = INSTALL_EXAMPLES)]
    Install(InstallArgs),
    /// Bring an earlier version back
    #[command(
        after_help = "Examples:\n  sudo qs-api-call crontab rollback\n  sudo qs-api-call crontab rollback --list\n  sudo qs-api-call crontab rollback --to 7"
    )]
    Rollback(RollbackArgs),
    /// Tell whether this host has what was installed, and cron runs it
    #[command(
        after_help = "Examples:\n  sudo qs-api-call crontab verify\n  sudo qs-api-call crontab verify --json | jq .crontab.sha256"
    )]
    Verify(VerifyArgs),
    /// Compare this host with what it should have, and change nothing
    #[command(
        after_help = "Examples:\n  sudo qs-api-call crontab drift crontab/qs-scheduler\n  sudo qs-api-call crontab drift --manifest SHA256SUMS crontab/qs-scheduler"
    )]
    Drift(DriftArgs),
}

const INSTALL_EXAMPLES: &str = "\
Examples:
  sudo qs-api-call crontab install crontab/qs-scheduler
  sudo qs-api-call crontab install --dry-run crontab/qs-scheduler
  sudo qs-api-call crontab install --binary ./qs-api-call --manifest SHA256SUMS crontab/qs-scheduler
  qs-api-call crontab install --root /build/image --proof none --no-canary crontab/qs-scheduler

Exit code 0 when it is in force or was already, 1 when it was rolled back or refused by the host, 66 when a file is not
there, 73 and 74 when one cannot be written or read, 75 while another install is at work, 78 when the crontab or the
manifest is wrong.";

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

const RENDER_EXAMPLES: &str = "\
Examples:
  qs-api-call crontab render systemd crontab/qs-scheduler -o deploy/systemd
  qs-api-call crontab render kubernetes crontab/qs-scheduler -o deploy/kubernetes
  qs-api-call crontab render kubernetes crontab/qs-scheduler -o deploy/kubernetes --check
  crontab -l | qs-api-call crontab render cron.d --user-crontab --user app -
  qs-api-call crontab render table crontab/qs-scheduler

Files that an earlier rendering left behind are removed. With --check nothing is written, and a difference ends with 1.
A line that the other runner cannot run as it is written ends with 78, and nothing is written.";
