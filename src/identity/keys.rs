//! Keys: a pair that signs, the public half as a JSON Web Key, and where verification finds a key.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::provider;
use crate::secret::Secret;

/// A key that verifies, with the one algorithm that it is for.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The public key.
    pub key: DecodingKey,
}

/// What the header of a token says about its key.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The id of the key; an issuer that has one key need not name it (RFC 7515 §4.1.4).
    pub kid: Option<&'a str>,
    /// The algorithm.
    pub algorithm: Algorithm,
}

/// What is known about the key of a token.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Keys of the wanted algorithm, one of which may be it.
    Found {
        /// The likeliest first.
        keys: Vec<VerifyingKey>,
        /// Each has the id that the token names: there is no reason to look for another one.
        named: bool,
    },
    /// A key with this id is for another algorithm.
    OtherAlgorithm,
    /// There is no such key.
    Unknown,
    /// Nobody knows: the keys could not be fetched, or none of them can be used.
    Unavailable {
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// Where verification finds the key of a token. A remote key set may have to fetch it.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The keys that fit.
    async fn find(&self, wanted: Wanted<'_>) -> Lookup;

    /// The same for a token that none of the keys has signed that fitted until now: there may be a new one, which no id
    /// tells from the old ones.
    async fn find_newer(&self, wanted: Wanted<'_>) -> Lookup;
}

/// No key could be made.
#[derive(Debug, Error)]
#[error("the system gave no random numbers for a signing key")]
pub struct KeyError;

/// An ES256 key pair that lives as long as the process.
#[derive(Debug)]
pub struct SigningKey {
    kid: String,
    x: String,
    y: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl SigningKey {
    /// Makes a new pair.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        provider::install();
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| KeyError)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .map_err(|_| KeyError)?;
        // An uncompressed point: 4, then 32 bytes x and 32 bytes y.
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Ok(Self {
            kid: thumbprint(&x, &y),
            encoding: EncodingKey::from_ec_der(pkcs8.as_ref()),
            decoding: DecodingKey::from_ec_der(point),
            x,
            y,
        })
    }

    /// The id of the key: its thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as RFC 7517 writes it.
    pub fn public(&self) -> Value {
        let Self { kid, x, y, .. } = self;
        json!({ "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": kid, "x": x, "y": y })
    }

    /// The token that says this.
    ///
    /// # Errors
    /// When the system gives no random numbers for the signature.
    pub fn sign(&self, claims: &impl Serialize) -> Result<Secret, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.encoding).map(Secret::new)
    }
}

fn thumbprint(x: &str, y: &str) -> String {
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[async_trait]
impl KeySource for SigningKey {
    async fn find(&self, wanted: Wanted<'_>) -> Lookup {
        if wanted.kid.is_some_and(|kid| kid != self.kid) {
            return Lookup::Unknown;
        }
        if wanted.algorithm != Algorithm::ES256 {
            return Lookup::OtherAlgorithm;
        }
        let key = VerifyingKey { algorithm: Algorithm::ES256, key: self.decoding.clone() };
        // There is no other one.
        Lookup::Found { keys: vec![key], named: true }
    }

    async fn find_newer(&self, wanted: Wanted<'_>) -> Lookup {
        self.find(wanted).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::Jwk;

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638() {
        // P-256 key of RFC 7517 appendix A.1; the digest was computed by another program.
        let (x, y) =
            ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        assert_eq!(thumbprint(x, y), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    }

    #[test]
    fn a_published_key_is_a_jwk_that_libraries_read() {
        let key = SigningKey::generate().unwrap();
        let jwk: Jwk = serde_json::from_value(key.public()).unwrap();
        assert_eq!(jwk.common.key_id.as_deref(), Some(key.kid()));
        assert!(DecodingKey::from_jwk(&jwk).is_ok());
        assert!(format!("{key:?}").contains("[redacted]"), "the private half must not be shown");
    }
}
