//! What a JSON reply says about itself: `{"code", "message", "data"}` and its relatives. Only what stands at the top
//! counts: the data may be about errors.

use serde_json::{Map, Value};

use super::refusal::{self, Field, field, plain};
use crate::domain::code::Code;

/// Codes of the IAM, and of public APIs whose numbers mean nothing else, that say that the token is not accepted.
const TOKEN_CODES: [i64; 6] = [99_991_661, 99_991_663, 99_991_664, 99_991_668, 99_991_671, 99_991_677];
/// The same where the number is an error code: in `errcode` and its like.
const TOKEN_ERROR_CODES: [i64; 10] = [40_001, 40_014, 42_001, 42_007, 110, 111, 190, 21_315, 21_327, 21_332];
/// Words that say so, as code, as error or as the whole message.
const TOKEN_WORDS: [&str; 44] = [
    "invalidtoken",
    "tokeninvalid",
    "tokenisinvalid",
    "tokennotvalid",
    "invalidaccesstoken",
    "accesstokeninvalid",
    "invalidauthtoken",
    "invalidbearertoken",
    "invalidauthenticationtoken",
    "invalidjwt",
    "jwtinvalid",
    "invalidjwttoken",
    "invalidorexpiredtoken",
    "invalidorexpiredjwt",
    "expiredtoken",
    "tokenexpired",
    "tokenisexpired",
    "tokenhasexpired",
    "thetokenhasexpired",
    "theincomingtokenhasexpired",
    "tokenexpirederror",
    "accesstokenexpired",
    "accesstokenhasexpired",
    "expiredaccesstoken",
    "expiredauthenticationtoken",
    "expiredjwt",
    "jwtexpired",
    "jwtisexpired",
    "jwthasexpired",
    "expiredtokenexception",
    "tokenrevoked",
    "tokenhasbeenrevoked",
    "accesstokenrevoked",
    "jsonwebtokenerror",
    "invalidauth",
    "notauthed",
    "invalidsessionid",
    "sessionexpired",
    "token已过期",
    "token过期",
    "token失效",
    "token无效",
    "登录已过期",
    "登录已失效",
];
/// Words for what HTTP says with 401.
const UNAUTHORIZED: [&str; 6] = [
    "unauthorized",
    "unauthenticated",
    "notauthenticated",
    "authenticationrequired",
    "loginrequired",
    "未登录",
];

/// The parts of a reply that a verdict needs. A reply that is no JSON object has none of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    /// Business code, when there is one: a number, or a text as some stacks write it.
    pub code: Option<Code>,
    /// Human message: `message`, `msg`, `error_description`, `error`, `detail` or a relative.
    pub message: Option<String>,
    /// How it says no: `code 100101`, `success is false`.
    pub refusal: Option<String>,
    /// What the code is called.
    code_name: String,
    /// Every code and word that names an error; whether it is an error code.
    signs: Vec<(Code, bool)>,
}

impl Envelope {
    /// Reads the envelope of a parsed reply; `accepted` are the codes that mean success.
    pub fn of(reply: &Value, accepted: &[Code]) -> Self {
        match reply {
            Value::Object(object) => match wrapped(object) {
                Some(inner) => Self::of(inner, accepted),
                None => Self::of_object(object, reply, accepted),
            },
            // A batch of JSON-RPC, whose answers are judged one by one.
            Value::Array(items) => {
                let answers = items.iter().filter(|item| item.get("jsonrpc").is_some());
                let mut answers = answers.map(|answer| Self::of(answer, accepted));
                answers.find(|answer| answer.refusal.is_some()).unwrap_or_default()
            }
            _ => Self::default(),
        }
    }

    fn of_object(object: &Map<String, Value>, reply: &Value, accepted: &[Code]) -> Self {
        let mut envelope = Self { message: refusal::message(reply).map(str::to_owned), ..Self::default() };
        let counts = object.iter().any(|(name, value)| value.is_number() && refusal::is_counter(name));
        for (name, value) in object {
            let Some(field) = field(name) else { continue };
            // `{"success": 0, "failed": 0}` counts what there was to do.
            if field == Field::Flag && value.is_number() && counts {
                continue;
            }
            let refuses = field.refuses(name, value, accepted);
            if matches!(field, Field::Code | Field::ErrorCode)
                && let Some(code) = refusal::code(value)
                // The code that says no is the one to show.
                && (envelope.code.is_none() || refuses.is_some() && envelope.refusal.is_none())
            {
                envelope.code = Some(code);
                name.clone_into(&mut envelope.code_name);
            }
            if let Some(how) = refuses {
                let is_error = field != Field::Code;
                envelope.signs.extend(refusal::signs(value).into_iter().map(|sign| (sign, is_error)));
                // A message is shown once.
                let how = if envelope.message.as_deref() == Some(how.trim()) { "" } else { &how };
                envelope.refusal.get_or_insert_with(|| format!("{name}{how}"));
            }
        }
        envelope
    }

