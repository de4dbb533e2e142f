//! What an attempt came to, judged from the HTTP status *and* the envelope.

use serde_json::Value;

use super::envelope::Envelope;
use super::login_page;
use super::reply::{BodyEnd, Reply};
use super::transport::{Nature, SendFailure};
use crate::config::call::Call;
use crate::domain::code::Code;
use crate::domain::expectation::{Expectation, unmet};
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

/// What counts as success, beside the status.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Envelope codes that mean success.
    pub codes: &'a [Code],
    /// What the reply must hold, instead of what envelopes are known to say.
    pub expect: &'a [Expectation],
    /// The body does not matter, unless something is expected of it.
    pub ignore_body: bool,
}

impl<'a> Rules<'a> {
    /// As the settings say.
    pub fn of_call(call: &'a Call) -> Self {
        let Call { success_codes, expect, ignore_body, .. } = call;
        Self { codes: success_codes, expect, ignore_body: *ignore_body && expect.is_empty() }
    }

    /// Those for envelopes: what is expected of a reply is not expected of the questions that follow it.
    pub fn of_envelopes(call: &'a Call) -> Self {
        Self { codes: &call.success_codes, expect: &[], ignore_body: false }
    }
}

/// Judges an attempt. `repeatable` is whether the call is declared idempotent: then a missing answer means try later,
/// not unknown, since the next run may do it again.
pub fn judge(answer: &Result<Reply, SendFailure>, rules: Rules, repeatable: bool) -> Judgement {
    match answer {
        Ok(reply) => judge_reply(reply, rules, repeatable),
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

fn judge_reply(reply: &Reply, rules: Rules, repeatable: bool) -> Judgement {
    use CallOutcome::{Failed, Protocol, TryLater, Unauthenticated};
    use FailureClass::{Final, Refused};
    let json = reply.json();
    let envelope = match &json {
        Ok(Some(json)) => Envelope::of(json, rules.codes),
        _ => Envelope::default(),
    };
    let status = show(reply.status);
    // A reply that holds what is expected has done its work, whatever else it says.
    let met = !rules.expect.is_empty()
        && (200..300).contains(&reply.status)
        && unmet(rules.expect, json.as_ref().ok().and_then(Option::as_ref)).is_none();
    let token_rejected = !met && rejects_token(reply, &envelope, rules);
    let (outcome, class, message) = match reply.status {
        _ if token_rejected => (Unauthenticated, Final, envelope.refused(&token_status(reply, &status))),
        200..=299 => judge_success(reply, &json, &envelope, rules, repeatable),
        300..=399 => (Protocol, Final, format!("{status}: {}", redirect(reply))),
        403 => (Unauthenticated, Final, envelope.behind("HTTP 403, not allowed")),
        409 if envelope.is_in_progress() => {
            (TryLater, Refused, envelope.behind("HTTP 409, already in progress"))
        }
        423 => (TryLater, Final, envelope.behind("HTTP 423, locked")),
        408 | 425 | 429 | 502 | 503 | 504 => (TryLater, Refused, envelope.behind(&status)),
        100..=199 => (Protocol, Final, status),
        _ => (Failed, Final, envelope.behind(&status)),
    };
    Judgement { outcome, class, token_rejected, message, code: envelope.code }
}

/// The whole of a reply whose status is a success: it is one only if the rest agrees.
fn judge_success(
    reply: &Reply,
    json: &Result<Option<Value>, String>,
    envelope: &Envelope,
    rules: Rules,
    repeatable: bool,
) -> (CallOutcome, FailureClass, String) {
    let status = show(reply.status);
    let success = if reply.status == 202 { CallOutcome::Accepted } else { CallOutcome::Success };
    let no = |outcome, message| (outcome, FailureClass::Final, message);
    match flaw(reply, json.as_ref().err()) {
        Some(Flaw::Cut(how)) => {
            let (outcome, class) = unanswered(repeatable);
            return (outcome, class, format!("{status}, but {how}"));
        }
        _ if rules.ignore_body => return no(success, status),
        Some(Flaw::Unusable(what)) => return no(CallOutcome::Protocol, format!("{status}, but {what}")),
        None => {}
    }
    if !rules.expect.is_empty() {
        let json = json.as_ref().ok().and_then(Option::as_ref);
        return match unmet(rules.expect, json) {
            Some(unmet) => no(CallOutcome::Failed, envelope.beside(&format!("{status}, {unmet}"))),
            None => no(success, envelope.behind(&status)),
        };
    }
    match envelope.refusal {
        Some(_) => no(CallOutcome::Failed, envelope.refused(&status)),
        None => no(success, envelope.behind(&status)),
    }
}

/// Why a reply with a status of success cannot be one.
pub(super) enum Flaw {
    /// The end of it is missing.
    Cut(String),
    /// It came, and is nothing that can be read.
    Unusable(String),
}

/// The flaw of a reply, for a call as for a login.
pub(super) fn flaw(reply: &Reply, broken_json: Option<&String>) -> Option<Flaw> {
    Some(Flaw::Unusable(match (&reply.end, broken_json) {
        (BodyEnd::Cut(how), _) => return Some(Flaw::Cut(format!("the reply was cut: {how}"))),
        (BodyEnd::OverCap(cap), _) => {
            format!("the reply is longer than {} (hint: --max-body)", size::show(*cap))
        }
        (BodyEnd::Unreadable(why), _) => why.clone(),
        (BodyEnd::Whole, _) if reply.is_page() => "the reply is a web page".to_owned(),
        (BodyEnd::Whole, Some(error)) => format!("its JSON cannot be read: {error}"),
        (BodyEnd::Whole, None) => return None,
    }))
}

/// Whether the reply says expressly that the token is not accepted. 403 alone says that it is, and that its owner may
/// not do this.
fn rejects_token(reply: &Reply, envelope: &Envelope, rules: Rules) -> bool {
    match reply.status {
        // Of the two that are not registered, one is used for a session and one for a token that is over.
        401 | 419 | 498 => true,
        200..=299 => {
            let refused = envelope.refusal.is_some() && !rules.ignore_body;
            refused && (envelope.rejects_token() || envelope.is_unauthorized())
        }
        301 | 302 | 303 | 307 | 308 => reply.location.as_deref().is_some_and(login_page::is_login_page),
        400 | 403 => {
            let unauthorized = reply.status == 400 && envelope.is_unauthorized();
            unauthorized
                || envelope.rejects_token()
                || reply.authenticate.iter().any(|line| is_invalid_token(line))
        }
        _ => false,
    }
}

/// Whether a `WWW-Authenticate` says so (RFC 6750 §3.1).
fn is_invalid_token(challenge: &str) -> bool {
    let challenge = challenge.to_ascii_lowercase().replace(['"', ' '], "");
    challenge.contains("error=invalid_token")
}

/// The status of a reply that does not accept the token, and what is not in its envelope.
fn token_status(reply: &Reply, status: &str) -> String {
    match reply.status {
        401 => "HTTP 401".to_owned(),
        300..=399 => {
            format!("{status}: the token is not accepted, it sends to a login page: {}", target(reply))
        }
        _ => format!("{status}, the token is not accepted"),
    }
}

/// The status, with the reason that HTTP gives for it when it is no success.
fn show(status: u16) -> String {
    match reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) if status >= 300 => format!("HTTP {status} {reason}"),
        _ => format!("HTTP {status}"),
    }
}

