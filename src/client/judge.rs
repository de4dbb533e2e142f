//! What an attempt came to, judged from the HTTP status *and* the envelope.

use super::envelope::{Code, Envelope};
use super::reply::{BodyEnd, Reply};
use super::transport::SendFailure;
use crate::domain::outcome::CallOutcome;
use crate::domain::retry::FailureClass;

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
/// idempotent: then a missing answer is no riddle, since the next run may simply do it again.
pub fn judge(answer: &Result<Reply, SendFailure>, accepted: &[i64], repeatable: bool) -> Judgement {
    match answer {
        Ok(reply) => judge_reply(reply, accepted, repeatable),
        Err(failure) => judge_failure(failure, repeatable),
    }
}

fn judge_failure(failure: &SendFailure, repeatable: bool) -> Judgement {
    let (outcome, class) = match (failure.sent, repeatable) {
        (false, _) => (CallOutcome::TryLater, FailureClass::NeverSent),
        (true, true) => (CallOutcome::TryLater, FailureClass::Unanswered),
        (true, false) => (CallOutcome::Unknown, FailureClass::Unanswered),
    };
    Judgement { outcome, class, token_rejected: false, code: None, message: failure.to_string() }
}

fn judge_reply(reply: &Reply, accepted: &[i64], repeatable: bool) -> Judgement {
    let json = reply.json();
    let envelope = json.as_ref().ok().and_then(Option::as_ref).map(Envelope::of).unwrap_or_default();
    let judged = Judged { reply, envelope: &envelope };
    match reply.status {
        200..=299 => judged.of_success_status(json.as_ref().err(), accepted, repeatable),
        300..=399 => judged.is(CallOutcome::Protocol, FailureClass::Final, &judged.redirect()),
        401 => judged.rejected_token("HTTP 401"),
        403 => judged.is(CallOutcome::Unauthenticated, FailureClass::Final, "HTTP 403, not allowed"),
        409 if envelope.is_in_progress() => {
            judged.is(CallOutcome::TryLater, FailureClass::Refused, "HTTP 409, already in progress")
        }
        423 => judged.is(CallOutcome::TryLater, FailureClass::Final, "HTTP 423, locked"),
        408 | 425 | 429 | 502 | 503 | 504 => {
            judged.is(CallOutcome::TryLater, FailureClass::Refused, &judged.status())
        }
        100..=199 => judged.is(CallOutcome::Protocol, FailureClass::Final, &judged.status()),
        _ => judged.is(CallOutcome::Failed, FailureClass::Final, &judged.status()),
    }
}

/// A reply that is being judged.
struct Judged<'a> {
    reply: &'a Reply,
    envelope: &'a Envelope,
}

impl Judged<'_> {
    /// A 2xx status is a success only if the whole reply agrees.
    fn of_success_status(
        &self,
        broken_json: Option<&String>,
        accepted: &[i64],
        repeatable: bool,
    ) -> Judgement {
        match &self.reply.end {
            BodyEnd::Cut(how) => {
                let outcome = if repeatable { CallOutcome::TryLater } else { CallOutcome::Unknown };
                let message = format!("{}, but the reply was cut: {how}", self.status());
                return self.says(outcome, FailureClass::Unanswered, message);
            }
            BodyEnd::OverCap(cap) => {
                let cap = crate::domain::size::show(*cap);
                let message =
                    format!("{}, but the reply is longer than {cap} (hint: --max-body)", self.status());
                return self.says(CallOutcome::Protocol, FailureClass::Final, message);
            }
            BodyEnd::Whole => {}
        }
        if let Some(error) = broken_json {
            let message = format!("{}, but its JSON cannot be read: {error}", self.status());
            return self.says(CallOutcome::Protocol, FailureClass::Final, message);
        }
        let html = matches!(self.reply.content_type.as_deref(), Some("text/html" | "application/xhtml+xml"));
        if html && !self.reply.body.is_empty() {
            let message = format!("{}, but the reply is a web page", self.status());
            return self.says(CallOutcome::Protocol, FailureClass::Final, message);
        }
        if self.envelope.rejects_token() {
            return self.rejected_token(&self.status());
        }
        if !self.envelope.succeeds(accepted) {
            return self.is(CallOutcome::Failed, FailureClass::Final, &self.status());
        }
        let outcome = if self.reply.status == 202 { CallOutcome::Accepted } else { CallOutcome::Success };
        self.is(outcome, FailureClass::Final, &self.status())
    }

    fn rejected_token(&self, what: &str) -> Judgement {
        let judgement = self.is(CallOutcome::Unauthenticated, FailureClass::Final, what);
        Judgement { token_rejected: true, ..judgement }
    }

    /// `what`, followed by the envelope's code and message when they add something.
    fn is(&self, outcome: CallOutcome, class: FailureClass, what: &str) -> Judgement {
        let mut message = what.to_owned();
        if let Some(code) = &self.envelope.code {
            message = format!("{message}, code {code}");
        }
        if let Some(text) = &self.envelope.message {
            message = format!("{message}: {text}");
        }
        self.says(outcome, class, message)
    }

    fn says(&self, outcome: CallOutcome, class: FailureClass, message: String) -> Judgement {
        Judgement { outcome, class, token_rejected: false, code: self.envelope.code.clone(), message }
    }

    fn status(&self) -> String {
        let status = self.reply.status;
        match reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
            Some(reason) if status >= 300 => format!("HTTP {status} {reason}"),
            _ => format!("HTTP {status}"),
        }
    }

    /// The target is shown without its query: that may carry a ticket.
    fn redirect(&self) -> String {
        let target = self.reply.location.as_deref().unwrap_or("nowhere");
        let target = target.split(['?', '#']).next().unwrap_or_default();
        format!("{}: redirects to {target} are not followed", self.status())
    }
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
