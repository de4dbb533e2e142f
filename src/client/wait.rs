//! Following an accepted call (202) to its end.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;
use tracing::info;
use url::Url;

use super::address;
use super::call::{CallPolicy, CallReport, Caller, Request};
use super::outcome::CallOutcome;
use crate::secret::Redactor;

/// Where the end of an accepted call can be asked for.
#[derive(Clone, Debug)]
pub struct WaitOptions {
    /// Base URL of the server.
    pub base: Url,
    /// Path that is asked about a `run_id`, with `{run_id}` in it.
    pub path: String,
    /// Time between two questions.
    pub interval: Duration,
}

/// What a status question came to.
enum Progress {
    Running,
    Ended(CallOutcome),
    NotTold,
}

/// Asks until the work is over or `deadline` comes. Work that is accepted and not known to have ended is
/// [`CallOutcome::Unknown`]: it may or may not be done.
pub async fn follow(
    caller: &Caller<'_>,
    accepted: CallReport,
    request: &Request,
    policy: &CallPolicy,
    options: &WaitOptions,
    deadline: Instant,
    redactor: &mut Redactor,
) -> CallReport {
    let url = match status_url(&accepted, request, options) {
        Ok(url) => url,
        Err(reason) => {
            return CallReport {
                outcome: CallOutcome::Unknown,
                message: format!("accepted, but {reason}"),
                ..accepted
            };
        }
    };
    let question = Request { method: Method::GET, url, body: None, ..request.clone() };
    let mut policy = policy.clone();
    policy.retry.idempotent = true;
    loop {
        let next = Instant::now() + options.interval;
        if next >= deadline {
            let message = "accepted, but not finished within the budget (hint: raise --timeout)".to_owned();
            return CallReport { outcome: CallOutcome::Unknown, message, ..accepted };
        }
        tokio::time::sleep_until(next).await;
        let report = caller.run(&question, &policy, deadline, redactor).await;
        let attempts = accepted.attempts;
        match progress(&report) {
            Progress::Running => info!(event = "waiting", "The accepted call is still running"),
            Progress::Ended(outcome) => {
                return CallReport { outcome, attempts, message: ended(&report), ..report };
            }
            Progress::NotTold if report.outcome == CallOutcome::Success => {
                let message = "accepted, but the status reply names no status".to_owned();
                return CallReport { outcome: CallOutcome::Unknown, message, attempts, ..report };
            }
            Progress::NotTold => {
                let message = format!("accepted, but its end is not known: {}", report.message);
                return CallReport { outcome: CallOutcome::Unknown, message, attempts, ..report };
            }
        }
    }
}

/// The `Location` of the reply when it stays on the same origin, otherwise the configured path with the `run_id`.
fn status_url(accepted: &CallReport, request: &Request, options: &WaitOptions) -> Result<Url, String> {
    if let Some(location) = &accepted.location {
        let url = request.url.join(location).map_err(|_| "its Location is no URL".to_owned())?;
        if url.origin() != request.url.origin() {
            return Err("its Location is on another host, where the token must not go".to_owned());
        }
        return Ok(url);
    }
    let body: Value =
        accepted.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let run_id = text_at(&body, "run_id").ok_or("its reply names no run_id and no Location")?;
    let safe = run_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !safe || run_id.contains("..") {
        return Err("its run_id is not usable in a path".to_owned());
    }
    address::join(&options.base, &options.path.replace("{run_id}", &run_id), &[])
        .map_err(|error| error.to_string())
}

/// What a status reply says; only an answer that was a success is read.
fn progress(report: &CallReport) -> Progress {
    // A run that failed may be told with an error status and its record in `data`.
    let body: Value =
        report.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    match text_at(&body, "status").map(|status| status.to_ascii_lowercase()).as_deref() {
        Some("pending" | "queued" | "accepted" | "running" | "in_progress" | "retrying" | "processing") => {
            Progress::Running
        }
        Some("succeeded" | "success" | "completed" | "done" | "finished")
            if report.outcome == CallOutcome::Success =>
        {
            Progress::Ended(CallOutcome::Success)
        }
        Some("failed" | "partial" | "error" | "cancelled" | "canceled" | "timeout" | "skipped") => {
            Progress::Ended(CallOutcome::Failed)
        }
        _ => Progress::NotTold,
    }
}

fn ended(report: &CallReport) -> String {
    let body: Value =
        report.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let status = text_at(&body, "status").unwrap_or_default();
    match text_at(&body, "error") {
        Some(error) => format!("the accepted call ended: {status}: {error}"),
        None => format!("the accepted call ended: {status}"),
    }
}

/// A text (or number) at `data.<name>` or `<name>`.
fn text_at(body: &Value, name: &str) -> Option<String> {
    let value = body.get("data").and_then(|data| data.get(name)).or_else(|| body.get(name))?;
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
