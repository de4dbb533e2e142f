//! Whether a failed execution is tried again, and after how long: by its task's policy. What is repeated inside of one
//! call is another thing, and another policy: [`super::retry`].

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::invalid::Invalid;
use super::word::words;

words! {
    /// How waits grow from one failure to the next.
    #[derive(Default)]
    pub enum Backoff: "backoff" {
        /// They do not: the delay, always.
        Fixed = "fixed",
        /// By the delay: once, twice, three times.
        Linear = "linear",
        /// Twice the one before.
        #[default]
        Exponential = "exponential",
    }
}

/// How often and how patiently a task is tried. Without settings, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskRetry {
    /// Most attempts that may fail, the first one among them.
    pub max_attempts: NonZeroU32,
    /// The wait after the first failure.
    #[serde(with = "duration::text")]
    pub delay: Duration,
    /// How it grows.
    pub backoff: Backoff,
    /// Longest wait.
    #[serde(with = "duration::text")]
    pub cap: Duration,
    /// How much of a wait is left to chance, so that what failed together does not come back together.
    pub jitter: Share,
    /// Outcomes after which it is tried again; every failure where none are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// Longest wait that a target's `Retry-After` is granted.
    #[serde(with = "duration::text")]
    pub retry_after_max: Duration,
}

impl Default for TaskRetry {
    fn default() -> Self {
        Self {
            max_attempts: NonZeroU32::MIN,
            delay: Duration::from_secs(10),
            backoff: Backoff::Exponential,
            cap: Duration::from_mins(10),
            jitter: Share(0.1),
            only: None,
            retry_after_max: Duration::from_hours(1),
        }
    }
}