    /// `what`, followed by the code and the message when there are any.
    pub fn behind(&self, what: &str) -> String {
        let code = self.code.as_ref().map(|code| format!(", {} {code}", self.code_name)).unwrap_or_default();
        format!("{what}{code}{}", self.said())
    }

    /// `what`, followed by how the reply says no and its message.
    pub fn refused(&self, what: &str) -> String {
        match &self.refusal {
            Some(how) => format!("{what}, {how}{}", self.said()),
            None => self.behind(what),
        }
    }

    /// `what`, followed by the message when there is one.
    pub fn beside(&self, what: &str) -> String {
        format!("{what}{}", self.said())
    }

    fn said(&self) -> String {
        self.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default()
    }

    /// Whether it says that the token is not accepted, whatever the HTTP status.
    pub fn rejects_token(&self) -> bool {
        let known = |word: &str| TOKEN_WORDS.contains(&plain(word).as_str());
        self.signs.iter().any(|(sign, is_error)| match sign {
            Code::Number(498 | 102_000..=102_008) => true,
            Code::Number(number) => {
                TOKEN_CODES.contains(number) || (*is_error && TOKEN_ERROR_CODES.contains(number))
            }
            Code::Word(word) => known(word),
        }) || self.message.as_deref().is_some_and(known)
    }

    /// Whether it says with 401, or a word for it, that nobody is logged in.
    pub fn is_unauthorized(&self) -> bool {
        self.signs.iter().any(|(sign, _)| match sign {
            Code::Number(number) => *number == 401,
            Code::Word(word) => UNAUTHORIZED.contains(&plain(word).as_str()),
        })
    }

    /// Whether it says that it cannot answer now: the codes of HTTP and of OAuth 2 for that. 500 is not among them: there
    /// are stacks that answer so to a wrong password.
    pub fn is_unavailable(&self) -> bool {
        self.signs.iter().any(|(sign, is_error)| match sign {
            Code::Number(408 | 425 | 429 | 502..=504) => true,
            Code::Number(number) => *is_error && *number == -1,
            Code::Word(word) => matches!(
                plain(word).as_str(),
                "temporarilyunavailable"
                    | "servererror"
                    | "slowdown"
                    | "toomanyrequests"
                    | "serviceunavailable"
            ),
        })
    }

    /// Whether the reply says that the same work is already under way.
    pub fn is_in_progress(&self) -> bool {
        let says = |text: &str| {
            let text = text.to_lowercase().replace(['_', '-'], " ");
            text.contains("in progress") || text.contains("already running") || text.contains("进行中")
        };
        matches!(&self.code, Some(Code::Word(word)) if says(word))
            || self.message.as_deref().is_some_and(says)
    }
}

