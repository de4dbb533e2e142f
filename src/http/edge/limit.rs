//! How often one caller may ask: a token bucket each, so that one of them cannot take the server from the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most callers that are remembered at a time.
const MAX_CALLERS: usize = 100_000;

/// From this number on, callers that need not be remembered are looked for.
const FIRST_SWEEP: usize = 1_024;

/// What every bucket has: how fast it fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// The time in which one token comes.
    interval: Duration,
    /// The time in which an empty bucket becomes full.
    capacity: Duration,
}

impl Limit {
    fn new(per_second: u32, burst: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self { interval, capacity: interval * burst })
    }

    /// Takes one token from the bucket that will be full then, or tells when there will be one.
    fn take(self, full_at: &mut Instant, now: Instant) -> Result<(), Duration> {
        let full_then = (*full_at).max(now) + self.interval;
        let missing = full_then.saturating_duration_since(now);
        if missing > self.capacity {
            return Err(missing.saturating_sub(self.capacity));
        }
        *full_at = full_then;
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Callers {
    /// A token bucket each, as the one instant at which it will be full. Whole nanoseconds, so nothing is lost by
    /// rounding.
    buckets: HashMap<(i64, String, Traffic), Instant>,
    sweep_at: usize,
}

impl Callers {
    /// Keeps memory bounded. A full bucket says the same as none, so it can go without being missed.
    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() < self.sweep_at.max(FIRST_SWEEP) {
            return;
        }
        self.buckets.retain(|_, full_at| *full_at > now);
        if self.buckets.len() >= MAX_CALLERS {
            // So many at once are no callers that a bucket each could hold back.
            self.buckets.clear();
        }
        self.sweep_at = (self.buckets.len() * 2).min(MAX_CALLERS);
    }
}

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// A request like any other.
    Requests,
    /// One that brings what has happened; many at once are one request.
    Intake,
}

/// The limits of all callers.
#[derive(Debug)]
pub struct RateLimiter {
    requests: Option<Limit>,
    intake: Option<Limit>,
    /// By subject: one limit for whatever it asks, in place of the others.
    accounts: HashMap<String, Option<Limit>>,
    callers: Mutex<Callers>,
}

impl RateLimiter {
    /// `per_second` requests of each caller for long, `burst` at once; a `per_second` of 0 is no limit. Intake has none.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let requests = Limit::new(per_second, burst);
        Self { requests, intake: None, accounts: HashMap::new(), callers: Mutex::default() }
    }

    /// With a limit of what each caller brings in.
    #[must_use]
    pub fn intake(mut self, per_second: u32, burst: u32) -> Self {
        self.intake = Limit::new(per_second, burst);
        self
    }

    /// With a limit of its own for the account with this subject, in each organisation.
    #[must_use]
    pub fn account(mut self, subject: impl Into<String>, per_second: u32, burst: u32) -> Self {
        self.accounts.insert(subject.into(), Limit::new(per_second, burst));
        self
    }

    /// Counts a request, or tells when it would be let through.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&self, org_id: i64, subject: &str, traffic: Traffic) -> Result<(), Duration> {
        self.check_at(org_id, subject, traffic, Instant::now())
    }

    fn check_at(&self, org_id: i64, subject: &str, traffic: Traffic, now: Instant) -> Result<(), Duration> {
        let (limit, traffic) = match (self.accounts.get(subject), traffic) {
            (Some(own), _) => (*own, Traffic::Requests),
            (None, Traffic::Requests) => (self.requests, traffic),
            (None, Traffic::Intake) => (self.intake, traffic),
        };
        let Some(limit) = limit else { return Ok(()) };
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.make_room(now);
        let key = (org_id, subject.to_owned(), traffic);
        limit.take(callers.buckets.entry(key).or_insert(now), now)
    }
}

#[cfg(test)]
mod tests {
    use super::Traffic::{Intake, Requests};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let limit = Limit::new(10, 3).unwrap();
        let start = Instant::now();
        let mut full_at = start;
        for (at_ms, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(100)),
            (0, Err(100)),
            (40, Err(60)),
            (99, Err(1)),
            (100, Ok(())),
            (100, Err(100)),
            // Two tokens have come, and no more than three are ever kept.
            (300, Ok(())),
            (300, Ok(())),
            (300, Err(100)),
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Err(100)),
        ] {
            let taken = limit.take(&mut full_at, start + MS * at_ms);
            assert_eq!(taken, expected.map_err(|ms: u32| MS * ms), "{at_ms} ms");
        }
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let limiter = RateLimiter::new(0, 0);
        let now = Instant::now();
        assert!((0..1_000).all(|_| limiter.check_at(1, "a", Requests, now).is_ok()));
        assert!(limiter.callers.lock().unwrap().buckets.is_empty());
    }

    #[test]
    fn callers_have_a_bucket_each_and_an_organisation_is_part_of_the_caller() {
        let limiter = RateLimiter::new(1, 1);
        let now = Instant::now();
        for (org_id, subject) in [(1, "a"), (1, "b"), (2, "a")] {
            assert_eq!(limiter.check_at(org_id, subject, Requests, now), Ok(()));
            assert_eq!(limiter.check_at(org_id, subject, Requests, now), Err(Duration::from_secs(1)));
        }
    }

    #[test]
    fn intake_is_counted_apart_and_an_account_may_have_one_limit_for_both() {
        let limiter = RateLimiter::new(1, 1).intake(1, 2).account("worker", 1, 3).account("trusted", 0, 0);
        let now = Instant::now();
        let taken = |subject, traffic| {
            (0..9).take_while(|_| limiter.check_at(1, subject, traffic, now).is_ok()).count()
        };
        assert_eq!((taken("a", Requests), taken("a", Intake)), (1, 2));
        assert_eq!((taken("worker", Intake), taken("worker", Requests)), (3, 0), "one bucket");
        assert_eq!((taken("trusted", Requests), taken("trusted", Intake)), (9, 9));
        let unlimited = RateLimiter::new(1, 1);
        assert!((0..9).all(|_| unlimited.check_at(1, "a", Intake, now).is_ok()), "unless it is asked for");
    }

    #[test]
    fn full_buckets_are_dropped_and_callers_are_bounded() {
        let limiter = RateLimiter::new(1, 1);
        let known = |limiter: &RateLimiter| limiter.callers.lock().unwrap().buckets.len();
        let start = Instant::now();
        for caller in 0..5_000 {
            // Each bucket is full again after a second, when a thousand others have come.
            limiter.check_at(1, &caller.to_string(), Requests, start + MS * caller).unwrap();
            assert!(known(&limiter) <= 3_000);
        }
        for caller in 0..250_000 {
            limiter.check_at(2, &caller.to_string(), Requests, start + MS * 5_000).unwrap();
            assert!(known(&limiter) <= MAX_CALLERS);
        }
    }
}
