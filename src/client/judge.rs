//! What an attempt came to, judged from the HTTP status *and* the envelope.

use super::envelope::{Code, Envelope};
use super::reply::{BodyEnd, Reply};
use super::transport::{Nature, SendFailure};
use crate::domain::outcome::CallOutcome;
use crate::domain::retry::FailureClass;
use crate::domain::size;

/// The verdict on one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What the call came to, if this was the last attempt.
    pub outcome: CallOutcome,
    /// Who may repeat it; [`FailureClass::Final`] for successes too.
    pub class: FailureClass,
    /// The server does not accept the token: a newer one may help, once.
    pub token_rejected: bool,
    /// Envelope code, if any.
    pub code: Option<Code>,
    /// What happened, in one line.
    pub message: String,
}

/// Judges an attempt. `accepted` are the envelope codes that mean success; `repeatable` is whether the call is declared
/// idempotent: then a missing answer means try later, not unknown, since the next run may do it again.
pub fn judge(answer: &Result<Reply, SendFailure>, accepted: &[i64], repeatable: bool) -> Judgement {
    match answer {
        Ok(reply) => judge_reply(reply, accepted, repeatable),
        Err(failure) => judge_failure(failure, repeatable),
    }
}

fn judge_failure(failure: &SendFailure, repeatable: bool) -> Judgement {
    let (outcome, class) = match failure.nature() {
        Nature::Setting => (CallOutcome::Misconfigured, FailureClass::Final),
        Nature::Protocol => (CallOutcome::Protocol, FailureClass::Final),
        Nature::NeverSent => (CallOutcome::TryLater, FailureClass::NeverSent),
        Nature::Unanswered => unanswered(repeatable),
    };
    Judgement { outcome, class, token_rejected: false, code: None, message: failure.to_string() }
}

/// What a request comes to that left and has no whole answer.
fn unanswered(repeatable: bool) -> (CallOutcome, FailureClass) {
    let outcome = if repeatable { CallOutcome::TryLater } else { CallOutcome::Unknown };
    (outcome, FailureClass::Unanswered)
}

fn judge_reply(reply: &Reply, accepted: &[i64], repeatable: bool) -> Judgement {
    use CallOutcome::{Accepted, Failed, Protocol, Success, TryLater, Unauthenticated};
    use FailureClass::{Final, Refused};
    let json = reply.json();
    let envelope = json.as_ref().ok().and_then(Option::as_ref).map(Envelope::of).unwrap_or_default();
    let status = show(reply.status);
    if (200..300).contains(&reply.status)
        && let Some((outcome, class, flaw)) = flaw(reply, json.as_ref().err(), repeatable)
    {
        let message = format!("{status}, but {flaw}");
        return Judgement { outcome, class, token_rejected: false, code: envelope.code, message };
    }
    let (outcome, class, what) = match reply.status {
        200..=299 if envelope.rejects_token() => (Unauthenticated, Final, status),
        200..=299 if !envelope.succeeds(accepted) => (Failed, Final, status),
        202 => (Accepted, Final, status),
        200..=299 => (Success, Final, status),
        300..=399 => (Protocol, Final, format!("{status}: {}", redirect(reply))),
        401 => (Unauthenticated, Final, "HTTP 401".to_owned()),
        403 => (Unauthenticated, Final, "HTTP 403, not allowed".to_owned()),
        409 if envelope.is_in_progress() => (TryLater, Refused, "HTTP 409, already in progress".to_owned()),
        423 => (TryLater, Final, "HTTP 423, locked".to_owned()),
        408 | 425 | 429 | 502 | 503 | 504 => (TryLater, Refused, status),
        100..=199 => (Protocol, Final, status),
        _ => (Failed, Final, status),
    };
    let token_rejected = outcome == Unauthenticated && reply.status != 403;
    Judgement { outcome, class, token_rejected, message: envelope.behind(&what), code: envelope.code }
}

/// Why a reply is no success although its status is: a 2xx counts only if the whole reply agrees.
fn flaw(
    reply: &Reply,
    broken_json: Option<&String>,
    repeatable: bool,
) -> Option<(CallOutcome, FailureClass, String)> {
    let html = matches!(reply.content_type.as_deref(), Some("text/html" | "application/xhtml+xml"));
    let broken_promise = match (&reply.end, broken_json) {
        (BodyEnd::Cut(how), _) => {
            let (outcome, class) = unanswered(repeatable);
            return Some((outcome, class, format!("the reply was cut: {how}")));
        }
        (BodyEnd::OverCap(cap), _) => {
            format!("the reply is longer than {} (hint: --max-body)", size::show(*cap))
        }
        (BodyEnd::Whole, Some(error)) => format!("its JSON cannot be read: {error}"),
        (BodyEnd::Whole, None) if html && !reply.body.is_empty() => "the reply is a web page".to_owned(),
        (BodyEnd::Whole, None) => return None,
    };
    Some((CallOutcome::Protocol, FailureClass::Final, broken_promise))
}

