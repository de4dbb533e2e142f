//! `qs-apiserver`: see `qs-apiserver --help`.

use std::process::ExitCode;

use qs_scheduler::app;
use qs_scheduler::cli::apiserver::{PROGRAM, run};
use qs_scheduler::cli::output::Output;
use qs_scheduler::cli::server::Action;
use qs_scheduler::config::Env;

fn main() -> ExitCode {
    let env = Env::from_process();
    let output = Output::of_process(PROGRAM, env.get("NO_COLOR"));
    let ended = match run(std::env::args_os(), &env, output) {
        Ok(Some(Action::Serve(config))) => app::apiserver::run(&config, &env, output),
        Ok(Some(Action::Migrate { config, check })) => app::apiserver::migrate(&config, check, &env, output),
        Ok(Some(Action::Openapi)) => app::apiserver::openapi(output),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    ExitCode::from(output.finish(ended).code())
}
