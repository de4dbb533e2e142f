//! How a run ended, as everything that it leaves behind tells it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::output::Failure;
use crate::client::CallOutcome;
use crate::client::call::CallReport;
use crate::domain::duration::millis;
use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::domain::overlap::Overlap;
use crate::journal::line::truncate;
use crate::journal::overlap::Holder;
use crate::journal::record::RunEntry;

/// How the run ended, as everything that is left behind tells it.
pub(super) struct Ended {
    pub(super) status: &'static str,
    pub(super) exit: Exit,
    pub(super) report: CallReport,
    pub(super) duration: Duration,
}

impl Ended {
    pub(super) fn of(report: CallReport) -> Self {
        Self {
            status: report.outcome.status(),
            exit: report.outcome.exit(),
            report,
            duration: Duration::ZERO,
        }
    }

    /// An end before any request.
    pub(super) fn before_anything(failure: &Failure) -> Self {
        let hint = failure.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        let report = without_reply(format!("{}{hint}", failure.message));
        Self { status: "failed", exit: failure.exit, report, duration: Duration::ZERO }
    }

    /// The previous run is still going.
    pub(super) fn busy(policy: Overlap, who: Option<&Holder>) -> Self {
        let who = who.map_or_else(String::new, |who| {
            format!(" (run {}, process {}, since {})", who.run_id, who.pid, who.since)
        });
        let (status, exit, message) = match policy {
            Overlap::Fail => ("failed", Exit::TryLater, format!("the previous run is still going{who}")),
            Overlap::Sequential => {
                ("failed", Exit::TryLater, format!("the previous run did not end within the budget{who}"))
            }
            Overlap::Skip | Overlap::Parallel => {
                ("skipped", Exit::Ok, format!("the previous run is still going{who}"))
            }
        };
        Self { status, exit, report: without_reply(message), duration: Duration::ZERO }
    }

    /// The one line of a failure.
    pub(super) fn line(&self, task: &str) -> String {
        format!("{task}: {} [{} {}]", self.report.message, self.exit.code(), self.exit.name())
    }

    pub(super) fn entry(
        &self,
        task: &str,
        run_id: ExecutionId,
        started_at: Timestamp,
        endpoint: &str,
    ) -> RunEntry {
        RunEntry {
            task: task.to_owned(),
            run_id: run_id.to_string(),
            endpoint: endpoint.to_owned(),
            started_at,
            duration_ms: millis(self.duration),
            status: self.status.to_owned(),
            exit_name: self.exit.name().to_owned(),
            exit_code: self.exit.code(),
            http_status: self.report.http_status,
            code: self.report.code.clone(),
            message: truncate(&self.report.message, 1000).to_owned(),
            attempts: self.report.attempts,
            token_source: self.report.token_source.map(|source| source.as_str().to_owned()),
        }
    }

    /// The object of `--json`.
    pub(super) fn json(&self, entry: &RunEntry) -> Value {
        let body = self
            .report
            .body
            .as_ref()
            .map(|body| serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone())));
        // A number stays a number, as the server sent it.
        let code =
            entry.code.as_ref().map(|code| code.parse::<i64>().map_or_else(|_| json!(code), Value::from));
        json!({
            "status": entry.status,
            "exit_name": entry.exit_name,
            "exit_code": entry.exit_code,
            "http_status": entry.http_status,
            "code": code,
            "message": self.report.message,
            "attempts": entry.attempts,
            "duration_ms": entry.duration_ms,
            "task": entry.task,
            "run_id": entry.run_id,
            "token_source": entry.token_source,
            "body": body,
        })
    }

    /// Stopped by a signal: what was under way may have been done.
    pub(super) fn stopped(exit: Exit, message: String, duration: Duration) -> Self {
        Self { status: "unknown", exit, report: without_reply(message), duration }
    }
}

/// The report of a run that made no request, or was stopped in one.
fn without_reply(message: String) -> CallReport {
    CallReport {
        outcome: CallOutcome::Unknown,
        http_status: None,
        code: None,
        message,
        attempts: 0,
        token_source: None,
        body: None,
        location: None,
    }
}
