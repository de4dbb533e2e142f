//! A JSON Web Key Set as an IAM serves it, read into keys that verify.
//!
//! A key that cannot be used is left out, so that one odd key does not take the others with it. A set without a usable
//! key is an error: it must never replace keys that work.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::keys::VerifyingKey;

/// Smallest RSA modulus, in bits; ring refuses smaller ones as well.
const RSA_MIN_BITS: usize = 2048;

/// Largest RSA modulus, in bits: verification takes longer with each.
const RSA_MAX_BITS: usize = 8192;

/// Largest RSA exponent that ring takes: 33 bits.
const EXPONENT_MAX_BYTES: usize = 5;

/// Why an answer is no key set. The answer itself is not repeated: it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum SetError {
    #[error("the answer is not JSON")]
    NoJson,
    #[error("the answer holds no list of keys")]
    NoKeys,
    #[error("no key in the answer can be used")]
    NoneUsable,
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

/// The usable keys by their id: of the bare set of RFC 7517, or of one inside an envelope.
pub(super) fn parse(body: &[u8]) -> Result<HashMap<String, VerifyingKey>, SetError> {
    let body: Value = serde_json::from_slice(body).map_err(|_| SetError::NoJson)?;
    let mut keys = HashMap::new();
    for (index, jwk) in listed(&body).ok_or(SetError::NoKeys)?.iter().enumerate() {
        match read(jwk) {
            Ok((kid, _)) if keys.contains_key(&kid) => {
                tracing::debug!(index, reason = "the kid is there already", "a key of the IAM is left out");
            }
            Ok((kid, key)) => {
                keys.insert(kid, key);
            }
            Err(reason) => tracing::debug!(index, reason, "a key of the IAM is left out"),
        }
    }
    if keys.is_empty() { Err(SetError::NoneUsable) } else { Ok(keys) }
}

fn listed(body: &Value) -> Option<&Vec<Value>> {
    if let Some(keys) = body.get("keys") {
        return keys.as_array();
    }
    let success = matches!(body.get("code")?.as_i64(), Some(0 | 200));
    if success { body.get("data")?.get("keys")?.as_array() } else { None }
}

fn read(jwk: &Value) -> Result<(String, VerifyingKey), &'static str> {
    let jwk = Jwk::deserialize(jwk).map_err(|_| "it is no JSON Web Key")?;
    let kid = jwk.kid.as_deref().filter(|kid| !kid.is_empty()).ok_or("it has no kid")?.to_owned();
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
        let mut kids: Vec<String> =
            parse(json!({ "keys": keys }).to_string().as_bytes())?.into_keys().collect();
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
            let keys = parse(body.to_string().as_bytes()).unwrap();
            assert_eq!((keys["r"].algorithm, keys["e"].algorithm), (Algorithm::RS256, Algorithm::ES256));
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
            with(rsa_jwk(256), "kid", Value::Null),
            with(rsa_jwk(256), "kid", json!("")),
            rsa_jwk(255),
            rsa_jwk(1025),
            with(ec_jwk(), "crv", json!("P-384")),
            with(ec_jwk(), "alg", json!("ES384")),
            with(ec_jwk(), "x", json!("AA")),
            with(ec_jwk(), "y", Value::Null),
        ] {
            let good = with(ec_jwk(), "kid", json!("good"));
            assert_eq!(kids(&[odd.clone(), good]).unwrap(), ["good"], "{odd}");
            assert_eq!(kids(&[odd]), Err(SetError::NoneUsable));
        }
    }

    #[test]
    fn of_two_keys_with_one_kid_the_first_counts() {
        let keys = json!({ "keys": [with(ec_jwk(), "kid", json!("r")), rsa_jwk(256)] });
        let keys = parse(keys.to_string().as_bytes()).unwrap();
        assert_eq!((keys.len(), keys["r"].algorithm), (1, Algorithm::ES256));
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
            (r#"{"keys":[]}"#, SetError::NoneUsable),
            (r#"{"code":0,"data":{"keys":[]}}"#, SetError::NoneUsable),
        ] {
            assert_eq!(parse(body.as_bytes()).map(|keys| keys.len()), Err(error), "{body}");
        }
    }
}
