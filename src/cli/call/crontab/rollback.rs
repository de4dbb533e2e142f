//! `crontab rollback`: an earlier version brought back, by the steps of an install.

use clap::Args;
use serde_json::json;

use super::deployment::{HostArgs, ProofArgs, carry_out};
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::deploy::canary::Choice;
use crate::deploy::history::{Backup, Before, History};
use crate::deploy::install::Order;
use crate::deploy::version::Source;

/// `crontab rollback`
#[derive(Args, Clone, Debug)]
pub struct RollbackArgs {
    #[command(flatten)]
    pub host: HostArgs,

    /// Number of the backup, as --list shows it [default: the one before the current version]
    #[arg(long, value_name = "N", conflicts_with = "list", help_heading = "Change")]
    pub to: Option<u32>,

    /// Show the backups, newest first, and change nothing
    #[arg(long, help_heading = "Output")]
    pub list: bool,

    #[command(flatten)]
    pub proof: ProofArgs,
}

/// Rolls back.
pub(super) async fn run(args: &RollbackArgs, output: Output, clock: &dyn Clock) -> Result<(), Failure> {
    if args.list {
        return list(args, output);
    }
    let order = Order {
        name: args.host.name.clone(),
        source: Source::Backup(args.to),
        canary: if args.proof.no_canary { Choice::None } else { Choice::First },
        proof: args.proof.proof,
        proof_timeout: args.proof.proof_timeout,
        dry_run: false,
        // Who rolls back knows that what is there is not what should be.
        force: true,
        purge_legacy: false,
    };
    carry_out(&order, &args.host, output, clock).await
}

fn list(args: &RollbackArgs, output: Output) -> Result<(), Failure> {
    let history = History::new(&args.host.host()?, &args.host.name);
    let mut backups = history.list()?;
    backups.reverse();
    if args.host.json {
        return output.json(&json!(backups));
    }
    if backups.is_empty() {
        output.note("there is no backup");
        return Ok(());
    }
    output.data(&backups.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// `7  2026-11-21T12:00:00Z  crontab 0123456789ab  program 0123456789ab`.
fn line(backup: &Backup) -> String {
    let of = |before: &Before| match before {
        Before::Absent => "absent".to_owned(),
        Before::Untouched => "untouched".to_owned(),
        Before::Saved(placed) => placed.sha256.chars().take(12).collect(),
    };
    let at = backup.at.strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("{:>4}  {at}  crontab {:<12}  program {}", backup.number, of(&backup.crontab), of(&backup.binary))
}
