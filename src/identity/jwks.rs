//! The keys of a remote IAM: fetched once for any number of requests, cached, served stale while the IAM is down.
//!
//! A token with a known key never waits: keys that are due for a refresh are fetched beside it. Only a token whose key
//! is not known (or the first one of all) waits for a fetch, and an unknown key can cause one fetch per cool-down at
//! most. Keys older than the limit do not count any more: then nobody is let in.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::fetch::Fetch;
use super::jwk::{self, KeySet, SetError};
use super::keys::{KeySource, Lookup, Wanted};
use crate::clock::SharedClock;

/// Without a key every request fails, so a failed fetch is repeated sooner than the cool-down says.
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(2);

/// How old keys may become.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// Older keys are fetched again.
    pub refresh: Duration,
    /// An unknown key, or a failed refresh, causes one fetch in this time.
    pub cooldown: Duration,
    /// Older keys do not count.
    pub max_stale: Duration,
}

/// The keys behind a URL.
#[derive(Clone)]
pub struct RemoteKeys {
    shared: Arc<Shared>,
}

struct Shared {
    source: Box<dyn Fetch>,
    freshness: Freshness,
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: KeySet,
    fetched: Option<Timestamp>,
    /// The last fetch, if it failed.
    failed: Option<Timestamp>,
    /// The last fetch that an unknown key has caused.
    missed: Option<Timestamp>,
    /// Open as long as a fetch goes on.
    flight: Option<watch::Receiver<()>>,
}

/// Why there are no new keys.
enum NoKeys {
    /// The IAM gave no set.
    NotFetched(String),
    /// It gave one of which no key can be used.
    NoneUsable(String),
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Sought {
    /// Any key that fits.
    Fitting,
    /// One that was not here: those that fit have been tried.
    Newer,
}

/// What to do about a key.
enum Decision {
    Answer(Lookup),
    Wait(watch::Receiver<()>),
}

impl RemoteKeys {
    /// Keys that nobody has asked for yet.
    pub fn new(source: impl Fetch + 'static, freshness: Freshness, clock: SharedClock) -> Self {
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { source: Box::new(source), freshness, clock, state }) }
    }

    /// Begins the first fetch, so that the first request need not wait and a wrong URL shows in the log at start.
    pub fn warm(&self) {
        let mut state = self.shared.state();
        if state.in_flight().is_none() {
            self.launch(&mut state);
        }
    }

    /// What to do about this key, decided under the lock so that only one request begins a fetch.
    fn decide(&self, wanted: Wanted<'_>, sought: Sought) -> Decision {
        let (now, freshness) = (self.shared.clock.now(), self.shared.freshness);
        let mut state = self.shared.state();
        let usable = state.usable(now, freshness);
        let flight = state.in_flight();
        let rests = state.rests(now, freshness);
        if matches!(sought, Sought::Fitting) && usable && state.keys.fitting(wanted).is_some() {
            if state.due(now, freshness) && flight.is_none() && !rests {
                self.launch(&mut state);
            }
            return Decision::Answer(state.answer(wanted, sought, now, freshness));
        }
        if let Some(flight) = flight {
            return Decision::Wait(flight);
        }
        if rests || usable && within(state.missed, now, freshness.cooldown) {
            return Decision::Answer(state.answer(wanted, sought, now, freshness));
        }
        if usable {
            state.missed = Some(now);
        }
        Decision::Wait(self.launch(&mut state))
    }

    /// Fetches in a task of its own: a caller that hangs up does not end it for the others.
    fn launch(&self, state: &mut State) -> watch::Receiver<()> {
        let (done, flight) = watch::channel(());
        state.flight = Some(flight.clone());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let outcome = match shared.source.fetch().await {
                Ok(body) => jwk::parse(&body).map_err(|error| match error {
                    SetError::NoneUsable(reasons) => NoKeys::NoneUsable(reasons),
                    error => NoKeys::NotFetched(error.to_string()),
                }),
                Err(error) => Err(NoKeys::NotFetched(error.to_string())),
            };
            let now = shared.clock.now();
            shared.state().record(outcome, now);
            drop(done);
        });
        flight
    }

    async fn look(&self, wanted: Wanted<'_>, sought: Sought) -> Lookup {
        match self.decide(wanted, sought) {
            Decision::Answer(lookup) => return lookup,
            // Nothing is ever sent: the end of the fetch closes the channel.
            Decision::Wait(mut flight) => drop(flight.changed().await),
        }
        self.shared.state().answer(wanted, sought, self.shared.clock.now(), self.shared.freshness)
    }
}

