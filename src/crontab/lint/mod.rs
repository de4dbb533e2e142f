//! Rules about what a crontab does, beside those about how it is written (`super::file`).
//!
//! The rules are pure: what they must know about the machine, the server and other crontabs is asked of [`Facts`].

mod calls;
mod days;
mod files;
mod owners;
mod secrets;
mod timing;

use jiff::Timestamp;

use super::file::Crontab;
use super::problem::Problem;

pub use files::{FileFacts, FileKind, is_file_name};
pub use owners::Owner;
pub use secrets::is_secret as secret_setting;

/// What a machine says about itself.
pub trait Host {
    /// Whether a user exists.
    fn has_user(&self, name: &str) -> bool;
    /// What is at a path; none when nothing is.
    fn file(&self, path: &str) -> Option<FileFacts>;
    /// The name of the machine's zone, if it has one.
    fn zone(&self) -> Option<String>;
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
    secrets::check(crontab, facts, &mut problems);
    owners::check(crontab, facts, &mut problems);
    days::check(crontab, &mut problems);
    timing::check(crontab, facts, &mut problems);
    problems
        .sort_by_key(|problem| (problem.line, problem.columns.start, std::cmp::Reverse(problem.severity)));
    problems
}
