//! The demonstration: a real server, the crontab's own entries through the real `qs-api-call`, and things that break.

mod broken;
mod crontab;
mod programs;
mod stage;

use comfy_table::{Table, presets};
use tokio::time::Duration;

use self::crontab::Entry;
use self::programs::Programs;
use self::stage::{Called, Stage};
use crate::cli::output::{Failure, Output};
use crate::cli::scheduler::DemoArgs;
use crate::cli::signal::stopped;
use crate::config::Env;
use crate::domain::exit::Exit;

/// The crontab that is shipped.
const CRONTAB: &str = include_str!("../../../crontab/qs-scheduler");

/// One step: what is done, what must come of it, what came of it.
struct Step {
    what: &'static str,
    expected: Expected,
    called: Called,
}

/// What a step must come to.
#[derive(Clone, Copy)]
struct Expected {
    exit: Exit,
    status: &'static str,
    /// Requests to the endpoint.
    attempts: u64,
    /// `file`, `login`, or nothing when no token was needed.
    token: Option<&'static str>,
}

const SUCCESS: Expected = Expected { exit: Exit::Ok, status: "success", attempts: 1, token: Some("file") };

impl Step {
    fn is_as_expected(&self) -> bool {
        let Expected { exit, status, attempts, token } = self.expected;
        let json = &self.called.json;
        self.called.code == Some(exit.code().into())
            && json["status"] == status
            && json["attempts"] == attempts
            && json["token_source"].as_str() == token
    }
}

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
            result = play(args, programs, output) => result,
            // The server and the directory are removed by their owners on the way out.
            stop = stopped() => Err(Failure::new(stop.exit(), format!("stopped by {}", stop.name()))),
        }
    })
}

async fn play(args: DemoArgs, programs: Programs, output: Output) -> Result<(), Failure> {
    let entries = crontab::entries(CRONTAB)?;
    let mut stage = Stage::set(programs, args.keep).await?;
    output.data(&format!(
        "qs-apiserver serves on {} with embedded data in {}\n",
        stage.url(),
        stage.dir().display()
    ))?;
    let steps = acts(&mut stage, &entries, output).await?;
    output.data(&table(&steps))?;
    for entry in &entries {
        output.data(&format!("\nThe log of {}:\n{}", entry.task(), stage.log(entry)?.trim_end()))?;
    }
    output.data(&format!("\nWhat `qs-api-call status` says:\n{}", stage.status().await?.trim_end()))?;
    let wrong: Vec<&str> = steps.iter().filter(|step| !step.is_as_expected()).map(|step| step.what).collect();
    stage.strike().await?;
    if wrong.is_empty() {
        return output
            .data("\nEvery step came out as it must. The server is stopped and everything is removed.");
    }
    Err(Failure::new(Exit::Failed, format!("not as expected: {}", wrong.join("; "))))
}

/// The steps, in order; each is told before it is made.
async fn acts(stage: &mut Stage, entries: &[Entry], output: Output) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    let mut made = |what: &'static str, expected: Expected, called: Called| {
        output.note(&format!("- {what}"));
        steps.push(Step { what, expected, called });
    };
    let event = r#"{"event_id":"demo-1","type":"submitted","questionnaire_code":"PHQ-9","testee_id":42}"#;
    let first = Expected { token: Some("login"), ..SUCCESS };
    made(
        "report an event, so that there is something to count: a first login",
        first,
        stage.event(event).await?,
    );
    let event = r#"{"event_id":"demo-2","type":"submitted","questionnaire_code":"GAD-7","testee_id":42}"#;
    made("report another: the cached token serves", SUCCESS, stage.event(event).await?);
    for entry in entries {
        made("the crontab's entry: the counts are written", SUCCESS, stage.call(entry).await?);
        made("the same entry again: nothing has changed since", SUCCESS, stage.call(entry).await?);
    }
    let Some(entry) = entries.first() else { return Ok(steps) };

    let lie = stage.against_broken_gateway(entry).await?;
    let failed = Expected { exit: Exit::Failed, status: "failed", ..SUCCESS };
    made("a gateway answers 200 with an error inside: a failure", failed, lie);
    made("an endpoint that nobody knows: 404, a failure", failed, stage.unknown_endpoint().await?);

    stage.stop_server().await?;
    let down = Expected { exit: Exit::TryLater, status: "failed", attempts: 3, ..SUCCESS };
    made("the server is down: tried again, then try later", down, stage.call(entry).await?);

    stage.start_with_new_keys().await?;
    let replaced = Expected { attempts: 2, token: Some("login"), ..SUCCESS };
    made("it is back with new keys: one 401, one login, one repetition", replaced, stage.call(entry).await?);
    output.note("  (waiting for that token, which lives two seconds, to expire)");
    stage.wait_for_expiry(Duration::from_secs(30)).await?;
    made("the token has expired: it is replaced before it is used", first, stage.call(entry).await?);
    Ok(steps)
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
            step.what.to_owned(),
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
