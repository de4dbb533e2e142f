//! Following an accepted call (202) to its end.

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;
use tracing::info;
use url::Url;

use super::address;
use super::call::Client;
use super::judge::Rules;
use super::request::Request;
use crate::config::call::CallConfig;
use crate::domain::outcome::{CallOutcome, CallReport};

/// How far accepted work is, as a status reply says.
enum WorkState {
    Running,
    Ended(CallOutcome),
    Unclear,
}

impl Client {
    /// Asks until the work is over or `deadline` comes. Work that is accepted and not known to have ended is
    /// [`CallOutcome::Unknown`]: it may or may not be done.
    pub(super) async fn follow(
        &self,
        accepted: CallReport,
        request: &Request,
        deadline: Instant,
    ) -> CallReport {
        let unknown =
            |report, message: String| CallReport { outcome: CallOutcome::Unknown, message, ..report };
        let url = match status_url(&accepted, request, &self.config) {
            Ok(url) => url,
            Err(reason) => return unknown(accepted, format!("accepted, but {reason}")),
        };
        let question = Request { method: Method::GET, url, body: None, ..request.clone() };
        loop {
            let next = Instant::now() + self.config.call.wait_interval;
            if next >= deadline {
                let message = "accepted, but not finished within the budget (hint: raise --timeout)";
                return unknown(accepted, message.to_owned());
            }
            tokio::time::sleep_until(next).await;
            let answer = self.send(&question, Rules::of_envelopes(&self.config.call), deadline).await;
            let report = CallReport { attempts: accepted.attempts, ..answer };
            match state(&report) {
                WorkState::Running => info!(event = "waiting", "The accepted call is still running"),
                WorkState::Ended(outcome) => {
                    return CallReport { outcome, message: ended(&report), ..report };
                }
                WorkState::Unclear if report.outcome == CallOutcome::Success => {
                    return unknown(report, "accepted, but the status reply names no status".to_owned());
                }
                WorkState::Unclear => {
                    let message = format!("accepted, but its end is not known: {}", report.message);
                    return unknown(report, message);
                }
            }
        }
    }
}

/// The `Location` of the reply when it stays on the same origin, otherwise the configured path with the `run_id`.
fn status_url(accepted: &CallReport, request: &Request, config: &CallConfig) -> Result<Url, String> {
    if let Some(location) = &accepted.location {
        let url = request.url.join(location).map_err(|_| "its Location is no URL".to_owned())?;
        if url.origin() != request.url.origin() {
            return Err("its Location is on another host, where the token must not go".to_owned());
        }
        return Ok(url);
    }
    let body = json(accepted);
    let run_id = text_at(&body, "run_id").ok_or("its reply names no run_id and no Location")?;
    let safe = run_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !safe || run_id.contains("..") {
        return Err("its run_id is not usable in a path".to_owned());
    }
    address::base(&config.api.base_url.0, config.call.allow_plaintext)
        .and_then(|base| address::join(&base, &config.call.wait_path.replace("{run_id}", &run_id), &[]))
        .map_err(|error| error.to_string())
}

/// What a status reply says; only an answer that was a success is read.
fn state(report: &CallReport) -> WorkState {
    // A run that failed may be told with an error status and its record in `data`.
    let body = json(report);
    match text_at(&body, "status").map(|status| status.to_ascii_lowercase()).as_deref() {
        Some("pending" | "queued" | "accepted" | "running" | "in_progress" | "retrying" | "processing") => {
            WorkState::Running
        }
        Some("succeeded" | "success" | "completed" | "done" | "finished")
            if report.outcome == CallOutcome::Success =>
        {
            WorkState::Ended(CallOutcome::Success)
        }
        Some("failed" | "partial" | "error" | "cancelled" | "canceled" | "timeout" | "skipped") => {
            WorkState::Ended(CallOutcome::Failed)
        }
        _ => WorkState::Unclear,
    }
}

fn ended(report: &CallReport) -> String {
    let body = json(report);
    let status = text_at(&body, "status").unwrap_or_default();
    match text_at(&body, "error") {
        Some(error) => format!("the accepted call ended: {status}: {error}"),
        None => format!("the accepted call ended: {status}"),
    }
}

/// The body as JSON; null when it is none.
fn json(report: &CallReport) -> Value {
    report.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default()
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
