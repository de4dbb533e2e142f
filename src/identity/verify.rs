//! Verifying access tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};

use super::claims::{Claims, Identity};
use super::error::VerifyError;
use super::keys::{KeySource, Lookup, VerifyingKey, Wanted};
use super::provider;
use crate::clock::SharedClock;
use crate::domain::json::unambiguous;

/// Algorithms that can be accepted at all, whatever a setting or a key set says. `none` and HMAC never are.
const SUPPORTED: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// What every token must say.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The claim `iss`.
    pub issuer: String,
    /// Must be in the claim `aud`.
    pub audience: String,
    /// How far the clocks of issuer and server may differ.
    pub leeway: Duration,
}

/// Verifies tokens.
pub struct Verifier {
    keys: Arc<dyn KeySource>,
    rules: Rules,
    clock: SharedClock,
    algorithms: Vec<Algorithm>,
}

impl Verifier {
    /// A verifier of tokens signed with these keys, by every algorithm that is supported.
    pub fn new(keys: Arc<dyn KeySource>, rules: Rules, clock: SharedClock) -> Self {
        provider::install();
        Self { keys, rules, clock, algorithms: SUPPORTED.to_vec() }
    }

    /// Accepts these algorithms alone. Those that are not supported (`none`, HMAC) stay refused.
    #[must_use]
    pub fn only(mut self, algorithms: &[Algorithm]) -> Self {
        self.algorithms.retain(|supported| algorithms.contains(supported));
        self
    }

