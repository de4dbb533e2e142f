//! `crontab drift`: whether a host still has what was sent to it. It only looks.

use std::path::PathBuf;

use clap::Args;

use super::deployment::{HostArgs, inventory};
use crate::cli::output::{Failure, Output};
use crate::deploy::drift::drift;

/// `crontab drift`
#[derive(Args, Clone, Debug)]
pub struct DriftArgs {
    /// The crontab as it should be
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub host: HostArgs,

    /// The program as it should be
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub binary: Option<PathBuf>,

    /// A SHA256SUMS that must name FILE; if it names qs-api-call, the installed program must be that one
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub manifest: Option<PathBuf>,
}

/// Compares.
pub(super) fn run(args: &DriftArgs, output: Output) -> Result<(), Failure> {
    let host = args.host.host()?;
    let (binary, manifest) = (args.binary.as_deref(), args.manifest.as_deref());
    let found = drift(&host, &args.host.name, &args.file, binary, manifest)?;
    inventory(&args.host, &found, "no drift", output)
}