#[async_trait]
impl KeySource for RemoteKeys {
    async fn find(&self, wanted: Wanted<'_>) -> Lookup {
        self.look(wanted, Sought::Fitting).await
    }

    async fn find_newer(&self, wanted: Wanted<'_>) -> Lookup {
        self.look(wanted, Sought::Newer).await
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys").field("freshness", &self.shared.freshness).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn in_flight(&self) -> Option<watch::Receiver<()>> {
        self.flight.clone().filter(|flight| flight.has_changed().is_ok())
    }

    fn usable(&self, now: Timestamp, freshness: Freshness) -> bool {
        within(self.fetched, now, freshness.max_stale)
    }

    fn due(&self, now: Timestamp, freshness: Freshness) -> bool {
        !within(self.fetched, now, freshness.refresh)
    }

    /// Whether the last fetch has failed too short a time ago for another one.
    fn rests(&self, now: Timestamp, freshness: Freshness) -> bool {
        within(self.failed, now, self.pause(now, freshness))
    }

    fn pause(&self, now: Timestamp, freshness: Freshness) -> Duration {
        let usable = self.usable(now, freshness);
        if usable { freshness.cooldown } else { freshness.cooldown.min(PAUSE_WITHOUT_KEYS) }
    }

    /// What is known now. As long as the IAM cannot be asked, a key that is not known may be a new key of it.
    fn answer(&self, wanted: Wanted<'_>, sought: Sought, now: Timestamp, freshness: Freshness) -> Lookup {
        let usable = self.usable(now, freshness);
        let known = matches!(sought, Sought::Fitting) || self.failed.is_none();
        match self.keys.fitting(wanted).filter(|_| usable && known) {
            Some(lookup) => lookup,
            None if usable && self.failed.is_none() => Lookup::Unknown,
            None => {
                let passed = self.failed.map_or(Duration::ZERO, |failed| apart(failed, now));
                Lookup::Unavailable { retry_after: self.pause(now, freshness).saturating_sub(passed) }
            }
        }
    }

    fn record(&mut self, outcome: Result<KeySet, NoKeys>, now: Timestamp) {
        match outcome {
            Ok(keys) => {
                if self.failed.take().is_some() || self.fetched.is_none() {
                    tracing::info!(keys = keys.len(), "the keys of the IAM were fetched");
                } else {
                    tracing::debug!(keys = keys.len(), "the keys of the IAM were fetched again");
                }
                self.keys = keys;
                self.fetched = Some(now);
            }
            Err(none) => {
                let kept = self.keys.len();
                match none {
                    NoKeys::NotFetched(error) => {
                        tracing::warn!(error, kept, "the keys of the IAM could not be fetched");
                    }
                    NoKeys::NoneUsable(reasons) => {
                        tracing::warn!(reasons, kept, "the IAM's key set holds no key that can be used");
                    }
                }
                self.failed = Some(now);
            }
        }
    }
}

/// Whether less than `limit` lies between `at` and `now`.
fn within(at: Option<Timestamp>, now: Timestamp, limit: Duration) -> bool {
    at.is_some_and(|at| apart(at, now) < limit)
}

/// A clock that was set back has passed that time as well: nothing waits until it catches up.
fn apart(at: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(at).unsigned_abs()
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