impl TaskRetry {
    /// Whether a failure of this outcome is one after which it may be tried again.
    pub fn retries(&self, outcome: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|word| word == outcome))
    }

    /// How long to wait after this many failures, the last one among them; `None` when there is no further attempt.
    ///
    /// A target's `Retry-After` wins over the policy's own wait, as far as it is granted. `random` in `[0, 1]` is the
    /// chance: jitter makes a wait shorter, never longer than the cap.
    pub fn next(&self, failures: u32, random: f64, retry_after: Option<Duration>) -> Option<Duration> {
        if failures >= self.max_attempts.get() {
            return None;
        }
        if let Some(wish) = retry_after {
            return Some(wish.min(self.retry_after_max));
        }
        let wait = self.wait(failures);
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 };
        Some(wait.saturating_sub(wait.mul_f64(self.jitter.get() * random)))
    }

    /// The wait before jitter.
    fn wait(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        let factor = match self.backoff {
            Backoff::Fixed => 1,
            Backoff::Linear => failures.max(1),
            Backoff::Exponential => 1_u32.checked_shl(doublings).unwrap_or(u32::MAX),
        };
        self.delay.saturating_mul(factor).min(self.cap)
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share(f64);

/// It is never NaN.
impl Eq for Share {}

impl Share {
    /// From a number.
    ///
    /// # Errors
    /// When it is no share.
    pub fn new(share: f64) -> Result<Self, Invalid> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self(share));
        }
        Err(Invalid::new("jitter", format!("expected a number from 0 to 1, found {share}")))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = Invalid;

    fn try_from(share: f64) -> Result<Self, Invalid> {
        Self::new(share)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn policy(max_attempts: u32, backoff: Backoff) -> TaskRetry {
        let max_attempts = NonZeroU32::new(max_attempts).unwrap();
        TaskRetry { max_attempts, backoff, cap: secs(60), jitter: Share(0.0), ..TaskRetry::default() }
    }

    #[test]
    fn waits_grow_as_the_policy_says_up_to_the_cap() {
        for (backoff, waits) in [
            (Backoff::Fixed, [10, 10, 10, 10, 10]),
            (Backoff::Linear, [10, 20, 30, 40, 50]),
            (Backoff::Exponential, [10, 20, 40, 60, 60]),
        ] {
            let found = [1, 2, 3, 4, 5].map(|failures| policy(6, backoff).next(failures, 0.5, None));
            assert_eq!(found, waits.map(|wait| Some(secs(wait))), "{backoff}");
        }
    }

    #[test]
    fn attempts_run_out() {
        assert_eq!(TaskRetry::default().next(1, 0.0, Some(secs(1))), None);
        let three = policy(3, Backoff::Fixed);
        assert!(three.next(2, 0.0, None).is_some());
        for failures in [3, 4, u32::MAX] {
            assert_eq!(three.next(failures, 0.0, None), None);
            assert_eq!(three.next(failures, 0.0, Some(secs(1))), None);
        }
    }

    #[test]
    fn the_wish_of_the_target_wins_as_far_as_it_is_granted() {
        let policy = TaskRetry { retry_after_max: secs(120), ..policy(5, Backoff::Exponential) };
        for (wish, wait) in [(0, 0), (7, 7), (100, 100), (120, 120), (100_000, 120)] {
            assert_eq!(policy.next(1, 0.9, Some(secs(wish))), Some(secs(wait)), "{wish}");
        }
    }

    #[test]
    fn jitter_takes_its_share_away() {
        let half = TaskRetry { jitter: Share(0.5), ..policy(9, Backoff::Fixed) };
        for (random, millis) in [(0.0, 10_000), (0.5, 7_500), (1.0, 5_000), (7.0, 5_000), (f64::NAN, 10_000)]
        {
            assert_eq!(half.next(1, random, None), Some(Duration::from_millis(millis)), "{random}");
        }
        let all = TaskRetry { jitter: Share(1.0), ..half };
        assert_eq!(all.next(1, 1.0, None), Some(Duration::ZERO));
    }

    #[test]
    fn listed_outcomes_alone_are_tried_again() {
        let of = |only: Option<&[&str]>| TaskRetry {
            only: only.map(|words| words.iter().map(|word| (*word).to_owned()).collect()),
            ..TaskRetry::default()
        };
        for (only, outcome, retries) in [
            (None, "failed", true),
            (Some(&["try_later", "timed_out"][..]), "timed_out", true),
            (Some(&["try_later", "timed_out"]), "failed", false),
            (Some(&[]), "failed", false),
        ] {
            assert_eq!(of(only).retries(outcome), retries, "{only:?} {outcome}");
        }
    }

    #[test]
    fn it_is_read_and_written_in_words() {
        let text = r#"{"max_attempts":3,"delay":"10s","backoff":"linear","cap":"5m","jitter":0.25,"only":["try_later"],"retry_after_max":"1h"}"#;
        let policy: TaskRetry = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
        assert_eq!(serde_json::from_str::<TaskRetry>("{}").unwrap(), TaskRetry::default());
        let whole: TaskRetry = serde_json::from_str(r#"{"jitter":1}"#).unwrap();
        assert_eq!(whole.jitter, Share(1.0));
        for bad in [
            r#"{"max_attempts":0}"#,
            r#"{"delay":"soon"}"#,
            r#"{"delay":10}"#,
            r#"{"backoff":"cubic"}"#,
            r#"{"jitter":1.5}"#,
            r#"{"jitter":-0.1}"#,
            r#"{"only":"failed"}"#,
            r#"{"attempts":3}"#,
        ] {
            assert!(serde_json::from_str::<TaskRetry>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_wait_passes_its_bound_and_none_shrinks_with_failures(
            max_attempts in 1u32..,
            failures: u32,
            delay in 0u64..,
            cap in 0u64..,
            jitter in 0.0f64..=1.0,
            random in 0.0f64..=1.0,
            backoff in prop::sample::select(Backoff::ALL),
            wish in prop::option::of(0u64..),
        ) {
            let policy = TaskRetry {
                max_attempts: NonZeroU32::new(max_attempts).unwrap(),
                delay: secs(delay),
                backoff,
                cap: secs(cap),
                jitter: Share::new(jitter).unwrap(),
                only: None,
                retry_after_max: secs(3_600),
            };
            let wish = wish.map(secs);
            match policy.next(failures, random, wish) {
                None => prop_assert!(failures >= max_attempts),
                Some(wait) => {
                    prop_assert!(failures < max_attempts);
                    let least = policy.wait(failures).mul_f64(1.0 - jitter);
                    match wish {
                        Some(wish) => prop_assert_eq!(wait, wish.min(secs(3_600))),
                        // A double holds 53 bits of a wait.
                        None => prop_assert!(
                            wait <= policy.wait(failures) && wait.as_secs_f64() >= least.as_secs_f64() * 0.999_999
                        ),
                    }
                    prop_assert!(policy.wait(failures) <= policy.wait(failures.saturating_add(1)));
                }
            }
        }
    }
}
