//! Rules about what a crontab does, beside those about how it is written (`super::file`).
//!
//! The rules are pure: what they must know about the machine, the server and other crontabs is asked of [`Facts`].

mod calls;
mod days;
mod files;
mod owners;
mod secrets;
mod targets;
mod timing;
mod tokens;
mod variables;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::file::Crontab;
use super::problem::{Problem, Rule};

pub use calls::arguments;
pub use files::{FileFacts, is_file_name};
pub use owners::Owner;
pub use secrets::{is_secret as secret_setting, of_settings as secret_settings};

/// What is shown of a line with a secret.
pub const HIDDEN: &str = "(hidden: a secret is in the line)";

/// What a machine says about itself.
pub trait Host {
    /// Whether a user exists.
    fn has_user(&self, name: &str) -> bool;
    /// What is at a path; none when nothing is.
    fn file(&self, path: &str) -> Option<FileFacts>;
    /// The name of the machine's zone, if it has one.
    fn zone(&self) -> Option<String>;
    /// The targets of the configuration that a call of `user` reads, or of the file `config`; none when that is not known.
    fn targets(&self, _user: Option<&str>, _config: Option<&str>) -> Option<Vec<String>> {
        None
    }
}

/// An operation of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// In upper case.
    pub method: String,
    /// With `{…}` where anything may stand.
    pub path: String,
}

/// What is known beside the text. What is not known is not judged.
#[derive(Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The name that the file has, or will have, in `/etc/cron.d`.
    pub name: Option<&'a str>,
    /// The file itself, where its mode and owner count.
    pub file: Option<&'a FileFacts>,
    /// The machine that it runs on.
    pub host: Option<&'a dyn Host>,
    /// What the server offers.
    pub endpoints: Option<&'a [Endpoint]>,
    /// The targets of the configuration that the calls will read, if one was named.
    pub targets: Option<&'a [String]>,
    /// What to do about a variable and its value that no program would take, if there is something to do.
    pub unknown_variable: Option<fn(name: &str, value: &str) -> Option<String>>,
    /// Tasks of other crontabs.
    pub others: &'a [Owner],
    /// From when on starts are compared.
    pub from: Timestamp,
}

/// Everything that is wrong with a crontab, by line.
pub fn lint(crontab: &Crontab, facts: &Facts<'_>) -> Vec<Problem> {
    let mut problems = crontab.problems.clone();
    files::check(crontab, facts, &mut problems);
    calls::check(crontab, facts, &mut problems);
    targets::check(crontab, facts, &mut problems);
    secrets::check(crontab, facts, &mut problems);
    owners::check(crontab, facts, &mut problems);
    tokens::check(crontab, &mut problems);
    variables::check(crontab, facts, &mut problems);
    days::check(crontab, &mut problems);
    timing::check(crontab, facts, &mut problems);
    hide_on(&of_secrets(&problems), &mut problems);
    problems
        .sort_by_key(|problem| (problem.line, problem.columns.start, std::cmp::Reverse(problem.severity)));
    problems
}

/// What is wrong with the text alone, with secrets hidden.
pub fn of_text(crontab: &Crontab) -> Vec<Problem> {
    let mut problems = crontab.problems.clone();
    hide_on(&secret_lines(crontab), &mut problems);
    problems
}

/// The lines that hold a secret, from 1. What stands in them is not shown.
pub fn secret_lines(crontab: &Crontab) -> BTreeSet<usize> {
    let mut problems = Vec::new();
    secrets::check(crontab, &Facts::default(), &mut problems);
    of_secrets(&problems)
}

fn of_secrets(problems: &[Problem]) -> BTreeSet<usize> {
    problems.iter().filter(|problem| problem.rule == Rule::Secret).map(|problem| problem.line).collect()
}

/// Other problems of a line with a secret keep their rule and their place.
fn hide_on(secret: &BTreeSet<usize>, problems: &mut [Problem]) {
    let others = problems.iter_mut().filter(|problem| problem.rule != Rule::Secret);
    for problem in others.filter(|problem| secret.contains(&problem.line)) {
        problem.found =
            format!("something that is not shown, for the secret in the line: {}", problem.rule.summary());
        problem.expected = String::new();
        problem.fix = String::new();
    }
}
