//! A bearer token and how long it can be trusted.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::secret::Secret;

/// A token that was obtained from the IAM, here or by another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The bearer token itself.
    pub secret: Secret,
    /// When it was obtained.
    pub obtained_at: Timestamp,
    /// When it ends: the earliest of what the IAM said and what the token says; `None` when nobody tells.
    pub expires_at: Option<Timestamp>,
}

/// When a token is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// How long before its end; `None` is a tenth of its life, at least 5 s and at most 60 s.
    pub skew: Option<Duration>,
    /// How long a token of unknown expiry is used.
    pub max_age: Duration,
}

impl Token {
    /// The token from the IAM's reply or from a file; `stated` is the expiry that somebody else knows.
    pub fn new(secret: Secret, obtained_at: Timestamp, stated: Option<Timestamp>) -> Self {
        let claims = claims(&secret).unwrap_or_default();
        // A `NumericDate`: seconds, perhaps with a fraction.
        let time = |name: &str| Timestamp::from_second(whole(claims.get(name)?)?).ok();
        let expires_at = [stated, time("exp")].into_iter().flatten().min();
        let obtained_at = time("iat").map_or(obtained_at, |issued| obtained_at.max(issued));
        Self { secret, obtained_at, expires_at }
    }

    /// When it ends, as far as anybody knows.
    pub fn ends_at(&self, policy: &TokenPolicy) -> Timestamp {
        self.expires_at.unwrap_or_else(|| add(self.obtained_at, policy.max_age))
    }

    /// Whether it is over.
    pub fn is_expired(&self, policy: &TokenPolicy, now: Timestamp) -> bool {
        now >= self.ends_at(policy)
    }

    /// Whether it is time for a new one: so near the end that a call might outlive it.
    ///
    /// A token that lives shorter than twice the skew is renewed at half of its life, so that a short life cannot
    /// make every call log in.
    pub fn needs_renewal(&self, policy: &TokenPolicy, now: Timestamp) -> bool {
        let end = self.ends_at(policy);
        let life = Duration::try_from(end.duration_since(self.obtained_at)).unwrap_or(Duration::ZERO);
        let skew =
            policy.skew.unwrap_or_else(|| (life / 10).clamp(Duration::from_secs(5), Duration::from_mins(1)));
        let skew = if life <= skew * 2 { life / 2 } else { skew };
        add(now, skew) >= end
    }
}

/// `at + by`, staying within the calendar.
fn add(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// The claims of a JWT, read without verification: the IAM that issued it is the one that checks it.
fn claims(secret: &Secret) -> Option<Value> {
    let mut parts = secret.expose().split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

/// A number without its fraction.
fn whole(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second is dropped")]
    let truncated = |number: f64| number as i64;
    value.as_i64().or_else(|| value.as_f64().map(truncated))
}

/// A number, or a text that is one.
pub(super) fn number(value: &Value) -> Option<i64> {
    whole(value).or_else(|| value.as_str()?.trim().parse().ok())
}

/// A moment: seconds or milliseconds since 1970, RFC 3339, or RFC 1123.
pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    if let Some(number) = number(value) {
        let is_millis = number > 100_000_000_000;
        return if is_millis { Timestamp::from_millisecond(number) } else { Timestamp::from_second(number) }
            .ok();
    }
    let text = value.as_str()?.trim();
    text.parse().ok().or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
}

#[cfg(test)]
pub(super) fn jwt(issued: i64, expires: i64) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let payload = part(serde_json::json!({"iat": issued, "exp": expires}));
    format!("{}.{payload}.c2ln", part(serde_json::json!({"alg": "RS256"})))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: TokenPolicy = TokenPolicy { skew: None, max_age: Duration::from_secs(600) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn token(obtained: i64, expires: Option<i64>) -> Token {
        Token::new(Secret::new("opaque"), at(obtained), expires.map(at))
    }

    #[test]
    fn a_token_is_renewed_before_its_end_and_not_after() {
        // Life, first second at which it is renewed: the sign of the skew is what this table proves.
        for (life, renewed_at) in [(900, 840), (100, 90), (20, 15), (10, 5), (8, 4), (3600, 3540)] {
            let token = token(0, Some(life));
            assert!(!token.needs_renewal(&POLICY, at(renewed_at - 1)), "life {life}");
            assert!(token.needs_renewal(&POLICY, at(renewed_at)), "life {life}");
            assert!(!token.is_expired(&POLICY, at(life - 1)) && token.is_expired(&POLICY, at(life)));
        }
    }

    #[test]
    fn a_configured_skew_is_kept_unless_it_eats_the_token() {
        let policy = TokenPolicy { skew: Some(Duration::from_secs(120)), ..POLICY };
        assert!(token(0, Some(900)).needs_renewal(&policy, at(780)));
        assert!(!token(0, Some(900)).needs_renewal(&policy, at(779)));
        assert!(!token(0, Some(200)).needs_renewal(&policy, at(99)));
        assert!(token(0, Some(200)).needs_renewal(&policy, at(100)));
    }

    #[test]
    fn unknown_expiry_is_a_bounded_age_and_never_for_ever() {
        let token = token(1_000, None);
        assert_eq!(token.ends_at(&POLICY), at(1_600));
        assert!(token.is_expired(&POLICY, at(1_600)));
    }

    #[test]
    fn the_earliest_expiry_counts() {
        let secret = Secret::new(jwt(50, 950));
        assert_eq!(Token::new(secret.clone(), at(60), Some(at(2_000))).expires_at, Some(at(950)));
        assert_eq!(Token::new(secret.clone(), at(60), Some(at(500))).expires_at, Some(at(500)));
        assert_eq!(Token::new(secret, at(10), None).obtained_at, at(50));
        for broken in ["a.b.c", "x", "..", "a.e30.c"] {
            assert_eq!(Token::new(Secret::new(broken), at(0), None).expires_at, None, "{broken}");
        }
    }
}
