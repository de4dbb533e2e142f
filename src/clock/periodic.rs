//! A background duty: one step at a time, and the loop that takes the steps.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::SharedClock;

/// Something that is done again and again. Tests take its steps with a simulated clock.
#[async_trait]
pub trait Periodic: Send {
    /// What one step did.
    type Report: Debug + Send;

    /// One step.
    ///
    /// # Errors
    /// What could not be done; the next step tries it again.
    async fn tick(&mut self, now: Timestamp) -> Result<Self::Report, String>;
}

/// Takes a step now and then at every interval, for ever. A step that is late delays those after it.
pub async fn drive<P: Periodic>(
    mut duty: P,
    clock: SharedClock,
    every: Duration,
    report: impl Fn(Result<P::Report, String>),
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        report(duty.tick(clock.now()).await);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::clock::Simulated;

    /// Takes long, and fails the second time.
    struct Slow(u32);

    #[async_trait]
    impl Periodic for Slow {
        type Report = String;

        async fn tick(&mut self, now: Timestamp) -> Result<String, String> {
            tokio::time::sleep(Duration::from_secs(15)).await;
            self.0 += 1;
            if self.0 == 2 { Err("away".to_owned()) } else { Ok(now.to_string()) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_duty_goes_on_after_a_failure_and_does_not_hurry() {
        let clock = Simulated::running("2026-11-20T12:00:00Z".parse().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reports = Arc::clone(&seen);
        let every = Duration::from_secs(10);
        let duty = drive(Slow(0), clock, every, move |report| reports.lock().unwrap().push(report));
        assert!(tokio::time::timeout(Duration::from_secs(50), duty).await.is_err());
        let expected = [Ok("2026-11-20T12:00:00Z"), Err("away"), Ok("2026-11-20T12:00:30Z")];
        let expected = expected.map(|one| one.map(str::to_owned).map_err(str::to_owned));
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
