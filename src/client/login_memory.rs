//! What the last login came to, beside the token: so that a wrong password is tried once and not once an hour until
//! the account is locked, and so that a queue of waiting processes does not ask a dead IAM one after the other.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::domain::hex::hex;
use crate::files::{self, Durability, PRIVATE};

/// How long a first rejection is remembered; it doubles with each further one.
const FIRST: SignedDuration = SignedDuration::from_mins(15);
/// The longest that a rejection is remembered.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);

/// The memory of one token file. An unreadable memory is an empty one: the worst it costs is one login too many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginMemory {
    /// The credential that was rejected last.
    pub rejection: Option<Rejection>,
    /// The last time that the IAM could not be asked.
    pub unavailable: Option<Unavailable>,
}

/// The IAM said no to a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// In the IAM's words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Until when it is not asked again.
    pub until: Timestamp,
    /// How many times in a row.
    pub streak: u32,
    /// Which credential: a salted digest of address, account and secret.
    pub fingerprint: String,
    /// The salt.
    pub salt: String,
}

/// The IAM gave no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl LoginMemory {
    /// Reads it.
    pub fn read(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes it; an empty memory removes the file.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        if *self == Self::default() {
            return files::remove(path).map(|_| ());
        }
        let json = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        files::replace(path, &json, PRIVATE, Durability::Rename)
    }

    /// The rejection that forbids a login with `identity` now.
    pub fn forbids(&self, identity: &[&str], now: Timestamp) -> Option<&Rejection> {
        self.rejection.as_ref().filter(|rejection| {
            now < rejection.until && rejection.fingerprint == fingerprint(&rejection.salt, identity)
        })
    }

    /// Remembers a rejection of `identity`.
    pub fn reject(&mut self, identity: &[&str], reason: String, now: Timestamp, salt: String) {
        let streak = self
            .rejection
            .as_ref()
            .filter(|last| last.fingerprint == fingerprint(&last.salt, identity))
            .map_or(1, |last| last.streak.saturating_add(1));
        let pause = FIRST.saturating_mul(1 << streak.saturating_sub(1).min(16)).min(LONGEST);
        let until = now.checked_add(pause).unwrap_or(now);
        let fingerprint = fingerprint(&salt, identity);
        self.rejection = Some(Rejection { reason, at: now, until, streak, fingerprint, salt });
        self.unavailable = None;
    }
}

fn fingerprint(salt: &str, identity: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [salt].iter().chain(identity) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex(context.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    #[test]
    fn a_rejection_lasts_longer_each_time_and_ends_when_the_credential_changes() {
        let identity = ["https://iam", "user", "wrong"];
        let mut memory = LoginMemory::default();
        let mut now = 0;
        for pause in [15, 30, 60, 120, 240, 360, 360] {
            memory.reject(&identity, "no".to_owned(), at(now), "salt".to_owned());
            assert!(memory.forbids(&identity, at(now + pause - 1)).is_some(), "after {now}");
            assert!(memory.forbids(&identity, at(now + pause)).is_none(), "after {now}");
            now += pause;
        }
        assert!(memory.forbids(&["https://iam", "user", "right"], at(now - 1)).is_none());
        assert!(memory.forbids(&["https://iam", "userw", "rong"], at(now - 1)).is_none());
        memory.reject(&["https://iam", "user", "other"], "no".to_owned(), at(now), "salt".to_owned());
        assert_eq!(memory.rejection.unwrap().streak, 1);
    }

    #[test]
    fn the_file_tells_nothing_about_the_secret_and_survives_garbage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("login.json");
        let mut memory = LoginMemory::default();
        memory.reject(&["https://iam", "user", "hunter2"], "no".to_owned(), at(0), "salt".to_owned());
        memory.write(&path).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
        assert_eq!(LoginMemory::read(&path), memory);
        std::fs::write(&path, "{torn").unwrap();
        assert_eq!(LoginMemory::read(&path), LoginMemory::default());
        LoginMemory::default().write(&path).unwrap();
        assert!(!path.exists());
    }
}
