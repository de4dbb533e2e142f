//! A bearer token and how long it can be trusted.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::secret::Secret;

/// Longest lifetime that is believed: ten years.
const LONGEST: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

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

/// What the IAM's reply says about the life of its token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stated {
    /// For how long.
    pub life: Option<SignedDuration>,
    /// Until when, by the clock of the server.
    pub end: Option<Timestamp>,
    /// What the clock of the server said.
    pub server_now: Option<Timestamp>,
}

impl Token {
    /// A token that the IAM has just issued. It lives from now on, by our clock, for the shortest of the lifetimes that
    /// reply and token name: a difference of the clocks takes nothing from it and adds nothing. A lifetime that nobody
    /// can mean (over at birth, or longer than ten years) is none.
    pub fn issued(secret: Secret, now: Timestamp, stated: Stated) -> Self {
        let claims = claims(&secret).unwrap_or_default();
        let issued_at = date(&claims, "iat");
        let until = |end: Timestamp, from: [Option<Timestamp>; 3]| {
            from.into_iter().flatten().map(|from| end.duration_since(from)).find(is_lifetime)
        };
        let of_reply = stated.end.and_then(|end| until(end, [stated.server_now, issued_at, Some(now)]));
        let of_token =
            date(&claims, "exp").and_then(|end| until(end, [issued_at, stated.server_now, Some(now)]));
        let lives = [stated.life.filter(is_lifetime), of_reply, of_token];
        let expires_at = lives.into_iter().flatten().min().and_then(|life| now.checked_add(life).ok());
        Self { secret, obtained_at: now, expires_at }
    }

    /// A token that was found without our own notes about it; `stated` is the expiry that somebody else knows.
    pub fn found(secret: Secret, obtained_at: Timestamp, stated: Option<Timestamp>) -> Self {
        let claims = claims(&secret).unwrap_or_default();
        let expires_at = [stated, date(&claims, "exp")].into_iter().flatten().min();
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

/// Whether a token can live so long: longer than nothing, and not so long that it is a date.
fn is_lifetime(life: &SignedDuration) -> bool {
    life.is_positive() && *life <= LONGEST
}

/// A `NumericDate`: seconds since 1970, perhaps with a fraction.
fn date(claims: &Value, name: &str) -> Option<Timestamp> {
    Timestamp::from_second(whole(claims.get(name)?)?).ok()
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
        Token::found(Secret::new("opaque"), at(obtained), expires.map(at))
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
    fn the_earliest_expiry_of_a_token_that_was_found_counts() {
        let secret = Secret::new(jwt(50, 950));
        assert_eq!(Token::found(secret.clone(), at(60), Some(at(2_000))).expires_at, Some(at(950)));
        assert_eq!(Token::found(secret.clone(), at(60), Some(at(500))).expires_at, Some(at(500)));
        for broken in ["a.b.c", "x", "..", "a.e30.c"] {
            assert_eq!(Token::found(Secret::new(broken), at(0), None).expires_at, None, "{broken}");
        }
    }

    #[test]
    fn a_token_just_issued_lives_from_now_on_whatever_the_clock_of_the_server_says() {
        let now = 1_795_000_000;
        let stated = |life: Option<i64>, end: Option<i64>, server_now: Option<i64>| Stated {
            life: life.map(SignedDuration::from_secs),
            end: end.map(at),
            server_now: server_now.map(at),
        };
        let nothing = stated(None, None, None);
        // The token, what the reply says, the life; none is unknown, so that `token.max_age` holds.
        for (text, stated, life) in [
            (jwt(now, now + 900), nothing, Some(900)),
            (jwt(now - 3_600, now - 2_700), nothing, Some(900)),
            (jwt(now + 3_600, now + 4_500), nothing, Some(900)),
            (jwt(now - 3_600, now - 2_700), stated(Some(600), None, None), Some(600)),
            (jwt(now - 3_600, now - 2_700), stated(Some(0), None, None), Some(900)),
            (jwt(now, now), nothing, None),
            (jwt(now, now - 5), nothing, None),
            (jwt(0, now + 900), nothing, Some(900)),
            ("opaque".to_owned(), nothing, None),
            ("opaque".to_owned(), stated(Some(900), None, None), Some(900)),
            ("opaque".to_owned(), stated(Some(0), None, None), None),
            ("opaque".to_owned(), stated(Some(-5), None, None), None),
            ("opaque".to_owned(), stated(Some(now + 900), None, None), None),
            ("opaque".to_owned(), stated(Some((now + 900) * 1000), None, None), None),
            ("opaque".to_owned(), stated(Some(i64::MAX), None, None), None),
            ("opaque".to_owned(), stated(None, Some(now + 900), None), Some(900)),
            ("opaque".to_owned(), stated(None, Some(now - 2_700), Some(now - 3_600)), Some(900)),
            ("opaque".to_owned(), stated(None, Some(now - 2_700), None), None),
            ("opaque".to_owned(), stated(None, Some(900), None), None),
        ] {
            let token = Token::issued(Secret::new(text.clone()), at(now), stated);
            assert_eq!(token.expires_at, life.map(|life| at(now + life)), "{text} {stated:?}");
            assert_eq!(token.obtained_at, at(now));
            assert!(!token.needs_renewal(&POLICY, at(now)), "no login a call: {text} {stated:?}");
        }
    }
}
