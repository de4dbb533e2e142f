//! The documents say what the programs do: generated tables, links, commands and examples.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use jiff::tz::TimeZone;
use qs_scheduler::cli::call::Cli;
use qs_scheduler::config::call::SETTINGS;
use qs_scheduler::crontab::file::{Crontab, Format};
use qs_scheduler::crontab::problem::Rule;
use qs_scheduler::crontab::render::table;
use qs_scheduler::domain::exit::Exit;

use crate::support::golden;

const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

#[test]
fn the_tables_of_the_readmes_are_the_programs_own() {
    for file in READMES {
        let mut text = golden::read(file);
        for (name, table) in [("options", options()), ("exits", exits()), ("environment", environment())] {
            text = with_block(file, &text, name, &table);
        }
        golden::check(file, &text);
    }
}

#[test]
fn the_rules_of_the_guide_are_the_linters_own() {
    let file = "docs/guides/crontab.md";
    let rows = Rule::ALL
        .iter()
        .map(|rule| format!("| `{}` | {} | {} |\n", rule.code(), rule.severity(), rule.summary()));
    let table = format!("| rule | | |\n|---|---|---|\n{}", rows.collect::<String>());
    golden::check(file, &with_block(file, &golden::read(file), "rules", &table));
}

#[test]
fn the_table_of_the_crontab_is_rendered_from_it() {
    let format = Format { fixed_zone: true, ..Format::system(TimeZone::UTC) };
    let crontab = Crontab::parse(golden::read("crontab/qs-scheduler").as_bytes(), format);
    let file = "crontab/README.md";
    golden::check(file, &with_block(file, &golden::read(file), "crontab", &table(&crontab)));
}

/// `text` with what stands between the markers of `name` replaced.
fn with_block(file: &str, text: &str, name: &str, block: &str) -> String {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{file}: no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{file}: no {end}"));
    format!("{before}{begin}{block}{end}{after}")
}

/// Every argument and option of a call.
fn options() -> String {
    let mut command = Cli::command();
    command.build();
    let mut table = "| option | meaning | group |\n|---|---|---|\n".to_owned();
    for argument in command.get_arguments() {
        let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let group = argument.get_help_heading().unwrap_or("General");
        let name = match argument.get_long() {
            None => format!("`{}`", argument.get_id().as_str().to_uppercase()),
            Some(long) => {
                let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
                let takes = argument.get_action().takes_values();
                let value = argument.get_value_names().and_then(<[_]>::first).filter(|_| takes);
                let value = value.map(|value| format!(" <{value}>")).unwrap_or_default();
                format!("{short}`--{long}{value}`")
            }
        };
        row(&mut table, &[&name, &meaning, group]);
    }
    table
}

fn exits() -> String {
    let mut table = "| code | name | meaning | what to do |\n|---|---|---|---|\n".to_owned();
    for exit in Exit::ALL {
        let info = exit.info();
        row(&mut table, &[&info.code.to_string(), &format!("`{}`", info.name), info.meaning, info.advice]);
    }
    table
}

/// The names that are not `QS_<SECTION>__<KEY>`.
fn environment() -> String {
    let mut table = "| variable | key of the configuration |\n|---|---|\n".to_owned();
    for setting in &SETTINGS {
        for name in setting.env {
            row(&mut table, &[&format!("`{name}`"), &format!("`{}`", setting.key)]);
        }
    }
    table
}

fn row(table: &mut String, cells: &[&str]) {
    let cells: Vec<String> =
        cells.iter().map(|cell| cell.replace('|', "\\|").replace("KEY>__<", "KEY>\\_\\_<")).collect();
    writeln!(table, "| {} |", cells.join(" | ")).unwrap();
}

#[test]
fn both_readmes_have_one_structure_and_the_same_examples() {
    let [english, chinese] = READMES.map(golden::read);
    let levels = |text: &str| headings(text).iter().map(|(level, _)| *level).collect::<Vec<_>>();
    assert_eq!(levels(&english), levels(&chinese), "headings");
    let (english, chinese) = (code_blocks(&english), code_blocks(&chinese));
    assert_eq!(english.len(), chinese.len(), "code blocks");
    for (english, chinese) in english.iter().zip(&chinese) {
        assert_eq!(english, chinese);
    }
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut dead = String::new();
    let mut followed = 0;
    for file in markdown() {
        let text = std::fs::read_to_string(&file).unwrap();
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            if path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let target = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let anchored = anchor.is_empty()
                || std::fs::read_to_string(&target).is_ok_and(|text| has_anchor(&text, anchor));
            if !target.exists() || !anchored {
                writeln!(dead, "{}: {link}", file.display()).unwrap();
            }
        }
    }
    assert!(dead.is_empty(), "{dead}");
    assert!(followed > 20, "only {followed} links were found");
}

