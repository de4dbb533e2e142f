//! What came back, as far as it came.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::Value;

use crate::domain::media_type::is_json;

/// Where in a body its kind shows: a page may begin with a comment, an array with a long text.
const BEGINNING: usize = 1024;

/// Longest wait that a server can ask for: longer than any budget, and still something that can be added to a clock.
const FOR_EVER: Duration = Duration::from_hours(10 * 8784);

/// One HTTP response, read up to a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type` without parameters, in lower case.
    pub content_type: Option<String>,
    /// `Location`, as it was sent.
    pub location: Option<String>,
    /// `Retry-After`, as it was sent.
    pub retry_after: Option<String>,
    /// `Date`, as it was sent.
    pub date: Option<String>,
    /// Every `WWW-Authenticate`, as it was sent.
    pub authenticate: Vec<String>,
    /// The charset that the body is written in, if that is not known; the body is then as it was sent.
    pub unknown_charset: Option<String>,
    /// The body, or its beginning: decompressed, and in UTF-8 if it is text that can be read.
    pub body: Vec<u8>,
    /// The decompressed body as it was sent, where that is not the same.
    pub as_sent: Option<Vec<u8>>,
    /// Whether that is all of it.
    pub end: BodyEnd,
}

/// How the reading of a body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it was read.
    Whole,
    /// It is longer than this many bytes; the rest was not read.
    OverCap(u64),
    /// The connection or the deadline ended first; the text says how.
    Cut(String),
    /// It came whole, in an encoding that cannot be read; the text says which.
    Unreadable(String),
}

impl Reply {
    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON: when it is declared as JSON, looks like it, or ends with a line that is an object, below the
    /// notices of a server that prints them into its replies.
    ///
    /// # Errors
    /// Why it cannot be read, when it is declared as JSON or looks like it.
    pub fn json(&self) -> Result<Option<Value>, String> {
        let declared = self.content_type.as_deref().is_some_and(is_json);
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        if declared || looks_like_json(&self.body) {
            return match serde_json::from_slice(&self.body) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(self.broken_json(&error)),
            };
        }
        let last = self.body.windows(2).rposition(|pair| pair == b"\n{");
        Ok(last.and_then(|at| serde_json::from_slice(&self.body[at..]).ok()))
    }

    /// The error, or what it comes from: a text in another charset.
    fn broken_json(&self, error: &serde_json::Error) -> String {
        match (&self.unknown_charset, std::str::from_utf8(&self.body)) {
            (Some(charset), Err(_)) => format!("its charset {charset:?} is not known"),
            (None, Err(_)) => "it is no UTF-8, and no other charset is declared".to_owned(),
            (_, Ok(_)) => error.to_string(),
        }
    }

    /// Whether the body is a page for people, whatever its type says.
    pub fn is_page(&self) -> bool {
        let declared = matches!(self.content_type.as_deref(), Some("text/html" | "application/xhtml+xml"));
        let beginning = self.body.trim_ascii_start();
        if !beginning.starts_with(b"<") {
            // What is declared so and is none: many servers call every reply a page.
            return declared && self.body.windows(2).any(|pair| pair == b"</");
        }
        let beginning = beginning[..beginning.len().min(BEGINNING)].to_ascii_lowercase();
        let holds = |tag: &[u8]| beginning.windows(tag.len()).any(|part| part == tag);
        declared || holds(b"<!doctype html") || holds(b"<html")
    }

    /// What the server's clock said, if it tells (RFC 9110 §6.6.1).
    pub fn server_now(&self) -> Option<Timestamp> {
        http_date(self.date.as_deref()?)
    }

    /// The wait that the server asks for, from seconds or an HTTP date (RFC 9110 §10.2.3), which is compared with its
    /// own clock where that is known; a date in the past is zero, and what is longer than any budget
    /// is cut.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.parse().map_or(FOR_EVER, Duration::from_secs).min(FOR_EVER));
        }
        let at = http_date(text)?;
        let now = self.server_now().unwrap_or(now);
        Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO).min(FOR_EVER))
    }
}

/// A date in one of the three forms of RFC 9110 §5.6.7: `Fri, 20 Nov 2026 23:01:00 GMT`, and what older servers write,
/// `Friday, 20-Nov-26 23:01:00 GMT` (RFC 850) and `Fri Nov 20 23:01:00 2026` (C's `asctime`).
fn http_date(text: &str) -> Option<Timestamp> {
    let mail = |text: &str| Some(rfc2822::parse(text).ok()?.timestamp());
    let parts: Vec<&str> = text.split([' ', ',', '-']).filter(|part| !part.is_empty()).collect();
    mail(text.trim()).or_else(|| match parts[..] {
        [_, month, day, time, year] | [_, day, month, year, time, "GMT"] => {
            mail(&format!("{day} {month} {year} {time} GMT"))
        }
        _ => None,
    })
}

