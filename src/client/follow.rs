//! Following an accepted call (202) to its end.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{info, warn};
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
    /// The answer is none about the work; another one may be.
    Untold,
    Unclear,
}

/// How often in a row a status that is not there is asked for again: the server may have said "accepted" before the
/// work can be found.
const NOT_THERE_YET: u32 = 3;

impl Client {
    /// Asks until the work is over or `deadline` comes. Work that is accepted and not known to have ended is
    /// [`CallOutcome::Unknown`]: it may or may not be done. An answer that says nothing about the work, such as that of
    /// a server that is being restarted, is no end either.
    pub(super) async fn follow(
        &self,
        accepted: CallReport,
        request: &Request,
        deadline: Instant,
    ) -> CallReport {
        let url = match status_url(&accepted, request, &self.config) {
            Ok(url) => url,
            Err(reason) => return unknown(accepted, format!("accepted, but {reason}")),
        };
        let question = Request { method: Method::GET, url, body: None, ..request.clone() };
        let (mut pause, mut not_there) = (self.config.call.wait_interval, 0);
        let mut last = "the accepted call is still running".to_owned();
        loop {
            let next = Instant::now() + pause;
            if next >= deadline {
                let message =
                    format!("accepted, but not finished within the budget: {last} (hint: raise --timeout)");
                return unknown(accepted, message);
            }
            tokio::time::sleep_until(next).await;
            let answer = self.send(&question, Rules::of_envelopes(&self.config.call), deadline).await;
            let report = CallReport { attempts: accepted.attempts, ..answer };
            pause = self.config.call.wait_interval.max(report.retry_after.unwrap_or_default());
            not_there = if report.http_status == Some(404) { not_there + 1 } else { 0 };
            match state(&report, not_there) {
                WorkState::Running => info!(event = "waiting", "The accepted call is still running"),
                WorkState::Untold => {
                    let reason = &report.message;
                    warn!(
                        event = "waiting",
                        reason, "The accepted call could not be asked about, trying again"
                    );
                    last.clone_from(reason);
                }
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

fn unknown(report: CallReport, message: String) -> CallReport {
    CallReport { outcome: CallOutcome::Unknown, message, ..report }
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
    let body = body(accepted);
    let run_id = text_at(body, "run_id").ok_or("its reply names no run_id and no Location")?;
    let safe = run_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !safe || run_id.contains("..") {
        return Err("its run_id is not usable in a path".to_owned());
    }
    address::base(&config.api.base_url.0, config.call.allow_plaintext)
        .and_then(|base| address::join(&base, &config.call.wait_path.replace("{run_id}", &run_id), &[]))
        .map_err(|error| error.to_string())
}

/// What a status reply says, the `not_there`th in a row that knows nothing of the work.
fn state(report: &CallReport, not_there: u32) -> WorkState {
    // A run that failed may be told with an error status and its record in `data`.
    let body = body(report);
    match text_at(body, "status").map(|status| status.to_ascii_lowercase()).as_deref() {
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
        _ => match report.outcome {
            CallOutcome::Accepted => WorkState::Running,
            // Busy, lost, cut, or a page in place of an answer: asking again is harmless.
            CallOutcome::TryLater | CallOutcome::Unknown | CallOutcome::Protocol => WorkState::Untold,
            _ if (1..=NOT_THERE_YET).contains(&not_there) => WorkState::Untold,
            _ => WorkState::Unclear,
        },
    }
}

fn ended(report: &CallReport) -> String {
    let body = body(report);
    let status = text_at(body, "status").unwrap_or_default();
    match text_at(body, "error") {
        Some(error) => format!("the accepted call ended: {status}: {error}"),
        None => format!("the accepted call ended: {status}"),
    }
}

/// The body; empty when there is none.
fn body(report: &CallReport) -> &str {
    report.body.as_deref().unwrap_or_default()
}

/// A text (or number, in its own digits) at `data.<name>` or `<name>`.
fn text_at(body: &str, name: &str) -> Option<String> {
    type Object = BTreeMap<String, Box<RawValue>>;
    let object: Object = serde_json::from_str(body).ok()?;
    let data = object.get("data").and_then(|data| serde_json::from_str::<Object>(data.get()).ok());
    let value = data.as_ref().and_then(|data| data.get(name)).or_else(|| object.get(name))?.get();
    match serde_json::from_str(value).ok()? {
        Value::String(text) => Some(text),
        Value::Number(_) => Some(value.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_digits() {
        for (body, found) in [
            (r#"{"data": {"run_id": 12345678901234567890123}}"#, Some("12345678901234567890123")),
            (r#"{"run_id": "a-1", "data": null}"#, Some("a-1")),
            (r#"{"run_id": "outer", "data": {"run_id": "inner"}}"#, Some("inner")),
            (r#"{"data": {"run_id": true}}"#, None),
            ("no json", None),
        ] {
            assert_eq!(text_at(body, "run_id").as_deref(), found, "{body}");
        }
    }
}
