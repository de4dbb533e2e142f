//! The object of `--json`.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::outcome::{CallReport, CallStatus, TokenSource};
use crate::journal::record::RunEntry;

/// What the call came to.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    status: CallStatus,
    exit_name: &'a str,
    exit_code: u8,
    http_status: Option<u16>,
    code: Option<Text<'a>>,
    message: &'a str,
    attempts: u32,
    duration_ms: u64,
    task: &'a str,
    target: Option<&'a str>,
    manual: bool,
    run_id: &'a str,
    token_source: Option<TokenSource>,
    body: Option<Text<'a>>,
}

/// What the server sent: JSON in its own letters, since a number with many digits would be rounded, else a text.
#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Json(Box<RawValue>),
    Plain(&'a str),
}

impl<'a> Shown<'a> {
    /// The object about a run.
    pub(super) fn new(report: &'a CallReport, entry: &'a RunEntry) -> Self {
        // A number stays a number, as the server sent it; a word stays a word even if it reads like JSON.
        let code = |code: &'a String| match code.parse::<serde_json::Number>() {
            Ok(_) => Text::of(code),
            Err(_) => Text::Plain(code),
        };
        Self {
            status: entry.status,
            exit_name: &entry.exit_name,
            exit_code: entry.exit_code,
            http_status: entry.http_status,
            code: entry.code.as_ref().map(code),
            message: &report.message,
            attempts: entry.attempts,
            duration_ms: entry.duration_ms,
            task: &entry.task,
            target: entry.target.as_deref(),
            manual: entry.manual,
            run_id: &entry.run_id,
            token_source: entry.token_source,
            body: report.body.as_deref().map(Text::of),
        }
    }
}

impl<'a> Text<'a> {
    fn of(text: &'a str) -> Self {
        match serde_json::from_str::<&RawValue>(text).and_then(|_| RawValue::from_string(on_one_line(text))) {
            Ok(json) => Self::Json(json),
            Err(_) => Self::Plain(text),
        }
    }
}

/// JSON without the blanks between its parts: whoever reads line by line gets one object a line.
fn on_one_line(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |c: &char| {
        let blank = !quoted && matches!(c, ' ' | '\t' | '\r' | '\n');
        (quoted, escaped) = (quoted ^ (*c == '"' && !escaped), quoted && *c == '\\' && !escaped);
        !blank
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_letters_and_loses_its_lines() {
        for (text, shown) in [
            (
                "{\n \"id\": 12345678901234567890123,\t\"x\": 1.10\r\n}",
                "{\"id\":12345678901234567890123,\"x\":1.10}",
            ),
            (r#"[ "a b\\", "c \" d", 1e400 ]"#, r#"["a b\\","c \" d",1e400]"#),
            ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
            ("no json", "\"no json\""),
            ("{\"torn", "\"{\\\"torn\""),
            ("", "\"\""),
        ] {
            assert_eq!(serde_json::to_string(&Text::of(text)).unwrap(), shown, "{text}");
        }
    }
}
