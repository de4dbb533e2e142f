//! W3C trace context: the caller's `TRACEPARENT` is continued, otherwise a trace begins here.

use super::hex::hex;
use super::id::ExecutionId;

/// The `traceparent` header of a call: a child of `parent` when that is valid, a new sampled trace otherwise.
pub fn traceparent(parent: Option<&str>, run_id: ExecutionId, span_id: u64) -> String {
    let (trace_id, flags) = parent.and_then(parse).unwrap_or_else(|| (hex(&run_id.bytes()), "01".to_owned()));
    // An all-zero span id is invalid.
    format!("00-{trace_id}-{:016x}-{flags}", span_id.max(1))
}

/// Trace id and flags of a valid `traceparent` of version 00, or of a later version that begins like it.
pub fn parse(header: &str) -> Option<(String, String)> {
    let mut parts = header.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_zero = |text: &str| text.bytes().all(|b| b == b'0');
    let valid = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(span, 16)
        && !is_zero(span)
        && is_hex(flags, 2);
    valid.then(|| (trace.to_owned(), flags.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_parent_is_continued_and_an_invalid_one_ignored() {
        let run = ExecutionId::new(jiff::Timestamp::from_second(1_000).unwrap(), [1; 10]);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{trace}-00f067aa0ba902b7-00");
        assert_eq!(traceparent(Some(&parent), run, 0xabc), format!("00-{trace}-0000000000000abc-00"));
        let own = traceparent(None, run, 7);
        for bad in [
            "",
            "garbage",
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{trace}-0000000000000000-01"),
            &format!("ff-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{trace}-00f067aa0ba902b7-01-extra"),
            &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
        ] {
            assert_eq!(traceparent(Some(bad), run, 7), own, "{bad}");
        }
        assert!(own.ends_with("-0000000000000007-01"));
    }
}
