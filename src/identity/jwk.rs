//! A JSON Web Key Set as an IAM serves it, read into keys that verify.
//!
//! A key that cannot be used is left out, so that one odd key does not take the others with it. A set without a usable
//! key is an error: it must never replace keys that work.
//!
//! An id need not tell one key (RFC 7517 §4.5): a key of each algorithm may share it, or an old and a new one; and a key
//! need not have any. Whatever may have signed a token is tried.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::keys::{Lookup, VerifyingKey, Wanted};

/// Smallest RSA modulus, in bits; ring refuses smaller ones as well.
const RSA_MIN_BITS: usize = 2048;

/// Largest RSA modulus, in bits: verification takes longer with each.
const RSA_MAX_BITS: usize = 8192;

/// Largest RSA exponent that ring takes: 33 bits.
const EXPONENT_MAX_BYTES: usize = 5;

/// Most keys that are tried for one token: a signature is dear, and who sends it is not known yet.
const MOST_TRIED: usize = 20;

/// Most keys of which it is said why they cannot be used.
const MOST_REASONS: usize = 20;

/// Why an answer is no key set. The answer itself is not repeated: it may be anything.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum SetError {
    #[error("the answer is not JSON")]
    NoJson,
    #[error("the answer holds no list of keys")]
    NoKeys,
    /// It is one, of keys that cannot be used, with the reason for each.
    #[error("{0}")]
    NoneUsable(String),
}

/// The usable keys of an IAM, in its order, with the id of each.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<(Option<String>, VerifyingKey)>);

impl KeySet {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that may have signed a token: those with its id, then those without any. `None`: the IAM may have a key
    /// that is not here.
    pub(super) fn fitting(&self, wanted: Wanted<'_>) -> Option<Lookup> {
        let with_id = |(kid, _): &&(Option<String>, VerifyingKey)| match (wanted.kid, kid) {
            (Some(wanted), Some(kid)) => wanted == kid,
            (Some(_), None) | (None, _) => false,
        };
        let nameless = |(kid, _): &&(Option<String>, VerifyingKey)| wanted.kid.is_none() || kid.is_none();
        let fits = |(_, key): &(Option<String>, VerifyingKey)| {
            (key.algorithm == wanted.algorithm).then(|| key.clone())
        };
        let mut keys: Vec<_> = self.0.iter().filter(with_id).filter_map(fits).collect();
        let named = keys.len();
        keys.extend(self.0.iter().filter(nameless).filter_map(fits));
        keys.truncate(MOST_TRIED);
        if !keys.is_empty() {
            return Some(Lookup::Found { named: keys.len() <= named, keys });
        }
        self.0.iter().any(|key| with_id(&key)).then_some(Lookup::OtherAlgorithm)
    }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// The usable keys of the bare set of RFC 7517, or of one inside an envelope.
pub(super) fn parse(body: &[u8]) -> Result<KeySet, SetError> {
    let body: Value = serde_json::from_slice(body).map_err(|_| SetError::NoJson)?;
    let listed = listed(&body).ok_or(SetError::NoKeys)?;
    let (mut keys, mut reasons) = (Vec::new(), Vec::new());
    for (index, jwk) in listed.iter().enumerate() {
        match read(jwk) {
            Ok(key) => keys.push(key),
            Err(reason) => {
                tracing::debug!(index, reason, "a key of the IAM is left out");
                reasons.push((index, reason));
            }
        }
    }
    if keys.is_empty() { Err(SetError::NoneUsable(told(&reasons))) } else { Ok(KeySet(keys)) }
}

/// Why none of these keys can be used. What an IAM calls its keys may be anything, so each has its place in the list.
fn told(reasons: &[(usize, &str)]) -> String {
    if reasons.is_empty() {
        return "the list is empty".to_owned();
    }
    let told = reasons.iter().take(MOST_REASONS).map(|(index, reason)| format!("key {index}: {reason}"));
    let more = reasons.len().saturating_sub(MOST_REASONS);
    let more = (more > 0).then(|| format!("and {more} more"));
    told.chain(more).collect::<Vec<_>>().join("; ")
}

fn listed(body: &Value) -> Option<&Vec<Value>> {
    if let Some(keys) = body.get("keys") {
        return keys.as_array();
    }
    let success = matches!(body.get("code")?.as_i64(), Some(0 | 200));
    if success { body.get("data")?.get("keys")?.as_array() } else { None }
}

fn read(jwk: &Value) -> Result<(Option<String>, VerifyingKey), &'static str> {
    let jwk = Jwk::deserialize(jwk).map_err(|_| "it is no JSON Web Key")?;
    let kid = jwk.kid.clone().filter(|kid| !kid.is_empty());
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return Err("it is not for signatures");
    }
    if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|name| name == "verify")) {
        return Err("it is not for verification");
    }
    let (algorithm, name, key) = match jwk.kty.as_str() {
        "RSA" => (Algorithm::RS256, "RS256", rsa(&jwk)?),
        "EC" => (Algorithm::ES256, "ES256", p256(&jwk)?),
        _ => return Err("its kty is neither RSA nor EC"),
    };
    if jwk.alg.as_deref().is_some_and(|alg| alg != name) {
        return Err("its alg is not the one of its kty that is accepted");
    }
    Ok((kid, VerifyingKey { algorithm, key }))
}

