//! What a JSON reply says about itself: `{"code", "message", "data"}` and its relatives.

use serde_json::Value;

/// The parts of a reply that a verdict needs. A reply that is no JSON object has none of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    /// Business code, when there is one: a number, or a text as some stacks write it.
    pub code: Option<Code>,
    /// Human message: `message`, `msg`, `error`, `error_description` or `detail`.
    pub message: Option<String>,
}

/// A business code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// `0`, `200`, `100101`, also when written as a text.
    Number(i64),
    /// `"in_progress"`.
    Word(String),
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Code::Number(number) => number.fmt(f),
            Code::Word(word) => f.write_str(word),
        }
    }
}

impl Envelope {
    /// Reads the envelope of a parsed reply.
    pub fn of(reply: &Value) -> Self {
        let Value::Object(object) = reply else { return Self::default() };
        let code = match object.get("code") {
            Some(Value::Number(number)) => {
                number.as_i64().map(Code::Number).or_else(|| Some(Code::Word(number.to_string())))
            }
            Some(Value::String(text)) => {
                Some(text.trim().parse().map_or_else(|_| Code::Word(text.clone()), Code::Number))
            }
            // A code that is there but is nothing that a code can be is not a success.
            Some(Value::Null) | None => None,
            Some(other) => Some(Code::Word(other.to_string())),
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let nested = object.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
        let message = ["message", "msg", "error_description", "error"].into_iter().find_map(text);
        Self { code, message: message.or(nested).or_else(|| text("detail")).map(str::to_owned) }
    }

    /// `what`, followed by the code and the message when there are any.
    pub fn behind(&self, what: &str) -> String {
        let code = self.code.as_ref().map(|code| format!(", code {code}")).unwrap_or_default();
        let message = self.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        format!("{what}{code}{message}")
    }

    /// Whether the code, if any, is one of `accepted`.
    pub fn succeeds(&self, accepted: &[i64]) -> bool {
        match &self.code {
            None => true,
            Some(Code::Number(number)) => accepted.contains(number),
            Some(Code::Word(_)) => false,
        }
    }

    /// Whether the code says that the token is not accepted, whatever the HTTP status: 401, and the token codes
    /// 102000 to 102008 of the IAM.
    pub fn rejects_token(&self) -> bool {
        matches!(self.code, Some(Code::Number(401 | 102_000..=102_008)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_every_kind_of_envelope() {
        for (reply, code, message, succeeds) in [
            (json!({"code": 0, "message": "success"}), Some("0"), Some("success"), true),
            (json!({"code": 200, "msg": "ok"}), Some("200"), Some("ok"), true),
            (json!({"code": "0"}), Some("0"), None, true),
            (
                json!({"code": 100_101, "message": "Database error"}),
                Some("100101"),
                Some("Database error"),
                false,
            ),
            (json!({"code": "E_DOWN"}), Some("E_DOWN"), None, false),
            (json!({"code": true}), Some("true"), None, false),
            (json!({"code": 0.5}), Some("0.5"), None, false),
            (json!({"code": null, "data": {}}), None, None, true),
            (
                json!({"error": "tenant_id claim is required"}),
                None,
                Some("tenant_id claim is required"),
                true,
            ),
            (json!({"error": "invalid_client", "error_description": "no"}), None, Some("no"), true),
            (json!({"error": {"message": "deep"}}), None, Some("deep"), true),
            (json!([1, 2]), None, None, true),
            (json!("text"), None, None, true),
        ] {
            let envelope = Envelope::of(&reply);
            assert_eq!(envelope.code.as_ref().map(ToString::to_string).as_deref(), code, "{reply}");
            assert_eq!(envelope.message.as_deref(), message, "{reply}");
            assert_eq!(envelope.succeeds(&[0, 200]), succeeds, "{reply}");
        }
    }

    #[test]
    fn token_codes_and_work_in_progress_are_recognised() {
        for (code, rejects) in [(401, true), (102_000, true), (102_008, true), (102_009, false), (0, false)] {
            assert_eq!(Envelope::of(&json!({"code": code})).rejects_token(), rejects, "{code}");
        }
        for (reply, running) in [
            (json!({"code": "in_progress"}), true),
            (json!({"message": "a sync is already in progress"}), true),
            (json!({"message": "version conflict"}), false),
        ] {
            assert_eq!(Envelope::of(&reply).is_in_progress(), running, "{reply}");
        }
    }
}
