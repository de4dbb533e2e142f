//! What the last logins came to, beside the token: so that a credential that the IAM refuses is tried twice a day and
//! not once an hour until the account is locked, and so that a queue of waiting processes does not ask a dead IAM one
//! after the other.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::credential_digest::CredentialDigest;
use super::iam::Login;
use crate::files::{self, Durability, PRIVATE};

/// How long after a first rejection the credential may be tried once more: a rejection may be the IAM's mistake.
const SECOND: SignedDuration = SignedDuration::from_mins(30);
/// In a time of this length a credential is tried twice at most.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Longest that an IAM is left alone for its `Retry-After`: a schedule of minutes must not be at its mercy.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// How far a stored time may be ahead of the clock: clocks are set back by a little all the time.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// The memory of one token file. An unreadable memory is an empty one: the worst it costs are two logins too many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginMemory {
    /// The credential that was rejected last.
    #[serde(default)]
    pub rejection: Option<Rejection>,
    /// Other credentials that were rejected within the day: who changes the credential and changes it back has not
    /// changed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Rejection>,
    /// The last time that the IAM could not be asked.
    #[serde(default)]
    pub unavailable: Option<Unavailable>,
}

/// The IAM said no to a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// In the IAM's words.
    pub reason: String,
    /// When, the last time.
    pub at: Timestamp,
    /// When, the time before.
    before: Option<Timestamp>,
    /// Until when a second try waits; believed only as far as the rule allows.
    until: Timestamp,
    /// Which credential.
    credential: CredentialDigest,
}

/// The IAM gave no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when it wishes to be left alone; believed only as far as the rule allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// The address that was asked.
    #[serde(default)]
    address: String,
}

impl Unavailable {
    /// What is remembered of an IAM that gave no answer that counts, and asked to be left alone for `pause`.
    pub fn new(login: &Login, reason: String, now: Timestamp, pause: Option<Duration>) -> Self {
        let pause = pause.map(|pause| SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX));
        let until = pause.map(|pause| later(now, pause.min(LONGEST_PAUSE)));
        Self { at: now, reason, until, address: login.url.to_string() }
    }

    /// What a call comes to that needs a login while the IAM wishes to be left alone.
    pub fn left_alone(&self, login: &Login, now: Timestamp) -> Option<String> {
        let until = self.until?.min(later(self.at, LONGEST_PAUSE));
        (now < until && self.address == login.url.as_str()).then(|| {
            let until = until.strftime("%Y-%m-%dT%H:%M:%SZ");
            format!("{}; not asked again before {until}, as it wishes (hint: qs-api-call token refresh --force-login)", self.reason)
        })
    }
}

impl Rejection {
    /// Until when the credential is not tried again.
    pub fn held_until(&self) -> Timestamp {
        let second = self.until.min(later(self.at, SECOND));
        self.before.map_or(second, |before| second.max(later(before, DAY)))
    }

    /// What a call comes to that needs a login while it holds.
    pub fn not_tried_again(&self) -> String {
        format!(
            "{}; not tried again before {} or until the credential changes (hint: qs-api-call token refresh --force-login)",
            self.reason,
            self.held_until().strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    }

    /// Takes times that are later than now for now: a clock that was ahead wrote them, and when it was that they came
    /// about is not known. They still count as tries, so that no clock makes more of them than there may be; but a
    /// single one does not make the second wait.
    fn settle(&mut self, now: Timestamp) {
        let ahead = |at: Timestamp| at > later(now, TOLERANCE);
        if ahead(self.at) {
            (self.at, self.until) = (now, now);
        }
        self.before = self.before.map(|before| if ahead(before) { now } else { before });
    }
}

impl LoginMemory {
    /// Reads it, as far as it can be believed.
    pub fn read(path: &Path, now: Timestamp) -> Self {
        let mut memory = Self::stored(path).unwrap_or_else(|error| {
            warn!(event = "login_memory_lost", path = %path.display(), error = %error, "The memory of failed logins cannot be read; tries are counted anew");
            Self::default()
        });
        memory.rejection.iter_mut().chain(&mut memory.earlier).for_each(|rejection| rejection.settle(now));
        memory.unavailable = memory.unavailable.filter(|seen| seen.at <= now);
        memory
    }

    fn stored(path: &Path) -> io::Result<Self> {
        match files::if_there(std::fs::read(path))? {
            Some(bytes) => Ok(serde_json::from_slice(&bytes)?),
            None => Ok(Self::default()),
        }
    }

