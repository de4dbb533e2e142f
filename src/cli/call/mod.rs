//! `qs-api-call`: from the arguments of a crontab line to an exit code.

mod args;
mod check;
mod config;
mod crontab;
mod expected;
mod explain;
mod failure;
mod forget;
mod options;
mod progress;
mod run;
mod script;
mod settings;
mod status;
mod token;

use std::ffi::OsString;
use std::sync::Arc;

use clap::CommandFactory;

pub use args::Cli;

use self::args::{Command, ConfigCommand};
use self::settings::Settings;
use super::output::{Failure, Output, usage};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Env;
use crate::domain::exit::Exit;

/// The program's name, in usage and errors.
const PROGRAM: &str = "qs-api-call";

/// Runs the program with `args`, whose first is the name it was called by.
pub fn main(args: impl IntoIterator<Item = OsString>, env: &Env) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let output = Output::of_process(PROGRAM, env.get("NO_COLOR"));
    // One thread is enough for one call, and starts faster than two.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(Exit::Internal, format!("the runtime cannot start: {error}"));
            return output.finish(Err(failure));
        }
    };
    let script = script::called_as(&args);
    let result = runtime.block_on(async {
        if let Some(script) = script {
            return script::run(script, &args, env, output).await;
        }
        match Cli::read(&args) {
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
    let settings = || Settings::resolve(env, &cli.invocation, &cli.common);
    match &cli.command {
        None => run::run(&cli.invocation, &cli.call, &settings()?, output, clock).await,
        Some(Command::Token(command)) => token::run(command, &settings()?, output, clock).await,
        Some(Command::Check(args)) => check::run(args, &settings()?, output, clock).await,
        Some(Command::Status(args)) if !args.crontab.is_empty() => {
            expected::run(args, &settings()?, output, &*clock)
        }
        Some(Command::Status(args)) => status::status(args, &settings()?, output, &*clock),
        Some(Command::Forget(args)) => forget::run(args, &settings()?, output),
        Some(Command::History(args)) => status::history(args, &settings()?, output, &*clock),
        Some(Command::Explain(args)) => explain::run(args, output),
        Some(Command::Crontab(command)) => crontab::run(command, env, output, &*clock).await,
        Some(Command::Config(ConfigCommand::Default)) => config::default(output),
        Some(Command::Config(command)) => config::show(command, &settings()?, output),
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), PROGRAM, &mut text);
            output.data(&String::from_utf8_lossy(&text))
        }
        Some(Command::Man) => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut text)
                .map_err(|error| Failure::new(Exit::Internal, format!("the manual page: {error}")))?;
            output.data(&String::from_utf8_lossy(&text))
        }
    }
}

/// Ends with 70 and one line when the program itself is wrong. The place of the defect is shown, never its data.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let output = Output::of_process(PROGRAM, Some("1"));
        output.failure(&Failure::new(
            Exit::Internal,
            format!("a defect of this program{place}; please report it"),
        ));
        #[expect(
            clippy::exit,
            clippy::disallowed_methods,
            reason = "a panic has no caller to return an exit code to"
        )]
        std::process::exit(Exit::Internal.code().into());
    }));
}
