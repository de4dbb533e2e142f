//! What a token says, and what we make of it.

use serde::{Deserialize, Deserializer, Serialize};

/// The claims of an access token, as the IAM issues them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Identity of the token.
    pub jti: String,
    /// Who: the user's id as text.
    pub sub: String,
    /// Who issued it.
    pub iss: String,
    /// For whom.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Issued at, in seconds.
    pub iat: i64,
    /// Not valid before, in seconds.
    #[serde(default)]
    pub nbf: i64,
    /// Not valid from then on, in seconds.
    pub exp: i64,
    /// The user.
    #[serde(deserialize_with = "number")]
    pub user_id: u64,
    /// The user's account.
    #[serde(default, deserialize_with = "number")]
    pub account_id: u64,
    /// The organisation.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_number")]
    pub tenant_id: Option<u64>,
    /// What the user may do.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// Who calls, after verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The claim `sub`.
    pub subject: String,
    /// The organisation that the caller belongs to.
    pub org_id: i64,
    /// What the caller may do.
    pub roles: Vec<Role>,
}

impl Identity {
    /// Whether the caller has one of these roles.
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A machine account: runs the scheduled calls.
    Caller,
    /// Looks.
    Viewer,
    /// Runs and stops things.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Reads a role; unknown ones grant nothing.
    pub fn parse(text: &str) -> Option<Role> {
        match text {
            "caller" => Some(Role::Caller),
            "viewer" => Some(Role::Viewer),
            "operator" => Some(Role::Operator),
            "admin" => Some(Role::Admin),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

/// Ids are numbers, or numbers as text where JavaScript is near.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(|_| serde::de::Error::custom("expected a numeric id")),
    }
}

fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    number(deserializer).map(Some)
}
