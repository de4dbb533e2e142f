//! What came back, as far as it came.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::media_type::is_json;

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
    /// The body, or its beginning.
    pub body: Vec<u8>,
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
}

impl Reply {
    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON: when it is declared as JSON or looks like an object.
    ///
    /// # Errors
    /// The parser's message, when a body that is declared as JSON is none.
    pub fn json(&self) -> Result<Option<serde_json::Value>, String> {
        let declared = self.content_type.as_deref().is_some_and(is_json);
        let looks = self.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if self.body.iter().all(u8::is_ascii_whitespace) || !(declared || looks) {
            return Ok(None);
        }
        match serde_json::from_slice(&self.body) {
            Ok(value) => Ok(Some(value)),
            Err(error) if declared => Err(error.to_string()),
            Err(_) => Ok(None),
        }
    }

    /// The wait that the server asks for, from seconds or an HTTP date (RFC 9110 §10.2.3); a date in the past is zero.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
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
            body: body.as_bytes().to_vec(),
            end: BodyEnd::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after() {
        let now: Timestamp = "2026-11-20T23:00:00Z".parse().unwrap();
        for (header, wait) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Fri, 20 Nov 2026 23:01:00 GMT", Some(60)),
            ("Fri, 20 Nov 2026 22:00:00 GMT", Some(0)),
            ("soon", None),
            ("-3", None),
            ("", None),
        ] {
            let reply = Reply { retry_after: Some(header.to_owned()), ..Reply::of(503, "", "") };
            assert_eq!(reply.retry_after(now), wait.map(Duration::from_secs), "{header:?}");
        }
    }

    #[test]
    fn json_is_what_is_declared_or_looks_like_it() {
        assert_eq!(Reply::of(200, "application/json", "").json(), Ok(None));
        assert!(Reply::of(200, "application/problem+json", "[1]").json().unwrap().is_some());
        assert!(Reply::of(200, "application/json", "{").json().is_err());
        assert!(Reply::of(200, "", " {\"a\":1}").json().unwrap().is_some());
        assert_eq!(Reply::of(200, "text/plain", "{ not json").json(), Ok(None));
        assert_eq!(Reply::of(200, "text/plain", "done").json(), Ok(None));
    }
}