#[test]
fn every_command_and_option_in_the_documents_exists() {
    let mut call = Cli::command();
    // Options that hold for a whole group of commands are known to each of them only then.
    call.build();
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    let files = markdown().into_iter().chain([golden::root("crontab/qs-scheduler")]);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for code in code_spans(&text) {
            for line in code.lines() {
                for (program, rest) in invocations(line) {
                    let problem = match program {
                        "qs-api-call" => unknown_words(&call, rest),
                        #[cfg(feature = "server")]
                        "qs-apiserver" => unknown_words(&qs_scheduler::cli::apiserver::Cli::command(), rest),
                        #[cfg(feature = "server")]
                        "qs-scheduler" => unknown_words(&qs_scheduler::cli::scheduler::Cli::command(), rest),
                        _ => None,
                    };
                    seen.insert(format!("{program} {}", first_word(rest).unwrap_or_default()));
                    if let Some(problem) = problem {
                        writeln!(wrong, "{}: {program} has no {problem}: {line}", file.display()).unwrap();
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    for command in ["check", "status", "history", "explain", "token", "config"] {
        assert!(seen.contains(&format!("qs-api-call {command}")), "{command} is not described: {seen:?}");
    }
}

/// Each of our programs that `line` calls, with what follows it.
fn invocations(line: &str) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    for program in ["qs-api-call", "qs-apiserver", "qs-scheduler"] {
        for (at, _) in line.match_indices(program) {
            let (before, after) = (&line[..at], &line[at + program.len()..]);
            let begins = before.is_empty() || before.ends_with([' ', '/', '(', '`']);
            if begins && (after.is_empty() || after.starts_with(' ')) {
                let end = after.find(['|', '>', ';', ')', '#']).unwrap_or(after.len());
                found.push((program, &after[..end]));
            }
        }
    }
    found
}

/// A word that could be a command: not a path, an option or a placeholder.
fn first_word(rest: &str) -> Option<&str> {
    rest.split_whitespace()
        .next()
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
        .filter(|word| !word.starts_with('-'))
}

/// The first command or option of `rest` that `command` does not have.
fn unknown_words(command: &clap::Command, rest: &str) -> Option<String> {
    let mut current = command;
    if let Some(word) = first_word(rest) {
        let Some(sub) = current.find_subcommand(word) else { return Some(word.to_owned()) };
        current = sub;
        let second = rest.split_whitespace().nth(1).unwrap_or_default();
        if current.has_subcommands() {
            match first_word(second) {
                Some(word) => match current.find_subcommand(word) {
                    Some(sub) => current = sub,
                    None => return Some(format!("{} {word}", current.get_name())),
                },
                None if second.is_empty() => {}
                None => return Some(second.to_owned()),
            }
        }
    }
    let global = command.get_arguments().filter(|argument| argument.is_global_set());
    let known: Vec<&str> = current.get_arguments().chain(global).filter_map(clap::Arg::get_long).collect();
    rest.split_whitespace()
        .filter_map(|word| word.strip_prefix("--"))
        .map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()))
        .find(|word| !word.is_empty() && !known.contains(word) && !matches!(*word, "help" | "version"))
        .map(|word| format!("--{word}"))
}

#[test]
fn the_default_files_are_what_the_programs_print() {
    let printed = |program: &str| {
        let output = Command::new(program).args(["config", "default"]).env_clear().output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(printed(env!("CARGO_BIN_EXE_qs-api-call")), golden::read("configs/qs-api-call.yaml"));
    #[cfg(feature = "server")]
    assert_eq!(printed(env!("CARGO_BIN_EXE_qs-apiserver")), golden::read("configs/qs-apiserver.yaml"));
}

#[test]
fn the_crontab_is_one_that_cron_accepts() {
    let text = golden::read("crontab/qs-scheduler");
    assert!(text.ends_with('\n') && !text.contains('\r'), "cron ignores a file whose last line is cut");
    let mut entries = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let assignment = line
            .split_once('=')
            .filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        if let Some((name, value)) = assignment {
            assert!(
                !name.contains("PASSWORD") && !name.contains("SECRET"),
                "the file is world-readable: {name}"
            );
            assert!(!value.contains('$'), "cron expands nothing: {line}");
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((fields[5], fields[6]), ("root", "/usr/local/bin/qs-api-call"), "{line}");
        assert!(!line.contains('%'), "cron cuts a line at %: {line}");
        let parsed = <Cli as clap::Parser>::try_parse_from(&fields[6..])
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(parsed.invocation.endpoint.is_some_and(|endpoint| endpoint.starts_with('/')), "{line}");
        entries += 1;
    }
    assert!(entries > 0);
    for name in ["SHELL=", "PATH=", "MAILTO="] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

/// Every document of the repository.
fn markdown() -> Vec<PathBuf> {
    fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&golden::root(""), &mut found);
    found.sort();
    found
}

/// Lines outside of fenced blocks, and whether each is inside one.
fn lines(text: &str) -> Vec<(bool, &str)> {
    let mut fenced = false;
    text.lines()
        .map(|line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            (fenced || fence, line)
        })
        .collect()
}

fn headings(text: &str) -> Vec<(usize, &str)> {
    let outside = lines(text).into_iter().filter(|(fenced, _)| !fenced).map(|(_, line)| line);
    outside
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#');
            (line.len() - title.len(), title.trim())
        })
        .collect()
}

fn code_blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, line) in lines(text).into_iter().filter(|(fenced, _)| *fenced) {
        if line.trim_start().starts_with("```") {
            found.push(String::new());
        } else if let Some(block) = found.last_mut() {
            block.push_str(line);
            block.push('\n');
        }
    }
    // Each block was opened by a fence; the fence that closes it opened an empty one.
    found.into_iter().step_by(2).collect()
}

/// The fenced blocks and the `code spans`; a text without either, such as a crontab, is one block.
fn code_spans(text: &str) -> Vec<String> {
    let mut found = code_blocks(text);
    for (fenced, line) in lines(text) {
        if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    if found.is_empty() { vec![text.to_owned()] } else { found }
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let outside = lines(text).into_iter().filter(|(fenced, _)| !fenced);
    outside
        .flat_map(|(_, line)| {
            line.match_indices("](").map(|(at, _)| line[at + 2..].to_owned()).collect::<Vec<_>>()
        })
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target.trim().to_owned()))
        .collect()
}

/// Whether a heading has this anchor, as the forges make it: lower case, spaces as hyphens, punctuation dropped.
fn has_anchor(text: &str, anchor: &str) -> bool {
    headings(text).iter().any(|(_, title)| {
        let made: String = title
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        made == anchor
    })
}
