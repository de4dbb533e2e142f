//! The business endpoints that the crontab calls. Everything is in the library.

use std::process::ExitCode;

use qs_scheduler::cli::apiserver::{Next, run};
use qs_scheduler::config::Env;

fn main() -> ExitCode {
    let env = Env::from_process();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let exit = match run(std::env::args_os(), &env, &mut out, &mut err) {
        Next::Serve(loaded) => qs_scheduler::app::apiserver::run(&loaded.config, &env, &mut out, &mut err),
        Next::End(exit) => exit,
    };
    ExitCode::from(exit.code())
}
