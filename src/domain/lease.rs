//! A lease is an exclusive right for a time. Its holder gives signs of life; when none was recorded for the whole length,
//! the right is anybody's.
//!
//! The rule of trust: a holder stops trusting itself before others may stop trusting it. Times are those since the holder
//! took the lease, by its own clock; the last quarter is for what this clock and the others' differ by.

use std::time::Duration;

/// What a holder may believe about its own lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    length: Duration,
    /// When the last sign of life that was recorded was sent: from here on the others count.
    confirmed: Duration,
    /// When the last one was sent, recorded or not.
    sent: Duration,
}

impl Trust {
    /// In a lease of this length that was just taken.
    pub fn new(length: Duration) -> Self {
        Self { length, confirmed: Duration::ZERO, sent: Duration::ZERO }
    }

    /// When the next sign of life is due, or trust ends.
    pub fn next_renewal(&self) -> Duration {
        (self.sent + self.length / 4).min(self.ends())
    }

    /// From when on the holder must not act under the lease any more.
    pub fn ends(&self) -> Duration {
        self.confirmed + self.length / 4 * 3
    }

    /// From when on others may take the lease.
    pub fn free_at(&self) -> Duration {
        self.confirmed + self.length
    }

    /// A sign of life is sent.
    pub fn send(&mut self, at: Duration) {
        self.sent = at;
    }

    /// The sign of life that was sent last was recorded.
    pub fn confirm(&mut self) {
        self.confirmed = self.sent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_ends_before_the_lease_is_free_whatever_was_recorded() {
        // What was sent when and whether it was recorded; when the next one is due, trust ends, and the lease is free.
        for (signs, expected) in [
            (&[][..], [10, 30, 40]),
            (&[(10, true)], [20, 40, 50]),
            (&[(10, false)], [20, 30, 40]),
            (&[(10, false), (20, false)], [30, 30, 40]),
            (&[(10, false), (20, true)], [30, 50, 60]),
            (&[(10, true), (29, false)], [39, 40, 50]),
            (&[(12, true), (25, true)], [35, 55, 65]),
        ] {
            let mut trust = Trust::new(Duration::from_secs(40));
            for (sent, recorded) in signs {
                trust.send(Duration::from_secs(*sent));
                if *recorded {
                    trust.confirm();
                }
            }
            let found = [trust.next_renewal(), trust.ends(), trust.free_at()].map(|at| at.as_secs());
            assert_eq!(found, expected, "{signs:?}");
            assert!(trust.ends() < trust.free_at());
        }
    }
}
