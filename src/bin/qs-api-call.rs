//! `qs-api-call`: see `qs-api-call --help`.

use std::process::ExitCode;

use qs_scheduler::cli::call;
use qs_scheduler::config::Env;

fn main() -> ExitCode {
    ExitCode::from(call::main(std::env::args_os(), &Env::from_process()).code())
}
