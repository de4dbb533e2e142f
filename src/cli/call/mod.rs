//! `qs-api-call`: from the arguments of a crontab line to an exit code.

mod args;
mod check;
mod check_places;
mod checks;
mod completions;
mod config;
mod crontab;
mod expected;
mod explain;
mod failure;
mod forget;
mod preview;
mod progress;
mod run;
mod script;
mod shown;
mod status;
mod token;

use std::ffi::OsString;
use std::sync::Arc;

use clap::CommandFactory;

pub use args::Cli;

use self::args::{Command, ConfigCommand};
use super::defect;
use super::output::{Failure, Output, usage};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Env;
use crate::crontab::invocation::Invocation;
use crate::domain::exit::Exit;
use crate::native_call::settings::Settings;

/// The program's name, in usage and errors.
const PROGRAM: &str = "qs-api-call";

/// Runs the program with `args`, whose first is the name it was called by.
pub fn main(args: impl IntoIterator<Item = OsString>, env: &Env) -> Exit {
    let output = Output::of_process(PROGRAM, env.get("NO_COLOR"));
    defect::install_hook(output);
    let args: Vec<OsString> = args.into_iter().collect();
    defect::caught(|| run_to_end(&args, env, output))
        .unwrap_or_else(|defect| output.finish(Err(Failure::new(Exit::Internal, defect))))
}

fn run_to_end(args: &[OsString], env: &Env, output: Output) -> Exit {
    // One thread is enough for one call, and starts faster than two.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(Exit::Internal, format!("the runtime cannot start: {error}"));
            return output.finish(Err(failure));
        }
    };
    let script = script::called_as(args);
    let result = runtime.block_on(async {
        if let Some(script) = script {
            return script::run(script, args, env, output).await;
        }
        match Cli::read(args) {
            Ok(cli) => dispatch(&cli, env, output).await,
            Err(error) => usage(&error, output),
        }
    });
    // The process ends now. Taking the runtime apart would wait for a name that the resolver is still looking for,
    // past every deadline; the kernel takes everything back at once.
    std::mem::forget(runtime);
    match output.finish(result) {
        // The scripts knew two ends.
        exit if script.is_some() && exit != Exit::Ok => Exit::Failed,
        exit => exit,
    }
}

async fn dispatch(cli: &Cli, env: &Env, output: Output) -> Result<(), Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    let settings = || -> Result<Settings, Failure> {
        let settings = Settings::resolve(env, &cli.aimed(), &cli.common)?;
        // A call says it in its log, so that cron does not mail it every time.
        if let (Some(reason), Some(_)) = (&settings.unseen, &cli.command) {
            output.note(&format!("warning: {reason}; your own settings are used"));
        }
        Ok(settings)
    };
    match &cli.command {
        None => run::run(&cli.invocation, &cli.call, &settings()?, output, clock).await,
        Some(Command::Token(args)) => token::run(&args.command, &settings()?, output, clock).await,
        Some(Command::Check(args)) => {
            let first = settings()?;
            let mut all = vec![];
            if args.all_targets {
                for name in &first.targets {
                    let invocation = Invocation { target: Some(name.clone()), ..cli.invocation.clone() };
                    all.push(Settings::resolve(env, &invocation, &cli.common)?);
                }
            }
            all.insert(0, first);
            check::run(args, &all, output, clock).await
        }
        Some(Command::Status(args)) if !args.crontab.is_empty() => {
            expected::run(args, &settings()?, output, &*clock)
        }
        Some(Command::Status(args)) => status::status(args, &settings()?, output, &*clock),
        Some(Command::Forget(args)) => forget::run(args, &settings()?, output),
        Some(Command::History(args)) => status::history(args, &settings()?, output, &*clock),
        Some(Command::Explain(args)) => explain::run(args, output),
        Some(Command::Crontab(command)) => {
            crontab::run(command, cli.common.config.as_deref(), env, output, &*clock).await
        }
        Some(Command::Config(ConfigCommand::Default)) => config::default(output),
        Some(Command::Config(command)) => config::show(command, &settings()?, output),
        Some(Command::Completions { shell }) => output.data(&completions::script(*shell, PROGRAM)),
        Some(Command::Man) => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut text)
                .map_err(|error| Failure::new(Exit::Internal, format!("the manual page: {error}")))?;
            output.data(&String::from_utf8_lossy(&text))
        }
    }
}
