//! A fake IAM: keys of both kinds, the key set that it serves, and any token, good or forged.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use qs_scheduler::clock::{Clock, SystemClock};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, PublicKeyComponents};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::fake::{Answer, FakeServer};

/// What the tokens of this IAM say.
pub const ISSUER: &str = "https://iam-apiserver:9444";
/// For whom they are.
pub const AUDIENCE: &str = "qs";
/// Where the key set is.
pub const PATH: &str = "/.well-known/jwks.json";

/// A key that signs.
pub enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl Key {
    /// The test key of the fixtures: ring makes no RSA keys. It is published with the source; nothing may trust it.
    pub fn rsa() -> Self {
        let pem = include_bytes!("../../fixtures/test-only-rsa-2048.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).expect("a PKCS #8 key");
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("an RSA key")))
    }

    /// A new one.
    pub fn ec() -> Self {
        let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let der = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("random numbers");
        Self::Ec(Box::new(EcdsaKeyPair::from_pkcs8(kind, der.as_ref(), &random).expect("a P-256 key")))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    /// The public half as RFC 7517 writes it.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public: PublicKeyComponents<Vec<u8>> = key.public().into();
                let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e })
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y })
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("the sizes fit");
                signature
            }
            Self::Ec(key) => key.sign(&random, message).expect("random numbers").as_ref().to_vec(),
        }
    }

    /// A token that says this.
    pub fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_as(self.algorithm(), kid, claims)
    }

    /// A token of these texts, which need not be JSON.
    pub fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes())))
    }

    /// A token whose header lies about the algorithm.
    pub fn token_as(&self, alg: &str, kid: &str, claims: &Value) -> String {
        signed(&json!({ "alg": alg, "typ": "JWT", "kid": kid }), claims, |message| self.sign(message))
    }
}

/// A token with this header and claims, signed by `sign`.
pub fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token that a secret signs: the public key, as far as everybody knows.
pub fn hs256(kid: &str, secret: &[u8], claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
    signed(&header, claims, |message| hmac::sign(&key, message).as_ref().to_vec())
}

/// The claims of a good token, with these changed; `null` takes one away.
pub fn claims(changes: &Value) -> Value {
    let now = now();
    let mut claims = json!({
        "iss": ISSUER, "aud": [AUDIENCE], "sub": "7", "user_id": "7", "account_id": "8", "tenant_id": "1",
        "roles": ["qs:admin"], "jti": "j", "iat": now, "nbf": now, "exp": now + 900,
    });
    let object = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("changes are an object") {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// Seconds of the machine's clock, which the server under test reads too.
pub fn now() -> i64 {
    SystemClock.now().as_second()
}

/// The IAM's key set, behind an answer that a test can change at any time.
pub struct FakeIam {
    server: FakeServer,
    answer: Arc<Mutex<Answer>>,
}

impl FakeIam {
    pub fn start(answer: Answer) -> Self {
        Self::launch(answer, None)
    }

    /// The same over https.
    pub fn start_tls(answer: Answer, tls: Arc<ServerConfig>) -> Self {
        Self::launch(answer, Some(tls))
    }

    fn launch(answer: Answer, tls: Option<Arc<ServerConfig>>) -> Self {
        let answer = Arc::new(Mutex::new(answer));
        let current = Arc::clone(&answer);
        let script = move |_: &_| current.lock().expect("no script panics").clone();
        let server = match tls {
            Some(config) => FakeServer::start_tls(config, script),
            None => FakeServer::start(script),
        };
        Self { server, answer }
    }

    /// From now on it answers with this.
    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().expect("no script panics") = answer;
    }

    pub fn url(&self) -> String {
        format!("{}{PATH}", self.server.url())
    }

    /// How often it was asked for its keys.
    pub fn fetches(&self) -> usize {
        self.server.count(PATH)
    }
}

/// An answer with these public keys.
pub fn key_set(keys: &[Value]) -> Answer {
    Answer::json(200, &json!({ "keys": keys }))
}
