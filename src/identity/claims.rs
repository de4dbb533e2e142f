//! What a token says, and what we make of it.
//!
//! Only the claims that decide something are read; `aud` is compared by the library. `jti`, `iat` and `account_id` may
//! have any form or be missing.

use serde::{Deserialize, Deserializer};

use super::error::VerifyError;
use super::roles::{Permission, Role};
use crate::domain::number::exact;
use crate::domain::statistics::{MAX_KEY, check_key};

/// The claims of an access token that verification looks at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    /// Who made it: one text, as RFC 7519 §4.1.1 says.
    pub(super) iss: String,
    /// Who; the user's id where the IAM leaves it out.
    #[serde(default)]
    sub: Option<String>,
    /// Not valid before, in seconds.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub(super) nbf: Option<i64>,
    /// Not valid from then on, in seconds.
    #[serde(deserialize_with = "seconds")]
    pub(super) exp: i64,
    /// The user: needed where there is no `sub`.
    #[serde(default, deserialize_with = "optional_id")]
    user_id: Option<u64>,
    /// The organisation.
    #[serde(default, deserialize_with = "optional_id")]
    tenant_id: Option<u64>,
    /// What the user is.
    #[serde(default, deserialize_with = "words")]
    roles: Vec<String>,
}

impl Claims {
    /// The caller that they describe. An organisation of 0 is the empty value of the IAM's language: none.
    pub(super) fn identity(self) -> Result<Identity, VerifyError> {
        let tenant = self.tenant_id.filter(|tenant| *tenant > 0).ok_or(VerifyError::Tenant)?;
        let org_id = i64::try_from(tenant).map_err(|_| VerifyError::Tenant)?;
        let named = self.sub.filter(|sub| !sub.is_empty());
        let subject = named.or_else(|| self.user_id.map(|id| id.to_string())).ok_or(VerifyError::Nobody)?;
        // Records of what the caller asked for are kept under it.
        check_key(&subject, MAX_KEY).map_err(|_| VerifyError::Subject)?;
        let mut roles = Vec::new();
        for role in self.roles.iter().filter_map(|text| Role::parse(text)) {
            // Two names of the IAM may mean one role.
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(Identity { subject, org_id, roles })
    }
}

/// Who calls, after verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The claim `sub`, or the user's id.
    pub subject: String,
    /// The organisation that the caller belongs to.
    pub org_id: i64,
    /// What the caller is.
    pub roles: Vec<Role>,
}

impl Identity {
    /// Whether one of the caller's roles has this permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.roles.iter().any(|role| role.allows(permission))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn number<E: serde::de::Error>(self) -> Result<u64, E> {
        match self {
            Id::Number(number) => Ok(number),
            Id::Text(text) => exact(&text).ok_or_else(|| E::custom("expected a numeric id")),
        }
    }
}

/// Ids are numbers, or numbers as text where JavaScript is near.
fn optional_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<Id>::deserialize(deserializer)?.map(Id::number).transpose()
}

/// A `NumericDate` (RFC 7519), which may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    f64::deserialize(deserializer).map(whole)
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.map(whole))
}

#[expect(clippy::cast_possible_truncation, reason = "the fraction is dropped; what is too large saturates")]
fn whole(seconds: f64) -> i64 {
    seconds.floor() as i64
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Many(Vec<String>),
    One(String),
}

/// A list, or one text of words between spaces or commas.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Option::<Words>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Words::Many(words)) => words,
        Some(Words::One(text)) => {
            let words = text.split([' ', ',']).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(change: &Value) -> Result<Identity, VerifyError> {
        let mut claims = json!({ "iss": "i", "sub": "s", "exp": 1, "user_id": 7, "tenant_id": 1 });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let claims: Claims = serde_json::from_value(claims).map_err(|_| VerifyError::Claims)?;
        claims.identity()
    }

    #[test]
    fn the_forms_of_the_real_iam_are_read() {
        let caller = |org_id, subject: &str, roles: &[Role]| {
            Ok(Identity { subject: subject.to_owned(), org_id, roles: roles.to_vec() })
        };
        for (change, expected) in [
            (json!({}), caller(1, "s", &[])),
            (json!({"tenant_id": "42", "user_id": "8"}), caller(42, "s", &[])),
            (json!({"sub": null}), caller(1, "7", &[])),
            (json!({"sub": ""}), caller(1, "7", &[])),
            (json!({"roles": null}), caller(1, "s", &[])),
            (json!({"roles": []}), caller(1, "s", &[])),
            (json!({"roles": ["qs:operator", "x"]}), caller(1, "s", &[Role::Operator])),
            (json!({"roles": ["qs:admin", "admin"]}), caller(1, "s", &[Role::Admin])),
            (json!({"roles": "qs:viewer, caller"}), caller(1, "s", &[Role::Viewer, Role::Caller])),
            (json!({"jti": 5, "iat": "x", "account_id": "a-b", "nbf": null}), caller(1, "s", &[])),
            (json!({"exp": 1.5, "nbf": 0.5}), caller(1, "s", &[])),
            (json!({"tenant_id": null}), Err(VerifyError::Tenant)),
            (json!({"tenant_id": 0}), Err(VerifyError::Tenant)),
            (json!({"tenant_id": u64::MAX}), Err(VerifyError::Tenant)),
            (json!({"tenant_id": "acme"}), Err(VerifyError::Claims)),
            (json!({"tenant_id": ""}), Err(VerifyError::Claims)),
            (json!({"tenant_id": -1}), Err(VerifyError::Claims)),
            (json!({"tenant_id": "+1"}), Err(VerifyError::Claims)),
            (json!({"tenant_id": "01"}), Err(VerifyError::Claims)),
            (json!({"tenant_id": " 1"}), Err(VerifyError::Claims)),
            (json!({"tenant_id": "1e0"}), Err(VerifyError::Claims)),
            (json!({"tenant_id": "１"}), Err(VerifyError::Claims)),
            (json!({"tenant_id": 1.0}), Err(VerifyError::Claims)),
            (json!({"tenant_id": [1]}), Err(VerifyError::Claims)),
            (json!({"tenant_id": true}), Err(VerifyError::Claims)),
            (json!({"user_id": "+7"}), Err(VerifyError::Claims)),
            (json!({"sub": 7}), Err(VerifyError::Claims)),
            (json!({"sub": "s".repeat(256)}), Err(VerifyError::Subject)),
            (json!({"sub": "问".repeat(255)}), caller(1, &"问".repeat(255), &[])),
            (json!({"sub": "s "}), Err(VerifyError::Subject)),
            (json!({"sub": "s\u{0}"}), Err(VerifyError::Subject)),
            (json!({"roles": {"admin": true}}), Err(VerifyError::Claims)),
            (json!({"nbf": "0"}), Err(VerifyError::Claims)),
            (json!({"user_id": "x"}), Err(VerifyError::Claims)),
            (json!({"user_id": null}), caller(1, "s", &[])),
            (json!({"user_id": null, "sub": null}), Err(VerifyError::Nobody)),
            (json!({"user_id": null, "sub": ""}), Err(VerifyError::Nobody)),
            (json!({"user_id": ""}), Err(VerifyError::Claims)),
            (json!({"iss": ["i"]}), Err(VerifyError::Claims)),
            (json!({"iss": null}), Err(VerifyError::Claims)),
            (json!({"exp": null}), Err(VerifyError::Claims)),
            (json!({"exp": "soon"}), Err(VerifyError::Claims)),
            (json!({"roles": [1]}), Err(VerifyError::Claims)),
        ] {
            assert_eq!(read(&change), expected, "{change}");
        }
    }
}
