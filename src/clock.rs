//! L1 · The one place that reads the time. Everything else takes a [`Clock`].

#[cfg(feature = "server")]
pub mod patience;
#[cfg(feature = "server")]
pub mod periodic;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Tells the time of day. Elapsed time is measured with `std::time::Instant` or `tokio::time::Instant`.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Timestamp;

    /// The current instant in the zone of the machine, for log lines.
    fn local(&self) -> Zoned {
        self.now().to_zoned(local_zone())
    }
}

/// Where the zone files are.
const ZONES: &str = "/usr/share/zoneinfo";
/// The zone of the machine: by custom a link to one of them.
const LOCALTIME: &str = "/etc/localtime";
/// How long the zone is believed not to have changed: as long as jiff believes it.
const ZONE_LIFE: Duration = Duration::from_mins(5);

/// The zone of the machine, as `TZ` or `/etc/localtime` names it.
///
/// [`TimeZone::system`] gives the same, but first lists every directory of the zone database, which costs several
/// times what the rest of a call does. This opens the one file, and leaves whatever is unusual to jiff.
pub fn local_zone() -> TimeZone {
    static ZONE: Mutex<Option<(Instant, TimeZone)>> = Mutex::new(None);
    let mut zone = ZONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((read, zone)) = &*zone
        && read.elapsed() < ZONE_LIFE
    {
        return zone.clone();
    }
    let found = named_zone().unwrap_or_else(TimeZone::system);
    *zone = Some((Instant::now(), found.clone()));
    found
}

/// The zone by its name alone; `None` where a name is not enough.
#[expect(clippy::disallowed_methods, reason = "the zone of the process, which jiff would read the same way")]
fn named_zone() -> Option<TimeZone> {
    if std::env::var_os("TZDIR").is_some() {
        return None;
    }
    if let Some(name) = std::env::var_os("TZ") {
        return zone_of_variable(name.to_str()?);
    }
    let target = std::fs::read_link(LOCALTIME).ok()?;
    let (_, name) = target.to_str()?.rsplit_once("zoneinfo/")?;
    read_zone(name, Path::new(LOCALTIME))
}

/// `TZ` as the name of a zone. Words without a slash may be rules (`EST5EDT`), others may be paths.
fn zone_of_variable(name: &str) -> Option<TimeZone> {
    if name.is_empty() || name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
    let is_name =
        name.contains('/') && name.split('/').all(|part| !part.is_empty() && part.chars().all(plain));
    if is_name { read_zone(name, &Path::new(ZONES).join(name)) } else { None }
}

fn read_zone(name: &str, path: &Path) -> Option<TimeZone> {
    TimeZone::tzif(name, &std::fs::read(path).ok()?).ok()
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

/// A clock for tests, in UTC. It stands still until it is moved, or runs with tokio's time: with a runtime that is paused,
/// the time of day and the timers then move together, and a week of waiting takes no time.
#[derive(Debug)]
pub struct Simulated {
    at: Mutex<Timestamp>,
    running_since: Option<tokio::time::Instant>,
}

impl Simulated {
    /// A clock that shows `at` until it is moved.
    pub fn new(at: Timestamp) -> Arc<Self> {
        Arc::new(Self { at: Mutex::new(at), running_since: None })
    }

    /// A clock that shows `at` now and goes on with tokio's time.
    pub fn running(at: Timestamp) -> Arc<Self> {
        Arc::new(Self { at: Mutex::new(at), running_since: Some(tokio::time::Instant::now()) })
    }

    /// Moves the time of day forward, or back when negative, as a correction of the clock does: no timer notices.
    ///
    /// # Panics
    /// When the result leaves the range of [`Timestamp`].
    pub fn advance(&self, by: jiff::SignedDuration) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = at.checked_add(by).expect("tests stay within the calendar");
    }
}

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at + self.running_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn local(&self) -> Zoned {
        self.now().to_zoned(TimeZone::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_runs_with_the_timers_or_stands_still() {
        let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let (running, still) = (Simulated::running(noon), Simulated::new(noon));
        tokio::time::sleep(Duration::from_secs(7 * 86_400)).await;
        assert_eq!(running.now(), "2026-11-27T12:00:00Z".parse().unwrap());
        assert_eq!(still.now(), noon);
        for clock in [running, still] {
            let before = clock.now();
            clock.advance(jiff::SignedDuration::from_hours(-1));
            assert_eq!(before.duration_since(clock.now()), jiff::SignedDuration::from_hours(1));
        }
    }

    #[test]
    fn the_zone_of_the_machine_is_the_one_that_jiff_finds() {
        let at: Timestamp = "2026-11-20T23:00:00Z".parse().unwrap();
        let (ours, theirs) = (at.to_zoned(local_zone()), at.to_zoned(TimeZone::system()));
        assert_eq!(ours.datetime(), theirs.datetime());
        assert_eq!(ours.time_zone().iana_name(), theirs.time_zone().iana_name());
    }

    #[test]
    fn a_variable_that_is_no_plain_name_is_left_to_jiff() {
        for text in
            ["EST5EDT", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin", "../x/y", "a//b", "No/Such"]
        {
            assert_eq!(zone_of_variable(text), None, "{text}");
        }
        assert_eq!(zone_of_variable(""), Some(TimeZone::UTC));
        if Path::new(ZONES).join("Europe/Berlin").exists() {
            let berlin = zone_of_variable("Europe/Berlin").unwrap();
            assert_eq!(Some(berlin), TimeZone::get("Europe/Berlin").ok());
        }
    }
}
