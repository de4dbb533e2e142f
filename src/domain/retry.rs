//! When a failed attempt is tried again, and after how long: pure functions of the attempt and the failure.

use std::time::Duration;

/// How often and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first one.
    pub retries: u32,
    /// Upper bound of the first wait; it doubles with every attempt.
    pub base: Duration,
    /// Upper bound of any wait.
    pub cap: Duration,
    /// Whether repeating a request that may have arrived is harmless.
    pub idempotent: bool,
    /// Whether the request carries an `Idempotency-Key`, by which a server tells a repeat from a new request.
    pub keyed: bool,
}

/// What is known about a failed attempt; the classes of the retry table in `docs/guides/calls.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// No byte of the request left: name not found, refused, TLS handshake, proxy. Always safe to repeat.
    NeverSent,
    /// The server says that it did not process it: 408, 425, 429, 502, 503, 504, or 409 in progress.
    Refused,
    /// The request left and no whole answer came back. Only a repeatable request may be sent again.
    Unanswered,
    /// Anything else: the answer stands.
    Final,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait this long, then try again.
    RetryAfter(Duration),
    /// The policy allows no further attempt.
    Stop,
    /// A further attempt is allowed, but its wait would pass the deadline.
    OutOfTime,
}

impl RetryPolicy {
    /// Decides what follows attempt number `attempt` (from 1) that failed with `class`.
    ///
    /// `retry_after` is the server's wish and wins over the back-off; `remaining` is what is left of the total
    /// budget; `random` in `[0, 1)` gives full jitter: the wait is evenly spread over `[0, min(cap, base·2ⁿ))`.
    pub fn decide(
        &self,
        attempt: u32,
        class: FailureClass,
        retry_after: Option<Duration>,
        remaining: Duration,
        random: f64,
    ) -> Verdict {
        let repeatable = match class {
            FailureClass::NeverSent => true,
            FailureClass::Refused => self.idempotent || self.keyed,
            FailureClass::Unanswered => self.idempotent,
            FailureClass::Final => false,
        };
        if !repeatable || attempt > self.retries {
            return Verdict::Stop;
        }
        let wait = retry_after.unwrap_or_else(|| self.ceiling(attempt).mul_f64(random.clamp(0.0, 1.0)));
        if wait >= remaining { Verdict::OutOfTime } else { Verdict::RetryAfter(wait) }
    }

    /// Longest back-off after attempt number `attempt`, before jitter.
    fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy {
        retries: 2,
        base: Duration::from_millis(200),
        cap: Duration::from_secs(30),
        idempotent: false,
        keyed: false,
    };
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_class_decides_who_may_repeat() {
        use FailureClass::{Final, NeverSent, Refused, Unanswered};
        for (class, idempotent, keyed, repeats) in [
            (NeverSent, false, false, true),
            (NeverSent, true, false, true),
            (Refused, false, false, false),
            (Refused, true, false, true),
            (Refused, false, true, true),
            (Unanswered, false, false, false),
            (Unanswered, true, false, true),
            // The key makes a refusal repeatable; alone it is no proof.
            (Unanswered, false, true, false),
            (Final, false, false, false),
            (Final, true, false, false),
        ] {
            let policy = RetryPolicy { idempotent, keyed, ..POLICY };
            let verdict = policy.decide(1, class, None, LONG, 0.5);
            assert_eq!(verdict != Verdict::Stop, repeats, "{class:?} idempotent={idempotent} keyed={keyed}");
        }
    }

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_retries_run_out() {
        let policy = RetryPolicy { retries: 40, ..POLICY };
        let wait = |attempt| policy.decide(attempt, FailureClass::NeverSent, None, LONG, 1.0);
        assert_eq!(wait(1), Verdict::RetryAfter(Duration::from_millis(200)));
        assert_eq!(wait(2), Verdict::RetryAfter(Duration::from_millis(400)));
        assert_eq!(wait(40), Verdict::RetryAfter(Duration::from_secs(30)));
        assert_eq!(wait(41), Verdict::Stop);
    }

    #[test]
    fn retry_after_wins_and_the_budget_wins_over_it() {
        let wait = |remaining| {
            POLICY.decide(1, FailureClass::NeverSent, Some(Duration::from_secs(7)), remaining, 0.0)
        };
        assert_eq!(wait(LONG), Verdict::RetryAfter(Duration::from_secs(7)));
        assert_eq!(wait(Duration::from_secs(7)), Verdict::OutOfTime);
    }

    proptest! {
        #[test]
        fn no_wait_ever_passes_the_cap_or_the_budget(
            attempt in 1u32..100, retries in 0u32..100, random in 0.0f64..1.0, remaining_ms in 0u64..100_000,
        ) {
            let policy = RetryPolicy { retries, ..POLICY };
            let remaining = Duration::from_millis(remaining_ms);
            match policy.decide(attempt, FailureClass::NeverSent, None, remaining, random) {
                Verdict::RetryAfter(wait) => {
                    prop_assert!(attempt <= retries);
                    prop_assert!(wait <= policy.cap && wait < remaining);
                }
                Verdict::Stop => prop_assert!(attempt > retries),
                Verdict::OutOfTime => prop_assert!(attempt <= retries),
            }
        }
    }
}