    /// Writes it; an empty memory removes the file.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        if *self == Self::default() {
            return files::remove(path).map(|_| ());
        }
        let json = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        // A power cut must not give a wrong password its tries back.
        files::replace(path, &json, PRIVATE, Durability::Disk)
    }

    /// The rejection of this credential, whether it still holds or not.
    pub fn rejection_of(&self, login: &Login) -> Option<&Rejection> {
        self.rejection.iter().chain(&self.earlier).find(|rejection| rejection.credential.is_of(login))
    }

    /// The rejection that forbids a login now.
    pub fn forbids(&self, login: &Login, now: Timestamp) -> Option<&Rejection> {
        self.rejection_of(login).filter(|rejection| now < rejection.held_until())
    }

    /// Remembers a rejection.
    pub fn reject(&mut self, login: &Login, reason: String, now: Timestamp) {
        let last = self.take(login);
        self.earlier.extend(self.rejection.take());
        self.earlier.retain(|rejection| now < later(rejection.at, DAY));
        let before = last.as_ref().map(|last| last.at);
        let credential = last.map_or_else(|| CredentialDigest::of(login), |last| last.credential);
        self.rejection = Some(Rejection { reason, at: now, before, until: later(now, SECOND), credential });
        self.unavailable = None;
    }

    /// The credential was accepted.
    pub fn accept(&mut self, login: &Login) {
        self.take(login);
        self.unavailable = None;
    }

    fn take(&mut self, login: &Login) -> Option<Rejection> {
        if let Some(last) = self.rejection.take_if(|last| last.credential.is_of(login)) {
            return Some(last);
        }
        let index = self.earlier.iter().position(|rejection| rejection.credential.is_of(login))?;
        Some(self.earlier.remove(index))
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::iam::tests::login;
    use crate::config::call::LoginDialect;
    use crate::secret::Secret;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn with(password: &str) -> Login {
        Login { secret: Secret::new(password), ..login(LoginDialect::PasswordV1) }
    }

    /// As another process finds it.
    fn reread(memory: &LoginMemory, now: Timestamp) -> LoginMemory {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("login.json");
        memory.write(&path).unwrap();
        LoginMemory::read(&path, now)
    }

    #[test]
    fn a_credential_is_tried_twice_a_day_and_not_twice_in_half_an_hour() {
        let (wrong, mut memory) = (with("wrong"), LoginMemory::default());
        // Minute of each try, and until when the next waits.
        for (now, until) in [(0, 30), (30, 24 * 60), (1440, 1470), (1500, 2880), (9000, 9030)] {
            assert!(memory.forbids(&wrong, at(now)).is_none(), "{now}");
            memory.reject(&wrong, "no".to_owned(), at(now));
            assert!(memory.forbids(&wrong, at(until - 1)).is_some(), "{now}");
            assert!(memory.forbids(&wrong, at(until)).is_none(), "{now}");
            memory = reread(&memory, at(now));
        }
    }

    #[test]
    fn a_change_ends_the_hold_and_changing_back_does_not() {
        let mut memory = LoginMemory::default();
        for now in [0, 30] {
            memory.reject(&with("one"), "no".to_owned(), at(now));
        }
        assert!(memory.forbids(&with("two"), at(31)).is_none());
        memory.reject(&with("two"), "no".to_owned(), at(31));
        assert!(memory.forbids(&with("one"), at(100)).is_some());
        assert!(
            memory.forbids(&with("two"), at(60)).is_some() && memory.forbids(&with("two"), at(61)).is_none()
        );
        // One that is right says nothing about another.
        memory.accept(&with("three"));
        assert!(memory.forbids(&with("one"), at(100)).is_some());
        memory.accept(&with("one"));
        memory.accept(&with("two"));
        assert_eq!(memory, LoginMemory::default());
    }

    #[test]
    fn times_later_than_now_do_not_hold_and_still_count() {
        let (wrong, now) = (with("wrong"), at(10_000));
        for ahead in [8 * 60, 4 * 365 * 24 * 60] {
            let mut memory = LoginMemory::default();
            memory.reject(&wrong, "no".to_owned(), at(10_000 + ahead));
            let mut memory = reread(&memory, now);
            assert!(memory.forbids(&wrong, now).is_none(), "the second try at once");
            memory.reject(&wrong, "no".to_owned(), now);
            assert!(memory.forbids(&wrong, at(10_000 + 24 * 60 - 1)).is_some(), "and no third");
            memory.unavailable = Some(Unavailable::new(&wrong, "down".to_owned(), at(10_000 + ahead), None));
            assert_eq!(reread(&memory, now).unavailable, None);
        }
        let mut memory = LoginMemory::default();
        for minutes in [20_000, 20_030] {
            memory.reject(&wrong, "no".to_owned(), at(minutes));
        }
        let held = reread(&memory, now).forbids(&wrong, now).map(Rejection::held_until);
        assert_eq!(held, Some(at(10_000 + 24 * 60)), "no hold is longer than a day");
        // A clock that was set back by seconds is no other clock.
        memory.reject(&wrong, "no".to_owned(), at(10_000));
        assert!(reread(&memory, at(10_000) - SignedDuration::from_secs(30)).forbids(&wrong, now).is_some());
    }

    #[test]
    fn an_iam_is_left_alone_as_long_as_it_wishes_and_the_rule_allows() {
        let (login, mut memory) = (with("right"), LoginMemory::default());
        for (pause, minutes) in [(None, 0), (Some(60), 1), (Some(3600), 5), (Some(u64::MAX), 5)] {
            let pause = pause.map(Duration::from_secs);
            memory.unavailable = Some(Unavailable::new(&login, "HTTP 429".to_owned(), at(0), pause));
            let seen = reread(&memory, at(0)).unavailable.unwrap();
            let until = |now| seen.left_alone(&login, now);
            assert_eq!(until(at(minutes) - SignedDuration::from_secs(1)).is_some(), minutes > 0, "{pause:?}");
            assert_eq!(until(at(minutes)), None, "{pause:?}");
            let other = Login { url: "https://other.example/login".parse().unwrap(), ..login.clone() };
            assert_eq!(seen.left_alone(&other, at(0)), None, "another IAM");
        }
    }

    #[test]
    fn a_hold_that_somebody_wrote_is_believed_as_far_as_the_rule_goes() {
        let (wrong, mut memory) = (with("wrong"), LoginMemory::default());
        memory.reject(&wrong, "no".to_owned(), at(0));
        memory.rejection.as_mut().unwrap().until = at(1_000_000);
        let memory = reread(&memory, at(1));
        assert_eq!(memory.forbids(&wrong, at(1)).map(Rejection::held_until), Some(at(30)));
    }

    #[test]
    fn the_file_tells_nothing_about_the_secret_and_survives_garbage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("login.json");
        let mut memory = LoginMemory::default();
        memory.reject(&with("hunter2"), "no".to_owned(), at(0));
        memory.write(&path).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
        assert_eq!(LoginMemory::read(&path, at(0)), memory);
        for garbage in ["{torn", r#"{"rejection":{"reason":"no","at":"1970-01-01T00:00:00Z"}}"#, "[]"] {
            std::fs::write(&path, garbage).unwrap();
            assert_eq!(LoginMemory::read(&path, at(0)), LoginMemory::default());
        }
        LoginMemory::default().write(&path).unwrap();
        assert!(!path.exists());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(60))]

        /// The clock is set back as often as it likes; credentials change and change back; memory is read anew each time.
        #[test]
        fn never_more_than_two_tries_of_one_credential_in_any_day(
            steps in proptest::collection::vec((0_i64..900, 0_i64..6, 0_usize..3, proptest::bool::weighted(0.2)), 1..24),
        ) {
            let credentials = ["one", "two", "three"].map(with);
            let mut memory = LoginMemory::default();
            // Minutes that have gone by, and how far the clock is ahead of where it will end.
            let (mut real, mut ahead) = (0, 40_000);
            let mut tries: [Vec<i64>; 3] = Default::default();
            for (wait, back, which, is_right) in steps {
                real += wait;
                // Small steps back and large ones.
                ahead -= [0, 0, 0, 1, 45, 3_000][usize::try_from(back).unwrap()];
                let now = at(real + ahead);
                memory = reread(&memory, now);
                if memory.forbids(&credentials[which], now).is_some() {
                    continue;
                }
                if is_right {
                    // What was accepted begins anew.
                    memory.accept(&credentials[which]);
                    tries[which].clear();
                    continue;
                }
                memory.reject(&credentials[which], "no".to_owned(), now);
                tries[which].push(real);
            }
            for tries in &tries {
                for three in tries.windows(3) {
                    // A step back that is within the tolerance may be believed.
                    proptest::prop_assert!(three[2] - three[0] >= 24 * 60, "{tries:?}");
                }
            }
        }
    }
}
