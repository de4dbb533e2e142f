//! `completions SHELL`: what the shell offers at the Tab key, made by `clap_complete` of the same table as the help.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::args::Cli;

/// The script that a shell reads to complete the program `name`.
pub(super) fn script(shell: Shell, name: &'static str) -> String {
    let mut text = Vec::new();
    let mut command = without_positionals(&Cli::command(), name);
    clap_complete::generate(shell, &mut command, name, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        // Below the first level the script looks for labels that it nowhere has when the program's name has a hyphen
        // (clap-rs/clap#6386, #6421): they are given the names that it looks for.
        Shell::Bash => text.replace("qs__subcmd__api__subcmd__call", "qs__api__call"),
        _ => text,
    }
}

/// The program without endpoint and log file: with arguments before them, zsh takes a command for the endpoint and
/// offers nothing behind it. Nothing could be offered for an endpoint anyway.
fn without_positionals(program: &Command, name: &'static str) -> Command {
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .args(program.get_arguments().filter(|arg| !arg.is_positional()).cloned())
        .subcommands(program.get_subcommands().cloned())
}
