//! The calls: their arguments, their program, their endpoint, their log.

use super::{Endpoint, Facts, Host};
use crate::crontab::call::Reading;
use crate::crontab::call_line::CallLine;
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::crontab::invocation::{Invocation, check_task_name};
use crate::crontab::problem::{Problem, Rule, report};

/// Where Debian's cron looks for programs when the file sets no PATH.
const DEFAULT_PATH: &str = "/usr/bin:/bin";

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let mut calls = 0;
    for entry in crontab.entries() {
        let at = entry.command_column..entry.command_column + entry.command.text.chars().count().max(1);
        match &entry.reading {
            Reading::Call(call) => {
                calls += 1;
                let invocation = &call.line.invocation;
                program(entry, &call.program, facts.host, problems);
                endpoint(entry, facts.endpoints, problems);
                arguments(entry.line, &call.line, problems);
                if invocation.log_file.is_none() && entry.setting("LOG_FILE").is_none() {
                    let found = "a call without a log file writes to api-call.log of the log directory, like every other one";
                    report(problems, Rule::NoLog, entry.line, found)
                        .fix(format!("add /var/log/qs-scheduler/{}.log", invocation.task_name()));
                }
            }
            Reading::Wrong { reason } => {
                report(problems, Rule::CallArguments, entry.line, reason.clone())
                    .at(at)
                    .fix("qs-api-call --help tells the options and the order: [options] ENDPOINT [LOG_FILE]");
            }
            Reading::Unclear(why) => {
                let found = format!("a call that cannot be checked: {why}");
                report(problems, Rule::Unchecked, entry.line, found).at(at).fix(
                    "let the line be the call alone; it has options for a body, a log, a lock and a time limit",
                );
            }
            Reading::Command { program: named } => program(entry, named, facts.host, problems),
            Reading::Other => {}
        }
    }
    let mails = crontab.entries().all(|entry| entry.setting("MAILTO").is_some());
    if calls > 0 && !mails {
        let found = "no MAILTO above every entry: the one line of a failed call goes to the entry's user";
        report(problems, Rule::MailTo, 0, found).fix("MAILTO=root, or an address that somebody reads");
    }
}

/// What is wrong with the arguments of a call, whichever scheduler makes it: options that a line must not have, and values
/// that the program would refuse before it sends anything.
pub fn arguments(line: usize, call: &CallLine, problems: &mut Vec<Problem>) {
    values(line, &call.invocation, problems);
    for (given, found) in [
        (call.call.manual, "--manual, with which no run of this line would count for its task"),
        (call.call.dry_run, "--dry-run, with which this line would never call anything"),
        (call.call.force_login, "--force-login, with which a wrong password would lock the account"),
    ] {
        if given {
            report(problems, Rule::CallArguments, line, found).fix("leave it out");
        }
    }
}

fn values(line: usize, invocation: &Invocation, problems: &mut Vec<Problem>) {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let mut wrong = |found: String, expected: &str, fix: &str| {
        report(problems, Rule::CallArguments, line, found).expected(expected).fix(fix);
    };
    if let Some(method) = invocation.method.as_deref().filter(|method| !token(method)) {
        wrong(format!("the method {method:?}"), "one word", "-X POST");
    }
    for header in &invocation.header {
        if !header.split_once(':').is_some_and(|(name, _)| token(name.trim())) {
            wrong("a header without a name and a colon".to_owned(), "NAME: VALUE", "-H 'X-Name: value'");
        }
    }
    let key = "idempotency-key";
    if invocation
        .header
        .iter()
        .any(|header| header.split(':').next().unwrap_or_default().trim().eq_ignore_ascii_case(key))
    {
        let found =
            "a header Idempotency-Key, with which the server takes every run for a repeat of the first";
        wrong(found.to_owned(), "a key that is new in every run", "leave it out: the call makes one");
    }
    if invocation.query.iter().any(|pair| !pair.contains('=')) {
        wrong("a query parameter without '='".to_owned(), "KEY=VALUE", "-q key=value");
    }
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    let checked = invocation.data.as_deref().filter(|_| invocation.sends_json());
    if checked.is_some_and(|data| !data.starts_with('@') && !json(data)) {
        wrong(
            "a body that is no JSON".to_owned(),
            "JSON, @FILE or @-",
            "--data '{\"key\": \"value\"}', or --content-type with its type",
        );
    }
    if let Some(name) = &invocation.task
        && let Err(expected) = check_task_name(name)
    {
        wrong(format!("the task name {name:?}"), expected.trim_start_matches("expected "), "--task my-task");
    }
}

