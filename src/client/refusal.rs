//! The fields by which replies say no, each as it is written by some public API: what it is called, and when it means no.

use serde_json::{Map, Value};

use crate::domain::code::Code;

/// What a field of a reply is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A business code: success when it is one of the accepted.
    Code,
    /// A code that is there for errors: success when it is zero, too.
    ErrorCode,
    /// What went wrong: success when it is empty.
    Error,
    /// Whether it went well.
    Flag,
    /// How it went, in a word.
    Status,
}

/// Words that stand for nothing where an error would be.
const NO_ERROR: [&str; 8] = ["", "0", "false", "none", "null", "no", "noerror", "noerrors"];

/// Words of a status that is no success.
const FAILING: [&str; 16] = [
    "error",
    "errors",
    "err",
    "errored",
    "fail",
    "fails",
    "failed",
    "failure",
    "failures",
    "ko",
    "nok",
    "exception",
    "fatal",
    "unsuccessful",
    "denied",
    "invalid",
];

/// What a name means, whatever its case and separators.
pub(super) fn field(name: &str) -> Option<Field> {
    Some(match plain(name).as_str() {
        "code" | "retcode" | "returncode" | "resultcode" | "respcode" | "responsecode" | "statuscode" => {
            Field::Code
        }
        "errcode" | "errno" | "errorcode" | "errorno" => Field::ErrorCode,
        "error" | "err" | "errors" | "exception" | "fault" | "errortype" | "errorresponse" | "odataerror" => {
            Field::Error
        }
        "success" | "ok" | "succeeded" | "successful" | "issuccess" => Field::Flag,
        "status" | "state" | "result" => Field::Status,
        _ => return None,
    })
}

/// Whether a number of this name is a count beside a count of successes.
pub(super) fn is_counter(name: &str) -> bool {
    matches!(plain(name).as_str(), "fail" | "failed" | "failure" | "failures" | "total" | "skipped")
}

/// Letters and digits alone, in lower case: `error_code`, `errorCode` and `Error-Code` are one name.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Field {
    /// How `value` says no, without the name of the field; `None` when it does not.
    pub(super) fn refuses(self, name: &str, value: &Value, accepted: &[Code]) -> Option<String> {
        match self {
            Self::Code | Self::ErrorCode => {
                let code = code(value)?;
                // Some servers repeat the status of HTTP, and 201 is no failure.
                let status = self == Self::Code && plain(name) == "statuscode";
                let fine = match &code {
                    Code::Number(0) => self == Self::ErrorCode,
                    Code::Number(200..=299) => status,
                    Code::Number(_) => false,
                    Code::Word(word) => self == Self::ErrorCode && NO_ERROR.contains(&plain(word).as_str()),
                };
                (!fine && !code.is_in(accepted)).then(|| format!(" {code}"))
            }
            Self::Error => is_error(value, accepted).then(|| match signs(value).first() {
                Some(sign) => format!(" {sign}"),
                None => String::new(),
            }),
            Self::Flag => is_no(value).then(|| format!(" is {}", text(value))),
            Self::Status => fails(name, value).then(|| format!(" is {}", text(value))),
        }
    }
}

/// A code, when there is one. A code that is nothing that a code can be is not a success.
pub(super) fn code(value: &Value) -> Option<Code> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => text.parse().ok(),
        other => other.to_string().parse().ok(),
    }
}

/// Whether something stands where an error would be. An object with a code is judged by that: some servers always send
/// one, with the code `ok`.
fn is_error(value: &Value, accepted: &[Code]) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            let fine = text.parse::<Code>().is_ok_and(|code| match code {
                Code::Number(number) => number == 0,
                Code::Word(_) => code.is_in(accepted),
            });
            !fine && !NO_ERROR.contains(&plain(text).as_str())
        }
        Value::Array(items) => items.iter().any(|item| is_error(item, accepted)),
        Value::Object(object) => match object
            .iter()
            .find(|(name, _)| matches!(field(name), Some(Field::Code)))
        {
            Some((name, code)) if !code.is_null() => Field::ErrorCode.refuses(name, code, accepted).is_some(),
            _ => object.values().any(|value| is_error(value, accepted)),
        },
    }
}

fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            let word = plain(text);
            matches!(word.as_str(), "false" | "0" | "no" | "n") || FAILING.contains(&word.as_str())
        }
        _ => false,
    }
}

