//! The demonstration: a real server, the crontab's own entries through the real `qs-api-call`, and things that break.

mod backing;
mod crontab;
mod programs;
mod setup;
mod steps;

use comfy_table::{Table, presets};

use self::backing::Backing;
use self::programs::Programs;
use self::setup::Setup;
use self::steps::DemoStep;
use crate::cli::output::{Failure, Output};
use crate::cli::scheduler::DemoArgs;
use crate::cli::signal::stopped;
use crate::config::Env;
use crate::domain::exit::Exit;

/// The crontab that is shipped.
const CRONTAB: &str = include_str!("../../../crontab/qs-scheduler");

/// Runs the demonstration from beginning to end and cleans up.
///
/// # Errors
/// A step that did not come out as it must, or a program that could not be started.
pub fn run(args: DemoArgs, env: &Env, output: Output) -> Result<(), Failure> {
    let programs = Programs::find(env, output)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("the runtime cannot start: {error}")))?;
    let mut setup = Setup::new(programs, Backing::of(env)?, args.keep)?;
    runtime.block_on(async {
        let ended = tokio::select! {
            result = demonstrate(&mut setup, output) => result,
            stop = stopped() => Err(Failure::new(stop.exit(), format!("stopped by {}", stop.name()))),
        };
        match (ended, setup.remove().await) {
            (Ok(()), removed) => removed,
            (Err(failure), removed) => {
                if let Err(left) = removed {
                    output.failure(&left);
                }
                Err(failure)
            }
        }
    })?;
    let end = setup.kept().map_or_else(
        || "everything is removed".to_owned(),
        |dir| format!("what it wrote is left in {}", dir.display()),
    );
    output.data(&format!("\nEvery step came out as it must. The server is stopped and {end}."))
}

async fn demonstrate(setup: &mut Setup, output: Output) -> Result<(), Failure> {
    let entries = crontab::calls(CRONTAB)?;
    setup.start().await?;
    output.data(&format!("qs-apiserver serves on {} with {}\n", setup.url(), setup.data()))?;
    let steps = steps::take(setup, &entries, output).await?;
    output.data(&table(&steps))?;
    if let Some(entry) = entries.first() {
        let log = excerpt(&setup.log(entry)?);
        output.data(&format!("\nThe end of the log of {}, each line cut short:\n{log}", entry.task))?;
    }
    output.data(&format!("\nWhat `qs-api-call status` says:\n{}", setup.status().await?.trim_end()))?;
    let wrong: Vec<&str> =
        steps.iter().filter(|step| !step.is_as_expected()).map(|step| step.what.as_str()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("not as expected: {}", wrong.join("; "))))
}

fn table(steps: &[DemoStep]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "STEP", "EXIT", "STATUS", "TRIES", "TOKEN", "MS", "WHAT THE CALL SAYS"]);
    for step in steps {
        let json = &step.called.json;
        let text = |key: &str| json[key].as_str().unwrap_or("-").to_owned();
        let number =
            |key: &str| json[key].as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
        table.add_row([
            if step.is_as_expected() { "ok" } else { "NOT" }.to_owned(),
            step.what.clone(),
            format!("{} {}", number("exit_code"), text("exit_name")),
            text("status"),
            number("attempts"),
            text("token_source"),
            number("duration_ms"),
            summary(step),
        ]);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The last lines of a log, without what follows the first words.
fn excerpt(log: &str) -> String {
    let lines: Vec<&str> = log.trim_end().lines().collect();
    let last = &lines[lines.len().saturating_sub(14)..];
    let cut = |line: &&str| line.chars().take(150).collect::<String>().trim_end().to_owned();
    last.iter().map(cut).collect::<Vec<_>>().join("\n")
}

/// The message, and the counts when the reply has them.
fn summary(step: &DemoStep) -> String {
    let json = &step.called.json;
    let data = &json["body"]["data"];
    let counts: Vec<String> = ["scanned", "written", "unchanged", "failed"]
        .iter()
        .filter_map(|key| Some(format!("{key} {}", data[*key].as_u64()?)))
        .collect();
    let message = json["message"].as_str().unwrap_or_else(|| step.called.stderr.trim());
    if counts.is_empty() { message.to_owned() } else { counts.join(", ") }
}
