//! How much later than its scheduled time a task starts, so that not all of them start on the full hour.
//!
//! Both ways are functions of what is known when an occurrence is planned, and of nothing else: whoever plans it again,
//! on another node or after a crash, finds the same instant. The numbers may never change from one version to the next.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::digest::{fnv64, mix64};
use super::duration;

/// How far starts are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spread {
    /// Each task has its own place within this time, the same every day.
    #[serde(with = "duration::text")]
    pub hashed: Duration,
    /// Each start has another place within this time.
    #[serde(with = "duration::text")]
    pub jitter: Duration,
}

impl Spread {
    /// When what is scheduled for an instant is to start.
    pub fn run_at(&self, uid: Uuid, scheduled_for: Timestamp) -> Timestamp {
        let delay = offset(uid, self.hashed).saturating_add(jitter(uid, scheduled_for, self.jitter));
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        scheduled_for.checked_add(delay).unwrap_or(Timestamp::MAX)
    }
}

/// The place of a task within a window: a whole number of milliseconds, less than the window.
pub fn offset(uid: Uuid, window: Duration) -> Duration {
    within(mix64(fnv64(uid.into_bytes())), window)
}

/// The place of one start of a task within a window: a whole number of milliseconds, less than the window.
pub fn jitter(uid: Uuid, scheduled_for: Timestamp, window: Duration) -> Duration {
    let start = scheduled_for.as_millisecond().to_be_bytes();
    within(mix64(fnv64(uid.into_bytes().into_iter().chain(start))), window)
}

/// A number of 64 bits, scaled to a window.
fn within(number: u64, window: Duration) -> Duration {
    let scaled = (u128::from(number) * u128::from(duration::millis(window))) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn uid(number: u32) -> Uuid {
        Uuid::from_u128(u128::from(number))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_737_600 + second).unwrap()
    }

    /// How far counts are from even ones: the sum of the squares over the expected count.
    fn chi_square(counts: &[u32], expected: f64) -> f64 {
        counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn places_are_spread_evenly() {
        // 60 minutes, 60,000 places; even ones are beyond 98 once in a thousand times, and these never change.
        let minute = |place: Duration| usize::try_from(place.as_secs() / 60).unwrap();
        let (mut tasks, mut starts, mut days) = ([0; 60], [0; 60], [0; 60]);
        for number in 0..60_000 {
            tasks[minute(offset(uid(number), HOUR))] += 1;
            starts[minute(jitter(uid(7), at(i64::from(number) * 5), HOUR))] += 1;
            days[minute(jitter(uid(number), at(0), HOUR))] += 1;
        }
        for counts in [tasks, starts, days] {
            let found = chi_square(&counts, 1_000.0);
            assert!(found < 98.3, "{found} {counts:?}");
        }
    }

    #[test]
    fn a_place_is_within_its_window() {
        for window in [0, 1, 2, 999, 1_000, u64::MAX] {
            let window = Duration::from_millis(window);
            for number in 0..100 {
                let places = [offset(uid(number), window), jitter(uid(number), at(0), window)];
                for place in places {
                    assert!(place < window || (place.is_zero() && window.is_zero()), "{place:?} {window:?}");
                }
            }
        }
        assert_eq!(offset(uid(1), Duration::from_nanos(999_999)), Duration::ZERO);
    }

    #[test]
    fn the_numbers_never_change() {
        let uid = Uuid::from_u128(0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8);
        let found = (offset(uid, HOUR).as_millis(), jitter(uid, at(0), HOUR).as_millis());
        // As another program worked them out.
        assert_eq!(found, (1_220_116, 3_220_174));
    }

    #[test]
    fn a_start_is_planned_at_both_together() {
        let spread = Spread { hashed: HOUR, jitter: Duration::from_secs(30) };
        for second in [0, 86_400] {
            let delay = spread.run_at(uid(3), at(second)).duration_since(at(second));
            let parts = offset(uid(3), HOUR) + jitter(uid(3), at(second), Duration::from_secs(30));
            assert_eq!(Duration::try_from(delay).unwrap(), parts);
        }
        assert_eq!(Spread::default().run_at(uid(3), at(0)), at(0));
        assert!(spread.run_at(uid(3), Timestamp::MAX) == Timestamp::MAX);
    }
}