/// Whether a status says that it went wrong: a word that does, or the status of an HTTP error. `partially failed` is one,
/// `no error` and a sentence are none.
fn fails(name: &str, value: &Value) -> bool {
    let text = match value {
        Value::Bool(is) => return !is && plain(name) == "status",
        Value::String(text) => text.to_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => return false,
    };
    if let Ok(Code::Number(status)) = text.parse() {
        return plain(name) == "status" && (400..600).contains(&status);
    }
    let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let denied = words.iter().any(|word| matches!(*word, "no" | "not" | "none" | "without" | "0"));
    words.len() <= 3 && !denied && words.iter().any(|word| FAILING.contains(word))
}

/// Every code and word by which an error is named: its text, or its `code`, `type`, `status`, `name`; those of the first
/// of several.
pub(super) fn signs(error: &Value) -> Vec<Code> {
    match error {
        Value::String(_) | Value::Number(_) => code(error).into_iter().collect(),
        Value::Array(items) => items.first().map(signs).unwrap_or_default(),
        Value::Object(object) => {
            let extended = object.get("extensions").and_then(Value::as_object);
            let named = |object: &Map<String, Value>| {
                let names = ["code", "Code", "errorCode", "error_code", "type", "status", "name"];
                let texts = names.iter().filter_map(|name| object.get(*name));
                texts.filter(|text| text.is_string() || text.is_number()).filter_map(code).collect::<Vec<_>>()
            };
            extended.into_iter().chain([object]).flat_map(named).collect()
        }
        _ => Vec::new(),
    }
}

/// What an error says to people: a text, or the message of an object; that of the first of several.
pub(super) fn message(value: &Value) -> Option<&str> {
    const NAMES: [&str; 14] = [
        "message",
        "msg",
        "errordescription",
        "errmsg",
        "errormsg",
        "errormessage",
        "error",
        "err",
        "errors",
        "detail",
        "retmsg",
        "returnmsg",
        "title",
        "reason",
    ];
    match value {
        Value::String(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        Value::Array(items) => items.iter().find_map(message),
        Value::Object(object) => {
            let fields: Vec<_> = object.iter().map(|(name, value)| (plain(name), value)).collect();
            let named = |name: &&str| {
                fields.iter().filter(|(plain, _)| plain == name).find_map(|(_, value)| message(value))
            };
            NAMES.iter().find_map(named)
        }
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_is_what_is_not_empty() {
        let accepted = [Code::Number(0), Code::Word("OK".to_owned())];
        for (value, is) in [
            (json!(null), false),
            (json!(false), false),
            (json!(0), false),
            (json!(""), false),
            (json!("none"), false),
            (json!("0.0"), false),
            (json!("0000"), false),
            (json!("No error"), false),
            (json!("OK"), false),
            (json!([]), false),
            (json!({}), false),
            (json!([null, ""]), false),
            (json!({"code": "ok", "message": "", "log_id": "2022"}), false),
            (json!({"code": 0, "message": "fine"}), false),
            (json!({"message": null}), false),
            (json!(true), true),
            (json!(2), true),
            (json!("it broke"), true),
            (json!(["a"]), true),
            (json!([{"message": "a"}]), true),
            (json!({"code": -32601, "message": "Method not found"}), true),
            (json!({"code": "invalid", "message": ""}), true),
            (json!({"name": ["is required"]}), true),
        ] {
            assert_eq!(is_error(&value, &accepted), is, "{value}");
        }
    }

    #[test]
    fn a_status_fails_by_its_words() {
        for (value, does) in [
            (json!("error"), true),
            (json!("FAILED"), true),
            (json!("partially_failed"), true),
            (json!("REQUEST_DENIED"), true),
            (json!(500), true),
            (json!(500.0), true),
            (json!("404"), true),
            (json!(false), true),
            (json!("ok"), false),
            (json!("succeeded"), false),
            (json!("running"), false),
            (json!("no error"), false),
            (json!("completed without errors"), false),
            (json!("the last run of this task has failed twice"), false),
            (json!(0), false),
            (json!(1), false),
            (json!(200), false),
            (json!(200.0), false),
            (json!(true), false),
            (json!({"error": 1}), false),
        ] {
            assert_eq!(fails("Status", &value), does, "{value}");
        }
        assert!(
            !fails("result", &json!(404))
                && !fails("result", &json!(false))
                && fails("result", &json!("fail"))
        );
    }
}