fn redirect(reply: &Reply) -> String {
    format!("redirects to {} are not followed", target(reply))
}

/// The target is shown without its query: that may carry a ticket.
fn target(reply: &Reply) -> &str {
    let target = reply.location.as_deref().unwrap_or("nowhere");
    target.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallOutcome::{Accepted, Failed, Protocol, Success, TryLater, Unauthenticated, Unknown};
    use proptest::strategy::Strategy;

    use crate::client::decode::{Written, decode};
    use crate::client::iam::{LoginReply, read};

    const JSON: &str = "application/json";

    fn judged(reply: &Reply) -> Judgement {
        judge_reply(reply, Rules::of_envelopes(&Call::default()), false)
    }

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
            assert_eq!(judged(&reply).outcome, outcome, "{status} {body}");
        }
    }

    #[test]
    fn a_cut_or_overlong_reply_is_no_success() {
        let cut = Reply { end: BodyEnd::Cut("reset".to_owned()), ..Reply::of(200, JSON, r#"{"code":0}"#) };
        assert_eq!(judged(&cut).outcome, Unknown);
        assert_eq!(judge_reply(&cut, Rules::of_envelopes(&Call::default()), true).outcome, TryLater);
        let long = Reply { end: BodyEnd::OverCap(1 << 20), ..Reply::of(200, JSON, r#"{"code":0}"#) };
        assert_eq!(judged(&long).outcome, Protocol);
        assert_eq!(judged(&long).message, "HTTP 200, but the reply is longer than 1MiB (hint: --max-body)");
        let failed = Reply { status: 500, ..cut };
        assert_eq!(judged(&failed).outcome, Failed, "the status alone is a definitive answer");
    }

    #[test]
    fn messages_say_what_the_server_said() {
        let reply = Reply::of(200, JSON, r#"{"code":100101,"message":"Database error"}"#);
        assert_eq!(judged(&reply).message, "HTTP 200, code 100101: Database error");
        let redirect =
            Reply { location: Some("https://x/moved?ticket=s3cret".to_owned()), ..Reply::of(302, "", "") };
        let message = judged(&redirect).message;
        assert_eq!(message, "HTTP 302 Found: redirects to https://x/moved are not followed");
    }

    #[test]
    fn an_express_no_to_the_token_is_a_401_and_a_plain_403_is_none() {
        let challenge = |text: &str| Reply { authenticate: vec![text.to_owned()], ..Reply::of(403, "", "") };
        let to = |status, location: &str| Reply {
            location: Some(location.to_owned()),
            ..Reply::of(status, "", "")
        };
        for (reply, rejected) in [
            (Reply::of(401, "", ""), true),
            (Reply::of(419, "", ""), true),
            (Reply::of(498, "", ""), true),
            (Reply::of(403, JSON, r#"{"error":"invalid_token"}"#), true),
            (Reply::of(400, JSON, r#"{"error":"invalid_token"}"#), true),
            (Reply::of(400, JSON, r#"{"code":"token_expired"}"#), true),
            (Reply::of(400, JSON, r#"{"code":401}"#), true),
            (Reply::of(200, JSON, r#"{"errcode":42001,"errmsg":"access_token expired"}"#), true),
            (Reply::of(200, JSON, r#"{"errors":[{"extensions":{"code":"UNAUTHENTICATED"}}]}"#), true),
            (challenge(r#"Bearer realm="x", error="invalid_token", error_description="e""#), true),
            (challenge("Bearer error = invalid_token"), true),
            (to(302, "https://x/login?next=1"), true),
            (to(307, "/sso/begin"), true),
            (Reply::of(403, "", ""), false),
            (Reply::of(403, JSON, r#"{"code":100207,"message":"Permission denied"}"#), false),
            (Reply::of(403, JSON, r#"{"error":"insufficient_scope"}"#), false),
            (challenge(r#"Bearer error="insufficient_scope""#), false),
            (Reply::of(403, JSON, r#"{"error":"Unauthorized"}"#), false),
            (Reply::of(404, JSON, r#"{"error":"invalid_token"}"#), false),
            (Reply::of(500, JSON, r#"{"error":"invalid_token"}"#), false),
            (Reply::of(200, JSON, r#"{"code":0,"message":"invalid token"}"#), false),
            (to(302, "https://x/moved"), false),
        ] {
            let judgement = judged(&reply);
            assert_eq!(judgement.token_rejected, rejected, "{reply:?}");
            assert!(!rejected || judgement.outcome == Unauthenticated, "{judgement:?}");
        }
        let message =
            judged(&Reply::of(403, JSON, r#"{"error":"invalid_token","error_description":"over"}"#)).message;
        assert_eq!(message, "HTTP 403 Forbidden, the token is not accepted, error invalid_token: over");
        let message = judged(&to(302, "https://x/login?ticket=s3cret")).message;
        assert_eq!(
            message,
            "HTTP 302 Found: the token is not accepted, it sends to a login page: https://x/login"
        );
    }

    #[test]
    fn what_is_expected_replaces_what_envelopes_say() {
        let judge = |expect: &[&str], reply: &Reply| {
            let expect: Vec<Expectation> = expect.iter().map(|text| text.parse().unwrap()).collect();
            judge_reply(reply, Rules { expect: &expect, ..Rules::of_envelopes(&Call::default()) }, false)
        };
        let done = Reply::of(200, JSON, r#"{"code":7,"status":"DONE","success":false,"message":"m"}"#);
        for (expect, reply, outcome, says) in [
            (&["/status=DONE"][..], &done, Success, "HTTP 200, code 7: m"),
            (&["/status=OK"], &done, Failed, "HTTP 200, /status is \"DONE\", expected OK: m"),
            (
                &["/state=OK", "/state=DONE"],
                &done,
                Failed,
                "HTTP 200, /state is missing, expected OK or DONE: m",
            ),
            (
                &["/status=OK"],
                &Reply::of(200, "text/plain", "done"),
                Failed,
                "HTTP 200, /status is missing, since the reply is no JSON, expected OK",
            ),
            (
                &["/status=OK"],
                &Reply::of(204, "", ""),
                Failed,
                "HTTP 204, /status is missing, since the reply is no JSON, expected OK",
            ),
            (&["/a=1"], &Reply::of(200, "", "<html>"), Protocol, "HTTP 200, but the reply is a web page"),
            (&["/a=1"], &Reply::of(202, JSON, r#"{"a":1}"#), Accepted, "HTTP 202"),
            (
                &["/state=DONE"],
                &Reply::of(200, JSON, r#"{"state":"DONE","code":401}"#),
                Success,
                "HTTP 200, code 401",
            ),
            (
                &["/errcode=0"],
                &Reply::of(200, JSON, r#"{"errcode":42001}"#),
                Unauthenticated,
                "HTTP 200, the token is not accepted, errcode 42001",
            ),
            (&["/a=1"], &Reply::of(500, JSON, r#"{"a":1}"#), Failed, "HTTP 500 Internal Server Error"),
        ] {
            let judgement = judge(expect, reply);
            assert_eq!(
                (judgement.outcome, judgement.message.as_str()),
                (outcome, says),
                "{expect:?} {reply:?}"
            );
        }
    }

    #[test]
    fn a_body_that_does_not_matter_is_not_read() {
        let call = Call { ignore_body: true, ..Call::default() };
        let judged = |reply: &Reply| judge_reply(reply, Rules::of_call(&call), false).outcome;
        for body in [r#"{"code":500}"#, "{broken", "<html>", "", r#"{"errcode":42001}"#] {
            assert_eq!(judged(&Reply::of(200, JSON, body)), Success, "{body}");
        }
        assert_eq!(judged(&Reply { end: BodyEnd::OverCap(1), ..Reply::of(200, "", "") }), Success);
        assert_eq!(
            judged(&Reply { end: BodyEnd::Unreadable("br".to_owned()), ..Reply::of(200, "", "") }),
            Success
        );
        assert_eq!(
            judged(&Reply { end: BodyEnd::Cut("reset".to_owned()), ..Reply::of(200, "", "") }),
            Unknown
        );
        assert_eq!(judged(&Reply::of(500, "", "")), Failed);
        assert_eq!(judged(&Reply::of(401, "", "")), Unauthenticated);
    }

    proptest::proptest! {
        /// Replies of arbitrary bytes, and of pieces of what is a reply, in any encoding: each has a verdict.
        #[test]
        fn no_reply_is_too_strange(
            status in 100_u16..600,
            content_type in proptest::option::of("(application/json|text/plain|text/html)"),
            encoding in proptest::option::of("(gzip|deflate|br|identity, gzip)"),
            charset in proptest::option::of("(utf-8|gbk|utf-16|latin1|x-own|hz-gb-2312)"),
            location in proptest::option::of("[ -~]{0,30}"),
            body in proptest::prop_oneof![
                proptest::collection::vec(proptest::num::u8::ANY, 0..60),
                "(\u{feff}|[{}\\[\\],:\"]|\"(code|error|errors|success|status|jsonrpc)\"|0|false|null|\n|<html>){0,12}"
                    .prop_map(String::into_bytes),
            ]
        ) {
            let written = Written { encoding: encoding.as_deref(), charset: charset.as_deref() };
            let (body, end) = decode(body, BodyEnd::Whole, written, 50);
            let reply = Reply { body: body.text, end, content_type, location, ..Reply::of(status, "", "") };
            let judgement = judged(&reply);
            proptest::prop_assert!(judgement.outcome != Success || (200..300).contains(&status), "{:?}", reply);
            let login = read(&reply, &[], jiff::Timestamp::UNIX_EPOCH);
            let granted = matches!(login, LoginReply::Granted(_));
            proptest::prop_assert!(!granted || judgement.outcome == Success || judgement.outcome == Accepted, "{:?}", reply);
        }
    }
}
