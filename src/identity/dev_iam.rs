//! An IAM for development and tests: one account, tokens signed by a key that lives as long as the process.
//!
//! It speaks the login of the real one, locks the account like it, and is never reachable from other machines: `app`
//! refuses to start it anywhere but on loopback.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::keys::{KeyError, SigningKey};
use super::verify::Rules;
use crate::clock::SharedClock;
use crate::secret::Secret;

/// Organisation of the account.
const TENANT: u64 = 1;

/// User and account id of the account.
const USER: u64 = 1;

/// What the account may do.
const ROLES: [&str; 2] = ["admin", "caller"];

/// The account and its rules.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// Life of a token.
    pub ttl: Duration,
    /// Wrong passwords in a row until it is locked; 0 is never.
    pub lockout_threshold: u32,
    /// How long it stays locked.
    pub lockout_duration: Duration,
}

/// Why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LoginError {
    /// No such account, or the wrong password: which one is not told.
    #[error("invalid credentials")]
    Invalid,
    /// Too many wrong passwords.
    #[error("the account is locked after too many wrong passwords")]
    Locked {
        /// Until it opens again.
        retry_after: Duration,
    },
    /// The token could not be signed.
    #[error("the token could not be signed")]
    Unsigned,
}

/// A token that was granted.
#[derive(Debug)]
pub struct Granted {
    /// The token.
    pub access_token: Secret,
    /// Its life in seconds.
    pub expires_in: u64,
}

/// What its tokens say, in the form of the real IAM.
#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    sub: String,
    iss: &'a str,
    aud: [&'a str; 1],
    iat: i64,
    nbf: i64,
    exp: i64,
    user_id: u64,
    account_id: u64,
    tenant_id: u64,
    roles: [&'static str; 2],
}

#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    locked_until: Option<Timestamp>,
}

/// The IAM.
pub struct DevIam {
    account: Account,
    rules: Rules,
    clock: SharedClock,
    key: Arc<SigningKey>,
    // Credentials are compared as keyed digests: in constant time, whatever their length.
    mac: hmac::Key,
    expected: (hmac::Tag, hmac::Tag),
    failures: Mutex<Failures>,
}

impl DevIam {
    /// Starts it with a new key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(account: Account, rules: Rules, clock: SharedClock) -> Result<Self, KeyError> {
        let key = Arc::new(SigningKey::generate()?);
        let mac = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| KeyError)?;
        let expected = (
            hmac::sign(&mac, account.username.as_bytes()),
            hmac::sign(&mac, account.password.expose().as_bytes()),
        );
        Ok(Self { account, rules, clock, key, mac, expected, failures: Mutex::default() })
    }

    /// The key that its tokens are verified with.
    pub fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.key)
    }

    /// Its public keys, as RFC 7517 writes them.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.key.public()] })
    }

    /// Checks the credentials and grants a token.
    ///
    /// # Errors
    /// When they are wrong, or the account is locked: then even the right password is refused.
    pub fn login(&self, username: &str, password: &Secret) -> Result<Granted, LoginError> {
        let now = self.clock.now();
        let known = hmac::verify(&self.mac, username.as_bytes(), self.expected.0.as_ref()).is_ok();
        let right = hmac::verify(&self.mac, password.expose().as_bytes(), self.expected.1.as_ref()).is_ok();
        if !known {
            return Err(LoginError::Invalid);
        }
        self.count(now, right)?;
        let claims = self.claims(now).ok_or(LoginError::Unsigned)?;
        let access_token = self.key.sign(&claims).map_err(|_| LoginError::Unsigned)?;
        Ok(Granted { access_token, expires_in: self.account.ttl.as_secs() })
    }

    /// The one place where the account locks and opens.
    fn count(&self, now: Timestamp, right: bool) -> Result<(), LoginError> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = failures.locked_until {
            if now < until {
                let left = until.duration_since(now);
                return Err(LoginError::Locked { retry_after: left.unsigned_abs() });
            }
            *failures = Failures::default();
        }
        if right {
            *failures = Failures::default();
            return Ok(());
        }
        failures.in_a_row += 1;
        if self.account.lockout_threshold > 0 && failures.in_a_row >= self.account.lockout_threshold {
            let lock = SignedDuration::try_from(self.account.lockout_duration).unwrap_or(SignedDuration::MAX);
            failures.locked_until = Some(now.checked_add(lock).unwrap_or(Timestamp::MAX));
        }
        Err(LoginError::Invalid)
    }

    fn claims(&self, now: Timestamp) -> Option<Claims<'_>> {
        let now = now.as_second();
        Some(Claims {
            jti: random_text::<16>()?,
            sub: USER.to_string(),
            iss: &self.rules.issuer,
            aud: [&self.rules.audience],
            iat: now,
            nbf: now,
            exp: now.saturating_add(i64::try_from(self.account.ttl.as_secs()).unwrap_or(i64::MAX)),
            user_id: USER,
            account_id: USER,
            tenant_id: TENANT,
            roles: ROLES,
        })
    }
}