/// What is inside `{"Response": {"Error": …}}`, the one form that wraps its error.
fn wrapped(object: &Map<String, Value>) -> Option<&Value> {
    let inner = object.get("Response")?;
    inner.get("Error").is_some().then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn accepted() -> Vec<Code> {
        ["0", "200", "OK", "SUCCESS"].iter().map(|code| code.parse().unwrap()).collect()
    }

    #[test]
    fn what_says_yes_is_no_refusal() {
        for reply in [
            json!({"code": 0, "message": "success"}),
            json!({"code": 200, "msg": "ok", "data": {"errors": ["row 3"], "status": "failed", "failed": 1}}),
            json!({"total": 0, "success": 0, "failed": 0}),
            json!({"code": 200, "msg": "ok", "success": 0, "fail": 0}),
            json!({"code": "0"}),
            json!({"code": "00000"}),
            json!({"code": "ok"}),
            json!({"code": "Success", "success": true}),
            json!({"code": null, "data": {}}),
            json!({"code": ""}),
            json!({"statusCode": 201}),
            json!({"error": null, "data": 1}),
            json!({"error": "", "errors": [], "err": false}),
            json!({"error": {}, "errors": {}}),
            json!({"error": {"code": "ok", "message": "", "log_id": "1"}}),
            json!({"errcode": 0, "errmsg": "ok"}),
            json!({"errno": "0", "error_code": null}),
            json!({"error_code": "NONE"}),
            json!({"success": "true", "ok": 1}),
            json!({"success": null}),
            json!({"status": "success"}),
            json!({"status": 0}),
            json!({"status": 200}),
            json!({"status": "running", "failed": 0, "errors": []}),
            json!({"run_id": "r", "status": "succeeded", "scanned": 9, "written": 3, "failed": 0, "errors": []}),
            json!({"jsonrpc": "2.0", "result": 3, "id": 1}),
            json!({"jsonrpc": "2.0", "result": "failed rows: none", "error": null, "id": 1}),
            json!({"data": {"a": 1}, "errors": null}),
            json!({"Response": {"RequestId": "1"}}),
            json!({"response": "error"}),
            json!([{"jsonrpc": "2.0", "result": 1}, {"jsonrpc": "2.0", "result": 2}]),
            json!([{"error": "of a row"}]),
            json!([1, 2]),
            json!("error"),
            json!({}),
        ] {
            assert_eq!(Envelope::of(&reply, &accepted()).refusal, None, "{reply}");
        }
    }

    #[test]
    fn every_kind_of_no_is_known() {
        for (reply, says) in [
            (json!({"code": 100_101, "message": "Database error"}), "code 100101: Database error"),
            (json!({"Code": 500, "Msg": "no"}), "Code 500: no"),
            (json!({"CODE": "500"}), "CODE 500"),
            (json!({"code": "E_DOWN"}), "code E_DOWN"),
            (json!({"code": true}), "code true"),
            (json!({"code": 0.5}), "code 0.5"),
            (json!({"code": "InvalidKey", "Message": "no such key"}), "code InvalidKey: no such key"),
            (json!({"return_code": "FAIL", "return_msg": "sign"}), "return_code FAIL: sign"),
            (json!({"statusCode": 500}), "statusCode 500"),
            (json!({"errcode": 40013, "errmsg": "invalid appid"}), "errcode 40013: invalid appid"),
            (json!({"errno": -6, "msg": "no"}), "errno -6: no"),
            (json!({"err_code": "E1"}), "err_code E1"),
            (json!({"error_code": 17, "error_msg": "daily limit"}), "error_code 17: daily limit"),
            (json!({"errorCode": "INVALID_FIELD"}), "errorCode INVALID_FIELD"),
            (json!({"error": "tenant_id claim is required"}), "error: tenant_id claim is required"),
            (json!({"error": "invalid_client", "error_description": "no"}), "error invalid_client: no"),
            (json!({"error": {"message": "deep"}}), "error: deep"),
            (json!({"error": true, "message": "no"}), "error: no"),
            (json!({"Error": {"Code": "A", "Message": "b"}}), "Error A: b"),
            (
                json!({"exception": "java.lang.NullPointerException"}),
                "exception java.lang.NullPointerException",
            ),
            (
                json!({"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 1}),
                "error -32601: Method not found",
            ),
            (
                json!([{"jsonrpc": "2.0", "result": 1}, {"jsonrpc": "2.0", "error": {"code": 1, "message": "b"}}]),
                "error 1: b",
            ),
            (json!({"data": null, "errors": [{"message": "Cannot query"}]}), "errors: Cannot query"),
            (
                json!({"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}], "data": {"a": 1}}),
                "errors FORBIDDEN: no",
            ),
            (json!({"errors": {"name": ["is required"]}}), "errors"),
            (json!({"errors": true}), "errors"),
            (json!({"success": false, "message": "wrong password"}), "success is false: wrong password"),
            (json!({"Success": "false"}), "Success is false"),
            (json!({"success": 0}), "success is 0"),
            (json!({"ok": false, "error": "channel_not_found"}), "ok is false: channel_not_found"),
            (json!({"status": "error", "msg": "wrong"}), "status is error: wrong"),
            (json!({"Status": "FAIL"}), "Status is FAIL"),
            (json!({"status": "failed", "run_id": "r"}), "status is failed"),
            (json!({"status": 500, "path": "/x"}), "status is 500"),
            (json!({"status": false}), "status is false"),
            (json!({"result": "fail"}), "result is fail"),
            (json!({"code": 0, "success": false}), "success is false"),
            (json!({"success": true, "code": 7}), "code 7"),
            (
                json!({"Response": {"Error": {"Code": "AuthFailure", "Message": "b"}, "RequestId": "1"}}),
                "Error AuthFailure: b",
            ),
        ] {
            let envelope = Envelope::of(&reply, &accepted());
            assert!(envelope.refusal.is_some(), "{reply}");
            assert_eq!(envelope.refused("HTTP 200"), format!("HTTP 200, {says}"), "{reply}");
        }
    }

    #[test]
    fn the_codes_that_mean_success_are_those_that_are_named() {
        let own = [Code::Number(20_000), Code::Word("Fine".to_owned())];
        for (reply, fine) in [
            (json!({"code": 20_000}), true),
            (json!({"code": "20000"}), true),
            (json!({"code": "FINE"}), true),
            (json!({"errcode": 20_000}), true),
            (json!({"errcode": 0}), true),
            (json!({"code": 0}), false),
            (json!({"code": "OK"}), false),
        ] {
            assert_eq!(Envelope::of(&reply, &own).refusal.is_none(), fine, "{reply}");
        }
    }

    #[test]
    fn what_speaks_of_the_token_is_told_from_what_does_not() {
        for (reply, rejects) in [
            (json!({"code": 102_000}), true),
            (json!({"code": 102_008}), true),
            (json!({"code": 102_009}), false),
            (json!({"errcode": 42_001, "errmsg": "access_token expired"}), true),
            (json!({"errcode": 40_001}), true),
            (json!({"errcode": 40_014}), true),
            (json!({"errcode": 40_013}), false),
            (json!({"code": 42_001}), false),
            (json!({"code": 99_991_663, "msg": "token"}), true),
            (json!({"error_code": 111}), true),
            (json!({"error": "invalid_token"}), true),
            (json!({"error": "token_expired"}), true),
            (json!({"code": "TOKEN_EXPIRED"}), true),
            (json!({"code": "token_not_valid", "detail": "Given token not valid for any token type"}), true),
            (json!({"error": {"code": "InvalidAuthenticationToken"}}), true),
            (json!({"error": {"code": 498, "message": "Invalid Token"}}), true),
            (json!({"error": {"type": "OAuthException", "code": 190}}), true),
            (json!({"ok": false, "error": "token_revoked"}), true),
            (json!({"message": "The incoming token has expired"}), true),
            (json!({"code": 1, "msg": "token已过期"}), true),
            (json!({"error": "insufficient_scope"}), false),
            (json!({"error": "invalid_request"}), false),
            (json!({"message": "Invalid page token"}), false),
            (json!({"message": "Permission denied"}), false),
            (json!({"error": "Unexpected token < in JSON"}), false),
        ] {
            assert_eq!(Envelope::of(&reply, &accepted()).rejects_token(), rejects, "{reply}");
        }
        for (reply, is) in [
            (json!({"code": 401}), true),
            (json!({"code": "Unauthorized"}), true),
            (json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}}), true),
            (json!({"errors": [{"extensions": {"code": "UNAUTHENTICATED"}}]}), true),
            (json!({"code": 403}), false),
            (json!({"code": 0, "message": "unauthorized"}), false),
        ] {
            assert_eq!(Envelope::of(&reply, &accepted()).is_unauthorized(), is, "{reply}");
        }
    }

    #[test]
    fn what_cannot_answer_now_is_told_from_what_says_no() {
        for (reply, is) in [
            (json!({"code": 503}), true),
            (json!({"errcode": -1, "errmsg": "system error"}), true),
            (json!({"error": "temporarily_unavailable"}), true),
            (json!({"code": 500, "msg": "wrong password"}), false),
            (json!({"code": -1}), false),
            (json!({"error": "invalid_client"}), false),
        ] {
            assert_eq!(Envelope::of(&reply, &accepted()).is_unavailable(), is, "{reply}");
        }
    }

    #[test]
    fn work_in_progress_is_recognised() {
        for (reply, running) in [
            (json!({"code": "in_progress"}), true),
            (json!({"message": "a sync is already in progress"}), true),
            (json!({"message": "version conflict"}), false),
        ] {
            assert_eq!(Envelope::of(&reply, &accepted()).is_in_progress(), running, "{reply}");
        }
    }
}
