//! L1 · The one place that reads the time. Everything else takes a [`Clock`].

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Tells the time of day. Elapsed time is measured with `std::time::Instant` or `tokio::time::Instant`.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Timestamp;

    /// The current instant in the zone of the machine, for log lines.
    fn local(&self) -> Zoned {
        self.now().to_zoned(TimeZone::system())
    }
}

/// A clock that can be handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the clock read")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is moved, in UTC: for tests.
#[derive(Debug)]
pub struct FixedClock(std::sync::Mutex<Timestamp>);

impl FixedClock {
    /// A clock that shows `at`.
    pub fn new(at: Timestamp) -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::new(at)))
    }

    /// Moves the clock forward, or back when negative.
    ///
    /// # Panics
    /// When the result leaves the range of [`Timestamp`].
    pub fn advance(&self, by: jiff::SignedDuration) {
        let mut at = self.0.lock().expect("no panic happens while the clock is held");
        *at = at.checked_add(by).expect("tests stay within the calendar");
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no panic happens while the clock is held")
    }

    fn local(&self) -> Zoned {
        self.now().to_zoned(TimeZone::UTC)
    }
}
