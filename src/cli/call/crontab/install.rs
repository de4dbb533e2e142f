//! `crontab install`: a crontab, and perhaps the program, put on a host and proved.

use std::path::PathBuf;

use clap::Args;

use super::deployment::{HostArgs, ProofArgs, carry_out};
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::deploy::canary::Choice;
use crate::deploy::install::Order;
use crate::deploy::version::Source;

/// `crontab install`
#[derive(Args, Clone, Debug)]
pub struct InstallArgs {
    /// The crontab
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub host: HostArgs,

    /// Install this program first, as /usr/local/bin/qs-api-call
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub binary: Option<PathBuf>,

    /// A SHA256SUMS that must name FILE and the program
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub manifest: Option<PathBuf>,

    #[command(flatten)]
    pub proof: ProofArgs,

    /// The endpoint that is asked for, without calling it [default: that of the first call]
    #[arg(long, value_name = "ENDPOINT", conflicts_with = "no_canary", help_heading = "Proof")]
    pub canary: Option<String>,

    /// Show what would change, and change nothing
    #[arg(long, help_heading = "Change")]
    pub dry_run: bool,

    /// Install it although it is installed, or although somebody has changed the installed file. Never overrides an error
    #[arg(long, help_heading = "Change")]
    pub force: bool,

    /// Remove qs-api-call.sh, qs-refresh-token.sh and their file for logrotate; links to the program stay
    #[arg(long, help_heading = "Change")]
    pub purge_legacy: bool,
}

/// Installs.
pub(super) async fn run(args: &InstallArgs, output: Output, clock: &dyn Clock) -> Result<(), Failure> {
    let canary = match &args.canary {
        _ if args.proof.no_canary => Choice::None,
        Some(endpoint) => Choice::Endpoint(endpoint.clone()),
        None => Choice::First,
    };
    let order = Order {
        name: args.host.name.clone(),
        source: Source::Files {
            crontab: args.file.clone(),
            binary: args.binary.clone(),
            manifest: args.manifest.clone(),
        },
        canary,
        proof: args.proof.proof,
        proof_timeout: args.proof.proof_timeout,
        dry_run: args.dry_run,
        force: args.force,
        purge_legacy: args.purge_legacy,
    };
    carry_out(&order, &args.host, output, clock).await
}
