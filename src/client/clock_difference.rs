//! A clock that differs from the server's: tokens and holds are counted in time, so it is worth a word.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::reply::Reply;
use crate::domain::duration;

/// A difference that is worth a word.
const NOTABLE: SignedDuration = SignedDuration::from_mins(1);

/// Tells once that our clock differs from a server's.
#[derive(Debug, Default)]
pub struct ClockWatch {
    told: AtomicBool,
}

impl ClockWatch {
    /// Looks at the reply of `server` to what was sent at `sent_at`.
    pub fn compare(&self, server: &str, reply: &Reply, sent_at: Timestamp, now: Timestamp) {
        let Some(difference) = clock_difference(reply, sent_at, now) else { return };
        if !self.told.swap(true, Ordering::Relaxed) {
            warn!(event = "clock_differs", "The clock of this machine is {difference} that of the {server}");
        }
    }
}

/// By how much our clock differs from the server's, in words, when it is more than a minute. `sent_at` and `now` are
/// the times between which the server must have answered, so that a slow reply is no difference.
pub fn clock_difference(reply: &Reply, sent_at: Timestamp, now: Timestamp) -> Option<String> {
    let theirs = reply.server_now()?;
    let (ahead, behind) = (sent_at.duration_since(theirs), theirs.duration_since(now));
    let (by, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if by <= NOTABLE {
        return None;
    }
    // A date without its fraction, and whole minutes of a long way off are enough.
    let seconds = if by.as_secs() >= 600 { by.as_secs() / 60 * 60 } else { by.as_secs() };
    let by = duration::show(std::time::Duration::from_secs(seconds.unsigned_abs()));
    Some(format!("{by} {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_minute_is_a_difference_and_a_slow_reply_is_none() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let (sent, now) = (at("2026-11-20T23:00:00Z"), at("2026-11-20T23:05:00.5Z"));
        for (date, expected) in [
            ("Fri, 20 Nov 2026 23:00:00 GMT", None),
            ("Fri, 20 Nov 2026 23:04:00 GMT", None),
            ("Fri, 20 Nov 2026 22:59:00 GMT", None),
            ("Fri, 20 Nov 2026 23:06:00 GMT", None),
            ("Fri, 20 Nov 2026 22:58:00 GMT", Some("2m ahead of")),
            ("Fri, 20 Nov 2026 23:08:00 GMT", Some("behind")),
            ("Sat, 20 Nov 2027 23:00:00 GMT", Some("behind")),
            ("yesterday", None),
        ] {
            let reply = Reply { date: Some(date.to_owned()), ..Reply::of(200, "", "") };
            let found = clock_difference(&reply, sent, now);
            assert_eq!(found.is_some(), expected.is_some(), "{date}: {found:?}");
            assert!(found.is_none_or(|text| text.contains(expected.unwrap_or_default())), "{date}");
        }
        assert_eq!(clock_difference(&Reply::of(200, "", ""), sent, now), None);
    }
}