/// Whether a text begins as JSON does: `{`, or `[` and the beginning of a first value, which `[2026-11-20 23:00:00]`
/// and `[INFO]` have not.
fn looks_like_json(body: &[u8]) -> bool {
    let beginning = body.trim_ascii_start();
    let beginning = &beginning[..beginning.len().min(BEGINNING)];
    match beginning {
        [b'{', ..] => true,
        [b'[', rest @ ..] => match rest.trim_ascii_start() {
            [] | [b'{' | b'[' | b']' | b'"', ..] => true,
            rest => {
                let end =
                    rest.iter().position(|byte| matches!(byte, b',' | b']') || byte.is_ascii_whitespace());
                serde_json::from_slice::<Value>(&rest[..end.unwrap_or(rest.len())]).is_ok()
            }
        },
        _ => false,
    }
}

#[cfg(test)]
impl Reply {
    /// A whole JSON reply.
    pub fn of(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status,
            content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
            location: None,
            retry_after: None,
            date: None,
            authenticate: Vec::new(),
            unknown_charset: None,
            body: body.as_bytes().to_vec(),
            as_sent: None,
            end: BodyEnd::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_retry_after() {
        let now: Timestamp = "2026-11-20T23:00:00Z".parse().unwrap();
        for (header, wait) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Fri, 20 Nov 2026 23:01:00 GMT", Some(60)),
            ("Fri, 20 Nov 2026 22:00:00 GMT", Some(0)),
            ("Friday, 20-Nov-26 23:01:00 GMT", Some(60)),
            ("Fri Nov 20 23:01:00 2026", Some(60)),
            ("Mon Nov  2 23:01:00 2026", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("2026-11-20T23:01:00Z", None),
            ("-3", None),
            ("", None),
        ] {
            let reply = Reply { retry_after: Some(header.to_owned()), ..Reply::of(503, "", "") };
            assert_eq!(reply.retry_after(now), wait.map(Duration::from_secs), "{header:?}");
        }
        for endless in ["18446744073709551615", "99999999999999999999999", "Fri, 01 Jan 9999 00:00:00 GMT"] {
            let reply = Reply { retry_after: Some(endless.to_owned()), ..Reply::of(503, "", "") };
            assert_eq!(reply.retry_after(now), Some(FOR_EVER), "{endless}");
        }
        for date in
            ["Fri, 20 Nov 2026 22:00:00 GMT", "Friday, 20-Nov-26 22:00:00 GMT", "Fri Nov 20 22:00:00 2026"]
        {
            let ahead = Reply {
                retry_after: Some("Fri, 20 Nov 2026 22:01:00 GMT".to_owned()),
                date: Some(date.to_owned()),
                ..Reply::of(503, "", "")
            };
            assert_eq!(
                ahead.retry_after(now),
                Some(Duration::from_mins(1)),
                "by the clock of the server: {date}"
            );
        }
    }

    #[test]
    fn json_is_what_is_declared_or_looks_like_it() {
        for (content_type, body) in [("application/json", ""), ("", " \n"), ("text/plain", "done")] {
            assert_eq!(Reply::of(200, content_type, body).json(), Ok(None), "{body}");
        }
        // Not JSON, and it does not claim to be.
        for body in ["[2026-11-20 23:00:00] done", "[INFO] done", "done {x}", "a\n{b", "-", "\"a"] {
            assert_eq!(Reply::of(200, "text/plain", body).json(), Ok(None), "{body}");
        }
        for body in ["[1]", " {\"a\":1}", "[]", "[ true, 2]", "[\"a\"]", "Notice: no index\n{\"code\":500}"] {
            assert!(Reply::of(200, "text/plain", body).json().unwrap().is_some(), "{body}");
        }
        for body in ["{ no", "{\"a\":NaN}", "[1,2", "[", "{\"a\":1}\n{\"a\":2}", "[{\"a\":1}", "{\"a\":1"] {
            assert!(Reply::of(200, "text/plain", body).json().is_err(), "{body}");
        }
        assert!(Reply::of(200, "application/problem+json", "[1]").json().unwrap().is_some());
        for body in ["{", "done", "Notice\n{}", "[INFO]"] {
            assert!(Reply::of(200, "application/json", body).json().is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_no_utf_8_says_so() {
        let latin = Reply { body: b"{\"a\":\"\xe9\"}".to_vec(), ..Reply::of(200, "", "") };
        assert_eq!(latin.json().unwrap_err(), "it is no UTF-8, and no other charset is declared");
        let strange = Reply { unknown_charset: Some("x-own".to_owned()), ..latin };
        assert_eq!(strange.json().unwrap_err(), "its charset \"x-own\" is not known");
    }

    #[test]
    fn a_page_is_a_page_whatever_its_type() {
        for (content_type, body, is) in [
            ("text/html", "success", false),
            ("text/html", "{\"code\":0}", false),
            ("text/html", "Sorry, <b>closed</b>", true),
            ("text/html", "", false),
            ("", "<!DOCTYPE html><title>", true),
            ("text/plain", "\n <HTML>", true),
            ("application/json", "<!-- a --><html lang=\"en\">", true),
            ("", "<?xml version=\"1.0\"?><html xmlns=", true),
            ("", "<?xml version=\"1.0\"?><result/>", false),
            ("", "{\"a\":\"<html>\"}", false),
        ] {
            assert_eq!(Reply::of(200, content_type, body).is_page(), is, "{content_type} {body}");
        }
    }
}
