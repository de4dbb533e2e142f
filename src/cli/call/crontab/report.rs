//! The problems of a crontab, for people and for programs.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::args::Runner;
use super::source;
use crate::crontab::file::Crontab;
use crate::crontab::problem::{self, Problem, Rule, Severity};
use crate::domain::plural::plural;

/// What was checked and what was found.
pub(super) struct Checked<'a> {
    pub(super) path: &'a Path,
    pub(super) crontab: &'a Crontab,
    pub(super) problems: &'a [Problem],
    pub(super) runner: Runner,
    /// Lines of which nothing is shown.
    pub(super) secret: BTreeSet<usize>,
}

impl Checked<'_> {
    /// How many problems are this bad.
    pub(super) fn count(&self, severity: Severity) -> usize {
        problem::count(self.problems, severity)
    }

    /// Each problem with its line, then the sum.
    pub(super) fn text(&self, colour: bool) -> String {
        let problems: String = self.problems.iter().map(|problem| self.one(problem, colour)).collect();
        let entries = self.crontab.entries().count();
        let calls = self.crontab.entries().filter(|entry| entry.call().is_some()).count();
        let name = source::shown(self.path);
        let sum = match (self.count(Severity::Error), self.count(Severity::Warning)) {
            (0, 0) => "no problems".to_owned(),
            (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
        };
        let (entries, runner) = (plural(entries, "entry"), self.runner.name());
        format!("{problems}{name}: {entries}, {calls} of them calls, for {runner}: {sum}")
    }

    fn one(&self, problem: &Problem, colour: bool) -> String {
        let paint = |code: &str, text: &str| {
            if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let code = match problem.severity {
            Severity::Error => "31",
            Severity::Warning => "33",
            Severity::Note => "36",
        };
        let word = paint(code, problem.severity.as_str());
        let place = match (problem.line, problem.columns.start) {
            (0, _) => source::shown(self.path),
            (line, 0) => format!("{}:{line}", source::shown(self.path)),
            (line, column) => format!("{}:{line}:{column}", source::shown(self.path)),
        };
        let mut text = format!("{place}: {word}: {} [{}]\n", problem.message(), problem.rule.code());
        let secret = self.secret.contains(&problem.line);
        if let Some(line) = self.crontab.texts.get(problem.line.wrapping_sub(1)).filter(|_| !secret) {
            text += &excerpt(line, problem, &|mark| paint(code, mark));
        }
        if !problem.fix.is_empty() {
            text = format!("{text}    fix: {}\n", problem.fix);
        }
        text
    }

    /// Everything, with stable codes.
    pub(super) fn json(&self) -> Value {
        let problem = |problem: &Problem| {
            json!({
                "rule": problem.rule.code(),
                "severity": problem.severity,
                "line": problem.line,
                "column": problem.columns.start,
                "end_column": problem.columns.end,
                "message": problem.message(),
                "found": problem.found,
                "expected": problem.expected,
                "fix": problem.fix,
            })
        };
        let problems: Vec<Value> = self.problems.iter().map(problem).collect();
        json!({
            "file": source::shown(self.path),
            "for": self.runner.name(),
            "entries": self.crontab.entries().count(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "problems": problems,
        })
    }

    /// SARIF 2.1.0 (OASIS), with the rules that were broken.
    pub(super) fn sarif(&self) -> Value {
        let is_broken = |rule: &&Rule| self.problems.iter().any(|problem| problem.rule == **rule);
        let rule = |rule: &Rule| {
            json!({
                "id": rule.code(),
                "shortDescription": {"text": rule.summary()},
                "defaultConfiguration": {"level": rule.severity()},
            })
        };
        let result = |problem: &Problem| {
            let mut region = json!({"startLine": problem.line.max(1)});
            if !problem.columns.is_empty() {
                region["startColumn"] = problem.columns.start.into();
                region["endColumn"] = problem.columns.end.into();
            }
            json!({
                "ruleId": problem.rule.code(),
                "level": problem.severity,
                "message": {"text": with_fix(problem)},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": self.path.to_string_lossy()},
                    "region": region,
                }}],
            })
        };
        let rules: Vec<Value> = Rule::ALL.iter().filter(is_broken).map(rule).collect();
        let results: Vec<Value> = self.problems.iter().map(result).collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {"name": "qs-api-call crontab check", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
                "results": results,
            }],
        })
    }

    /// Workflow commands of GitHub Actions, one a problem.
    pub(super) fn github(&self) -> String {
        let command = |problem: &Problem| {
            let kind = match problem.severity {
                Severity::Note => "notice",
                severity => severity.as_str(),
            };
            let column = match &problem.columns {
                columns if columns.is_empty() => String::new(),
                columns => format!(",col={},endColumn={}", columns.start, columns.end),
            };
            let (file, line) = (property(&self.path.to_string_lossy()), problem.line.max(1));
            let (rule, message) = (problem.rule.code(), escape(&with_fix(problem)));
            format!("::{kind} file={file},line={line}{column},title={rule}::{message}")
        };
        let sum = format!("{}: {}", source::shown(self.path), plural(self.count(Severity::Error), "error"));
        self.problems.iter().map(command).chain([sum]).collect::<Vec<_>>().join("\n")
    }
}

/// The line, and below it a mark under the columns. A long line is cut around them.
fn excerpt(line: &str, problem: &Problem, paint: &dyn Fn(&str) -> String) -> String {
    const WIDTH: usize = 100;
    let shown: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let start = problem.columns.start.saturating_sub(1).min(shown.len());
    let end = problem.columns.end.saturating_sub(1).clamp(start, shown.len());
    let from = start.saturating_sub(WIDTH / 2).min(shown.len().saturating_sub(WIDTH));
    let text: String = shown[from..].iter().take(WIDTH).collect();
    let cut = if shown.len() > from + WIDTH { "…" } else { "" };
    let ellipsis = if from > 0 { "…" } else { "" };
    let mut excerpt = format!("    {ellipsis}{text}{cut}\n");
    if !problem.columns.is_empty() {
        let indent = start - from + ellipsis.chars().count();
        let length = (end - start).clamp(1, WIDTH - (start - from).min(WIDTH - 1));
        excerpt = format!("{excerpt}    {}{}\n", " ".repeat(indent), paint(&"^".repeat(length)));
    }
    excerpt
}

fn with_fix(problem: &Problem) -> String {
    let fix = if problem.fix.is_empty() { String::new() } else { format!(". Fix: {}", problem.fix) };
    problem.message() + &fix
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}