fn rsa(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    let modulus = number(jwk.n.as_deref()).ok_or("n is missing or malformed")?;
    let exponent = number(jwk.e.as_deref()).ok_or("e is missing or malformed")?;
    let first_bits = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - first_bits;
    if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
        return Err("its modulus has fewer than 2048 or more than 8192 bits");
    }
    let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    if !odd || exponent == [1] || exponent.len() > EXPONENT_MAX_BYTES {
        return Err("its exponent is none of an RSA key");
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn p256(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    if jwk.crv.as_deref() != Some("P-256") {
        return Err("its curve is not P-256");
    }
    let mut point = vec![4];
    for coordinate in [&jwk.x, &jwk.y] {
        let bytes = decoded(coordinate.as_deref()).filter(|bytes| bytes.len() == 32);
        point.extend(bytes.ok_or("a coordinate is missing or malformed")?);
    }
    Ok(DecodingKey::from_ec_der(&point))
}

/// A number without the zeros that some programs write before it: ring takes none.
fn number(text: Option<&str>) -> Option<Vec<u8>> {
    let bytes = decoded(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

fn decoded(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::keys::SigningKey;
    use serde_json::json;

    fn rsa_jwk(bytes: usize) -> Value {
        let n = URL_SAFE_NO_PAD.encode(vec![0xAB; bytes]);
        json!({ "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": n, "e": "AQAB" })
    }

    fn ec_jwk() -> Value {
        with(SigningKey::generate().unwrap().public(), "kid", json!("e"))
    }

    fn with(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    fn kids(keys: &[Value]) -> Result<Vec<String>, SetError> {
        let set = parse(json!({ "keys": keys }).to_string().as_bytes())?;
        let mut kids: Vec<String> = set.0.into_iter().map(|(kid, _)| kid.unwrap_or_default()).collect();
        kids.sort();
        Ok(kids)
    }

    #[test]
    fn both_kinds_of_keys_are_read_bare_and_in_an_envelope() {
        let keys = json!([rsa_jwk(256), ec_jwk()]);
        for body in [
            json!({ "keys": keys }),
            json!({ "code": 0, "message": "success", "data": { "keys": keys } }),
            json!({ "code": 200, "data": { "keys": keys } }),
        ] {
            let keys = parse(body.to_string().as_bytes()).unwrap().0;
            let algorithms: Vec<_> = keys.iter().map(|(_, key)| key.algorithm).collect();
            assert_eq!(algorithms, [Algorithm::RS256, Algorithm::ES256]);
        }
    }

    #[test]
    fn what_is_optional_may_be_missing_and_zeros_may_lead() {
        let mut bare = rsa_jwk(256);
        for name in ["use", "alg"] {
            bare.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(kids(&[bare]).unwrap(), ["r"]);
        let mut modulus = vec![0];
        modulus.extend([0xAB; 256]);
        let led = with(rsa_jwk(256), "n", json!(URL_SAFE_NO_PAD.encode(modulus)));
        assert_eq!(kids(&[led]).unwrap(), ["r"]);
        let padded = with(rsa_jwk(256), "e", json!("AQAB===="));
        assert_eq!(kids(&[with(padded, "key_ops", json!(["verify"]))]).unwrap(), ["r"]);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_left_out_and_the_others_stay() {
        for odd in [
            json!("no object"),
            json!({ "kid": "x" }),
            json!({ "kty": "oct", "kid": "x", "k": "c2VjcmV0" }),
            json!({ "kty": "OKP", "kid": "x", "crv": "Ed25519", "x": "AA" }),
            with(rsa_jwk(256), "use", json!("enc")),
            with(rsa_jwk(256), "key_ops", json!(["encrypt"])),
            with(rsa_jwk(256), "alg", json!("RS512")),
            with(rsa_jwk(256), "alg", json!("HS256")),
            with(rsa_jwk(256), "alg", json!("ES256")),
            with(rsa_jwk(256), "n", json!("not base64!")),
            with(rsa_jwk(256), "n", Value::Null),
            with(rsa_jwk(256), "e", json!("AQ")),
            with(rsa_jwk(256), "e", json!("AA")),
            with(rsa_jwk(256), "e", json!("AQAA")),
            with(rsa_jwk(256), "kid", json!(5)),
            rsa_jwk(255),
            rsa_jwk(1025),
            with(ec_jwk(), "crv", json!("P-384")),
            with(ec_jwk(), "alg", json!("ES384")),
            with(ec_jwk(), "x", json!("AA")),
            with(ec_jwk(), "y", Value::Null),
        ] {
            let good = with(ec_jwk(), "kid", json!("good"));
            assert_eq!(kids(&[odd.clone(), good]).unwrap(), ["good"], "{odd}");
            assert!(matches!(kids(&[odd]), Err(SetError::NoneUsable(_))));
        }
    }

    #[test]
    fn every_key_fits_that_may_have_signed_and_no_more_than_can_be_tried() {
        use Algorithm::{ES256, ES384, RS256};
        let set = |keys: &[Value]| parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        let fitting = |set: &KeySet, kid, algorithm| match set.fitting(Wanted { kid, algorithm }) {
            Some(Lookup::Found { keys, named }) => format!("{} {named}", keys.len()),
            Some(_) => "other".to_owned(),
            None => "none".to_owned(),
        };
        let (ec, rsa) = (|kid: &str| with(ec_jwk(), "kid", json!(kid)), rsa_jwk(256));
        let mixed = set(&[ec("r"), rsa.clone(), ec("r"), ec("e"), ec("")]);
        for (kid, algorithm, expected) in [
            (Some("r"), RS256, "1 true"),
            (Some("r"), ES256, "3 false"),
            (Some("e"), ES256, "2 false"),
            (Some("e"), RS256, "other"),
            (Some("x"), ES256, "1 false"),
            (Some("x"), RS256, "none"),
            (None, ES256, "4 false"),
            (None, RS256, "1 false"),
            (None, ES384, "none"),
        ] {
            assert_eq!(fitting(&mixed, kid, algorithm), expected, "{kid:?} {algorithm:?}");
        }
        let many: Vec<Value> = (0..50).map(|_| ec("e")).collect();
        assert_eq!(fitting(&set(&many), Some("e"), ES256), "20 true");
        assert_eq!(fitting(&set(&many), None, ES256), "20 false");
    }

    #[test]
    fn the_reasons_are_told_of_as_many_keys_as_a_line_may_have() {
        let unusable = |number: usize| {
            let keys = vec![json!({ "kty": "oct", "kid": "hunter2" }); number];
            kids(&keys).unwrap_err().to_string()
        };
        assert_eq!(unusable(0), "the list is empty");
        assert_eq!(unusable(1), "key 0: its kty is neither RSA nor EC");
        let many = unusable(25);
        assert!(many.ends_with("key 19: its kty is neither RSA nor EC; and 5 more"), "{many}");
    }

    #[test]
    fn an_answer_that_is_no_set_is_an_error() {
        for (body, error) in [
            ("", SetError::NoJson),
            ("<html>", SetError::NoJson),
            ("[]", SetError::NoKeys),
            ("{}", SetError::NoKeys),
            (r#"{"keys":{}}"#, SetError::NoKeys),
            (r#"{"code":100001,"data":{"keys":[]}}"#, SetError::NoKeys),
            (r#"{"code":0,"data":null}"#, SetError::NoKeys),
            (r#"{"keys":[]}"#, SetError::NoneUsable("the list is empty".to_owned())),
            (r#"{"code":0,"data":{"keys":[]}}"#, SetError::NoneUsable("the list is empty".to_owned())),
        ] {
            assert_eq!(parse(body.as_bytes()).map(|keys| keys.len()), Err(error), "{body}");
        }
    }
}
