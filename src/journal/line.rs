//! One event as one line, whatever is in it.

use std::fmt::{Debug, Write};

use jiff::Zoned;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use crate::config::call::LogFormat;

/// Longest message of a line, in bytes.
const LONGEST_MESSAGE: usize = 2048;

/// Events of other crates are not ours to log: they could show what we hide.
pub fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}

/// An event: a message that reads alone, and fields.
#[derive(Clone, Debug)]
pub struct Line {
    /// How bad.
    pub level: Level,
    /// What happened.
    pub message: String,
    /// Everything else, in order.
    pub fields: Vec<(String, Value)>,
}

impl Line {
    /// One of this project's events; `None` for one of others, or one that is finer than `finest`.
    pub fn of(event: &Event<'_>, finest: Level) -> Option<Self> {
        let level = *event.metadata().level();
        if !is_ours(event.metadata()) || level > finest {
            return None;
        }
        let mut line = Self { level, message: String::new(), fields: Vec::new() };
        event.record(&mut line);
        Some(line)
    }

    /// The line with its line break; `at` is in the zone of the machine.
    pub fn render(&self, at: &Zoned, format: LogFormat) -> String {
        let mut line = match format {
            LogFormat::Text => self.text(at),
            LogFormat::Json => self.json(at),
        };
        line.push('\n');
        line
    }

    /// The scripts' form, `[2026-11-20 23:00:00] ERROR: message`, followed by `key=value` fields.
    fn text(&self, at: &Zoned) -> String {
        let mut line = at.strftime("[%Y-%m-%d %H:%M:%S] ").to_string();
        line.push_str(match self.level {
            Level::ERROR => "ERROR: ",
            Level::WARN => "WARN: ",
            _ => "",
        });
        escape_into(&mut line, truncate(&self.message, LONGEST_MESSAGE), false);
        for (key, value) in &self.fields {
            line.push(' ');
            line.push_str(key);
            line.push('=');
            match value {
                Value::String(text) if is_plain(text) => line.push_str(text),
                Value::String(text) => {
                    line.push('"');
                    escape_into(&mut line, text, true);
                    line.push('"');
                }
                other => line.push_str(&other.to_string()),
            }
        }
        line
    }

    fn json(&self, at: &Zoned) -> String {
        let head = [
            ("ts", at.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()),
            ("level", self.level.as_str().to_ascii_lowercase()),
            ("message", truncate(&self.message, LONGEST_MESSAGE).to_owned()),
        ];
        let head = head.map(|(key, text)| (key.to_owned(), text.into()));
        Value::Object(head.into_iter().chain(self.fields.iter().cloned()).collect::<Map<_, _>>()).to_string()
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.push((field.name().to_owned(), value.into()));
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.put(field, value),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Whether a value needs no quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\' | '[' | ']'))
}

/// Appends `text` so that it stays on its line: control characters and line separators become escapes.
fn escape_into(line: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '"' | '\\' if quoted => {
                line.push('\\');
                line.push(c);
            }
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a String cannot fail.
                let _infallible = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
}

/// `text`, cut at a character boundary when it is longer than `limit` bytes.
pub fn truncate(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The beginning of `text` that takes at most `limit` bytes of a line, in either format, once it is escaped.
pub fn truncate_escaped(text: &str, limit: usize) -> &str {
    let mut width = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        width += match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if c.is_control() => "\\u{00}".len(),
            '\u{2028}' | '\u{2029}' => "\\u{2028}".len(),
            c => c.len_utf8(),
        };
        (width > limit).then_some(at)
    });
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn render(format: LogFormat, level: Level, message: &str, fields: &[(&str, Value)]) -> String {
        let at: Zoned = "2026-11-20T23:00:00[Asia/Shanghai]".parse().unwrap();
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Line { level, message: message.to_owned(), fields }.render(&at, format)
    }

    #[test]
    fn a_line_reads_as_the_scripts_wrote_it_with_fields_behind() {
        let fields = [
            ("http_status", 200.into()),
            ("task", "sync-daily".into()),
            ("response", "{\"a\": 1}\n[2026-11-20 23:00:01] ERROR: forged".into()),
        ];
        assert_eq!(
            render(LogFormat::Text, Level::INFO, "API call successful (HTTP 200)", &fields),
            "[2026-11-20 23:00:00] API call successful (HTTP 200) http_status=200 task=sync-daily \
             response=\"{\\\"a\\\": 1}\\n[2026-11-20 23:00:01] ERROR: forged\"\n"
        );
        assert_eq!(
            render(LogFormat::Text, Level::ERROR, "API call failed", &[("empty", "".into())]),
            "[2026-11-20 23:00:00] ERROR: API call failed empty=\"\"\n"
        );
        assert_eq!(
            render(LogFormat::Json, Level::WARN, "a\nb", &[("attempt", 2.into())]),
            "{\"ts\":\"2026-11-20T23:00:00.000+08:00\",\"level\":\"warn\",\"message\":\"a\\nb\",\"attempt\":2}\n"
        );
    }

    #[test]
    fn truncation_keeps_characters_whole() {
        assert_eq!(truncate("任务", 4), "任");
        assert_eq!(truncate("abc", 9), "abc");
    }

    proptest! {
        #[test]
        fn a_value_is_cut_to_what_is_written(value in any::<String>(), limit in 0_usize..200) {
            let cut = truncate_escaped(&value, limit);
            for format in [LogFormat::Text, LogFormat::Json] {
                let length = |value: &str| render(format, Level::INFO, "m", &[("v", value.into())]).len();
                // A blank has quotes in either format.
                prop_assert!(length(&format!(" {cut}")) - length(" ") <= limit, "{:?}", cut);
            }
            let plain = value.chars().all(|c| !c.is_control() && !matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}'));
            prop_assert!(!plain || cut == truncate(&value, limit));
        }

        #[test]
        fn no_content_can_make_a_second_line(message in any::<String>(), value in any::<String>()) {
            for format in [LogFormat::Text, LogFormat::Json] {
                let line = render(format, Level::INFO, &message, &[("value", value.clone().into())]);
                prop_assert_eq!(line.matches('\n').count(), 1);
                prop_assert!(line.ends_with('\n'));
                let breaks = line.trim_end_matches('\n').contains(['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}']);
                prop_assert!(!breaks || format == LogFormat::Json, "{:?}", line);
            }
        }
    }
}