impl fmt::Debug for DevIam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIam").field("account", &self.account).finish_non_exhaustive()
    }
}

/// A password that nobody has chosen: 144 bits.
///
/// # Errors
/// When the system gives no random numbers.
pub fn generate_password() -> Result<Secret, KeyError> {
    random_text::<18>().map(Secret::new).ok_or(KeyError)
}

fn random_text<const BYTES: usize>() -> Option<String> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Simulated;
    use crate::identity::Verifier;

    fn iam(clock: &Arc<Simulated>) -> DevIam {
        let account = Account {
            username: "dev".to_owned(),
            password: Secret::new("p\"\\$`&|%'\n密码"),
            ttl: Duration::from_mins(15),
            lockout_threshold: 3,
            lockout_duration: Duration::from_mins(1),
        };
        let rules = Rules { issuer: "iam".to_owned(), audience: "qs".to_owned(), leeway: Duration::ZERO };
        DevIam::new(account, rules, clock.clone()).unwrap()
    }

    #[tokio::test]
    async fn a_granted_token_verifies_with_its_own_key() {
        let clock = Simulated::new(Timestamp::from_second(1_000).unwrap());
        let iam = iam(&clock);
        let granted = iam.login("dev", &Secret::new("p\"\\$`&|%'\n密码")).unwrap();
        assert_eq!(granted.expires_in, 900);
        let verifier = Verifier::new(iam.key(), iam.rules.clone(), clock.clone());
        let identity = verifier.verify(granted.access_token.expose()).await.unwrap();
        assert_eq!((identity.subject.as_str(), identity.org_id, identity.roles.len()), ("1", 1, 2));
        assert!(!format!("{granted:?} {iam:?}").contains("密码"));
    }

    #[test]
    fn three_wrong_passwords_lock_and_time_opens() {
        let clock = Simulated::new(Timestamp::from_second(1_000).unwrap());
        let iam = iam(&clock);
        let (wrong, right) = (Secret::new("wrong"), Secret::new("p\"\\$`&|%'\n密码"));
        let login = |password: &Secret| iam.login("dev", password).map(|_| ());
        assert_eq!(login(&wrong), Err(LoginError::Invalid));
        assert_eq!(login(&wrong), Err(LoginError::Invalid));
        assert_eq!(login(&right), Ok(()), "a right one starts the count again");
        for _ in 0..3 {
            assert_eq!(login(&wrong), Err(LoginError::Invalid));
            assert_eq!(iam.login("nobody", &wrong).map(|_| ()), Err(LoginError::Invalid));
        }
        clock.advance(SignedDuration::from_secs(59));
        assert_eq!(login(&right), Err(LoginError::Locked { retry_after: Duration::from_secs(1) }));
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(login(&right), Ok(()));
    }
}
