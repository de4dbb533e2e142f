//! `qs-scheduler`: see `qs-scheduler --help`.

use std::process::ExitCode;

use qs_scheduler::app::demo;
use qs_scheduler::cli::output::Output;
use qs_scheduler::cli::scheduler::{Command, PROGRAM, parse};
use qs_scheduler::config::Env;

fn main() -> ExitCode {
    let env = Env::from_process();
    let output = Output::of_process(PROGRAM, env.get("NO_COLOR"));
    let exit = match parse(std::env::args_os(), output) {
        Ok(Command::Demo(args)) => output.finish(demo::run(args, &env, output)),
        Err(exit) => exit,
    };
    ExitCode::from(exit.code())
}
