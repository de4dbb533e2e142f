//! What the programs say about themselves: `--help` of every command, completions, the manual page, usage errors.

use std::process::Command;

use clap::CommandFactory;
use qs_scheduler::cli::call::Cli;

use crate::support::golden;
use crate::support::world::Ran;

const CALL: &str = env!("CARGO_BIN_EXE_qs-api-call");
#[cfg(feature = "server")]
const APISERVER: &str = env!("CARGO_BIN_EXE_qs-apiserver");
#[cfg(feature = "server")]
const SCHEDULER: &str = env!("CARGO_BIN_EXE_qs-scheduler");

fn run(program: &str, args: &[&str]) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(program).args(args).env_clear().env("HOME", home.path()).output().unwrap();
    Ran::of(&output)
}

/// The arguments that lead to every command below `command`, itself included.
fn commands(command: &clap::Command) -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        for below in commands(sub) {
            found.push(std::iter::once(sub.get_name().to_owned()).chain(below).collect());
        }
    }
    found
}

#[track_caller]
fn check_help(program: &str, name: &str, command: &clap::Command) {
    for path in commands(command) {
        let file = std::iter::once(name).chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
        let args = |flag| path.iter().map(String::as_str).chain([flag]).collect::<Vec<_>>();
        let long = run(program, &args("--help"));
        assert_eq!((long.code, long.stderr.as_str()), (0, ""), "{file}");
        golden::check(&format!("tests/golden/help/{file}.txt"), &long.stdout);
        if path.is_empty() {
            let short = run(program, &args("-h"));
            golden::check(&format!("tests/golden/help/{file}.short.txt"), &short.stdout);
        }
    }
}

#[test]
fn help_of_every_command_of_the_call_is_as_published() {
    check_help(CALL, "qs-api-call", &Cli::command());
}

#[test]
#[cfg(feature = "server")]
fn help_of_every_command_of_the_apiserver_is_as_published() {
    check_help(APISERVER, "qs-apiserver", &qs_scheduler::cli::apiserver::Cli::command());
}

#[test]
#[cfg(feature = "server")]
fn help_of_every_command_of_the_scheduler_is_as_published() {
    check_help(SCHEDULER, "qs-scheduler", &qs_scheduler::cli::scheduler::Cli::command());
}

#[test]
#[cfg(feature = "server")]
fn no_golden_help_is_left_over() {
    let programs = [
        Cli::command(),
        qs_scheduler::cli::apiserver::Cli::command(),
        qs_scheduler::cli::scheduler::Cli::command(),
    ];
    let mut known: Vec<String> = Vec::new();
    for program in &programs {
        let name = program.get_name().to_owned();
        known.push(format!("{name}.short"));
        known.extend(commands(program).iter().map(|path| {
            std::iter::once(&name).chain(path).map(String::as_str).collect::<Vec<_>>().join("-")
        }));
    }
    for entry in std::fs::read_dir(golden::root("tests/golden/help")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let stem = name.trim_end_matches(".txt");
        assert!(known.iter().any(|known| known == stem), "tests/golden/help/{name} belongs to no command");
    }
}

#[test]
fn completions_and_manual_know_every_option() {
    let command = Cli::command();
    let options: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!(options.len() > 25, "{options:?}");
    for args in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let ran = run(CALL, args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
        // The manual writes its hyphens as `\-`, fish its options as `-l name`.
        let text = ran.stdout.replace("\\-", "-");
        for option in &options {
            let found = text.contains(&format!("--{option}")) || text.contains(&format!("-l {option} "));
            assert!(found || text.contains(&format!("-l {option}\n")), "{args:?} does not know --{option}");
        }
    }
}

#[test]
fn a_usage_error_is_64_and_one_line() {
    for args in [
        &["--retries", "many", "/x"][..],
        &["--no-such-option", "/x"],
        &["--cert", "c.pem", "/x"],
        &["/x", "log", "surplus"],
        &["token"],
        &["token", "sttaus"],
        &["completions", "cmd"],
        &["explain", "2"],
        &["no-path"],
        &["--overlap", "perhaps", "/x"],
        &[],
    ] {
        let ran = run(CALL, args);
        assert_eq!(ran.stdout, "", "{args:?}");
        ran.assert_failure(64);
        assert!(ran.stderr.starts_with("qs-api-call: ") && !ran.stderr.contains("try '--help'"), "{ran:?}");
    }
}

#[test]
#[cfg(feature = "server")]
fn a_usage_error_of_a_server_is_64_and_one_line() {
    for (program, args) in [
        (APISERVER, &["serv"][..]),
        (APISERVER, &["serve", "--dev-ima"]),
        (APISERVER, &["config"]),
        (APISERVER, &["serve", "surplus"]),
        (APISERVER, &[]),
        (SCHEDULER, &["dmeo"]),
        (SCHEDULER, &["demo", "--keeep"]),
        (SCHEDULER, &[]),
    ] {
        let ran = run(program, args);
        assert_eq!(ran.stdout, "", "{args:?}");
        ran.assert_failure(64);
        assert!(!ran.stderr.contains("try '--help'"), "{ran:?}");
    }
}
