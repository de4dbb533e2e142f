//! The demonstration: a real server, the crontab's own entries through the real `qs-api-call`, and things that break.

mod acts;
mod backing;
mod broken;
mod crontab;
mod programs;
mod stage;

use comfy_table::{Table, presets};

use self::acts::Step;
use self::backing::Backing;
use self::programs::Programs;
use self::stage::Stage;
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
    runtime.block_on(async {
        tokio::select! {
            result = play(args, env, programs, output) => result,
            // The server and the directory are removed by their owners on the way out.
            stop = stopped() => Err(Failure::new(stop.exit(), format!("stopped by {}", stop.name()))),
        }
    })
}

async fn play(args: DemoArgs, env: &Env, programs: Programs, output: Output) -> Result<(), Failure> {
    let entries = crontab::entries(CRONTAB)?;
    let backing = Backing::of(env, output).await?;
    let mut stage = Stage::set(programs, backing, args.keep, output).await?;
    output.data(&format!("qs-apiserver serves on {} with {}\n", stage.url(), stage.data()))?;
    let steps = acts::play(&mut stage, &entries, output).await?;
    output.data(&table(&steps))?;
    if let Some(entry) = entries.first() {
        let log = excerpt(&stage.log(entry)?);
        output.data(&format!("\nThe end of the log of {}, each line cut short:\n{log}", entry.task()))?;
    }
    output.data(&format!("\nWhat `qs-api-call status` says:\n{}", stage.status().await?.trim_end()))?;
    let wrong: Vec<&str> =
        steps.iter().filter(|step| !step.is_as_expected()).map(|step| step.what.as_str()).collect();
    let wrong = (!wrong.is_empty())
        .then(|| Failure::new(Exit::Failed, format!("not as expected: {}", wrong.join("; "))));
    let kept = match (stage.strike().await, wrong) {
        (Ok(kept), None) => kept,
        (Ok(_), Some(wrong)) => return Err(wrong),
        (Err(left), None) => return Err(left),
        (Err(left), Some(wrong)) => {
            output.failure(&left);
            return Err(wrong);
        }
    };
    let end = kept.map_or_else(
        || "everything is removed".to_owned(),
        |dir| format!("what it wrote is left in {}", dir.display()),
    );
    output.data(&format!("\nEvery step came out as it must. The server is stopped and {end}."))
}

fn table(steps: &[Step]) -> String {
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
fn summary(step: &Step) -> String {
    let json = &step.called.json;
    let data = &json["body"]["data"];
    let counts: Vec<String> = ["scanned", "written", "unchanged", "failed"]
        .iter()
        .filter_map(|key| Some(format!("{key} {}", data[*key].as_u64()?)))
        .collect();
    let message = json["message"].as_str().unwrap_or_else(|| step.called.stderr.trim());
    if counts.is_empty() { message.to_owned() } else { counts.join(", ") }
}
