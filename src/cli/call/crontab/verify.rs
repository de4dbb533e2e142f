//! `crontab verify`: whether a host has what was installed, and cron runs it.

use clap::Args;

use super::deployment::{HostArgs, inventory};
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::deploy::drift;

/// `crontab verify`
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub host: HostArgs,
}

/// Verifies.
pub(super) async fn run(args: &VerifyArgs, output: Output, clock: &dyn Clock) -> Result<(), Failure> {
    let host = args.host.host()?;
    let found = drift::verify(&host, &args.host.name, clock).await?;
    let digest = found.crontab.as_ref().map_or("", |placed| &placed.sha256);
    let cron = found.cron.map_or_else(String::new, |pid| format!("\ncron       running (process {pid})"));
    let last = match &found.last {
        Some(last) => format!(
            "\ndeployed   {} ({} {})\nproof      {}",
            last.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            last.by,
            last.number,
            last.proof.evidence
        ),
        None => "\ndeployed   not by this program: there is no record".to_owned(),
    };
    let good =
        format!("crontab    {}\nsha256     {digest}{cron}{last}", host.crontab(&args.host.name).display());
    inventory(&args.host, &found, &good, output)
}