    /// Who sent this token.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub async fn verify(&self, token: &str) -> Result<Identity, VerifyError> {
        // `none` and names that do not exist fail to parse here.
        let header = decode_header(token).map_err(|_| VerifyError::Malformed)?;
        if !is_unambiguous(token) {
            return Err(VerifyError::Ambiguous);
        }
        if !self.algorithms.contains(&header.alg) {
            return Err(VerifyError::Algorithm);
        }
        if header.crit.is_some() {
            return Err(VerifyError::Critical);
        }
        let claims = self.signed(token, Wanted { kid: header.kid.as_deref(), algorithm: header.alg }).await?;
        if claims.iss != self.rules.issuer {
            return Err(VerifyError::Issuer);
        }
        self.life(&claims)?;
        claims.identity()
    }

    /// The claims, if a key that fits has signed them. Where no id tells the keys apart, the IAM may have a newer one.
    async fn signed(&self, token: &str, wanted: Wanted<'_>) -> Result<Claims, VerifyError> {
        let (keys, named) = found(self.keys.find(wanted).await)?;
        match self.decoded(token, &keys) {
            Err(VerifyError::Signature) if !named => {
                let (keys, _) = found(self.keys.find_newer(wanted).await)?;
                self.decoded(token, &keys)
            }
            decoded => decoded,
        }
    }

    /// What the token says by the first of these keys that has signed it.
    fn decoded(&self, token: &str, keys: &[VerifyingKey]) -> Result<Claims, VerifyError> {
        let mut refused = VerifyError::Signature;
        for key in keys {
            // A public key is no secret: the key says what is done with it, not the header.
            let mut validation = Validation::new(key.algorithm);
            // The library takes a list for the one issuer that there is (RFC 7519 §4.1.1), so ours compares.
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            validation.set_audience(&[&self.rules.audience]);
            // The library reads the machine's clock; ours is injected, so life is checked elsewhere.
            validation.validate_exp = false;
            match decode::<Claims>(token, &key.key, &validation).map_err(|error| reason(&error)) {
                Err(VerifyError::Signature) => {}
                Err(error) => {
                    refused = error;
                    break;
                }
                Ok(token) => return Ok(token.claims),
            }
        }
        Err(refused)
    }

    fn life(&self, claims: &Claims) -> Result<(), VerifyError> {
        let now = self.clock.now().as_second();
        let leeway = i64::try_from(self.rules.leeway.as_secs()).unwrap_or(i64::MAX);
        if now >= claims.exp.saturating_add(leeway) {
            return Err(VerifyError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| now < nbf.saturating_sub(leeway)) {
            return Err(VerifyError::NotYetValid);
        }
        Ok(())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// The keys to try, and whether the token names each of them.
fn found(lookup: Lookup) -> Result<(Vec<VerifyingKey>, bool), VerifyError> {
    match lookup {
        Lookup::Found { keys, named } => Ok((keys, named)),
        Lookup::OtherAlgorithm => Err(VerifyError::Algorithm),
        Lookup::Unknown => Err(VerifyError::UnknownKey),
        Lookup::Unavailable { retry_after } => Err(VerifyError::KeysUnavailable { retry_after }),
    }
}

/// Whether header and claims are objects in which every field stands once. What is no base64 or no JSON is left to the
/// library, which says so.
fn is_unambiguous(token: &str) -> bool {
    let parts = token.split('.').take(2).filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    parts.into_iter().all(|part| unambiguous(&part).is_ok() || !is_json(&part))
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

fn reason(error: &jsonwebtoken::errors::Error) -> VerifyError {
    match error.kind() {
        ErrorKind::InvalidSignature => VerifyError::Signature,
        ErrorKind::InvalidAudience => VerifyError::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => VerifyError::Algorithm,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            VerifyError::Claims
        }
        _ => VerifyError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Simulated;
    use crate::identity::Role;
    use crate::identity::keys::SigningKey;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::{SignedDuration, Timestamp};
    use jsonwebtoken::DecodingKey;
    use ring::rand::SystemRandom;
    use ring::rsa::{KeyPair, PublicKeyComponents};
    use ring::signature::RSA_PKCS1_SHA256;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::pki_types::pem::PemObject;
    use serde_json::{Value, json};

    struct Bench {
        clock: Arc<Simulated>,
        key: Arc<SigningKey>,
        verifier: Verifier,
    }

    fn bench() -> Bench {
        let clock = Simulated::new(Timestamp::from_second(1_000_000).unwrap());
        let key = Arc::new(SigningKey::generate().unwrap());
        let rules =
            Rules { issuer: "iam".to_owned(), audience: "qs".to_owned(), leeway: Duration::from_secs(30) };
        let verifier = Verifier::new(key.clone(), rules, clock.clone());
        Bench { clock, key, verifier }
    }

    fn claims() -> Value {
        json!({
            "jti": "j", "sub": "7", "iss": "iam", "aud": ["qs"], "iat": 1_000_000, "nbf": 1_000_000,
            "exp": 1_000_900, "user_id": 7, "account_id": 8, "tenant_id": 1, "roles": ["admin", "caller", "x"],
        })
    }

    fn sign(key: &SigningKey, claims: &Value) -> String {
        key.sign(claims).unwrap().expose().to_owned()
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut claims = claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        claims
    }

    #[tokio::test]
    async fn a_good_token_names_its_caller() {
        let b = bench();
        let identity = b.verifier.verify(&sign(&b.key, &claims())).await.unwrap();
        assert_eq!(
            identity,
            Identity { subject: "7".to_owned(), org_id: 1, roles: vec![Role::Admin, Role::Caller] }
        );
        let text = changed("tenant_id", json!("42"));
        assert_eq!(b.verifier.verify(&sign(&b.key, &text)).await.unwrap().org_id, 42);
        let single = changed("aud", json!("qs"));
        assert!(b.verifier.verify(&sign(&b.key, &single)).await.is_ok());
    }

    #[tokio::test]
    async fn each_broken_rule_is_named() {
        let b = bench();
        for (name, value, expected) in [
            ("iss", json!("other"), VerifyError::Issuer),
            ("iss", Value::Null, VerifyError::Claims),
            ("iss", json!(["iam"]), VerifyError::Claims),
            ("iss", json!(["evil", "iam"]), VerifyError::Claims),
            ("aud", json!(["other"]), VerifyError::Audience),
            ("aud", json!([]), VerifyError::Audience),
            ("aud", Value::Null, VerifyError::Claims),
            ("exp", json!(999_970), VerifyError::Expired),
            ("exp", json!("soon"), VerifyError::Claims),
            ("exp", Value::Null, VerifyError::Claims),
            ("nbf", json!(1_000_031), VerifyError::NotYetValid),
            ("user_id", json!("abc"), VerifyError::Claims),
            ("tenant_id", Value::Null, VerifyError::Tenant),
        ] {
            let token = sign(&b.key, &changed(name, value.clone()));
            assert_eq!(b.verifier.verify(&token).await, Err(expected), "{name} = {value}");
        }
    }

    #[tokio::test]
    async fn life_ends_at_exp_plus_leeway_on_the_injected_clock() {
        let b = bench();
        let token = sign(&b.key, &claims());
        b.clock.advance(SignedDuration::from_secs(929));
        assert!(b.verifier.verify(&token).await.is_ok());
        b.clock.advance(SignedDuration::from_secs(1));
        assert_eq!(b.verifier.verify(&token).await, Err(VerifyError::Expired));
    }

    #[tokio::test]
    async fn no_algorithm_but_the_keys_own_is_accepted() {
        let b = bench();
        let body = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let kid = b.key.kid();
        let none = format!("{}.{}.", body(&json!({"alg": "none", "kid": kid})), body(&claims()));
        assert_eq!(b.verifier.verify(&none).await, Err(VerifyError::Malformed));
        for alg in ["HS256", "HS512", "RS256", "RS512", "ES384"] {
            let forged = format!("{}.{}.AAAA", body(&json!({"alg": alg, "kid": kid})), body(&claims()));
            assert_eq!(b.verifier.verify(&forged).await, Err(VerifyError::Algorithm), "{alg}");
        }
        let good = sign(&b.key, &claims());
        let (head, _) = good.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode([1; 64]));
        assert_eq!(b.verifier.verify(&forged).await, Err(VerifyError::Signature));
        let foreign = sign(&SigningKey::generate().unwrap(), &claims());
        assert_eq!(b.verifier.verify(&foreign).await, Err(VerifyError::UnknownKey));
        let nameless = format!("{}.{}.AAAA", body(&json!({"alg": "ES256"})), body(&claims()));
        assert_eq!(b.verifier.verify(&nameless).await, Err(VerifyError::Signature));
        for garbage in ["", "x", "a.b.c", "....", &good[..good.len() / 2]] {
            assert!(b.verifier.verify(garbage).await.is_err(), "{garbage:?}");
        }
    }

    /// The test key of the fixtures, as the only key of an IAM.
    struct Rsa(KeyPair);

    impl Rsa {
        fn new() -> Self {
            let pem = include_bytes!("../../tests/fixtures/test-only-rsa-2048.pem");
            let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
            Self(KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap())
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let body = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", body(header), body(claims));
            let mut signature = vec![0; self.0.public().modulus_len()];
            self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    #[async_trait::async_trait]
    impl KeySource for Rsa {
        async fn find_newer(&self, wanted: Wanted<'_>) -> Lookup {
            self.find(wanted).await
        }

        async fn find(&self, wanted: Wanted<'_>) -> Lookup {
            if wanted.algorithm != Algorithm::RS256 {
                return Lookup::OtherAlgorithm;
            }
            let public: PublicKeyComponents<Vec<u8>> = self.0.public().into();
            let key = DecodingKey::from_rsa_raw_components(&public.n, &public.e);
            let keys = vec![VerifyingKey { algorithm: Algorithm::RS256, key }];
            Lookup::Found { keys, named: true }
        }
    }

    #[tokio::test]
    async fn rs256_is_verified_unless_it_is_not_allowed_or_changed() {
        let rules = bench().verifier.rules;
        let clock = Simulated::new(Timestamp::from_second(1_000_000).unwrap());
        let verifier = Verifier::new(Arc::new(Rsa::new()), rules.clone(), clock.clone());
        let good = Rsa::new().token(&json!({"alg": "RS256", "kid": "r"}), &claims());
        assert_eq!(verifier.verify(&good).await.unwrap().org_id, 1);
        let (head, _) = good.rsplit_once('.').unwrap();
        for signature in [vec![0; 256], vec![1], Vec::new()] {
            let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode(signature));
            assert_eq!(verifier.verify(&forged).await, Err(VerifyError::Signature));
        }
        for alg in ["ES256", "HS256", "RS384", "PS256"] {
            let confused = Rsa::new().token(&json!({"alg": alg, "kid": "r"}), &claims());
            assert_eq!(verifier.verify(&confused).await, Err(VerifyError::Algorithm), "{alg}");
        }
        let critical = json!({"alg": "RS256", "kid": "r", "crit": ["exp"]});
        let critical = Rsa::new().token(&critical, &claims());
        assert_eq!(verifier.verify(&critical).await, Err(VerifyError::Critical));
        let narrow =
            Verifier::new(Arc::new(Rsa::new()), rules, clock).only(&[Algorithm::ES256, Algorithm::HS256]);
        assert_eq!(narrow.algorithms, [Algorithm::ES256]);
        assert_eq!(narrow.verify(&good).await, Err(VerifyError::Algorithm));
    }
}