fn program(entry: &CrontabEntry, program: &str, host: Option<&dyn Host>, problems: &mut Vec<Problem>) {
    let (path, has_directory) = (entry.setting("PATH"), program.contains('/'));
    let (rule, expected, found) = if has_directory && !program.starts_with('/') {
        (Rule::Program, "a full path", format!("the relative path {program:?}"))
    } else if let Some(host) = host {
        let places: Vec<String> = match path.unwrap_or(DEFAULT_PATH) {
            _ if has_directory => vec![program.to_owned()],
            path => path.split(':').map(|dir| format!("{dir}/{program}")).collect(),
        };
        if places.iter().any(|place| host.file(place).is_some_and(|file| file.mode & 0o111 != 0)) {
            return;
        }
        let places = places.join(", ");
        (Rule::Program, "", format!("{program:?}, which this machine does not have as a program ({places})"))
    } else if !has_directory && path.is_none() {
        let found = format!("{program:?} without a directory, and cron looks in {DEFAULT_PATH} alone");
        (Rule::Path, "", found)
    } else {
        return;
    };
    report(problems, rule, entry.line, found).expected(expected).fix("/usr/local/bin/qs-api-call");
}

fn endpoint(entry: &CrontabEntry, endpoints: Option<&[Endpoint]>, problems: &mut Vec<Problem>) {
    let Some(invocation) = entry.call().map(|call| &call.line.invocation) else { return };
    let path = invocation.endpoint.as_deref().unwrap_or_default();
    let column = entry.command.text.find(path).map_or(0, |at| entry.command.text[..at].chars().count());
    let at = entry.command_column + column..entry.command_column + column + path.chars().count();
    if !path.starts_with('/') || path.contains("..") || path.contains("://") {
        report(problems, Rule::CallArguments, entry.line, format!("the endpoint {path:?}"))
            .at(at)
            .expected("a path that begins with '/'")
            .fix("/api/v1/…");
        return;
    }
    let Some(endpoints) = endpoints else { return };
    let bare = path.split(['?', '#']).next().unwrap_or_default();
    let documented = documented(bare);
    let of_path = endpoints
        .iter()
        .filter(|endpoint| matches(&endpoint.path, bare) || matches(&endpoint.path, &documented));
    let methods: Vec<&str> = of_path.map(|endpoint| endpoint.method.as_str()).collect();
    let method = invocation.method();
    let (found, fix) = match methods.first() {
        None => (
            format!("{bare}, which the server does not have"),
            nearest(bare, endpoints).unwrap_or("an endpoint of the server's OpenAPI document").to_owned(),
        ),
        Some(_) if methods.contains(&method.as_str()) => return,
        Some(first) => (
            format!("{method} {bare}, which the server has for {} alone", methods.join(", ")),
            format!("-X {first}"),
        ),
    };
    report(problems, Rule::UnknownEndpoint, entry.line, found).at(at).fix(fix);
}

/// Where a document shows this path: it does not name the alias of `/api/v1`.
fn documented(path: &str) -> String {
    path.strip_prefix("/internal/v1/").map_or_else(|| path.to_owned(), |rest| format!("/api/v1/{rest}"))
}

/// Whether a path is one of a template's.
fn matches(template: &str, path: &str) -> bool {
    let (template, path) = (template.trim_end_matches('/').split('/'), path.trim_end_matches('/').split('/'));
    let (template, path): (Vec<&str>, Vec<&str>) = (template.collect(), path.collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(expected, part)| {
            expected == part || (expected.starts_with('{') && expected.ends_with('}') && !part.is_empty())
        })
}

/// The endpoint that shares most with the path: segments counted from both ends.
fn nearest<'a>(path: &str, endpoints: &'a [Endpoint]) -> Option<&'a str> {
    let wanted: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let shared = |endpoint: &&Endpoint| {
        let parts: Vec<&str> = endpoint.path.split('/').filter(|part| !part.is_empty()).collect();
        let ahead = parts.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
        let behind = parts.iter().rev().zip(wanted.iter().rev()).take_while(|(a, b)| a == b).count();
        (ahead + behind, std::cmp::Reverse(parts.len().abs_diff(wanted.len())))
    };
    let nearest = endpoints.iter().max_by_key(shared)?;
    (shared(&nearest).0 > 0).then_some(&nearest.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_paths() {
        for (template, path, expected) in [
            ("/api/v1/plans/{id}", "/api/v1/plans/7", true),
            ("/api/v1/plans/{id}", "/api/v1/plans/", false),
            ("/api/v1/plans/{id}", "/api/v1/plans/7/tasks", false),
            ("/a/b", "/a/b/", true),
            ("/a/b", "/a/c", false),
        ] {
            assert_eq!(matches(template, path), expected, "{template} {path}");
        }
    }

    #[test]
    fn the_alias_that_no_document_shows_is_looked_up_under_its_own_path() {
        assert_eq!(documented("/internal/v1/plans/7"), "/api/v1/plans/7");
        for path in ["/api/v1/plans/7", "/internal/v1", "/x/internal/v1/a"] {
            assert_eq!(documented(path), path);
        }
    }
}