/// The status, with the reason that HTTP gives for it when it is no success.
fn show(status: u16) -> String {
    match reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) if status >= 300 => format!("HTTP {status} {reason}"),
        _ => format!("HTTP {status}"),
    }
}

/// The target is shown without its query: that may carry a ticket.
fn redirect(reply: &Reply) -> String {
    let target = reply.location.as_deref().unwrap_or("nowhere");
    let target = target.split(['?', '#']).next().unwrap_or_default();
    format!("redirects to {target} are not followed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallOutcome::{Accepted, Failed, Protocol, Success, TryLater, Unauthenticated, Unknown};

    const JSON: &str = "application/json";

    #[test]
    fn a_reply_is_judged_by_status_and_envelope() {
        for (status, content_type, body, outcome) in [
            (200, JSON, r#"{"code":0}"#, Success),
            (200, JSON, r#"{"code":200,"message":"success"}"#, Success),
            (200, JSON, r#"{"code":100101,"message":"Database error"}"#, Failed),
            (200, JSON, r#"{"code":401}"#, Unauthenticated),
            (200, JSON, r#"{"code":102003}"#, Unauthenticated),
            (200, JSON, r#"{"data":1}"#, Success),
            (200, JSON, "[]", Success),
            (200, JSON, "{broken", Protocol),
            (200, JSON, "", Success),
            (200, "text/plain", "done", Success),
            (200, "text/html", "<html>", Protocol),
            (201, JSON, r#"{"code":0}"#, Success),
            (202, JSON, r#"{"code":0}"#, Accepted),
            (202, JSON, r#"{"code":5}"#, Failed),
            (204, "", "", Success),
            (301, "", "", Protocol),
            (304, "", "", Protocol),
            (400, JSON, r#"{"code":100004}"#, Failed),
            (401, "", "", Unauthenticated),
            (403, "", "", Unauthenticated),
            (404, "text/html", "<html>", Failed),
            (409, JSON, r#"{"message":"version conflict"}"#, Failed),
            (409, JSON, r#"{"message":"sync in progress"}"#, TryLater),
            (422, "", "", Failed),
            (423, "", "", TryLater),
            (425, "", "", TryLater),
            (429, "", "", TryLater),
            (500, JSON, r#"{"code":0,"message":"lies"}"#, Failed),
            (501, "", "", Failed),
            (502, "", "", TryLater),
            (503, "", "", TryLater),
            (504, "", "", TryLater),
            (505, "", "", Failed),
        ] {
            let reply = Reply::of(status, content_type, body);
            assert_eq!(judge_reply(&reply, &[0, 200], false).outcome, outcome, "{status} {body}");
        }
    }

    #[test]
    fn a_cut_or_overlong_reply_is_no_success() {
        let cut = Reply { end: BodyEnd::Cut("reset".to_owned()), ..Reply::of(200, JSON, r#"{"code":0}"#) };
        assert_eq!(judge_reply(&cut, &[0], false).outcome, Unknown);
        assert_eq!(judge_reply(&cut, &[0], true).outcome, TryLater);
        let long = Reply { end: BodyEnd::OverCap(1 << 20), ..Reply::of(200, JSON, r#"{"code":0}"#) };
        assert_eq!(judge_reply(&long, &[0], false).outcome, Protocol);
        assert_eq!(
            judge_reply(&long, &[0], false).message,
            "HTTP 200, but the reply is longer than 1MiB (hint: --max-body)"
        );
        let failed = Reply { status: 500, ..cut };
        assert_eq!(
            judge_reply(&failed, &[0], false).outcome,
            Failed,
            "the status alone is a definitive answer"
        );
    }

    #[test]
    fn messages_say_what_the_server_said() {
        let reply = Reply::of(200, JSON, r#"{"code":100101,"message":"Database error"}"#);
        assert_eq!(judge_reply(&reply, &[0], false).message, "HTTP 200, code 100101: Database error");
        let redirect =
            Reply { location: Some("https://x/login?ticket=s3cret".to_owned()), ..Reply::of(302, "", "") };
        let message = judge_reply(&redirect, &[0], false).message;
        assert_eq!(message, "HTTP 302 Found: redirects to https://x/login are not followed");
    }
}
