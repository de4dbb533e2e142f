//! What the commands that change or look at a host have in common: the host, the proof, the report.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::deploy::drift::{Finding, Inventory};
use crate::deploy::error::DeployError;
use crate::deploy::host::Host;
use crate::deploy::install::{Order, Outcome, install};
use crate::deploy::prove::WantedProof;
use crate::deploy::steps::{InstallStep, Steps};
use crate::deploy::stop::Stop;
use crate::domain::duration;
use crate::domain::exit::Exit;

/// Which crontab on which host.
#[derive(Args, Clone, Debug)]
pub struct HostArgs {
    /// Name of the file in /etc/cron.d
    #[arg(long, value_name = "NAME", default_value = "qs-scheduler", help_heading = "Host")]
    pub name: String,

    /// The host's files are below this directory: an image, or a place to try it out
    #[arg(long, value_name = "DIR", help_heading = "Host")]
    pub root: Option<PathBuf>,

    /// As one JSON object
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

impl HostArgs {
    pub(super) fn host(&self) -> Result<Host, Failure> {
        match &self.root {
            None => Ok(Host::machine()),
            Some(root) => Host::below(root)
                .map_err(|error| Failure::new(Exit::NoInput, format!("{}: {error}", root.display()))),
        }
    }
}

/// What must hold behind the change.
#[derive(Args, Clone, Debug)]
pub struct ProofArgs {
    /// How it is proved that cron runs the file
    #[arg(long, value_enum, default_value_t, help_heading = "Proof")]
    pub proof: WantedProof,

    /// How long cron's log may say nothing about it; a first install waits for two minutes of cron, and this long in each
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "75s", help_heading = "Proof")]
    pub proof_timeout: Duration,

    /// Do not try whether server and login are there for the calls
    #[arg(long, help_heading = "Proof")]
    pub no_canary: bool,
}

/// Carries an order out and reports it.
pub(super) async fn carry_out(
    order: &Order,
    args: &HostArgs,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let host = args.host()?;
    let mut stop = Stop::new(stopped());
    let json = args.json;
    let mut steps = Steps::new(move |step: &InstallStep| {
        // A reader that has gone away, with its connection for example, must not end an install.
        match (json, output.stderr_is_terminal) {
            (true, _) => {}
            (false, true) => output.note(&line(step)),
            (false, false) => drop(output.data(&line(step))),
        }
    });
    let result = install(order, &host, clock, &mut steps, &mut stop).await;
    let shown = if args.json {
        output.json(&report(&order.name, &steps, &result))
    } else {
        text(&order.name, &result, output)
    };
    result?;
    shown
}

/// `ok       place    /etc/cron.d/qs-scheduler`.
fn line(step: &InstallStep) -> String {
    format!("{:<8} {:<10} {}", step.result, step.step, step.message)
}

fn text(name: &str, result: &Result<Outcome, DeployError>, output: Output) -> Result<(), Failure> {
    match result {
        Ok(Outcome::Unchanged) => output.data("unchanged"),
        Ok(Outcome::WouldChange(lines)) => output.data(&lines.join("\n")),
        Ok(Outcome::Installed(deployment)) => {
            output.data(&format!("{name}: deployment {}, {}", deployment.number, deployment.proof.evidence))
        }
        Err(_) => Ok(()),
    }
}

fn report(name: &str, steps: &Steps, result: &Result<Outcome, DeployError>) -> Value {
    let steps = steps.taken();
    match result {
        Ok(Outcome::Installed(deployment)) => {
            json!({ "name": name, "outcome": "installed", "steps": steps, "deployment": deployment })
        }
        Ok(Outcome::WouldChange(lines)) => {
            json!({ "name": name, "outcome": "would_change", "steps": steps, "changes": lines })
        }
        Ok(Outcome::Unchanged) => json!({ "name": name, "outcome": "unchanged", "steps": steps }),
        Err(error) => {
            let outcome = match error {
                DeployError::RolledBack(_) => "rolled_back",
                DeployError::Half { .. } => "half",
                _ => "refused",
            };
            let (message, hint) = (error.to_string(), error.hint());
            json!({ "name": name, "outcome": outcome, "steps": steps, "error": message, "hint": hint })
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        Self { exit: error.exit(), message: error.to_string(), hint: error.hint().map(str::to_owned) }
    }
}

/// Shows what was found on a host, and fails when something is not as it must be.
pub(super) fn inventory(
    args: &HostArgs,
    found: &Inventory,
    good: &str,
    output: Output,
) -> Result<(), Failure> {
    if args.json {
        let mut report = json!(found);
        report["name"] = json!(args.name);
        output.json(&report)?;
    } else if found.findings.is_empty() {
        output.data(good)?;
    } else {
        let lines = found.findings.iter().map(|finding| format!("{:<8} {}", finding.what, finding.message));
        output.data(&lines.collect::<Vec<_>>().join("\n"))?;
    }
    let Some(Finding { what, message }) = found.findings.first() else { return Ok(()) };
    let sum = match found.findings.len() {
        1 => String::new(),
        count => format!("{count} things are not as they must be, the first: "),
    };
    Err(Failure::new(Exit::Failed, format!("{}: {sum}{what}: {message}", args.name)))
}

/// Waits for a signal that ends an install. Where handlers cannot be set the default action of the signal remains.
async fn stopped() -> &'static str {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = kinds else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = hangup.recv() => "SIGHUP",
    }
}
